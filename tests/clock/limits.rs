//! Limits that take minutes, over a clock that goes on in steps that are believed: `user_idle_limit`, `max_call_age`,
//! `call_linger` (PRODUCT.md 4.1, 4.3). Each is four minutes here; between two steps passes less than a minute.

use serde_json::{Value, json};

use super::support::{Config, Daemon, KEY};
use super::{Moved, names_in};

const ANNA: &str = "+493023125101";
const BERT: &str = "+493023125102";
const CARLA: &str = "+493023125103";

fn path_of(context: &Value) -> String {
    format!("/v1/sessions/{}", context["session_id"].as_str().unwrap())
}

fn names(daemon: &Daemon, path: &str) -> Vec<String> {
    names_in(&daemon.http(KEY).get(path).ok())
}

#[test]
fn user_variables_end_after_the_idle_limit_of_their_release_and_not_while_a_call_is_up() {
    let mut config = Config::default();
    config.tenants = config.tenants.replacen("id = \"acme\"", "id = \"acme\"\nuser_idle_limit = \"4m\"", 1);
    let mut moved = Moved::with(config, "+0");
    let mut edge = moved.daemon.edge();
    let [anna, bert, carla] = [("a", ANNA), ("b", BERT), ("c", CARLA)].map(|(call, number)| {
        let path = path_of(&edge.start(call, number));
        edge.set(call, "user", json!({"language": "de"}));
        edge.set(call, "session", json!({"ticket": 1}));
        path
    });
    edge.end("a");
    edge.end("b");
    let mut watcher = moved.daemon.watcher(KEY);
    watcher.subscribe("w", &json!({"instance_id": "support-de"}));

    moved.set("+2m");
    // Reading is no activity, a change is.
    assert_eq!(names(&moved.daemon, &anna), ["language", "ticket"]);
    moved.daemon.http(KEY).put(&format!("{bert}/variables/ticket"), &json!({"value": 2})).ok();
    watcher.until("the change is told", |message| message["cause"] == "set");
    moved.set("+270s");
    let expired = watcher.until("it is announced", |message| message["cause"] == "expired");
    assert_eq!((&expired["name"], path_of(&expired)), (&json!("language"), anna.clone()));
    moved.daemon.kill();
    moved.daemon.restart();
    assert_eq!(names(&moved.daemon, &anna), ["ticket"], "session variables have a retention of their own");
    assert_eq!(names(&moved.daemon, &bert), ["language", "ticket"], "two minutes after the last change");
    assert_eq!(names(&moved.daemon, &carla), ["language", "ticket"], "a session with a call is active");

    let mut watcher = moved.daemon.watcher(KEY);
    watcher.subscribe("w", &json!({"instance_id": "support-de"}));
    moved.set("+7m");
    let expired = watcher.until("it is announced", |message| message["cause"] == "expired");
    assert_eq!((&expired["name"], path_of(&expired)), (&json!("language"), bert.clone()));
    assert_eq!(names(&moved.daemon, &bert), ["ticket"]);
    let mut edge = moved.daemon.edge();
    assert_eq!(names_in(&edge.context("c")), ["language", "ticket"]);
    let again = edge.start("again", ANNA);
    assert_eq!((&again["returning"], &again["variables"]), (&json!(true), &json!({})), "the caller is known still");
}

