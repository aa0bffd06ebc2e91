//! A machine of its own with a real systemd: a container of `systemd-nspawn` with the programs of this machine, an empty
//! `/etc` and `/var` in memory, and the network of this machine.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::support::daemon::{Listen, free_addresses};
use crate::support::wait;

/// What is started.
const TARGET: &str = "[Unit]\nRequires=basic.target\nAfter=basic.target\nAllowIsolate=yes\n";
/// What this machine starts beside that is not started there: it would be at home on this machine's network.
const PRESET: &str = "disable *\n";
/// How long a start of the machine may take.
const BOOT: Duration = Duration::from_secs(60);

/// One after the other: all containers of a process have the same control group.
static ONE: Mutex<()> = Mutex::new(());

/// The machine. It is switched off when the value is dropped.
pub struct Machine {
    place: tempfile::TempDir,
    container: Child,
    /// Its first process.
    init: Option<(i32, OwnedFd)>,
    _one: MutexGuard<'static, ()>,
    /// Where its daemon listens, on this machine's network.
    pub listen: Listen,
}

impl Machine {
    /// Starts one; none where there may be no container, which is said.
    pub fn boot() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: only root can start a container");
            return None;
        }
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let place = tempfile::Builder::new().prefix("recalld-machine-").tempdir().unwrap();
        let listen = free_addresses(1);
        fs::write(place.path().join("target"), TARGET).unwrap();
        fs::write(place.path().join("preset"), PRESET).unwrap();
        // For everybody there, however it was built.
        fs::copy(env!("CARGO_BIN_EXE_recalld"), place.path().join("recalld")).unwrap();
        fs::set_permissions(place.path().join("recalld"), fs::Permissions::from_mode(0o755)).unwrap();
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

        let console = fs::File::create(place.path().join("console")).unwrap();
        let at = |path: &str| place.path().join(path).display().to_string();
        let mut container = Command::new("systemd-nspawn");
        container
            .args(["--quiet", "--directory=/", "--volatile=yes", "--register=no", "--keep-unit", "--boot"])
            .arg(format!("--machine=recalld-{}", std::process::id()))
            .arg(format!("--bind-ro={}:/etc/systemd/system/machine.target", at("target")))
            .arg(format!("--bind-ro={}:/etc/systemd/system-preset/00-nothing.preset", at("preset")))
            .arg(format!("--bind-ro={}:/opt/source", at("source")))
            .arg(format!("--bind-ro={}:/opt/recalld", at("recalld")))
            .args(["systemd.unit=machine.target", "systemd.firstboot=no"])
            .stdin(Stdio::null())
            .stdout(console.try_clone().unwrap())
            .stderr(console);
        let container =
            container.spawn().expect("systemd-nspawn comes with the Debian package systemd-container: install it");
        let mut machine = Self { place, container, init: None, _one: one, listen };
        let has_begun = wait::within(BOOT, || {
            if machine.container.try_wait().unwrap().is_some() {
                return Some(false);
            }
            machine.init = Some(init_of(machine.container.id())?);
            Some(true)
        });
        if has_begun == Some(false) {
            println!("skipped: no container can be started here:\n{}", machine.console());
            return None;
        }
        assert!(has_begun.is_some(), "the machine has not begun after {BOOT:?}:\n{}", machine.console());
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
        let Output { status, stdout, stderr } = self.try_run(script);
        let printed = String::from_utf8_lossy(&stdout).into_owned();
        assert!(status.success(), "{script}: {status}\n{printed}{}", String::from_utf8_lossy(&stderr));
        printed
    }

    /// The same; they may fail.
    pub fn try_run(&self, script: &str) -> Output {
        let (init, _) = self.init.as_ref().expect("the machine runs");
        let mut nsenter = Command::new("nsenter");
        nsenter.arg("--target").arg(init.to_string()).args(["--all", "bash", "-ec", script]);
        // What is printed does not depend on who runs the tests.
        nsenter.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C").stdin(Stdio::null());
        nsenter.output().expect("nsenter comes with the Debian package util-linux")
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
        if std::thread::panicking() && self.init.is_some() {
            let output = self.try_run("journalctl --no-pager --lines=60");
            eprintln!("the end of the journal:\n{}", String::from_utf8_lossy(&output.stdout));
        }
        // With the first process of the machine all others end.
        if let Some((_, init)) = &self.init {
            let _ = pidfd_send_signal(init, Signal::KILL);
        }
        let ended = wait::within(wait::LONG, || self.container.try_wait().unwrap());
        if ended.is_none() {
            let _ = self.container.kill();
            let _ = self.container.wait();
        }
        forget_control_groups();
    }
}

/// Removes the control groups that a container leaves below that of this process. One that is in use stays.
fn forget_control_groups() {
    fn remove(group: &Path) {
        for below in fs::read_dir(group).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir()) {
            remove(&below.path());
        }
        let _ = fs::remove_dir(group);
    }
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    for path in own.lines().filter_map(|line| line.splitn(3, ':').nth(2)) {
        for hierarchy in ["", "unified", "systemd"] {
            let group = Path::new("/sys/fs/cgroup").join(hierarchy).join(path.trim_start_matches('/'));
            for made in ["payload", "supervisor"] {
                remove(&group.join(made));
            }
        }
    }
}

/// The configuration that comes with recalld, on addresses of its own and with more patience.
fn config(listen: &Listen) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("config/recalld.toml");
    let mut config = fs::read_to_string(path).unwrap();
    let Listen { api, admin, switches } = listen;
    // The machine may be busy, and its disk is a small part of the memory.
    for (given, own) in [
        ("127.0.0.1:8070", api.to_string().as_str()),
        ("127.0.0.1:9072", admin.to_string().as_str()),
        ("127.0.0.1:9070", switches[0].to_string().as_str()),
        ("answer_within = \"350ms\"", "answer_within = \"30s\""),
        ("min_free = \"1GiB\"", "min_free = \"16MiB\""),
    ] {
        assert!(config.contains(given), "{given}");
        config = config.replace(given, own);
    }
    config
}

/// The first process of the container, once it is systemd.
fn init_of(container: u32) -> Option<(i32, OwnedFd)> {
    let children = fs::read_to_string(format!("/proc/{container}/task/{container}/children")).ok()?;
    let mut children = children.split_whitespace().filter_map(|child| child.parse().ok());
    let init = children.find(|child: &i32| {
        let program = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
        let program = String::from_utf8_lossy(&program).into_owned();
        program.contains("systemd.unit=machine.target") && !program.starts_with("systemd-nspawn")
    })?;
    Some((init, pidfd_open(Pid::from_raw(init)?, PidfdFlags::empty()).ok()?))
}
