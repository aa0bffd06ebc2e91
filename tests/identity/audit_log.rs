//! The audit log (PRODUCT.md 7): what is in it, and that nobody changes it unseen.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rocksdb::{ColumnFamilyDescriptor, DB, Options};
use rustix::process::Signal;
use serde_json::json;

use super::support::{Daemon, KEY, wait};
use super::{ANNA, audited, audited_of, config};

fn words(daemon: &Daemon) -> Vec<String> {
    audited(daemon).iter().map(|entry| entry["what"].as_str().unwrap().to_owned()).collect()
}

/// Opens the database as a thief with write access would: without the root key.
fn tamper(daemon: &Daemon, act: impl FnOnce(&DB)) {
    let path: &Path = &daemon.data_path().join("db");
    let names = DB::list_cf(&Options::default(), path).unwrap();
    let families = names.iter().map(|name| ColumnFamilyDescriptor::new(name, Options::default()));
    act(&DB::open_cf_descriptors(&Options::default(), path, families).unwrap());
}

fn row(db: &DB, sequence: u64) -> Vec<u8> {
    db.get_cf(db.cf_handle("audit").unwrap(), sequence.to_be_bytes()).unwrap().unwrap()
}

fn put(db: &DB, sequence: u64, value: &[u8]) {
    db.put_cf(db.cf_handle("audit").unwrap(), sequence.to_be_bytes(), value).unwrap();
}

fn remove(db: &DB, sequence: u64) {
    db.delete_cf(db.cf_handle("audit").unwrap(), sequence.to_be_bytes()).unwrap();
}

#[test]
fn starts_ends_reloads_and_watched_values_are_in_it() {
    let mut daemon = Daemon::with(config());
    assert_eq!(words(&daemon), ["started"]);
    daemon.signal(Signal::HUP);
    wait::until("the reload", || words(&daemon) == ["started", "configuration_reloaded"]);
    let good = std::fs::read_to_string(daemon.config_path()).unwrap();
    // Its admin socket must still be readable for the command line.
    std::fs::write(daemon.config_path(), format!("{good}\n[[tenant]]\nid = \"acme\"\n")).unwrap();
    daemon.signal(Signal::HUP);
    wait::until("the refused reload", || daemon.log().contains("is not reloaded"));
    std::fs::write(daemon.config_path(), good).unwrap();
    let reloads = audited_of(&daemon, "configuration_reloaded");
    assert_eq!(reloads.iter().map(|entry| entry["in_force"].clone()).collect::<Vec<_>>(), [json!(true), json!(false)]);

    let mut operator = UnixStream::connect(daemon.place().join("recalld.sock")).unwrap();
    operator.write_all(b"{\"op\":\"watch\",\"tenant\":\"acme\",\"values\":true}\n").unwrap();
    let mut first = String::new();
    BufReader::new(operator).read_line(&mut first).unwrap();
    assert!(first.contains("synced"), "{first}");
    let uid = rustix::process::getuid().as_raw();
    let watched = json!({"who": format!("uid:{uid}"), "tenant": "acme", "what": "values_watched"});
    assert_eq!(audited_of(&daemon, "values_watched"), [watched]);

    daemon.terminate();
    daemon.restart();
    daemon.kill();
    daemon.restart();
    let all = words(&daemon);
    assert_eq!(all[4..], ["stopped", "started", "started"], "a start without an end before it was cut off");
    assert!(daemon.recalld(&["audit", "verify"]).out.contains("none was changed"));
}

#[test]
fn requests_without_a_known_key_are_counted_and_not_listed() {
    let mut daemon = Daemon::with(config());
    for _ in 0..40 {
        assert_eq!(daemon.http("rk_guess").get("/v1/calls").status, 401);
        assert!(super::support::Watcher::try_connect(daemon.listen().api, "rk_guess").is_err());
    }
    assert_eq!(daemon.http(KEY).get("/v1/calls").status, 200);
    daemon.terminate();
    daemon.restart();
    let refused = audited_of(&daemon, "api_keys_refused");
    assert_eq!(refused, [json!({"who": "recalld", "what": "api_keys_refused", "count": 80})]);
}

