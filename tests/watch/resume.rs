//! Cursors: going on without a gap, over a restart of the daemon too.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{Daemon, KEY, OTHER_KEY, Watcher};
use super::{ANNA, BERT, release, session_id, short};

/// Subscribes behind a cursor.
fn behind(daemon: &Daemon, to: &Value, cursor: &str) -> (Watcher, Vec<Value>, String) {
    let mut watcher = daemon.watcher(KEY);
    let mut to = to.clone();
    to["from"] = json!(cursor);
    let (messages, cursor) = watcher.subscribe("a", &to);
    (watcher, messages, cursor)
}

fn shorts(messages: &[Value]) -> Vec<String> {
    messages.iter().map(short).collect()
}

fn cursor(message: &Value) -> String {
    message["cursor"].as_str().expect("a message has a cursor").to_owned()
}

/// What happens behind the cursor is told once after each way the daemon can end.
fn goes_on_after(end: impl FnOnce(&mut Daemon)) {
    let mut daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("early", ANNA);
    let mut watcher = daemon.watcher(KEY);
    let (_, synced) = watcher.subscribe("a", &release());
    edge.set("early", "session", json!({"first": 1}));
    edge.set("early", "session", json!({"second": 2, "third": 3}));
    edge.start("late", BERT);
    let live: Vec<Value> = (0..4).map(|_| watcher.next()).collect();
    end(&mut daemon);
    daemon.restart();
    edge = daemon.edge();
    edge.ok("call.answer", &json!({"call_id": "late"}));

    let all = ["change set first", "change set second", "change set third", "call started late", "call answered late"];
    for at in 0..=live.len() {
        let from = if at == 0 { synced.clone() } else { cursor(&live[at - 1]) };
        let (_, missed, _) = behind(&daemon, &release(), &from);
        assert_eq!(shorts(&missed), all[at..], "behind {at} of the messages");
    }
    let (mut resumed, missed, end) = behind(&daemon, &release(), &synced);
    assert_eq!(missed[1]["variable"]["value"], 2);
    assert_eq!(
        (&missed[3]["context"]["call_id"], &missed[3]["context"]["state"]),
        (&json!("late"), &json!("answered"))
    );
    edge.end("early");
    assert_eq!(shorts(&[resumed.next()]), ["call ended early"]);
    let (_, missed, _) = behind(&daemon, &release(), &end);
    assert_eq!(shorts(&missed), ["call ended early"]);
}

#[test]
fn a_cursor_goes_on_after_a_restart() {
    goes_on_after(|daemon| assert!(daemon.terminate().success()));
}

#[test]
fn a_cursor_goes_on_after_a_power_loss() {
    goes_on_after(Daemon::kill);
}

#[test]
fn what_is_no_longer_true_does_not_come_back() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("a", ANNA);
    let (_, from) = daemon.watcher(KEY).subscribe("x", &release());
    edge.set("a", "session", json!({"n": "old"}));
    edge.set("a", "session", json!({"n": "new"}));
    edge.set("a", "session", json!({"deleted": "secret"}));
    edge.ok("variables.delete", &json!({"call_id": "a", "names": ["deleted"]}));
    edge.ok("variables.set", &json!({"call_id": "a", "set": {"short": "lived"}, "ttl": "1ms"}));
    edge.ok("call.dtmf", &json!({"call_id": "a", "digit": "7"}));
    edge.start("b", BERT);
    edge.set("b", "call", json!({"of_call": "gone with it"}));
    edge.end("b");
    std::thread::sleep(Duration::from_millis(20));
    let (_, missed, _) = behind(&daemon, &release(), &from);
    let sets: Vec<(&Value, &Value, &Value)> = missed
        .iter()
        .filter(|message| message["cause"] == "set")
        .map(|message| (&message["name"], &message["variable"]["value"], &message["gone"]))
        .collect();
    let gone = |name: &str| (json!(name), Value::Null, json!(true));
    let expected =
        [gone("n"), (json!("n"), json!("new"), Value::Null), gone("deleted"), gone("short"), gone("of_call")];
    assert_eq!(sets, expected.iter().map(|(name, value, gone)| (name, value, gone)).collect::<Vec<_>>());
    let dtmf = missed.iter().find(|message| message["event"] == "dtmf").unwrap();
    assert_eq!(dtmf.get("digit"), None);
    let started = missed.iter().find(|message| message["event"] == "started").unwrap();
    assert_eq!((&started["context"]["call_id"], &started["context"]["state"]), (&json!("b"), &json!("ended")));
    for message in &missed {
        let text = message.to_string();
        assert!(!text.contains("secret") && !text.contains("old") && !text.contains("lived"), "{text}");
    }
}

#[test]
fn a_cursor_that_says_nothing_gets_a_resync() {
    let daemon = Daemon::start();
    let session = session_id(&daemon.edge().start("a", ANNA));
    let mut watcher = daemon.watcher(KEY);
    let (snapshots, of_release) = watcher.subscribe("x", &release());
    let (_, foreign) = daemon.watcher(OTHER_KEY).subscribe("x", &json!({"instance_id": "helpdesk-uk"}));
    let other_database = Daemon::start();
    let (_, elsewhere) = other_database.watcher(KEY).subscribe("x", &release());
    let of_session = json!({"session_id": session});
    let (_, of_session_cursor) = watcher.subscribe("y", &of_session);
    for (to, from) in [
        (release(), "nonsense"),
        (release(), ""),
        (release(), &of_release[1..]),
        (release(), foreign.as_str()),
        (release(), elsewhere.as_str()),
        (release(), of_session_cursor.as_str()),
        (of_session.clone(), of_release.as_str()),
        (release(), cursor(&snapshots[0]).as_str()),
    ] {
        let (_, messages, _) = behind(&daemon, &to, from);
        assert_eq!(shorts(&messages), ["resync", "snapshot"], "{from}");
    }
    let (_, messages, _) = behind(&daemon, &of_session, &of_session_cursor);
    assert!(messages.is_empty(), "{messages:?}");
}

#[test]
fn the_end_of_a_watched_call_is_told_even_if_it_came_while_the_daemon_was_restarted() {
    let mut daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("a", ANNA);
    let (_, from) = daemon.watcher(KEY).subscribe("x", &json!({"call_id": "a"}));
    edge.set("a", "session", json!({"n": 1}));
    edge.end("a");
    daemon.kill();
    daemon.restart();
    let (mut watcher, missed, _) = behind(&daemon, &json!({"call_id": "a"}), &from);
    assert_eq!(shorts(&missed), ["change set n", "call ended a"]);
    watcher.send(&json!({"op": "subscribe", "id": "b", "call_id": "a"}));
    assert_eq!(watcher.next()["reason"], "unknown_call");
}

#[test]
fn cursors_of_a_tenant_tell_nothing_of_others() {
    let daemon = Daemon::start();
    let mut watcher = daemon.watcher(OTHER_KEY);
    let helpdesk = json!({"instance_id": "helpdesk-uk"});
    let (_, first) = watcher.subscribe("a", &helpdesk);
    let (_, second) = watcher.subscribe("b", &helpdesk);
    assert_ne!(first, second, "one place looks different each time");
    assert_eq!(first.len(), second.len());
}
