//! The daemon as a process.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use rand::TryRng as _;
use rand::rngs::SysRng;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::config::Config;
pub use super::config::Listen;
use super::http::{self, Http};
use super::rpc::{Framing, Rpc};
use super::wait;
use super::watch::Watcher;

/// How long a start may take until the daemon is ready, on a busy machine.
const START: Duration = Duration::from_secs(30);

/// How long a stop by SIGTERM may take.
const STOP: Duration = Duration::from_secs(30);

/// A daemon on a temporary directory and on addresses of its own. It is killed when the value is dropped; if the test
/// failed, the end of its log is printed.
pub struct Daemon {
    place: TempDir,
    config: Config,
    listen: Listen,
    child: Option<Child>,
}

impl Daemon {
    /// Starts one with the default configuration.
    #[must_use]
    pub fn start() -> Self {
        Self::with(Config::default())
    }

    /// Starts one and waits until it is ready.
    #[must_use]
    pub fn with(config: Config) -> Self {
        let mut daemon = Self::prepare(config);
        daemon.spawn();
        daemon.wait_ready();
        daemon
    }

    /// Makes directory, root key and configuration without starting anything.
    #[must_use]
    pub fn prepare(config: Config) -> Self {
        let place = tempfile::Builder::new().prefix("recalld-test-").tempdir().unwrap();
        let mut key = OpenOptions::new();
        key.write(true).create_new(true).mode(0o600);
        let mut root = [0; 32];
        SysRng.try_fill_bytes(&mut root).unwrap();
        key.open(place.path().join("root.key")).unwrap().write_all(HEXLOWER.encode(&root).as_bytes()).unwrap();
        let listen = free_addresses(config.switches.len());
        let daemon = Self { place, config, listen, child: None };
        daemon.write_config();
        daemon
    }

    fn write_config(&self) {
        fs::write(self.config_path(), self.config.render(self.place.path(), &self.listen)).unwrap();
    }

    /// Changes the configuration for the next start or reload. The number of switches must stay.
    pub fn configure(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
        assert_eq!(self.config.switches.len(), self.listen.switches.len(), "the addresses are given already");
        self.write_config();
    }

    /// Changes the lines of `[data]` for the next start; the result is what they were.
    pub fn configure_data(&mut self, lines: &str) -> String {
        let mut before = lines.to_owned();
        self.configure(|config| std::mem::swap(&mut config.data, &mut before));
        before
    }

    /// Starts the process and waits for nothing.
    pub fn spawn(&mut self) {
        assert!(self.child.is_none(), "the daemon runs already");
        let log = File::options().create(true).append(true).open(self.log_path()).unwrap();
        let binary = env!("CARGO_BIN_EXE_recalld").to_owned();
        let mut words = self.config.wrapper.iter().cloned().chain([binary]);
        let mut command = Command::new(words.next().unwrap());
        command
            .args(words)
            .arg("serve")
            .arg("--config")
            .arg(self.config_path())
            .envs(self.config.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    /// Waits until `/readyz` answers 200. Fails if the process ends before.
    pub fn wait_ready(&mut self) {
        let until = Instant::now() + START;
        loop {
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                panic!("the daemon ended at its start with {status}:\n{}", self.log());
            }
            if http::status(self.listen.admin, "/readyz") == Some(200) {
                return;
            }
            assert!(Instant::now() < until, "the daemon is not ready after {START:?}:\n{}", self.log());
            std::thread::sleep(wait::PAUSE);
        }
    }

    /// Waits until a switch can connect: for a daemon that is not to be ready.
    pub fn wait_listening(&mut self, switch: &str) {
        let address = self.switch_address(switch);
        wait::until("the switch can connect", || {
            assert!(self.is_running(), "the daemon ended at its start:\n{}", self.log());
            TcpStream::connect(address).is_ok()
        });
    }

    /// Ends the process as a power loss would: nothing of it runs any more when this returns.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("the daemon runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Sends SIGTERM and waits for the end.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        let status = self.wait_exit(STOP);
        assert!(status.is_some(), "the daemon did not end within {STOP:?} after SIGTERM");
        status.unwrap()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child.as_ref().expect("the daemon runs")), signal).unwrap();
    }

    /// Waits for the process to end by itself; none if it still runs after `most`.
    pub fn wait_exit(&mut self, most: Duration) -> Option<ExitStatus> {
        let child = self.child.as_mut().expect("the daemon was started");
        let status = wait::within(most, || child.try_wait().unwrap())?;
        self.child = None;
        Some(status)
    }

    /// Starts it again on the same directory and addresses, after [`Daemon::kill`] or [`Daemon::terminate`].
    pub fn restart(&mut self) {
        self.spawn();
        self.wait_ready();
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// The process ID.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the daemon runs").id()
    }

    /// Resident memory in bytes.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the kernel tells VmRSS");
        line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
    }

    /// Everything it wrote to standard output and standard error, over all its starts.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    fn log_path(&self) -> PathBuf {
        self.place.path().join("recalld.log")
    }

    /// The configuration file.
    #[must_use]
    pub fn config_path(&self) -> PathBuf {
        self.place.path().join("recalld.toml")
    }

    /// The directory of everything: `data`, `root.key`, `recalld.toml`, `recalld.sock`, `recalld.log`.
    #[must_use]
    pub fn place(&self) -> &Path {
        self.place.path()
    }

    /// The data directory.
    #[must_use]
    pub fn data_path(&self) -> PathBuf {
        self.config.data_path.clone().unwrap_or_else(|| self.place.path().join("data"))
    }

    /// Where it listens.
    #[must_use]
    pub fn listen(&self) -> &Listen {
        &self.listen
    }

    /// Where a switch connects to.
    #[must_use]
    pub fn switch_address(&self, name: &str) -> SocketAddr {
        let at = self.config.switches.iter().position(|switch| switch.name == name);
        self.listen.switches[at.expect("the switch is configured")]
    }

    /// Connects as the switch `edge-1` with netstrings.
    #[must_use]
    pub fn edge(&self) -> Rpc {
        self.switch("edge-1", Framing::Netstring)
    }

    /// Connects as a switch.
    #[must_use]
    pub fn switch(&self, name: &str, framing: Framing) -> Rpc {
        Rpc::connect(self.switch_address(name), framing)
    }

    /// An HTTP client with the API key `key`.
    #[must_use]
    pub fn http(&self, key: &str) -> Http {
        Http::new(self.listen.api, key)
    }

    /// A watcher with the API key `key`.
    #[must_use]
    pub fn watcher(&self, key: &str) -> Watcher {
        Watcher::connect(self.listen.api, key)
    }

    /// The text of `/metrics`.
    #[must_use]
    pub fn metrics(&self) -> String {
        http::text(self.listen.admin, "/metrics")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("the end of the daemon's log:\n{}", lines[lines.len().saturating_sub(60)..].join("\n"));
        }
    }
}

/// Free addresses, on an address of 127.0.0.0/8 that no other test uses: so nothing takes a port away while the daemon
/// is down between two starts, not even an outgoing connection.
pub fn free_addresses(switches: usize) -> Listen {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let host = Ipv4Addr::new(127, 100 + high % 100, low, NEXT.fetch_add(1, Ordering::Relaxed));
    let listeners: Vec<TcpListener> = (0..switches + 2).map(|_| TcpListener::bind((host, 0)).unwrap()).collect();
    let mut addresses = listeners.iter().map(|listener| listener.local_addr().unwrap());
    Listen { api: addresses.next().unwrap(), admin: addresses.next().unwrap(), switches: addresses.collect() }
}
