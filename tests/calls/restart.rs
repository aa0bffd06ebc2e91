//! What is there again after the daemon was killed or stopped (PRODUCT.md 3.6, 4.3, 4.5).

use serde_json::{Value, json};

use super::support::{Config, Daemon, Framing, KEY, config, rpc};
use super::{ANNA, BERT};

fn filled(daemon: &Daemon) -> (Value, Value) {
    let mut edge = daemon.edge();
    let mut media = daemon.switch("edge-2", Framing::Netstring);
    edge.start("past", ANNA);
    edge.set("past", "user", json!({"language": "de"}));
    edge.end("past");
    edge.start("running", ANNA);
    media.start("running", ANNA);
    edge.start("parallel", ANNA);
    edge.set("running", "session", json!({"ticket": {"id": 4711}}));
    edge.set("running", "call", json!({"menu": 3}));
    edge.ok("call.answer", &json!({"call_id": "running"}));
    (edge.context("running"), edge.context("parallel"))
}

fn is_all_there(daemon: &Daemon, (running, parallel): &(Value, Value)) {
    let mut edge = daemon.edge();
    assert_eq!(&edge.context("running"), running);
    assert_eq!(&edge.context("parallel"), parallel);
    assert_eq!(edge.context_reason("past"), "unknown_call");
    let revision = running["revision"].as_u64().unwrap();
    assert_eq!(edge.set("parallel", "session", json!({"after": true})), revision + 1, "revisions go on");
    edge.end("running");
    assert_eq!(edge.context("running")["variables"]["menu"], 3, "the leg of the other switch is still there");
    daemon.switch("edge-2", Framing::Netstring).end("running");
    assert_eq!(edge.context_reason("running"), "unknown_call");
    assert_eq!(edge.context("parallel")["active_calls"], 1);
    edge.end("parallel");
    let next = edge.start("next", ANNA);
    assert_eq!(next["variables"], json!({"language": "de"}));
    assert_eq!(next["first_contact"], running["first_contact"]);
}

#[test]
fn after_kill_9_calls_sessions_variables_and_revisions_are_there_again() {
    let mut daemon = Daemon::start();
    let before = filled(&daemon);
    daemon.kill();
    daemon.restart();
    is_all_there(&daemon, &before);
}

#[test]
fn after_sigterm_calls_sessions_variables_and_revisions_are_there_again() {
    let mut daemon = Daemon::start();
    let before = filled(&daemon);
    let status = daemon.terminate();
    assert!(status.success(), "a drained daemon ends with 0: {status}");
    daemon.restart();
    is_all_there(&daemon, &before);
}

#[test]
fn a_start_repeated_after_a_restart_is_the_same_call_and_resets_nothing() {
    let mut daemon = Daemon::start();
    let (running, _) = filled(&daemon);
    daemon.kill();
    daemon.restart();
    let mut edge = daemon.edge();
    let again = edge.start("running", ANNA);
    assert_eq!(again["variables"], running["variables"]);
    assert_eq!(again["active_calls"], 2);
    assert_eq!(edge.refused("call.start", &rpc::start("running", BERT)), "call_id_in_use");
}

#[test]
fn a_session_of_a_phone1_release_is_found_again_after_a_restart() {
    let mut daemon = Daemon::start();
    let first = daemon.edge().ok("call.start", &rpc::start_to("a", ANNA, "tel:+12025550100"));
    daemon.edge().end("a");
    daemon.kill();
    daemon.restart();
    let again = daemon.edge().ok("call.start", &rpc::start_to("b", ANNA, "tel:+12025550100"));
    assert_eq!(again["session_id"], first["session_id"]);
    assert_eq!(again["returning"], true);
}

#[test]
fn the_number_is_masked_without_the_scope_and_absent_after_a_restart() {
    const MASKING_KEY: &str = "rk_0000000000000000000000000000000000000000000000000000000000000000";
    let mut config = Config::default();
    let key = config::api_key("masked", MASKING_KEY, "[\"context:read\"]");
    config.tenants =
        config.tenants.replacen("\n[[tenant]]\nid = \"globex\"", &format!("{key}\n[[tenant]]\nid = \"globex\""), 1);
    let mut daemon = Daemon::with(config);
    daemon.edge().start("running", ANNA);
    let number = |daemon: &Daemon, key: &str| daemon.http(key).get("/v1/calls/running").ok()["number"].clone();
    assert_eq!(number(&daemon, KEY), ANNA);
    let masked = number(&daemon, MASKING_KEY);
    let masked = masked.as_str().unwrap();
    assert!(masked.starts_with("+49•") && masked.ends_with("•01"), "{masked}");
    daemon.kill();
    daemon.restart();
    assert_eq!(number(&daemon, KEY), Value::Null);
    assert_eq!(daemon.edge().context("running")["active_calls"], 1);
}
