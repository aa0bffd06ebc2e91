//! Snapshots and what follows them.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::config::api_key;
use super::support::{Config, Daemon, KEY, Watcher};
use super::{ANNA, BERT, release, session_id, short};

/// The next messages in short.
fn next(watcher: &mut Watcher, count: usize) -> Vec<String> {
    (0..count).map(|_| short(&watcher.next())).collect()
}

#[test]
fn a_release_is_watched_from_the_calls_that_are_up_on() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    let before = edge.start("running", ANNA);
    edge.set("running", "session", json!({"ticket": 1}));
    let mut watcher = daemon.watcher(KEY);
    let (snapshots, _) = watcher.subscribe("a", &release());
    assert_eq!(snapshots.len(), 1);
    let context = &snapshots[0]["context"];
    assert_eq!((short(&snapshots[0]).as_str(), &snapshots[0]["id"]), ("snapshot", &json!("a")));
    assert_eq!((&context["call_id"], &context["session_id"]), (&json!("running"), &before["session_id"]));
    assert_eq!((&context["variables"]["ticket"]["value"], &context["number"]), (&json!(1), &json!(ANNA)));
    assert!(snapshots[0]["cursor"].is_string());

    edge.start("new", BERT);
    let started = watcher.next();
    assert_eq!(short(&started), "call started new");
    assert_eq!(started["reopened"], false);
    let context = &started["context"];
    assert_eq!(
        (&context["call_id"], &context["returning"], &context["number"]),
        (&json!("new"), &json!(false), &json!(BERT))
    );
    assert_eq!(context["variables"], json!({}));
    edge.ok("call.ringing", &json!({"call_id": "new", "code": 180}));
    edge.ok("call.answer", &json!({"call_id": "new"}));
    edge.ok("call.dtmf", &json!({"call_id": "new", "digit": "5", "duration_ms": 120}));
    let ringing = watcher.next();
    assert_eq!((short(&ringing).as_str(), &ringing["code"]), ("call ringing new", &json!(180)));
    assert_eq!(short(&watcher.next()), "call answered new");
    let dtmf = watcher.next();
    assert_eq!(
        (short(&dtmf).as_str(), &dtmf["digit"], &dtmf["duration_ms"]),
        ("call dtmf new", &json!("5"), &json!(120))
    );
    let revision = edge.set("new", "user", json!({"language": {"code": "de"}}));
    let change = watcher.next();
    assert_eq!(short(&change), "change set language");
    assert_eq!((&change["revision"], &change["session_id"]), (&json!(revision), &context["session_id"]));
    let variable = &change["variable"];
    assert_eq!(
        (&variable["value"], &variable["lifetime"], &variable["revision"], &variable["expires_at"]),
        (&json!({"code": "de"}), &json!("user"), &json!(revision), &Value::Null)
    );
    edge.ok("call.end", &json!({"call_id": "new", "cause": "normal"}));
    let ended = watcher.next();
    assert_eq!((short(&ended).as_str(), &ended["cause"]), ("call ended new", &json!("normal")));
}

#[test]
fn each_deletion_says_its_cause_and_a_change_comes_once_for_parallel_calls() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("one", ANNA);
    let mut watcher = daemon.watcher(KEY);
    watcher.subscribe("a", &release());
    edge.start("two", ANNA);
    edge.set("one", "session", json!({"s": 1}));
    edge.set("two", "call", json!({"c": 1}));
    edge.ok("variables.delete", &json!({"call_id": "one", "names": ["s"]}));
    edge.set("one", "session", json!({"s": 2}));
    edge.end("two");
    edge.end("one");
    edge.start("three", ANNA);
    let seen = next(&mut watcher, 10);
    assert_eq!(
        seen,
        [
            "call started two",
            "change set s",
            "change set c",
            "change deleted s",
            "change set s",
            "change call_ended c",
            "call ended two",
            "call ended one",
            "change new_call s",
            "call started three",
        ]
    );
    assert_eq!(watcher.poll(Duration::from_millis(300)), Ok(None));
}

