//! Setting and deleting variables, and the conditions under which that happens.

use serde_json::{Value, json};

use super::support::{Daemon, KEY};
use super::{ANNA, BERT, session_id, variable};

fn invalid() -> (u16, String) {
    (400, "invalid_params".to_owned())
}

#[test]
fn a_variable_is_set_and_deleted_with_a_revision_each() {
    let daemon = Daemon::start();
    let session = session_id(&daemon.edge().start("a", ANNA));
    let http = daemon.http(KEY);
    let set = http.put(&variable(&session, "language"), &json!({"value": "de", "lifetime": "user"}));
    assert_eq!(set.header("etag"), "\"1\"");
    assert_eq!(set.ok(), json!({"revision": 1}));
    let null = http.put(&variable(&session, "nothing"), &json!({"value": null, "ttl": "15m"}));
    assert_eq!(null.ok(), json!({"revision": 2}));
    let context = http.get(&format!("/v1/sessions/{session}")).ok();
    assert_eq!(context["variables"]["language"]["lifetime"], "user");
    assert_eq!(context["variables"]["nothing"]["value"], Value::Null);
    assert_eq!(context["variables"]["nothing"]["lifetime"], "session");
    assert!(context["variables"]["nothing"]["expires_at"].is_string());
    assert_eq!(daemon.edge().context("a")["variables"], json!({"language": "de", "nothing": null}));
    assert_eq!(http.delete(&variable(&session, "nothing")).ok(), json!({"revision": 3}));
    assert_eq!(http.delete(&variable(&session, "nothing")).ok(), json!({"revision": 3}), "it is gone already");
}

#[test]
fn several_variables_change_in_one_revision_or_not_at_all() {
    let daemon = Daemon::start();
    let session = session_id(&daemon.edge().start("a", ANNA));
    let http = daemon.http(KEY);
    let path = format!("/v1/sessions/{session}/variables");
    http.put(&variable(&session, "old"), &json!({"value": 0})).ok();
    let body = json!({"set": {"a": {"value": 1}, "b": {"value": [2], "lifetime": "user"}}, "delete": ["old"]});
    assert_eq!(http.patch(&path, &body).ok(), json!({"revision": 2}));
    let context = http.get(&format!("/v1/sessions/{session}")).ok();
    assert_eq!(
        (&context["variables"]["a"]["revision"], &context["variables"]["b"]["revision"]),
        (&json!(2), &json!(2))
    );
    assert!(context["variables"].get("old").is_none());

    for (body, problem) in [
        (json!({"set": {"c": {"value": 1}, "d": {"value": 1, "ttl": "0s"}}}), invalid()),
        (json!({"set": {"c": {"value": 1}, "d e": {"value": 1}}}), invalid()),
        (json!({"set": {"c": {"value": 1}}, "delete": ["c"]}), invalid()),
        (json!({"set": {"c": {"value": 1, "lifetime": "call"}}}), invalid()),
        (json!({"set": {"c": {"value": 1}}, "call_id": "none"}), (404, "unknown_call".to_owned())),
        (json!({"set": {"c": {"value": 1}, "d": {"value": "x".repeat(17_000)}}}), (422, "limit_exceeded".to_owned())),
    ] {
        assert_eq!(http.patch(&path, &body).problem(), problem, "{body}");
    }
    assert_eq!(http.get(&format!("/v1/sessions/{session}")).ok()["revision"], 2, "nothing of it happened");
}

#[test]
fn a_write_with_an_old_revision_is_refused_with_the_current_context() {
    let daemon = Daemon::start();
    let session = session_id(&daemon.edge().start("a", ANNA));
    let http = daemon.http(KEY);
    let path = variable(&session, "counter");
    let body = |value: u64| json!({"value": value});
    let put = |condition: (&str, &str), value: u64| http.send("PUT", &path, &[condition], Some(&body(value)));
    assert_eq!(put(("If-None-Match", "*"), 1).ok(), json!({"revision": 1}));
    assert_eq!(put(("If-Match", "\"1\""), 2).ok(), json!({"revision": 2}));
    for conflict in [
        put(("If-Match", "\"1\""), 3),
        put(("If-None-Match", "*"), 3),
        http.send("DELETE", &path, &[("If-Match", "\"1\"")], None),
        http.send(
            "PATCH",
            &format!("/v1/sessions/{session}/variables"),
            &[("If-Match", "\"0\"")],
            Some(&json!({"delete": ["counter"]})),
        ),
    ] {
        assert_eq!(conflict.problem(), (412, "revision_conflict".to_owned()));
        assert_eq!(conflict.header("etag"), "\"2\"");
        assert_eq!(conflict.json()["context"]["revision"], 2);
        assert_eq!(conflict.json()["context"]["variables"]["counter"]["value"], 2);
    }
    for bad in [("If-Match", "2"), ("If-Match", "W/\"2\""), ("If-None-Match", "\"2\"")] {
        assert_eq!(put(bad, 3).problem(), invalid(), "{bad:?}");
    }
    assert_eq!(http.send("DELETE", &path, &[("If-Match", "\"2\"")], None).ok(), json!({"revision": 3}));
}

