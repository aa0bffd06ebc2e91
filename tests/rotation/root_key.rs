//! Another root key (PRODUCT.md 3.3): the daemon is stopped, every session ID stays.

use std::fs;
use std::path::Path;

use rocksdb::{DB, IteratorMode, Options};

use crate::ledger::Callers;
use crate::operator::{audit, audited, callers, new_root_key, older_data_keys, reroot, rotate};
use crate::support::{Config, Daemon, wait};

fn text(output: &std::process::Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn another_root_key_keeps_every_session_and_later_keys_come_from_it() {
    let mut daemon = Daemon::with(Config::default());
    let mut all = Callers::new("a", "1", 30);
    all.round(&mut daemon.edge());
    assert_eq!(rotate(&daemon), 2);
    let mut half = Callers::new("b", "2", 30);
    half.round(&mut daemon.edge());
    let (old, new) = (daemon.place().join("root.key"), new_root_key(&daemon, "new.key"));

    let running = reroot(&daemon, &old, &new);
    assert!(!running.status.success() && text(&running).contains("stop recalld first"), "{}", text(&running));
    assert!(daemon.terminate().success());
    let stranger = new_root_key(&daemon, "stranger.key");
    let wrong = reroot(&daemon, &stranger, &new);
    assert!(!wrong.status.success() && text(&wrong).contains("is not the one"), "{}", text(&wrong));
    assert!(!reroot(&daemon, &old, &old).status.success());
    let changed = reroot(&daemon, &old, &new);
    assert!(changed.status.success(), "{}", text(&changed));
    assert!(text(&changed).contains("every session ID stays"));
    let again = reroot(&daemon, &old, &new);
    assert!(again.status.success() && text(&again).contains("already"), "{}", text(&again));

    // With the old key nothing starts.
    daemon.spawn();
    assert!(daemon.wait_exit(wait::LONG).is_some_and(|status| !status.success()));
    fs::rename(&new, &old).unwrap();
    daemon.restart();
    all.all_are_recognised(&daemon);
    half.all_are_recognised(&daemon);
    let sessions = all.sessions() + half.sessions();
    assert_eq!(callers(&daemon), [(2, sessions), (1, 0)]);
    assert_eq!(rotate(&daemon), 3);
    all.all_are_recognised(&daemon);
    half.all_are_recognised(&daemon);
    assert_eq!(callers(&daemon).first(), Some(&(3, sessions)));
    assert_eq!(older_data_keys(&daemon), [] as [serde_json::Value; 0]);

    let count = |what: &str| audited(&daemon).iter().filter(|entry| entry.0 == what).count();
    assert_eq!((count("root_key_changed"), count("pseudonym_key_rotated")), (1, 2));
    let verified = audit(&daemon, &["verify"]);
    assert!(verified.status.success(), "entries from before are still proved: {}", text(&verified));

    // And once more, with stored keys and a derived one.
    assert!(daemon.terminate().success());
    let new = new_root_key(&daemon, "newer.key");
    assert!(reroot(&daemon, &old, &new).status.success());
    fs::rename(&new, &old).unwrap();
    let verified = audit(&daemon, &["verify", "--offline"]);
    assert!(verified.status.success(), "without a daemon too: {}", text(&verified));
    for _ in 0..2 {
        daemon.restart();
        all.all_are_recognised(&daemon);
        half.all_are_recognised(&daemon);
        let changed = audited(&daemon).iter().filter(|entry| entry.0 == "root_key_changed").count();
        assert_eq!(changed, 2, "told once each");
        daemon.kill();
    }
}

/// Removes entries of the audit log behind a number, as somebody can who writes to the disk.
fn cut_off(database: &Path, after: u64) {
    let families = DB::list_cf(&Options::default(), database).unwrap();
    let db = DB::open_cf(&Options::default(), database, families).unwrap();
    let audit = db.cf_handle("audit").unwrap();
    for entry in db.iterator_cf(audit, IteratorMode::Start) {
        let (key, _) = entry.unwrap();
        if u64::from_be_bytes(key[..].try_into().unwrap()) > after {
            db.delete_cf(audit, key).unwrap();
        }
    }
}

#[test]
fn a_change_of_the_root_key_proves_the_audit_log_up_to_it() {
    let mut daemon = Daemon::with(Config::default());
    daemon.edge().start("1@lab", "+493023125101");
    rotate(&daemon);
    assert!(daemon.terminate().success());
    let (old, new) = (daemon.place().join("root.key"), new_root_key(&daemon, "new.key"));
    assert!(reroot(&daemon, &old, &new).status.success());
    fs::rename(&new, &old).unwrap();
    let verified = audit(&daemon, &["verify", "--offline"]);
    assert!(verified.status.success() && !text(&verified).contains("earlier root key"), "{}", text(&verified));
    // Without any head that was noted elsewhere.
    cut_off(&daemon.data_path().join("db"), 1);
    let verified = audit(&daemon, &["verify", "--offline"]);
    assert!(!verified.status.success(), "{}", text(&verified));
    assert!(text(&verified).contains("the last when the root key was changed, were cut off"), "{}", text(&verified));
}
