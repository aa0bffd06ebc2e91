//! `keep_number` (PRODUCT.md 3.6): with it number, display name and headers of running calls are there again after a
//! restart, sealed until then; without it they never reach the disk.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::support::{Config, Daemon, KEY, rpc};
use super::{ANNA, BERT, config};

const NAME: &str = "Kept Canary";

/// `support-de` keeps numbers, `sales-us` does not.
pub fn keeping() -> Config {
    let mut config = config();
    let release = "instance_id = \"support-de\"\n";
    assert!(config.tenants.contains(release));
    config.tenants = config.tenants.replacen(release, &format!("{release}keep_number = true\n"), 1);
    config
}

fn start(call: &str, number: &str, to: &str) -> Value {
    let mut start = rpc::start_to(call, number, to);
    start["display"] = json!(NAME);
    start["headers"] = json!({"X-Queue": NAME});
    start
}

fn assert_shown(daemon: &Daemon, call: &str, number: &str) {
    let context = daemon.http(KEY).get(&format!("/v1/calls/{call}")).ok();
    assert_eq!(
        (&context["number"], &context["display"], &context["headers"]),
        (&json!(number), &json!(NAME), &json!({"X-Queue": NAME})),
        "{call}"
    );
}

fn assert_unknown(daemon: &Daemon, call: &str) {
    let context = daemon.http(KEY).get(&format!("/v1/calls/{call}")).ok();
    assert_eq!(context["number"], Value::Null, "{call}");
    assert!(!context.to_string().contains(NAME), "{call}: {context}");
}

pub fn nowhere_under(directory: &Path, words: &[&str]) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            nowhere_under(&path, words);
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        for word in words {
            let found = bytes.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word.as_bytes()));
            assert!(!found, "{} holds {word:?}", path.display());
        }
    }
}

const SUPPORT: &str = "tel:+493023125000";
const SALES: &str = "tel:+12025550100";

#[test]
fn numbers_of_running_calls_are_there_again_after_a_crash_and_an_orderly_end() {
    let mut daemon = Daemon::with(keeping());
    let mut edge = daemon.edge();
    edge.ok("call.start", &start("kept", ANNA, SUPPORT));
    edge.ok("call.start", &start("parallel", ANNA, SUPPORT));
    edge.ok("call.start", &start("other", BERT, SUPPORT));
    edge.ok("call.start", &start("lost", ANNA, SALES));
    edge.ok("call.answer", &json!({"call_id": "kept"}));
    edge.set("kept", "user", json!({"language": "de"}));
    for (call, number) in [("kept", ANNA), ("parallel", ANNA), ("other", BERT), ("lost", ANNA)] {
        assert_shown(&daemon, call, number);
    }
    daemon.kill();
    daemon.restart();
    for (call, number) in [("kept", ANNA), ("parallel", ANNA), ("other", BERT)] {
        assert_shown(&daemon, call, number);
    }
    assert_unknown(&daemon, "lost");

    // One of two parallel calls ends: its number goes, the other's stays.
    daemon.edge().end("parallel");
    daemon.terminate();
    daemon.restart();
    assert_shown(&daemon, "kept", ANNA);
    assert_eq!(daemon.http(KEY).get("/v1/calls/parallel").status, 404, "ended calls are not fetched over a restart");
    daemon.edge().end("kept");
    daemon.edge().end("other");
    assert_unknown(&daemon, "kept");
    daemon.kill();
    daemon.restart();
    let again = daemon.edge().ok("call.start", &rpc::start("again", ANNA));
    assert_eq!(again["returning"], true);
    let shown = daemon.http(KEY).get("/v1/calls/again").ok();
    assert_eq!((&shown["number"], &shown["display"]), (&json!(ANNA), &Value::Null), "nothing of the call before");
}

#[test]
fn what_is_kept_is_sealed_and_what_is_not_kept_is_nowhere() {
    let mut daemon = Daemon::with(keeping());
    let mut edge = daemon.edge();
    edge.ok("call.start", &start("kept", ANNA, SUPPORT));
    edge.ok("call.start", &start("not-kept", BERT, SALES));
    let words = ["23125101", "23125102", NAME];
    nowhere_under(&daemon.data_path(), &words);
    daemon.kill();
    nowhere_under(&daemon.data_path(), &words);
    daemon.restart();
    daemon.terminate();
    nowhere_under(&daemon.data_path(), &words);
}

#[test]
fn a_release_that_keeps_no_more_loses_what_it_kept() {
    let mut daemon = Daemon::with(keeping());
    daemon.edge().ok("call.start", &start("kept", ANNA, SUPPORT));
    daemon.terminate();
    daemon.configure(|config| config.tenants = config.tenants.replace("keep_number = true\n", ""));
    daemon.restart();
    assert_unknown(&daemon, "kept");
    daemon.configure(|config| {
        let release = "instance_id = \"support-de\"\n";
        config.tenants = config.tenants.replacen(release, &format!("{release}keep_number = true\n"), 1);
    });
    daemon.edge().ok("call.answer", &json!({"call_id": "kept"}));
    daemon.edge().end("kept");
    daemon.edge().ok("call.start", &start("kept-again", ANNA, SUPPORT));
    assert_shown(&daemon, "kept-again", ANNA);
}