#[test]
fn show_gives_a_part_and_export_everything() {
    let daemon = Daemon::with(config());
    daemon.edge().start("a", ANNA);
    for _ in 0..5 {
        daemon.http(KEY).get("/v1/calls/a").ok();
    }
    let table = daemon.recalld(&["audit", "show", "--since", "1h"]);
    assert_eq!(table.code, 0);
    assert_eq!(table.out.lines().count(), 7, "{}", table.out);
    assert!(table.out.contains("number revealed") && table.out.contains("api_key:bot"), "{}", table.out);
    let later = daemon.recalld(&["audit", "show", "--since", "2199-01-01T00:00:00Z"]);
    assert_eq!(later.out, "there is no such entry\n");
    let export = daemon.recalld(&["audit", "export"]).out;
    let last: serde_json::Value = serde_json::from_str(export.lines().last().unwrap()).unwrap();
    let head = format!("{}:{}", last["sequence"], last["mac"].as_str().unwrap());
    let verified = daemon.recalld(&["audit", "verify", "--head", &head, "--json"]).json();
    assert_eq!(
        (&verified["sound"], &verified["against_head"], &verified["entries"]),
        (&json!(true), &json!(true), &json!(6))
    );
    assert_eq!(verified["head"], head);
    assert!(daemon.log().contains("the head of the audit log is 1:"), "the head is in the log");
    assert_eq!(daemon.recalld(&["audit", "verify", "--head", "17"]).code, 2);
}

#[test]
fn changed_removed_and_reordered_entries_are_found() {
    let mut daemon = Daemon::with(config());
    daemon.edge().start("a", ANNA);
    for _ in 0..6 {
        daemon.http(KEY).get("/v1/calls/a").ok();
    }
    daemon.terminate();
    let sound = daemon.recalld(&["audit", "verify", "--offline"]);
    assert_eq!(sound.code, 0, "{sound:?}");
    assert!(sound.out.contains("8 entries"), "{}", sound.out);
    let found = |daemon: &Daemon| {
        let ran = daemon.recalld(&["audit", "verify", "--offline"]);
        assert_eq!(ran.code, 1, "{ran:?}");
        ran.out
    };
    let original = |sequence| {
        let mut value = Vec::new();
        tamper(&daemon, |db| value = row(db, sequence));
        value
    };
    let (third, fourth) = (original(3), original(4));

    let mut renamed = third.clone();
    let at = renamed.windows(3).position(|window| window == b"bot").unwrap();
    renamed[at..at + 3].copy_from_slice(b"tob");
    tamper(&daemon, |db| put(db, 3, &renamed));
    assert!(found(&daemon).contains("entry 3: this entry was changed"));

    tamper(&daemon, |db| {
        put(db, 3, &fourth);
        put(db, 4, &third);
    });
    assert!(found(&daemon).contains("entry 3: this entry was changed or moved"));

    tamper(&daemon, |db| {
        put(db, 4, &fourth);
        remove(db, 3);
    });
    assert!(found(&daemon).contains("entry 3: this entry, or several from it on, were removed"));

    // The running daemon says the same.
    daemon.restart();
    let ran = daemon.recalld(&["audit", "verify", "--json"]);
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("\"sound\":false"), "{}", ran.out);
    daemon.terminate();
    tamper(&daemon, |db| put(db, 3, &third));
    assert_eq!(daemon.recalld(&["audit", "verify", "--offline"]).code, 0);
}

#[test]
fn entries_that_were_cut_off_are_found_with_the_head_from_the_log_and_not_without() {
    let mut daemon = Daemon::with(config());
    daemon.edge().start("a", ANNA);
    daemon.http(KEY).get("/v1/calls/a").ok();
    daemon.terminate();
    let log = daemon.log();
    let head = log.rsplit("the head of the audit log is ").next().unwrap().split_whitespace().next().unwrap();
    assert!(head.starts_with("3:"), "the end is logged: {head}");
    assert_eq!(daemon.recalld(&["audit", "verify", "--offline", "--head", head]).code, 0);

    tamper(&daemon, |db| {
        remove(db, 2);
        remove(db, 3);
    });
    let without = daemon.recalld(&["audit", "verify", "--offline"]);
    assert_eq!(without.code, 0);
    assert!(without.out.contains("cannot be told without a head"), "{}", without.out);
    let with = daemon.recalld(&["audit", "verify", "--offline", "--head", head]);
    assert_eq!(with.code, 1);
    assert!(with.out.contains("cut off"), "{}", with.out);

    // Writing on does not cover it up.
    daemon.restart();
    daemon.terminate();
    let with = daemon.recalld(&["audit", "verify", "--offline", "--head", head]);
    assert_eq!(with.code, 1, "{with:?}");
    assert!(with.out.contains("not the one that was noted"), "{}", with.out);
}

#[test]
fn it_is_read_offline_and_not_beside_a_daemon_that_is_asked_for() {
    let mut daemon = Daemon::with(config());
    daemon.terminate();
    let offline = daemon.recalld(&["audit", "show", "--offline", "--json"]).json();
    let words: Vec<_> = offline["entries"].as_array().unwrap().iter().map(|entry| entry["what"].clone()).collect();
    assert_eq!(words, [json!("started"), json!("stopped")]);
    assert_eq!(daemon.recalld(&["audit", "show"]).code, 69);
}
