//! The unit is accepted by systemd and shuts the daemon in; the daemon tells the service manager how far it is
//! (PRODUCT.md 8: `Type=notify`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

mod support;

#[path = "systemd/manager.rs"]
mod manager;

use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use manager::Manager;
use support::{Config, Daemon, wait};

const ANNA: &str = "+493023125101";

/// Highest exposure that is accepted, times ten.
const EXPOSURE: &str = "15";

/// The unit with the program at the place where it was built, in a directory of its own.
fn unit() -> (tempfile::TempDir, String) {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("recalld.service");
    let unit = include_str!("../systemd/recalld.service");
    fs::write(&path, unit.replace("/usr/bin/recalld", env!("CARGO_BIN_EXE_recalld"))).unwrap();
    (place, path.to_str().unwrap().to_owned())
}

fn analyze(arguments: &[&str]) -> (bool, String) {
    let output = Command::new("systemd-analyze").args(arguments).output();
    let Output { status, stdout, stderr } =
        output.expect("systemd-analyze comes with the Debian package systemd: install it");
    (status.success(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

#[test]
fn the_unit_is_accepted_without_a_word() {
    let (_place, unit) = unit();
    assert_eq!(analyze(&["verify", "--man=no", &unit]), (true, String::new()));
}

#[test]
fn the_unit_shuts_the_daemon_in() {
    let (_place, unit) = unit();
    let threshold = format!("--threshold={EXPOSURE}");
    let (accepted, said) = analyze(&["security", "--offline=true", "--no-pager", &threshold, &unit]);
    assert!(accepted, "{said}");
}

#[test]
fn start_reload_and_end_are_told() {
    let manager = Manager::new();
    let mut daemon = Daemon::with(manager.of(Config::default()));
    let ready = manager.until("READY=1");
    assert!(ready.iter().any(|line| line.starts_with("STATUS=0 active calls")), "{ready:?}");
    assert!(!manager.has_heard("STOPPING=1"));

    daemon.signal(Signal::HUP);
    let reloading = manager.until("RELOADING=1");
    assert!(reloading.iter().any(|line| line.starts_with("MONOTONIC_USEC=")), "{reloading:?}");
    manager.until("READY=1");

    daemon.configure(|config| config.limits.push_str("no_such_key = 1\n"));
    daemon.signal(Signal::HUP);
    manager.until("RELOADING=1");
    manager.until("READY=1");
    assert!(daemon.log().contains("no_such_key"), "{}", daemon.log());
    daemon.edge().start("one", ANNA);

    daemon.signal(Signal::TERM);
    manager.until("STOPPING=1");
    assert!(daemon.wait_exit(wait::LONG).unwrap().success());
}

#[test]
fn a_start_that_fails_never_says_ready() {
    let manager = Manager::new();
    let mut daemon = Daemon::prepare(manager.of(Config::default()).data("durability = \"perhaps\""));
    daemon.spawn();
    assert_eq!(daemon.wait_exit(wait::LONG).unwrap().code(), Some(78));
    assert!(!manager.has_heard("READY=1"));
}

#[test]
fn the_watchdog_is_fed_while_events_become_durable() {
    let manager = Manager::new();
    let mut daemon = Daemon::with(manager.of(Config::default()).environment("WATCHDOG_USEC", "400000"));
    manager.until("READY=1");
    for _ in 0..3 {
        manager.until("WATCHDOG=1");
    }
    daemon.terminate();
}

#[test]
fn a_full_disk_does_not_starve_the_watchdog() {
    let manager = Manager::new();
    let mut config = manager.of(Config::default()).environment("WATCHDOG_USEC", "400000");
    // No disk is that large.
    config.data = "min_free = \"1000000GiB\"\n".to_owned();
    let daemon = Daemon::with(config);
    let ready = manager.until("READY=1");
    assert!(ready.iter().any(|line| line.contains("nearly full")), "{ready:?}");
    let start = support::rpc::start("one", ANNA);
    assert_eq!(daemon.edge().refused("call.start", &start), "read_only");
    for _ in 0..3 {
        manager.until("WATCHDOG=1");
    }
}

#[test]
fn the_watchdog_starves_when_nothing_becomes_durable() {
    let manager = Manager::new();
    let hang = "inject=fdatasync:delay_enter=4000000:when=60+";
    let mut config = manager.of(Config::default()).environment("WATCHDOG_USEC", "1000000");
    config.limits = "answer_within = \"350ms\"\n".to_owned();
    let config = config.wrapper(&["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", hang]);
    let mut daemon = Daemon::with(config);
    manager.until("WATCHDOG=1");
    let mut edge = daemon.edge();
    edge.start("one", ANNA);
    let set = json!({"call_id": "one", "set": {"language": "de"}});
    wait::until("the disk hangs", || edge.call("variables.set", &set).is_err());
    manager.forget();
    std::thread::sleep(Duration::from_secs(3));
    assert!(!manager.has_heard("WATCHDOG=1"));
    daemon.kill();
}