#[test]
fn a_session_and_a_call_are_watched_alone_on_one_socket() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    let session = session_id(&edge.start("one", ANNA));
    edge.start("two", ANNA);
    edge.start("other", BERT);
    let mut watcher = daemon.watcher(KEY);
    let (of_session, _) = watcher.subscribe("session", &json!({"session_id": session}));
    assert_eq!((of_session.len(), &of_session[0]["context"]["call_id"]), (1, &Value::Null));
    assert_eq!(of_session[0]["context"]["active_calls"], 2);
    let (of_call, _) = watcher.subscribe("call", &json!({"call_id": "two"}));
    assert_eq!((of_call.len(), &of_call[0]["context"]["call_id"]), (1, &json!("two")));

    edge.ok("call.answer", &json!({"call_id": "other"}));
    edge.ok("call.answer", &json!({"call_id": "one"}));
    edge.set("one", "call", json!({"of_one": 1}));
    edge.set("one", "session", json!({"of_both": 1}));
    edge.set("two", "call", json!({"of_two": 1}));
    edge.end("two");
    let mut seen: Vec<(String, String)> = (0..10)
        .map(|_| watcher.next())
        .map(|message| (message["id"].as_str().unwrap().to_owned(), short(&message)))
        .collect();
    seen.sort_by(|one, other| one.0.cmp(&other.0));
    let of =
        |id: &str| -> Vec<&str> { seen.iter().filter(|(of, _)| of == id).map(|(_, what)| what.as_str()).collect() };
    assert_eq!(
        of("session"),
        [
            "call answered one",
            "change set of_one",
            "change set of_both",
            "change set of_two",
            "change call_ended of_two",
            "call ended two",
        ]
    );
    assert_eq!(of("call"), ["change set of_both", "change set of_two", "change call_ended of_two", "call ended two"]);
    assert_eq!(watcher.poll(Duration::from_millis(300)), Ok(None));
}

#[test]
fn snapshots_of_a_busy_release_miss_nothing_and_repeat_nothing() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    let session = session_id(&edge.start("busy", ANNA));
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut edge = daemon.edge();
            let mut revision = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                revision = edge.set("busy", "session", json!({"n": revision + 1}));
            }
            revision
        });
        for round in 0..40 {
            let mut watcher = daemon.watcher(KEY);
            let to = if round % 2 == 0 { release() } else { json!({"session_id": session}) };
            watcher.send(&merge(&json!({"op": "subscribe", "id": "a"}), &to));
            let snapshot = watcher.next();
            let mut revision = snapshot["context"]["revision"].as_u64().unwrap();
            let value = &snapshot["context"]["variables"]["n"]["value"];
            assert_eq!(value.as_u64().unwrap_or(0), revision);
            let mut synced = false;
            while !synced || !revision.is_multiple_of(50) {
                let message = watcher.next();
                if message["type"] == "synced" {
                    synced = true;
                    continue;
                }
                revision += 1;
                assert_eq!((short(&message).as_str(), &message["revision"]), ("change set n", &json!(revision)));
                assert_eq!(message["variable"]["value"], revision);
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(writer.join().unwrap() > 0);
    });
}

fn merge(one: &Value, other: &Value) -> Value {
    let mut merged = one.clone();
    merged.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
    merged
}

#[test]
fn a_watcher_sees_what_its_key_may_see() {
    let mut config = Config::default();
    let second = config.tenants.rfind("[[tenant]]").expect("there are two tenants");
    let keys = [
        api_key("wallboard", "rk_wallboard", r#"["calls:watch"]"#),
        api_key("masked", "rk_masked", r#"["calls:watch", "context:read"]"#),
    ];
    config.tenants.insert_str(second, &keys.concat());
    let numbers = "numbers = [\"+493023125000\", \"+4930231251*\"]\n";
    let demand = format!("{numbers}min_assurance_for = {{ account = \"app\" }}\n");
    config.tenants = config.tenants.replace(numbers, &demand);
    let daemon = Daemon::with(config);
    let mut edge = daemon.edge();
    let (mut wallboard, mut masked) = (daemon.watcher("rk_wallboard"), daemon.watcher("rk_masked"));
    wallboard.subscribe("a", &release());
    masked.subscribe("a", &release());
    let session = session_id(&edge.start("one", ANNA));
    edge.set("one", "session", json!({"ticket": 1}));
    daemon
        .http(KEY)
        .put(&format!("/v1/sessions/{session}/variables/account"), &json!({"value": "secret", "lifetime": "user"}))
        .ok();
    edge.end("one");

    let started = wallboard.next();
    assert_eq!(started["context"].get("variables"), None);
    assert_eq!(short(&wallboard.next()), "call ended one", "no changes");
    let started = masked.next();
    assert_eq!(started["context"]["number"], "+49••••••••01");
    assert_eq!(masked.next()["variable"]["value"], 1);
    let account = masked.next();
    assert_eq!(
        (short(&account).as_str(), &account["withheld"], &account["variable"]),
        ("change set account", &json!(true), &Value::Null)
    );
    wallboard.send(&json!({"op": "subscribe", "id": "b", "session_id": session}));
    let error = wallboard.next();
    assert_eq!((&error["type"], &error["reason"]), (&json!("error"), &json!("not_allowed")));
}
