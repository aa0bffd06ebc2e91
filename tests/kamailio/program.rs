//! Programs of others as processes.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::support::wait;

/// Debian's packages of everything that the tests of this file run.
const PACKAGES: &str = "kamailio, kamailio-extra-modules, sip-tester and util-linux";

/// A process with all its children. They are killed when the value is dropped, and end with the test if that is killed
/// itself. If the test failed, the end of what the program said is printed.
pub struct Program {
    name: &'static str,
    output: PathBuf,
    child: Child,
}

impl Program {
    /// Starts a program in the directory `place`; what it prints goes to the file `output` in it.
    pub fn start<A: AsRef<OsStr>>(
        name: &'static str,
        place: &Path,
        output: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        let output = place.join(output);
        let file = File::options().create(true).append(true).open(&output).unwrap();
        let child = Command::new(find("setpriv"))
            .args(["--pdeathsig", "TERM"])
            .arg(find(name))
            .args(arguments)
            .current_dir(place)
            // A group of its own, so that one signal reaches it with its children.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Self { name, output, child }
    }

    /// Fails the test if it has ended.
    pub fn assert_running(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("{} ended with {status} (are {PACKAGES} installed?):\n{}", self.name, self.said());
        }
    }

    /// Waits for the end; none if it still runs after `most`.
    pub fn wait_exit(&mut self, most: Duration) -> Option<ExitStatus> {
        wait::within(most, || self.child.try_wait().unwrap())
    }

    /// Sends SIGTERM and waits for the end.
    pub fn terminate(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        assert!(self.wait_exit(wait::LONG).is_some(), "{} does not end", self.name);
    }

    /// What it printed.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap_or_default()).into_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
        if std::thread::panicking() {
            let said = self.said();
            let lines: Vec<&str> = said.lines().collect();
            eprintln!("the end of what {} said:\n{}", self.name, lines[lines.len().saturating_sub(30)..].join("\n"));
        }
    }
}

/// Where a program lies. Those of administrators are not in everybody's path.
fn find(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{name} is missing: install {PACKAGES} (`make test` does it if it may)"))
}
