//! The daemon of the demo: its directory, its ports, its process.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::screen::Screen;
use crate::cli::admin_client::AdminClient;
use crate::cli::simulate::callers;
use crate::cli::{api_key, key};

/// The release that is called.
pub(super) const RELEASE: &str = "support-de";

const READY_WITHIN: Duration = Duration::from_secs(30);
const END_WITHIN: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Lines of the daemon's log that are shown when it does not start.
const LAST_LINES: usize = 12;

/// A daemon on a temporary directory. Dropping it ends the daemon and removes the directory.
pub(super) struct House {
    directory: TempDir,
    ports: Ports,
    api_key: Zeroizing<String>,
    daemon: Option<Child>,
}

/// Where the daemon listens.
#[derive(Debug, Clone, Copy)]
struct Ports {
    switch: SocketAddr,
    api: SocketAddr,
    admin: SocketAddr,
}

impl House {
    /// Makes directory, root key and configuration.
    pub(super) fn build(port_base: Option<u16>) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("recalld-demo-")
            .tempdir()
            .context("cannot make a temporary directory: say with TMPDIR where there is room")?;
        let api_key = api_key::generate()?;
        key::write_new(&directory.path().join("root.key"))?;
        let house = Self { directory, ports: Ports::choose(port_base)?, api_key: api_key.text, daemon: None };
        fs::write(house.config(), house.config_text(&api_key.sha256)?)?;
        Ok(house)
    }

    /// Starts the daemon and waits until it is ready.
    pub(super) async fn start(&mut self) -> anyhow::Result<()> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let child = Command::new(program)
            .arg("serve")
            .arg("--config")
            .arg(self.config())
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C is for the demo, which ends the daemon in its own time.
            .process_group(0)
            .spawn()
            .context("cannot start the daemon")?;
        self.daemon = Some(child);
        let begin = Instant::now();
        while !self.is_ready().await {
            if let Some(status) = self.daemon.as_mut().and_then(|child| child.try_wait().ok().flatten()) {
                self.daemon = None;
                bail!("the daemon does not start ({status}). Its log ends:\n{}", self.last_words());
            }
            if begin.elapsed() > READY_WITHIN {
                bail!("the daemon does not get ready. Its log ends:\n{}", self.last_words());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// The daemon's process, while it runs.
    pub(super) fn process(&self) -> u32 {
        self.daemon.as_ref().map_or(0, Child::id)
    }

    /// Ends the daemon as the power would: at once, without a chance to write anything.
    pub(super) fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().and_then(|()| daemon.wait()).context("cannot kill the daemon")?;
        }
        Ok(())
    }

    /// Ends the daemon as an operator would, with a deadline.
    pub(super) async fn stop(&mut self) {
        let Some(mut daemon) = self.daemon.take() else { return };
        // A daemon that is gone already needs no signal.
        let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&daemon), rustix::process::Signal::TERM);
        let begin = Instant::now();
        while begin.elapsed() < END_WITHIN {
            if !matches!(daemon.try_wait(), Ok(None)) {
                return;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        // Put back, so that dropping ends it.
        self.daemon = Some(daemon);
    }

    /// Connects to the admin socket.
    pub(super) async fn admin(&self) -> anyhow::Result<AdminClient> {
        AdminClient::connect(&self.socket()).await
    }

    pub(super) fn introduce(&self, screen: &Screen) -> anyhow::Result<()> {
        let process = self.process();
        screen.fact(
            "daemon",
            &format!("process {process}, switches on {}, voice apps on {}", self.switch(), self.api()),
        )?;
        screen.fact("data", &format!("{}, removed at the end", self.directory.path().display()))
    }

    pub(super) const fn switch(&self) -> SocketAddr {
        self.ports.switch
    }

    pub(super) const fn api(&self) -> SocketAddr {
        self.ports.api
    }

    pub(super) fn api_key(&self) -> &str {
        &self.api_key
    }

    /// Looks for a text in every file of the data directory and in the daemon's log: how many files there are, their
    /// bytes, and in how many the text is.
    pub(super) fn search(&self, text: &str) -> anyhow::Result<Found> {
        let mut found = Found::default();
        search(&self.data(), text.as_bytes(), &mut found)?;
        found.look_into(&self.log(), text.as_bytes())?;
        Ok(found)
    }

    async fn is_ready(&self) -> bool {
        let Ok(mut admin) = self.admin().await else { return false };
        let status = admin.ask(&json!({ "op": "status" })).await;
        status.is_ok_and(|status| status.get("ready").and_then(Value::as_bool) == Some(true))
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default().join("\n")
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn config(&self) -> PathBuf {
        self.directory.path().join("recalld.toml")
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("recalld.sock")
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("daemon.log")
    }

    fn config_text(&self, api_key_sha256: &str) -> anyhow::Result<String> {
        let path = |path: PathBuf| match path.into_os_string().into_string() {
            Ok(path) => Ok(toml::Value::from(path).to_string()),
            Err(_) => bail!("the temporary directory has a name that is no text: set TMPDIR"),
        };
        let Ports { switch, api, admin } = self.ports;
        Ok(format!(
            r#"[data]
path = {data}
# A demo needs little room.
min_free = "64MiB"

[keys]
root = {root}

[api]
listen = "{api}"

[admin]
listen = "{admin}"
socket = {socket}

[[tenant]]
id = "acme"

[[tenant.release]]
instance_id = "{RELEASE}"
generation = "phone2"
numbers = ["{called}"]

[[tenant.api_key]]
name = "demo"
sha256 = "{api_key_sha256}"
scopes = ["context:read", "context:write", "calls:watch"]

[[switch]]
name = "demo"
protocol = "jsonrpc"
listen = "{switch}"
tenant = "acme"
region = "DE"
"#,
            data = path(self.data())?,
            root = path(self.directory.path().join("root.key"))?,
            socket = path(self.socket())?,
            called = callers::CALLED,
        ))
    }
}

impl Drop for House {
    fn drop(&mut self) {
        // Nothing can be done about a daemon that cannot be killed.
        let _ = self.kill();
    }
}

impl Ports {
    /// Those that are wanted, the usual ones, or free ones.
    fn choose(base: Option<u16>) -> anyhow::Result<Self> {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if let Some(base) = base {
            return Ok(Self { switch: local(base), api: local(base + 1), admin: local(base + 2) });
        }
        // All are held until all are chosen, so that none is chosen twice.
        let mut held = Vec::new();
        let mut choose = |usual| -> io::Result<SocketAddr> {
            let listener = TcpListener::bind(local(usual)).or_else(|_| TcpListener::bind(local(0)))?;
            let address = listener.local_addr()?;
            held.push(listener);
            Ok(address)
        };
        Ok(Self { switch: choose(9070)?, api: choose(8070)?, admin: choose(9072)? })
    }
}

/// What a search saw.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Files that were looked into.
    pub(super) files: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Files that hold the text.
    pub(super) hits: u64,
}

impl Found {
    fn look_into(&mut self, file: &Path, text: &[u8]) -> anyhow::Result<()> {
        let content = match fs::read(file) {
            Ok(content) => content,
            // The database replaces its files while they are looked at.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
        };
        self.files += 1;
        self.bytes += content.len() as u64;
        self.hits += u64::from(content.windows(text.len()).any(|window| window == text));
        Ok(())
    }
}

fn search(directory: &Path, text: &[u8], found: &mut Found) -> anyhow::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            search(&entry.path(), text, found)?;
        } else {
            found.look_into(&entry.path(), text)?;
        }
    }
    Ok(())
}

/// This program as it can be typed here.
pub(super) fn program() -> String {
    let Ok(program) = std::env::current_exe() else { return "recalld".to_owned() };
    let in_path = std::env::var_os("PATH").is_some_and(|path| {
        program.parent().is_some_and(|parent| std::env::split_paths(&path).any(|directory| directory == parent))
    });
    if in_path {
        return "recalld".to_owned();
    }
    let here = std::env::current_dir().ok();
    let below = here.and_then(|here| program.strip_prefix(here).map(Path::to_owned).ok());
    below.unwrap_or(program).display().to_string()
}
