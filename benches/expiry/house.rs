//! recalld in this process: what the daemon runs behind its sockets, on a data directory that the daemon could open.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use recalld::actors::{Caller, CallerKeys, Clock, Directory, DirectoryOptions, Outcome, Reply, StartCall, Wakes};
use recalld::config::{Config, Generation};
use recalld::domain::caller::{Evidence, Trunk, identify};
use recalld::domain::ids::{CallId, ReleaseId};
use recalld::domain::pseudonym::RootKey;
use recalld::domain::refusal::Refusal;
use recalld::domain::session::{Authority, Change, Command, Direction, EndCause, Leg, Lifetime, SetVariable, Start};
use recalld::domain::time::Timestamp;
use recalld::domain::value::JsonText;
use recalld::store::{Release, RootSecrets, Store, StoreOptions};

use crate::process::free_port;

/// Idle time after which the `session` variables end.
pub const RETENTION: Duration = Duration::from_secs(30 * 86_400);
/// Releases, so that many watchers share what is announced.
pub const RELEASES: usize = 8;
/// The root key of all data directories here.
const ROOT: [u8; 32] = [0x2a; 32];
const TENANT: &str = "acme";

/// An open directory.
pub struct House {
    pub directory: Arc<Directory>,
    pub releases: Vec<Arc<Release>>,
    region: recalld::domain::caller::Region,
}

/// Writes the root key and a configuration of the daemon into `dir`; the result is its path and the switch's address.
pub fn configure(dir: &Path) -> anyhow::Result<(PathBuf, std::net::SocketAddr)> {
    let key = dir.join("root.key");
    if !key.exists() {
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&key)?.write_all(&ROOT)?;
    }
    let place = |name: &str| toml::Value::from(dir.join(name).to_string_lossy().into_owned());
    let releases: Vec<String> = (0..RELEASES)
        .map(|number| format!("[[tenant.release]]\ninstance_id = \"app-{number}\"\ngeneration = \"phone2\"\n"))
        .collect();
    let switch = std::net::SocketAddr::from(([127, 0, 0, 1], free_port()?));
    // Calls that have ended are not what is measured.
    let text = format!(
        "[data]\npath = {}\n[keys]\nroot = {}\n[api]\nlisten = \"127.0.0.1:{}\"\n\
         [admin]\nlisten = \"127.0.0.1:{}\"\nsocket = {}\n[limits]\ncall_linger = \"0s\"\n\
         [[tenant]]\nid = \"{TENANT}\"\nsession_retention = \"30d\"\n{}\
         [[switch]]\nname = \"edge-1\"\nprotocol = \"jsonrpc\"\nlisten = \"{switch}\"\ntenant = \"{TENANT}\"\n\
         region = \"DE\"\n",
        place("data"),
        place("root.key"),
        free_port()?,
        free_port()?,
        place("recalld.sock"),
        releases.concat(),
    );
    let path = dir.join("recalld.toml");
    fs::write(&path, text)?;
    Ok((path, switch))
}

