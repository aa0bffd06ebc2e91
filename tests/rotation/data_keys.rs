//! Data keys (PRODUCT.md 7).

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::ledger::{Callers, meanwhile};
use crate::operator::{audited, done, key, older_data_keys, status};
use crate::support::{Config, Daemon, wait};

fn rotate_data(daemon: &Daemon) -> u64 {
    done(daemon, &["rotate-data", "--tenant", "acme"])["version"].as_u64().unwrap()
}

/// Waits until nothing is sealed with an older key any more: at most 2,000 records a second are sealed anew, fewer on a
/// busy machine.
fn are_destroyed(daemon: &Daemon) {
    let destroyed = wait::within(Duration::from_secs(180), || older_data_keys(daemon).is_empty().then_some(()));
    assert!(destroyed.is_some(), "the older keys are still there: {}", status(daemon));
}

fn key_files(daemon: &Daemon) -> Vec<Vec<u8>> {
    let files = fs::read_dir(daemon.data_path().join("keys")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| fs::read(file).unwrap()).collect()
}

#[test]
fn data_keys_rotate_under_load_and_the_old_one_is_destroyed() {
    let mut daemon = Daemon::with(Config::default());
    let mut all = [Callers::new("a", "1", 60), Callers::new("b", "2", 60)];
    for callers in &mut all {
        callers.round(&mut daemon.edge());
    }
    let before = key_files(&daemon);
    meanwhile(&daemon, &mut all, || {
        for expected in 2..=3 {
            std::thread::sleep(Duration::from_millis(300));
            assert_eq!(rotate_data(&daemon), expected);
        }
        are_destroyed(&daemon);
    });
    let of = |wanted: &str| {
        audited(&daemon).iter().filter(|(what, ..)| what == wanted).map(|entry| entry.2.clone()).collect::<Vec<Value>>()
    };
    assert_eq!(
        (of("data_key_rotated"), of("data_key_destroyed")),
        (vec![json!(2), json!(3)], vec![json!(1), json!(2)])
    );
    let after = key_files(&daemon);
    let lengths = |files: &[Vec<u8>]| files.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(lengths(&before), lengths(&after), "one key each again");
    assert_eq!(before.iter().zip(&after).filter(|(before, after)| before != after).count(), 1, "of one tenant");
    for cut_off in [true, false] {
        for callers in &mut all {
            callers.all_are_recognised(&daemon);
        }
        if cut_off {
            daemon.kill();
        } else {
            assert!(daemon.terminate().success());
        }
        daemon.restart();
    }
    assert_eq!(status(&daemon)["data"]["current"], 3);
    assert_eq!(status(&daemon)["data"]["damaged"], 0);
    for callers in &mut all {
        callers.all_are_recognised(&daemon);
    }
}

#[test]
fn a_rotation_of_a_data_key_goes_on_after_kill_9() {
    let mut daemon = Daemon::with(Config::default());
    let mut callers = Callers::new("a", "", 400);
    for _ in 0..3 {
        callers.round(&mut daemon.edge());
    }
    assert_eq!(rotate_data(&daemon), 2);
    for pause in [0, 30, 80] {
        std::thread::sleep(Duration::from_millis(pause));
        daemon.kill();
        daemon.restart();
    }
    are_destroyed(&daemon);
    callers.all_are_recognised(&daemon);
    daemon.kill();
    daemon.restart();
    callers.all_are_recognised(&daemon);
    assert_eq!(status(&daemon)["data"]["damaged"], 0);
}

#[test]
fn a_rotation_that_cannot_be_synced_ends_the_daemon_and_no_version_is_given_twice() {
    let mut daemon = Daemon::with(Config::default());
    let mut callers = Callers::new("a", "", 20);
    callers.round(&mut daemon.edge());
    assert!(daemon.terminate().success());
    // Of the directory of the keys only: the file itself is synced and in its place.
    let keys = daemon.data_path().join("keys");
    let fault = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-P", keys.to_str().unwrap()];
    let fault = fault.into_iter().chain(["-e", "inject=fsync:error=EIO"]).map(str::to_owned);
    daemon.configure(|config| config.wrapper = fault.collect());
    daemon.restart();
    let failed = key(&daemon, &["rotate-data", "--tenant", "acme"]);
    assert!(!failed.status.success(), "{failed:?}");
    let status = daemon.wait_exit(wait::LONG).expect("a failed sync ends it");
    assert_eq!(status.code(), Some(1), "{status}");
    assert!(daemon.log().contains("cannot be synced"), "{}", daemon.log());
    daemon.configure(|config| config.wrapper.clear());
    daemon.restart();
    callers.all_are_recognised(&daemon);
    assert_eq!(rotate_data(&daemon), 3, "the file may hold the second");
    are_destroyed(&daemon);
    callers.all_are_recognised(&daemon);
}
