//! `recalld simulate --days`: weeks pass in seconds, for somebody who wants to see what stays and what goes. A house of
//! its own on a temporary directory, with the retention of a configuration, and a clock that is moved from one event to
//! the next.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Serialize;
use tokio::sync::{Notify, oneshot};

use crate::actors::{
    Caller, Clock, Delivery, Directory, DirectoryOptions, Event, Filter, Outcome, Reply, StartCall, Subscription, Wakes,
};
use crate::cli::paint::Paint;
use crate::cli::{exit, files, out, words};
use crate::config::{Config, Generation};
use crate::daemon::root_key;
use crate::domain::caller::{Evidence, Trunk, identify};
use crate::domain::ids::{CallId, ReleaseId, SessionId};
use crate::domain::pseudonym::RootKey;
use crate::domain::refusal::Refusal;
use crate::domain::session::{
    Authority, Change, Command, Direction, Effect, EndCause, Leg, Lifetime, Session, SetVariable, Start,
};
use crate::domain::time::Timestamp;
use crate::domain::value::JsonText;
use crate::store::{Store, StoreOptions};

/// Arguments of `simulate --days`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Let so many days pass in seconds, and tell what stays and what goes.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3_650))]
    pub(super) days: Option<u32>,
    /// With the retention of this configuration, instead of one with the defaults.
    #[arg(long, value_name = "FILE", requires = "days")]
    config: Option<PathBuf>,
    /// Of this release; without it the first one of the configuration.
    #[arg(long, value_name = "INSTANCE_ID", requires = "days")]
    instance: Option<String>,
    /// Print every event as one line of JSON.
    #[arg(long, requires = "days")]
    json: bool,
}

const DEFAULTS: &str = "[[tenant]]\nid = \"acme\"\n[[tenant.release]]\ninstance_id = \"support-de\"\n\
                        generation = \"phone2\"\n";
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
/// How long what is due may take: the timer wheel looks ten times a second.
const SETTLED_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What happens, and when it does after the beginning.
const SCRIPT: [(Duration, Act); 14] = [
    (Duration::ZERO, Act::Calls("anna")),
    (MINUTE, Act::Sets("anna", "language", "\"de\"", Lifetime::User, None)),
    (MINUTE, Act::Sets("anna", "ticket", "4711", Lifetime::Session, None)),
    (MINUTE, Act::Sets("anna", "pin_ok", "true", Lifetime::Session, Some(Duration::from_secs(900)))),
    (MINUTE, Act::Sets("anna", "menu", "\"billing\"", Lifetime::Call, None)),
    (Duration::from_secs(300), Act::HangsUp("anna")),
    (Duration::from_secs(86_400), Act::Calls("withheld")),
    (Duration::from_secs(86_460), Act::Sets("withheld", "topic", "\"contract\"", Lifetime::Session, None)),
    (Duration::from_secs(86_700), Act::HangsUp("withheld")),
    (Duration::from_secs(3 * 86_400), Act::Calls("anna")),
    (Duration::from_secs(3 * 86_400 + 60), Act::Sets("anna", "ticket", "4712", Lifetime::Session, None)),
    (Duration::from_secs(3 * 86_400 + 120), Act::HangsUp("anna")),
    (Duration::from_secs(10 * 86_400), Act::Calls("bert")),
    (Duration::from_secs(10 * 86_400 + 60), Act::HangsUp("bert")),
];