#[test]
fn two_writers_with_conditions_lose_no_update() {
    let daemon = Daemon::start();
    let session = session_id(&daemon.edge().start("a", ANNA));
    let path = variable(&session, "counter");
    daemon.http(KEY).put(&path, &json!({"value": 0})).ok();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let http = daemon.http(KEY);
                for _ in 0..25 {
                    let mut context = http.get(&format!("/v1/sessions/{session}")).ok();
                    loop {
                        let next = context["variables"]["counter"]["value"].as_u64().unwrap() + 1;
                        let tag = format!("\"{}\"", context["revision"]);
                        let answer = http.send("PUT", &path, &[("If-Match", &tag)], Some(&json!({"value": next})));
                        if answer.status == 200 {
                            break;
                        }
                        assert_eq!(answer.problem().0, 412);
                        context = answer.json()["context"].clone();
                    }
                }
            });
        }
    });
    let context = daemon.http(KEY).get(&format!("/v1/sessions/{session}")).ok();
    assert_eq!((&context["variables"]["counter"]["value"], &context["revision"]), (&json!(100), &json!(101)));
}

#[test]
fn call_variables_are_written_with_the_call_named() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    let session = session_id(&edge.start("a b", ANNA));
    edge.start("other", ANNA);
    let http = daemon.http(KEY);
    let path = variable(&session, "menu");
    http.put(&path, &json!({"value": "session"})).ok();
    http.put(&path, &json!({"value": "call", "lifetime": "call", "call_id": "a b"})).ok();
    let value = |path: &str| http.get(path).ok()["variables"]["menu"]["value"].clone();
    assert_eq!((value("/v1/calls/a%20b"), value("/v1/calls/other")), (json!("call"), json!("session")));
    http.delete(&format!("{path}?call_id=a%20b")).ok();
    assert_eq!(value("/v1/calls/a%20b"), "session");
    http.delete(&format!("{path}?call_id=a%20b")).ok();
    assert_eq!(value("/v1/calls/other"), Value::Null);
    assert_eq!(http.delete(&format!("{path}?call=x")).problem(), invalid());
    let wrong_session = session_id(&edge.start("c", BERT));
    let answer = http.put(&variable(&wrong_session, "menu"), &json!({"value": 1, "call_id": "other"}));
    assert_eq!(answer.problem(), (404, "unknown_call".to_owned()), "the call is another session's");
}

#[test]
fn what_cannot_be_a_variable_is_refused() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    let session = session_id(&edge.start("a", ANNA));
    let http = daemon.http(KEY);
    for body in [
        json!({}),
        json!([]),
        json!({"value": 1, "lifetime": "forever"}),
        json!({"value": 1, "lifetme": "user"}),
        json!({"value": 1, "ttl": "soon"}),
        json!({"value": "\u{0}"}),
        json!({"value": 9_223_372_036_854_775_808_u64}),
    ] {
        assert_eq!(http.put(&variable(&session, "x"), &body).problem(), invalid(), "{body}");
    }
    assert_eq!(http.put(&variable(&session, "a%20b"), &json!({"value": 1})).problem(), invalid());
    let too_much = (422, "limit_exceeded".to_owned());
    assert_eq!(http.put(&variable(&session, &"n".repeat(129)), &json!({"value": 1})).problem(), too_much);
    assert_eq!(http.put(&variable(&session, "x"), &json!({"value": "x".repeat(600_000)})).problem(), too_much);

    let withheld =
        json!({"call_id": "w", "from": "sip:anonymous@anonymous.invalid", "to": "sip:+493023125000@192.0.2.1"});
    let anonymous = session_id(&edge.ok("call.start", &withheld));
    assert!(anonymous.starts_with("anon-"));
    let user = json!({"value": 1, "lifetime": "user"});
    let answer = http.put(&variable(&anonymous, "x"), &user);
    assert_eq!(answer.problem(), (422, "user_lifetime_unavailable".to_owned()));
    http.put(&variable(&anonymous, "x"), &json!({"value": 1})).ok();
}

#[test]
fn what_was_answered_survives_a_power_loss_also_in_a_sleeping_session() {
    let mut daemon = Daemon::start();
    let session = session_id(&daemon.edge().start("a", ANNA));
    daemon.edge().end("a");
    let revision =
        daemon.http(KEY).put(&variable(&session, "note"), &json!({"value": "kept"})).ok()["revision"].clone();
    daemon.kill();
    daemon.restart();
    let context = daemon.http(KEY).get(&format!("/v1/sessions/{session}")).ok();
    assert_eq!((&context["variables"]["note"]["value"], &context["revision"]), (&json!("kept"), &revision));
    let next = daemon.http(KEY).put(&variable(&session, "note"), &json!({"value": "again"})).ok();
    assert_eq!(next["revision"].as_u64(), revision.as_u64().map(|revision| revision + 1));
}
