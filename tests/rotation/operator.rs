//! `recalld key …` as an operator runs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::Daemon;

/// What the command line prints and how it ends.
pub fn key(daemon: &Daemon, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_recalld"))
        .arg("key")
        .args(words)
        .arg("--config")
        .arg(daemon.config_path())
        .output()
        .unwrap()
}

/// The same for a command that must succeed, as JSON.
pub fn done(daemon: &Daemon, words: &[&str]) -> Value {
    let words: Vec<_> = words.iter().copied().chain(["--json"]).collect();
    let output = key(daemon, &words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The same for a command that must be refused: the text.
pub fn refused(daemon: &Daemon, words: &[&str]) -> String {
    let output = key(daemon, words);
    assert_eq!(output.status.code(), Some(1), "{words:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

/// Adds a version of `acme`'s pseudonym key.
pub fn rotate(daemon: &Daemon) -> u64 {
    done(daemon, &["rotate", "--tenant", "acme"])["version"].as_u64().unwrap()
}

/// The keys of `acme`.
pub fn status(daemon: &Daemon) -> Value {
    done(daemon, &["status", "--tenant", "acme"])["tenants"][0].take()
}

/// Versions of `acme`'s pseudonym key with the callers left under each, the newest first.
pub fn callers(daemon: &Daemon) -> Vec<(u64, u64)> {
    let status = status(daemon);
    let versions = status["pseudonym"].as_array().unwrap().iter();
    versions.map(|known| (known["version"].as_u64().unwrap(), known["aliases"].as_u64().unwrap())).collect()
}

/// The older versions of `acme`'s data key.
pub fn older_data_keys(daemon: &Daemon) -> Vec<Value> {
    status(daemon)["data"]["older"].as_array().unwrap().clone()
}

/// What the audit log says of keys: what was done, whose, and which version.
pub fn audited(daemon: &Daemon) -> Vec<(String, Value, Value)> {
    let output = audit(daemon, &["show", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let log: Value = serde_json::from_slice(&output.stdout).unwrap();
    let entries = log["entries"].as_array().unwrap().iter();
    let of_keys = entries.filter(|entry| entry["what"].as_str().unwrap().contains("_key_"));
    of_keys
        .map(|entry| (entry["what"].as_str().unwrap().to_owned(), entry["tenant"].clone(), entry["version"].clone()))
        .collect()
}

/// `recalld audit …`.
pub fn audit(daemon: &Daemon, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_recalld"));
    command.arg("audit").args(words).arg("--config").arg(daemon.config_path());
    command.output().unwrap()
}

/// Makes another root key beside the daemon's.
pub fn new_root_key(daemon: &Daemon, name: &str) -> PathBuf {
    let path = daemon.place().join(name);
    let made = Command::new(env!("CARGO_BIN_EXE_recalld")).args(["key", "generate", "--out"]).arg(&path).output();
    assert!(made.unwrap().status.success());
    path
}

/// Changes the root key from one file to another.
pub fn reroot(daemon: &Daemon, old: &Path, new: &Path) -> Output {
    key(daemon, &["reroot", "--old", old.to_str().unwrap(), "--new", new.to_str().unwrap()])
}
