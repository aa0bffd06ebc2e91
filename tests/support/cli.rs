//! The command line of the built binary, beside a daemon.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::Daemon;

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Ran {
    /// Standard output as JSON, of a command that must have succeeded.
    #[must_use]
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }
}

impl Daemon {
    /// Runs `recalld` with these words and the daemon's configuration.
    #[must_use]
    pub fn recalld(&self, words: &[&str]) -> Ran {
        self.recalld_with(words, "")
    }

    /// The same with a text on standard input.
    #[must_use]
    pub fn recalld_with(&self, words: &[&str], input: &str) -> Ran {
        let mut child = Command::new(env!("CARGO_BIN_EXE_recalld"))
            .args(words)
            .arg("--config")
            .arg(self.config_path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that reads nothing may be gone already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
    }
}

/// Runs `recalld` with the admin socket of a daemon; its exit code, and what it printed: standard output if it went well,
/// else standard error.
#[must_use]
pub fn ask(daemon: &Daemon, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_recalld"))
        .args(arguments)
        .arg("--socket")
        .arg(daemon.place().join("recalld.sock"))
        .output()
        .unwrap();
    let code = output.status.code().expect("it ends by itself");
    let text = if code == 0 { output.stdout } else { output.stderr };
    (code, String::from_utf8(text).unwrap())
}
