//! What a client can do on the socket besides watching, and how it is refused.

use serde_json::{Value, json};

use super::support::{Daemon, KEY, OTHER_KEY, Watcher};
use super::{ANNA, release, session_id, short};

fn ask(watcher: &mut Watcher, operation: &Value) -> Value {
    watcher.send(operation);
    watcher.next()
}

#[test]
fn variables_are_set_deleted_and_read_on_the_socket() {
    let daemon = Daemon::start();
    let session = session_id(&daemon.edge().start("a", ANNA));
    let mut watcher = daemon.watcher(KEY);
    let set = json!({"op": "set", "id": "1", "session_id": session, "set": {"x": {"value": 1}, "y": {"value": 2}}});
    assert_eq!(ask(&mut watcher, &set), json!({"type": "result", "id": "1", "revision": 1}));
    let more = json!({"op": "set", "id": "2", "call_id": "a", "delete": ["y"], "set": {"z": {"value": 3,
        "lifetime": "call"}}, "if_revision": 1});
    assert_eq!(ask(&mut watcher, &more), json!({"type": "result", "id": "2", "revision": 2}));
    let conflict = ask(&mut watcher, &more);
    assert_eq!((&conflict["type"], &conflict["reason"]), (&json!("error"), &json!("revision_conflict")));
    assert_eq!(conflict["context"]["revision"], 2);
    let context = ask(&mut watcher, &json!({"op": "get", "id": "3", "call_id": "a"}));
    assert_eq!((&context["type"], &context["id"], &context["revision"]), (&json!("result"), &json!("3"), &json!(2)));
    let variables = &context["context"]["variables"];
    assert_eq!(
        (&variables["x"]["value"], &variables["y"], &variables["z"]["value"]),
        (&json!(1), &Value::Null, &json!(3))
    );
    let of_session = ask(&mut watcher, &json!({"op": "get", "id": "4", "session_id": session}));
    assert_eq!(of_session["context"]["variables"].get("z"), None);
}

#[test]
fn a_subscription_ends_when_it_is_told_to() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    let mut watcher = daemon.watcher(KEY);
    watcher.subscribe("a", &release());
    watcher.subscribe("b", &release());
    let twice = ask(&mut watcher, &json!({"op": "subscribe", "id": "a", "instance_id": "support-de"}));
    assert_eq!((&twice["type"], &twice["reason"]), (&json!("error"), &json!("invalid_params")));
    let ended = ask(&mut watcher, &json!({"op": "unsubscribe", "id": "a"}));
    assert_eq!(ended, json!({"type": "result", "id": "a"}));
    edge.start("x", ANNA);
    let started = watcher.next();
    assert_eq!((short(&started).as_str(), &started["id"]), ("call started x", &json!("b")));
    edge.end("x");
    assert_eq!(short(&watcher.next()), "call ended x");
    let gone = ask(&mut watcher, &json!({"op": "unsubscribe", "id": "a"}));
    assert_eq!(gone["reason"], "invalid_params");
    let (snapshots, _) = watcher.subscribe("a", &release());
    assert!(snapshots.is_empty());
}

#[test]
fn what_cannot_be_done_is_refused_by_its_reason_and_the_socket_lives_on() {
    let daemon = Daemon::start();
    let session = session_id(&daemon.edge().start("a", ANNA));
    let mut watcher = daemon.watcher(OTHER_KEY);
    for (operation, reason) in [
        (json!([]), "invalid_params"),
        (json!({"op": "get", "call_id": "a"}), "invalid_params"),
        (json!({"op": "dance", "id": "1"}), "method_not_found"),
        (json!({"op": "subscribe", "id": "1"}), "invalid_params"),
        (json!({"op": "subscribe", "id": "1", "instance_id": "support-de"}), "unknown_release"),
        (json!({"op": "subscribe", "id": "1", "session_id": session}), "unknown_session"),
        (json!({"op": "subscribe", "id": "1", "call_id": "a"}), "unknown_call"),
        (json!({"op": "get", "id": "1", "session_id": session}), "unknown_session"),
        (json!({"op": "get", "id": "1", "call_id": "a"}), "unknown_call"),
        (json!({"op": "set", "id": "1", "session_id": session, "set": {"x": {"value": 1}}}), "unknown_session"),
        (json!({"op": "set", "id": "1", "session_id": "x", "set": {"a b": {"value": 1}}}), "invalid_params"),
    ] {
        let error = ask(&mut watcher, &operation);
        assert_eq!((&error["type"], &error["reason"]), (&json!("error"), &json!(reason)), "{operation}");
    }
    let (snapshots, _) = watcher.subscribe("1", &json!({"instance_id": "helpdesk-uk"}));
    assert!(snapshots.is_empty());
    for at in 2..=64 {
        watcher.subscribe(&at.to_string(), &json!({"instance_id": "helpdesk-uk"}));
    }
    let too_many = json!({"op": "subscribe", "id": "65", "instance_id": "helpdesk-uk"});
    assert_eq!(ask(&mut watcher, &too_many)["reason"], "limit_exceeded");
}