#[derive(Debug, Clone, Copy)]
enum Act {
    Calls(&'static str),
    Sets(&'static str, &'static str, &'static str, Lifetime, Option<Duration>),
    HangsUp(&'static str),
}

/// Lets the days pass.
pub(super) fn run(arguments: &Arguments, days: u32) -> anyhow::Result<()> {
    let (config, release) = configured(arguments)?;
    let place = tempfile::tempdir().context("no temporary directory")?;
    actix_rt::System::new().block_on(async {
        let house = House::open(place.path(), config, release, arguments.json)?;
        let passed = house.days(days).await;
        let closing = house.directory.clone();
        actix_rt::task::spawn_blocking(move || closing.shutdown()).await?;
        passed
    })
}

/// A configuration with the release, and nothing of it that needs files or addresses.
fn configured(arguments: &Arguments) -> anyhow::Result<(Config, ReleaseId)> {
    let config = match &arguments.config {
        Some(path) => files::config(path)?,
        None => Config::parse(DEFAULTS).context("the configuration with the defaults")?,
    };
    let wanted = arguments.instance.as_deref();
    let releases =
        config.tenants.iter().flat_map(|tenant| tenant.releases.iter().map(move |release| (tenant, release)));
    let found = releases.into_iter().find(|(_, release)| wanted.is_none_or(|name| release.instance.as_str() == name));
    let (tenant, release) =
        found.ok_or_else(|| exit::with(exit::CONFIGURATION, "the configuration has no such release"))?;
    let id = ReleaseId { tenant: tenant.id.clone(), instance: release.instance.clone() };
    Ok((config, id))
}

struct House {
    directory: Arc<Directory>,
    release: ReleaseId,
    generation: Generation,
    subscription: Subscription,
    began: Timestamp,
    json: bool,
    paint: Paint,
    /// Who is behind a session.
    callers: std::cell::RefCell<Vec<(SessionId, &'static str)>>,
}

#[derive(Serialize)]
struct Line<'a> {
    day: u64,
    at: String,
    caller: &'a str,
    what: &'a str,
}

/// Hands an answer over.
struct Waiter {
    told: oneshot::Sender<Result<Arc<Session>, Refusal>>,
    prepared: Option<Result<Arc<Session>, Refusal>>,
}

impl Reply for Waiter {
    fn prepare(&mut self, outcome: Result<Outcome<'_>, Refusal>) {
        self.prepared = Some(outcome.map(|outcome| outcome.session.clone()));
    }

    fn deliver(self: Box<Self>, _wakes: &mut Wakes) {
        if let Some(prepared) = self.prepared {
            let _nobody_waits = self.told.send(prepared);
        }
    }
}

impl House {
    fn open(place: &Path, config: Config, release: ReleaseId, json: bool) -> anyhow::Result<Self> {
        let mut bytes = [0; 32];
        rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, &mut bytes)?;
        let root = RootKey::from_file(&bytes).map_err(|_| anyhow::anyhow!("no key can be made"))?;
        let (store, recovered) = Store::open(StoreOptions::new(place, root_key::for_store(&root)))?;
        let began = Clock::system(None).now();
        let tenants = config.tenants.iter().map(|tenant| &tenant.id);
        let keys = tenants.map(|id| (id.clone(), Arc::from([root.pseudonym_key(id, 1)]))).collect();
        let clock = Some(Clock::manual(began));
        let directory = Directory::open(DirectoryOptions { config, store, recovered, keys, arbiters: 1, clock })?;
        let generation = directory.settings().release(&release).map_or(Generation::Phone2, |known| known.generation);
        let subscription = directory.publisher().subscribe(Filter::Release(release.clone()), Arc::new(Notify::new()));
        let callers = std::cell::RefCell::default();
        Ok(Self { directory, release, generation, subscription, began, json, paint: Paint::for_stdout(), callers })
    }

    async fn days(&self, days: u32) -> anyhow::Result<()> {
        let end = self.began.after(DAY * days);
        let mut script = SCRIPT.iter().map(|(after, act)| (self.began.after(*after), act)).peekable();
        loop {
            let scripted = script.peek().map(|(at, _)| *at);
            let next = [scripted, self.next_end().await?].into_iter().flatten().min().unwrap_or(end);
            if next > end {
                break;
            }
            self.directory.clock().advance(next.since(self.directory.now()));
            self.settle().await?;
            if let Some((_, act)) = script.next_if(|(at, _)| *at <= next) {
                self.act(act).await?;
            } else if next == end {
                break;
            }
            self.tell().await?;
        }
        self.directory.clock().advance(end.since(self.directory.now()));
        let callers = self.callers.borrow().clone();
        for (session, caller) in callers {
            let what = match self.session(&session).await? {
                None => "nothing is known any more".to_owned(),
                Some(session) => format!("contacts {}, {}", session.contacts, self.seen(&session)),
            };
            self.line(caller, &what)?;
        }
        Ok(())
    }

    async fn act(&self, act: &Act) -> anyhow::Result<()> {
        match *act {
            Act::Calls(caller) => {
                let session = self.start(caller).await?;
                self.introduce(session.id, caller);
                self.tell().await?;
                self.line(caller, &format!("the app sees {}", self.seen(&session)))
            }
            Act::Sets(caller, name, value, lifetime, ttl) => {
                let set = SetVariable {
                    name: name.parse()?,
                    value: JsonText::check(value, 1_024)?,
                    lifetime: Some(lifetime),
                    ttl,
                };
                let call = Some(call_id(caller)?);
                let (set, delete, condition, authority) = (vec![set], Vec::new(), None, Authority::Trusted);
                self.event(caller, Command::Change(Change { call, set, delete, condition, authority })).await
            }
            Act::HangsUp(caller) => {
                let cause = EndCause::Switch("bye".into());
                let command = Command::End { call: call_id(caller)?, leg: Some(leg()?), cause, code: None };
                self.event(caller, command).await
            }
        }
    }

    fn introduce(&self, session: SessionId, caller: &'static str) {
        let mut callers = self.callers.borrow_mut();
        if !callers.iter().any(|(known, _)| *known == session) {
            callers.push((session, caller));
        }
    }

    async fn start(&self, caller: &str) -> anyhow::Result<Arc<Session>> {
        let party = match caller {
            "withheld" => "sip:anonymous@anonymous.invalid".to_owned(),
            name => format!("sip:{name}@example.com"),
        };
        let region = "DE".parse()?;
        let trunk = Trunk { trust_identity: false, region: &region, domain: "switch" };
        let evidence = Evidence {
            user_id: None,
            party: &party,
            display: None,
            pai: &[],
            rpid: None,
            privacy: None,
            verstat: None,
            hidden_by_switch: false,
        };
        let identified = identify(&evidence, &trunk);
        let caller_of = match &identified.canonical {
            Some(canonical) => Caller::Known(self.directory.know(&self.release, self.generation, canonical)?),
            None => Caller::Withheld,
        };
        let start = Start {
            call: call_id(caller)?,
            leg: leg()?,
            direction: Direction::Inbound,
            presentation: identified.presentation,
            source: identified.source,
            assurance: identified.assurance,
            switch_at: None,
            details: None,
        };
        let release = self.directory.store().release(&self.release)?;
        let (told, answer) = oneshot::channel();
        let reply = Box::new(Waiter { told, prepared: None });
        self.directory.start_call(StartCall { release, caller: caller_of, start: Box::new(start) }, reply);
        Ok(answer.await??)
    }

    async fn event(&self, caller: &str, command: Command) -> anyhow::Result<()> {
        let (told, answer) = oneshot::channel();
        let reply = Box::new(Waiter { told, prepared: None });
        self.directory.call_event(&self.release.tenant, &call_id(caller)?, command, reply);
        answer.await??;
        Ok(())
    }

    async fn session(&self, id: &SessionId) -> anyhow::Result<Option<Arc<Session>>> {
        Ok(self.directory.find_session(&self.release.tenant, id).await?.map(|view| view.session))
    }

    /// When something ends next.
    async fn next_end(&self) -> anyhow::Result<Option<Timestamp>> {
        let rules = self.directory.rules(&self.release);
        let mut next = None;
        let known: Vec<_> = self.callers.borrow().iter().map(|(id, _)| *id).collect();
        for id in known {
            let end = self.session(&id).await?.and_then(|session| session.next_end(&rules));
            next = [next, end].into_iter().flatten().min();
        }
        Ok(next)
    }

    /// Waits until what is due has ended.
    async fn settle(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        while self.next_end().await?.is_some_and(|end| end <= self.directory.now()) {
            if began.elapsed() > SETTLED_WITHIN {
                anyhow::bail!("what is due does not end within {} s", SETTLED_WITHIN.as_secs());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        self.tell().await
    }

    /// What a reader sees.
    fn seen(&self, session: &Session) -> String {
        let rules = self.directory.rules(&self.release);
        let context = session.context(None, Authority::Trusted, &rules, self.directory.now());
        let told = context.variables.iter().map(|visible| {
            let variable = visible.variable;
            format!("{}={} ({})", variable.name, variable.value.as_str(), variable.lifetime.as_str())
        });
        let variables: Vec<_> = told.collect();
        if variables.is_empty() { "no variables".to_owned() } else { variables.join(", ") }
    }

    /// Tells what has happened.
    async fn tell(&self) -> anyhow::Result<()> {
        while self.directory.publisher().processed() < self.directory.publisher().durable() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        for delivery in self.subscription.take(1_000) {
            let Delivery::Event(event) = delivery else { continue };
            let what = self.happened(&event);
            let callers = self.callers.borrow();
            let known = callers.iter().find(|(id, _)| *id == event.session.id).map_or("withheld", |(_, name)| name);
            if let Some(what) = what {
                self.line(known, &what)?;
            }
        }
        Ok(())
    }

    fn happened(&self, event: &Event) -> Option<String> {
        let paint = self.paint;
        match event.effect()? {
            Effect::CallStarted { .. } => {
                let returning = event.call.as_ref().is_some_and(|call| call.returning);
                let known = if returning { "a returning caller" } else { "not seen before" };
                Some(format!("{} ({known})", paint.green("calls")))
            }
            Effect::CallEnded { .. } => Some(paint.green("hangs up")),
            Effect::VariableSet { name, value, lifetime, ttl_end, .. } => {
                let ttl =
                    ttl_end.map_or_else(String::new, |end| format!(", until {}", words::moment(&end.to_string())));
                let value = words::printable(value.as_str());
                Some(format!("{name} is set to {value} ({}{ttl})", lifetime.as_str()))
            }
            Effect::VariableDeleted { name, cause, .. } => {
                Some(format!("{name} goes: {}", paint.yellow(cause.as_str())))
            }
            _ => None,
        }
    }

    fn line(&self, caller: &str, what: &str) -> anyhow::Result<()> {
        let now = self.directory.now();
        let day = now.since(self.began).as_secs() / DAY.as_secs();
        if self.json {
            return out::json(&Line { day, at: now.to_string(), caller, what });
        }
        let at = words::moment(&now.to_string());
        out::line(format!(
            "{} {}  {:<8}  {what}",
            self.paint.bold(&format!("day {day:>4}")),
            self.paint.dim(&at),
            caller
        ))
    }
}

fn call_id(caller: &str) -> anyhow::Result<CallId> {
    Ok(format!("{caller}@switch.example").parse()?)
}

fn leg() -> anyhow::Result<Leg> {
    Ok(Leg { switch: "switch".parse()?, peer: std::net::Ipv4Addr::LOCALHOST.into() })
}
