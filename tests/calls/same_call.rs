//! The same call ID again, repeated events, legs, unknown calls (PRODUCT.md 4.3).

use serde_json::{Value, json};

use super::support::{Daemon, Framing, KEY, rpc};
use super::{ANNA, BERT};

fn event(call: &str) -> Value {
    json!({"call_id": call})
}

#[test]
fn repeated_events_change_nothing_and_are_answered_the_same() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    let first = edge.start("one", ANNA);
    edge.set("one", "session", json!({"step": 1}));
    let again = edge.start("one", ANNA);
    for member in ["session_id", "callerid", "returning", "active_calls", "first_contact", "last_contact"] {
        assert_eq!(again[member], first[member], "{member}");
    }
    assert_eq!(again["variables"], json!({"step": 1}));
    for _ in 0..3 {
        assert_eq!(edge.ok("call.ringing", &json!({"call_id": "one", "code": 180})), json!({}));
    }
    for _ in 0..3 {
        assert_eq!(edge.ok("call.answer", &event("one")), json!({}));
    }
    assert_eq!(edge.ok("call.ringing", &json!({"call_id": "one", "code": 183})), json!({}), "none goes back");
    let state = daemon.http(KEY).get("/v1/calls/one").ok();
    let calls = state["calls"].as_array().unwrap();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0]["state"], "answered");
    for _ in 0..3 {
        edge.end("one");
    }
    assert_eq!(edge.context_reason("one"), "unknown_call");
}

#[test]
fn any_event_may_be_skipped() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("answered-at-once", ANNA);
    edge.ok("call.answer", &event("answered-at-once"));
    edge.end("answered-at-once");
    edge.start("failed", BERT);
    edge.ok("call.end", &json!({"call_id": "failed", "cause": "busy", "code": 486}));
    assert_eq!(edge.start("next", BERT)["returning"], true, "busy calls count");
}

#[test]
fn the_end_of_an_unknown_call_is_answered_and_every_other_event_is_unknown_call() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    assert_eq!(edge.ok("call.end", &event("nobody")), json!({}));
    let events = [
        ("call.ringing", json!({"call_id": "nobody", "code": 180})),
        ("call.answer", event("nobody")),
        ("call.dtmf", json!({"call_id": "nobody", "digit": "5", "duration_ms": 80})),
        ("context.get", event("nobody")),
        ("variables.set", json!({"call_id": "nobody", "set": {"a": 1}})),
        ("variables.delete", json!({"call_id": "nobody", "names": ["a"]})),
    ];
    for (method, params) in events {
        let error = edge.call(method, &params).unwrap_err();
        assert_eq!((error.reason.as_str(), error.code), ("unknown_call", -32001), "{method}");
    }
}

#[test]
fn a_call_seen_by_two_switches_ends_with_its_last_leg() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    let mut media = daemon.switch("edge-2", Framing::Bare);
    let first = edge.start("shared", ANNA);
    edge.set("shared", "call", json!({"menu": 1}));
    let second = media.start("shared", ANNA);
    assert_eq!(second["session_id"], first["session_id"]);
    assert_eq!(second["active_calls"], 1);
    assert_eq!(second["returning"], first["returning"], "the same call");
    edge.end("shared");
    assert_eq!(media.context("shared")["variables"], json!({"menu": 1}), "one leg is left");
    media.ok("call.answer", &event("shared"));
    media.end("shared");
    assert_eq!(media.context_reason("shared"), "unknown_call");
}

#[test]
fn an_active_call_id_of_another_caller_is_in_use() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("taken", ANNA);
    edge.set("taken", "session", json!({"whose": "anna"}));
    let error = edge.call("call.start", &rpc::start("taken", BERT)).unwrap_err();
    assert_eq!((error.reason.as_str(), error.code), ("call_id_in_use", -32008));
    let mut withheld = rpc::start("taken", ANNA);
    withheld["privacy"] = json!("id");
    assert_eq!(edge.refused("call.start", &withheld), "call_id_in_use");
    let mut other_release = rpc::start("taken", ANNA);
    other_release["to"] = json!("tel:+12025550100");
    assert_eq!(edge.refused("call.start", &other_release), "call_id_in_use");
    assert_eq!(edge.context("taken")["variables"], json!({"whose": "anna"}));
    edge.end("taken");
    assert_eq!(edge.start("taken", BERT)["returning"], false, "free again");
}

#[test]
fn started_again_within_32_seconds_of_its_end_a_call_is_reopened_without_reset_and_not_counted() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    let mut watcher = daemon.watcher(KEY);
    watcher.subscribe("w", &json!({"instance_id": "support-de"}));
    let first = edge.start("authenticated", ANNA);
    edge.set("authenticated", "session", json!({"step": 1}));
    edge.ok("call.end", &json!({"call_id": "authenticated", "cause": "challenged", "code": 407}));
    let again = edge.start("authenticated", ANNA);
    assert_eq!(again["session_id"], first["session_id"]);
    assert_eq!(again["variables"], json!({"step": 1}), "no reset");
    assert_eq!(again["returning"], first["returning"], "not counted as another call");
    let started =
        watcher.until("the call started again", |message| message["event"] == "started" && message["reopened"] == true);
    assert_eq!(started["context"]["call_id"], "authenticated");
    edge.end("authenticated");
    assert_eq!(edge.start("other", ANNA)["variables"], json!({}), "another call ID is a new call");
}

#[test]
fn call_ids_are_unique_within_their_tenant_only() {
    let daemon = Daemon::with({
        let config = super::support::Config::default();
        let switches = [
            super::support::Switch::trusted("edge-1"),
            super::support::Switch::new("edge-2", "tenant = \"globex\"\nregion = \"GB\"\n"),
        ];
        config.switches(switches)
    });
    let mut acme = daemon.edge();
    let mut globex = daemon.switch("edge-2", Framing::Netstring);
    let one = acme.start("same", ANNA);
    let other = globex.ok("call.start", &json!({"call_id": "same", "from": ANNA, "to": "tel:+442079460000"}));
    assert_eq!((&one["tenant"], &other["tenant"]), (&json!("acme"), &json!("globex")));
    assert_ne!(one["session_id"], other["session_id"]);
    acme.end("same");
    assert_eq!(globex.context("same")["active_calls"], 1);
}

#[test]
fn strange_call_ids_are_kept_as_they_are() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    for call in ["a b", "ünïcode/…", "\"quoted\"\\", "%2F%00", "$(id)", &"x".repeat(255)] {
        let context = edge.start(call, ANNA);
        assert_eq!(context["call_id"], call);
        assert_eq!(context["callerid"], format!("{}/{call}", context["session_id"].as_str().unwrap()));
        edge.end(call);
    }
    for call in ["", "new\nline", "nul\0", "del\u{7f}", &"x".repeat(256)] {
        let reason = edge.refused("call.start", &rpc::start(call, ANNA));
        assert!(matches!(reason.as_str(), "invalid_params" | "limit_exceeded"), "{call:?}: {reason}");
    }
}