impl House {
    /// Opens the data in `dir`, as the daemon does at its start.
    pub fn open(dir: &Path, clock: Clock, arbiters: usize) -> anyhow::Result<Self> {
        let (path, _) = configure(dir)?;
        let config = Config::parse(&fs::read_to_string(path)?).map_err(|error| anyhow::anyhow!("{error}"))?;
        let root = RootKey::from_file(&ROOT).context("the root key is none")?;
        let secrets = RootSecrets { check_value: root.check_value(), wrapping_key: root.subkey(b"", "wrap") };
        let (store, recovered) = Store::open(StoreOptions::new(dir.join("data"), secrets))?;
        let tenant = TENANT.parse()?;
        let keys = CallerKeys::from([(tenant, Arc::from([root.pseudonym_key(&TENANT.parse()?, 1)]))]);
        let options = DirectoryOptions { config, store, recovered, keys, arbiters, clock: Some(clock) };
        let directory = Directory::open(options)?;
        let releases = (0..RELEASES)
            .map(|number| {
                let id = ReleaseId { tenant: TENANT.parse()?, instance: format!("app-{number}").parse()? };
                Ok(directory.store().release(&id)?)
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { directory, releases, region: "DE".parse().context("no region")? })
    }

    /// A call of a caller starts. The caller is known to the switch by a user ID, so that there may be many.
    pub fn start(&self, caller: usize, user: &str, call: &CallId, reply: Box<dyn Reply>) -> anyhow::Result<()> {
        let release = self.releases.get(caller % RELEASES).context("no release")?;
        let trunk = Trunk { trust_identity: true, region: &self.region, domain: "edge-1" };
        let evidence = Evidence {
            user_id: Some(user),
            party: "sip:caller@192.0.2.7",
            display: None,
            pai: &[],
            rpid: None,
            privacy: None,
            verstat: None,
            hidden_by_switch: false,
        };
        let caller = identify(&evidence, &trunk);
        let canonical = caller.canonical.context("the caller is not recognised")?;
        let known = self.directory.know(release.id(), Generation::Phone2, &canonical)?;
        let start = Start {
            call: call.clone(),
            leg: leg()?,
            direction: Direction::Inbound,
            presentation: caller.presentation,
            source: caller.source,
            assurance: caller.assurance,
            switch_at: None,
            details: None,
        };
        let start = StartCall { release: release.clone(), caller: Caller::Known(known), start: Box::new(start) };
        self.directory.start_call(start, reply);
        Ok(())
    }

    /// Something happens to a call.
    pub fn event(&self, call: &CallId, command: Command, reply: Box<dyn Reply>) {
        if let Some(release) = self.releases.first() {
            self.directory.call_event(&release.id().tenant, call, command, reply);
        }
    }

    /// Waits until no session is in memory.
    pub fn rest(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        while self.directory.counts().session_actors > 0 {
            if began.elapsed() > Duration::from_secs(120) {
                bail!("sessions do not come to rest: {:?}", self.directory.counts());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Ends it in order.
    pub fn close(self) {
        self.directory.shutdown();
    }
}

fn leg() -> anyhow::Result<Leg> {
    Ok(Leg { switch: "edge-1".parse()?, peer: [127, 0, 0, 1].into() })
}

/// The end of a call.
pub fn end(call: &CallId) -> anyhow::Result<Command> {
    Ok(Command::End { call: call.clone(), leg: Some(leg()?), cause: EndCause::Switch("bye".into()), code: None })
}

/// Three `session` variables are set at once.
pub fn set(call: &CallId, values: &[JsonText; 3]) -> anyhow::Result<Command> {
    let variable = |(name, value): (&str, &JsonText)| {
        Ok(SetVariable { name: name.parse()?, value: value.clone(), lifetime: Some(Lifetime::Session), ttl: None })
    };
    Ok(Command::Change(Change {
        call: Some(call.clone()),
        set: ["language", "ticket", "last_choice"]
            .into_iter()
            .zip(values)
            .map(variable)
            .collect::<anyhow::Result<_>>()?,
        delete: Vec::new(),
        condition: None,
        authority: Authority::OfCall,
    }))
}

/// Values of this many bytes of JSON.
pub fn values(bytes: usize) -> anyhow::Result<[JsonText; 3]> {
    let value = |letter: &str| JsonText::check(&format!("\"{}\"", letter.repeat(bytes.saturating_sub(2))), bytes);
    Ok([value("a")?, value("b")?, value("c")?])
}

/// Calls back when an event is durable, with whether it was taken.
pub struct Told<F: FnOnce(bool) + Send + 'static> {
    then: Option<F>,
    taken: bool,
}

impl<F: FnOnce(bool) + Send + 'static> Told<F> {
    pub fn boxed(then: F) -> Box<dyn Reply> {
        Box::new(Self { then: Some(then), taken: false })
    }
}

impl<F: FnOnce(bool) + Send + 'static> Reply for Told<F> {
    fn prepare(&mut self, outcome: Result<Outcome<'_>, Refusal>) {
        self.taken = outcome.is_ok();
    }

    fn deliver(mut self: Box<Self>, _wakes: &mut Wakes) {
        if let Some(then) = self.then.take() {
            then(self.taken);
        }
    }
}

/// A virtual time that passes as fast as the real one, beginning anywhere.
#[derive(Clone, Copy)]
pub struct Time {
    from: Timestamp,
    began: Instant,
}

impl Time {
    pub fn from(from: Timestamp) -> Self {
        Self { from, began: Instant::now() }
    }

    pub fn now(&self) -> Timestamp {
        self.from.after(self.began.elapsed())
    }
}

/// Moves the clock of a house with a [`Time`], every millisecond. Stops when it is dropped.
pub struct Pump {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pump {
    pub fn start(house: &House, time: Time) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (directory, stopped) = (house.directory.clone(), stop.clone());
        let thread = std::thread::Builder::new().name("clock".to_owned()).spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let now = directory.clock().now();
                directory.clock().advance(time.now().since(now));
                std::thread::sleep(Duration::from_millis(1));
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of it was printed.
            let _ = thread.join();
        }
    }
}
