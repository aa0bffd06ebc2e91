//! A machine of its own with a real systemd: a container of `systemd-nspawn` with the programs of this machine, an empty
//! `/etc` and `/var` in memory, and the network of this machine.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::daemon::{Listen, free_addresses};
use crate::support::wait;

/// What is started, and nothing else: not what this machine starts.
const TARGET: &str = "[Unit]\nRequires=basic.target\nAfter=basic.target\nAllowIsolate=yes\n";
/// How long a start of the machine may take.
const BOOT: Duration = Duration::from_secs(60);

/// The machine. It is switched off when the value is dropped.
pub struct Machine {
    place: tempfile::TempDir,
    container: Child,
    init: i32,
    /// Where its daemon listens, on this machine's network.
    pub listen: Listen,
}

impl Machine {
    /// Starts one; none where there may be no container, which is said.
    pub fn boot() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        if !rustix::process::geteuid().is_root() {
            println!("skipped: only root can start a container");
            return None;
        }
        let place = tempfile::Builder::new().prefix("recalld-machine-").tempdir().unwrap();
        let listen = free_addresses(1);
        fs::write(place.path().join("target"), TARGET).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        let unit = fs::read_to_string(source.join("systemd/recalld.service")).unwrap();
        fs::create_dir(place.path().join("source")).unwrap();
        for directory in ["systemd", "config"] {
            fs::create_dir(place.path().join("source").join(directory)).unwrap();
        }
        let copy = |file: &str, text: &str| fs::write(place.path().join("source").join(file), text).unwrap();
        // `/usr` is this machine's, and nothing is written there.
        copy("systemd/recalld.service", &unit.replace("/usr/bin/recalld", "/opt/recalld"));
        copy("systemd/recalld.sysusers", &fs::read_to_string(source.join("systemd/recalld.sysusers")).unwrap());
        copy("config/recalld.toml", &config(&listen));

        let name = format!("recalld-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let console = fs::File::create(place.path().join("console")).unwrap();
        let at = |path: &str| place.path().join(path).display().to_string();
        let mut container = Command::new("systemd-nspawn");
        container
            .args(["--quiet", "--directory=/", "--volatile=yes", "--register=no", "--keep-unit", "--boot"])
            .arg(format!("--machine={name}"))
            .arg(format!("--bind-ro={}:/etc/systemd/system/machine.target", at("target")))
            .arg(format!("--bind-ro={}:/opt/source", at("source")))
            .arg(format!("--bind-ro={}:/opt/recalld", env!("CARGO_BIN_EXE_recalld")))
            .args(["systemd.unit=machine.target", "systemd.firstboot=no"])
            .stdin(Stdio::null())
            .stdout(console.try_clone().unwrap())
            .stderr(console);
        let container =
            container.spawn().expect("systemd-nspawn comes with the Debian package systemd-container: install it");
        let mut machine = Self { place, container, init: 0, listen };
        let has_begun = wait::within(BOOT, || {
            if machine.container.try_wait().unwrap().is_some() {
                return Some(false);
            }
            machine.init = init_of(machine.container.id())?;
            Some(true)
        });
        if has_begun != Some(true) {
            println!("skipped: no container can be started here:\n{}", machine.console());
            return None;
        }
        let is_up = wait::within(BOOT, || {
            let output = machine.try_run("systemctl is-active machine.target");
            output.status.success().then_some(())
        });
        assert!(is_up.is_some(), "the machine is not up after {BOOT:?}");
        Some(machine)
    }

    /// Does what the README says to install recalld under systemd.
    pub fn install(&self) {
        self.run(
            "cd /opt/source
            install -D -m 0644 systemd/recalld.service /etc/systemd/system/recalld.service
            install -D -m 0644 systemd/recalld.sysusers /etc/sysusers.d/recalld.conf
            systemd-sysusers
            install -D -g recalld -m 0640 config/recalld.toml /etc/recalld/recalld.toml
            /opt/recalld key generate --out /etc/recalld/root.key
            systemctl daemon-reload && systemctl enable --now recalld",
        );
    }

    /// Runs commands as root, and gives what they print. The test fails if one of them does.
    pub fn run(&self, script: &str) -> String {
        let output = self.try_run(script);
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{script}: {}\n{said}", output.status);
        said
    }

    /// The same; they may fail.
    pub fn try_run(&self, script: &str) -> Output {
        let mut nsenter = Command::new("nsenter");
        nsenter.arg("--target").arg(self.init.to_string()).args(["--all", "bash", "-ec", script]);
        // Otherwise pagers and colours depend on who runs the tests.
        nsenter.env("SYSTEMD_PAGER", "").env("SYSTEMD_COLORS", "0").stdin(Stdio::null()).output().unwrap()
    }

    /// What systemd knows of the service.
    pub fn property(&self, name: &str) -> String {
        self.run(&format!("systemctl show --value --property={name} recalld")).trim().to_owned()
    }

    /// What the daemon has written, and systemd about it.
    pub fn journal(&self) -> String {
        self.run("journalctl --no-pager --output=cat --unit=recalld")
    }

    fn console(&self) -> String {
        fs::read_to_string(self.place.path().join("console")).unwrap_or_default()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() && self.init > 0 {
            let output = self.try_run("journalctl --no-pager --lines=60");
            eprintln!("the end of the journal:\n{}", String::from_utf8_lossy(&output.stdout));
        }
        // With the first process of the machine all others end.
        if let Some(init) = Pid::from_raw(self.init) {
            let _ = kill_process(init, Signal::KILL);
        }
        let ended = wait::within(wait::LONG, || self.container.try_wait().unwrap());
        if ended.is_none() {
            let _ = self.container.kill();
            let _ = self.container.wait();
        }
    }
}

/// The configuration that comes with recalld, on addresses of its own.
fn config(listen: &Listen) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("config/recalld.toml");
    let mut config = fs::read_to_string(path).unwrap();
    let addresses: [(&str, SocketAddr); 3] =
        [("127.0.0.1:8070", listen.api), ("127.0.0.1:9072", listen.admin), ("127.0.0.1:9070", listen.switches[0])];
    for (given, own) in addresses {
        assert!(config.contains(given));
        config = config.replace(given, &own.to_string());
    }
    config
}

/// The first process of the container, once it is systemd.
fn init_of(container: u32) -> Option<i32> {
    let children = fs::read_to_string(format!("/proc/{container}/task/{container}/children")).ok()?;
    let mut children = children.split_whitespace().filter_map(|child| child.parse().ok());
    children.find(|child: &i32| {
        let program = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&program).contains("systemd.unit=machine.target")
            && !String::from_utf8_lossy(&program).starts_with("systemd-nspawn")
    })
}