#[test]
fn a_call_whose_end_never_comes_is_reaped_at_its_age_and_told_with_that_cause() {
    let mut moved = Moved::with(Config::default().limits("max_call_age = \"4m\""), "+0");
    let mut edge = moved.daemon.edge();
    let anna = path_of(&edge.start("old", ANNA));
    edge.ok("call.answer", &json!({"call_id": "old"}));
    edge.set("old", "call", json!({"menu": 3}));
    edge.set("old", "session", json!({"ticket": 1}));
    let mut watcher = moved.daemon.watcher(KEY);
    watcher.subscribe("w", &json!({"instance_id": "support-de"}));
    moved.set("+2m");
    edge.start("young", BERT);
    edge.start("beside", ANNA);
    assert_eq!(edge.context("old")["active_calls"], 2, "not before its age");

    moved.set("+270s");
    let gone = watcher.until("its variable goes", |message| message["type"] == "change");
    assert_eq!(
        (&gone["cause"], &gone["name"], &gone["call_id"]),
        (&json!("call_ended"), &json!("menu"), &json!("old"))
    );
    let ended = watcher.next();
    assert_eq!(
        (&ended["event"], &ended["cause"], &ended["call_id"]),
        (&json!("ended"), &json!("reaped"), &json!("old"))
    );
    assert_eq!(edge.context_reason("old"), "unknown_call");
    assert_eq!(edge.refused("call.answer", &json!({"call_id": "old"})), "unknown_call");
    edge.end("old");
    let lingers = moved.daemon.http(KEY).get("/v1/calls/old").ok();
    assert_eq!((&lingers["state"], &lingers["cause"]), (&json!("ended"), &json!("reaped")));
    assert!(lingers["answered_at"].is_string() && lingers["ended_at"].is_string(), "{lingers}");
    assert_eq!(names(&moved.daemon, &anna), ["ticket"], "session variables stay");
    assert_eq!(edge.context("beside")["active_calls"], 1, "a younger call of the session goes on");
    assert_eq!(edge.context("young")["active_calls"], 1);

    // The age counts from the start of the call, not of the daemon.
    moved.daemon.kill();
    moved.daemon.restart();
    let mut watcher = moved.daemon.watcher(KEY);
    watcher.subscribe("w", &json!({"instance_id": "support-de"}));
    moved.set("+7m");
    let mut reaped = [(); 2].map(|()| {
        let ended = watcher.until("a call ends", |message| message["event"] == "ended");
        assert_eq!(ended["cause"], "reaped", "{ended}");
        ended["call_id"].as_str().unwrap().to_owned()
    });
    reaped.sort();
    assert_eq!(reaped, ["beside", "young"]);
    assert_eq!(moved.daemon.edge().start("next", ANNA)["variables"], json!({}), "from 0 to 1");
}

#[test]
fn an_ended_call_can_be_fetched_while_it_lingers_and_not_a_moment_longer() {
    let mut moved = Moved::with(Config::default().limits("call_linger = \"4m\""), "+0");
    let mut edge = moved.daemon.edge();
    let http = moved.daemon.http(KEY);
    let anna = path_of(&edge.start("a", ANNA));
    edge.ok("call.answer", &json!({"call_id": "a"}));
    edge.set("a", "session", json!({"ticket": 1}));
    edge.set("a", "call", json!({"menu": 3}));
    edge.ok("call.end", &json!({"call_id": "a", "cause": "busy", "code": 486}));
    edge.start("b", BERT);
    edge.end("b");
    let fetch = |call: &str| http.get(&format!("/v1/calls/{call}"));
    let ended = fetch("a").ok();
    assert_eq!((&ended["state"], &ended["cause"], &ended["code"]), (&json!("ended"), &json!("busy"), &json!(486)));
    for time in ["started_at", "answered_at", "ended_at"] {
        assert!(ended[time].is_string(), "{time} of {ended}");
    }
    assert_eq!(names_in(&ended), ["ticket"], "its own variables went with it");
    assert_eq!(http.get("/v1/calls?instance_id=support-de").ok()["calls"], json!([]), "it is no active call");
    assert_eq!(edge.context_reason("a"), "unknown_call");

    moved.set("+2m");
    http.put(&format!("{anna}/variables/summary"), &json!({"value": "calls back"})).ok();
    assert_eq!(names_in(&fetch("a").ok()), ["summary", "ticket"], "the session's variables as they are now");
    assert_eq!(http.get("/v1/calls?instance_id=support-de&call_id=a").ok()["calls"][0]["state"], "ended");
    // The next conversation is not for whoever looks back at this one.
    edge.start("next", ANNA);
    edge.set("next", "session", json!({"ticket": 2}));
    let followed = fetch("a").ok();
    assert_eq!((&followed["state"], &followed["variables"]), (&json!("ended"), &json!({})));
    edge.end("next");

    moved.set("+270s");
    for call in ["a", "b"] {
        assert_eq!(fetch(call).problem(), (404, "unknown_call".to_owned()), "{call}");
    }
    assert_eq!(http.get("/v1/calls?instance_id=support-de&call_id=a").ok()["calls"], json!([]));
    assert_eq!(fetch("next").ok()["state"], "ended", "it ended later");
    moved.daemon.kill();
    moved.daemon.restart();
    assert_eq!(moved.daemon.http(KEY).get("/v1/calls/next").status, 404, "not over a restart");
    assert_eq!(names(&moved.daemon, &anna), ["ticket"], "what was said of the call stays with the session");
}
