//! Contexts of calls and sessions.

use std::collections::HashSet;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::support::rpc::start;
use super::support::{Daemon, KEY};
use super::{ANNA, BERT, session_id};

#[test]
fn the_context_of_a_call_is_that_of_the_switch_with_lifetimes_calls_and_number() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    let seen = edge.start("1-22440@192.0.2.7", ANNA);
    edge.set("1-22440@192.0.2.7", "user", json!({"language": "de"}));
    edge.set("1-22440@192.0.2.7", "session", json!({"ticket": {"id": 4711}}));
    edge.set("1-22440@192.0.2.7", "call", json!({"pin": "ok"}));
    edge.ok("call.ringing", &json!({"call_id": "1-22440@192.0.2.7", "code": 180}));

    let http = daemon.http(KEY);
    let answer = http.get("/v1/calls/1-22440@192.0.2.7");
    assert_eq!(answer.header("etag"), "\"3\"");
    assert_eq!(answer.header("content-type"), "application/json");
    let context = answer.ok();
    for member in ["session_id", "call_id", "callerid", "tenant", "instance_id", "returning", "anonymous", "assurance"]
    {
        assert_eq!(context[member], seen[member], "{member}");
    }
    assert_eq!((&context["state"], &context["revision"]), (&json!("ringing"), &json!(3)));
    let variables = &context["variables"];
    assert_eq!(variables["language"]["value"], "de");
    assert_eq!(variables["language"]["lifetime"], "user");
    assert_eq!(variables["ticket"]["value"], json!({"id": 4711}));
    assert_eq!(variables["ticket"]["revision"], 2);
    assert_eq!(variables["ticket"]["expires_at"], Value::Null, "a call is up");
    assert_eq!(variables["pin"]["lifetime"], "call");
    assert_eq!(context["calls"][0]["call_id"], "1-22440@192.0.2.7");
    assert_eq!(context["calls"][0]["callerid"], context["callerid"]);
    assert_eq!(context["number"], ANNA);

    let session = http.get(&format!("/v1/sessions/{}", session_id(&seen)));
    assert_eq!(session.header("etag"), "\"3\"");
    let session = session.ok();
    assert_eq!((&session["call_id"], &session["active_calls"]), (&Value::Null, &json!(1)));
    assert!(session["variables"].get("pin").is_none(), "call variables are the call's");

    edge.end("1-22440@192.0.2.7");
    let sleeping = http.get(&format!("/v1/sessions/{}", session_id(&seen))).ok();
    assert_eq!(sleeping["active_calls"], 0);
    assert_eq!(sleeping["variables"]["language"]["value"], "de");
    assert!(sleeping["variables"]["ticket"]["expires_at"].is_string(), "idle from now on");
}

#[test]
fn an_ended_call_is_told_with_its_end_until_it_is_forgotten() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("a", ANNA);
    edge.set("a", "session", json!({"handover": "said yes"}));
    edge.ok("call.end", &json!({"call_id": "a", "cause": "busy", "code": 486}));
    let http = daemon.http(KEY);
    let ended = http.get("/v1/calls/a").ok();
    assert_eq!((&ended["state"], &ended["cause"], &ended["code"]), (&json!("ended"), &json!("busy"), &json!(486)));
    assert!(ended["ended_at"].is_string());
    assert_eq!(ended["variables"]["handover"]["value"], "said yes");
    edge.start("b", ANNA);
    assert_eq!(http.get("/v1/calls/a").ok()["variables"], json!({}), "another conversation has begun");
    assert_eq!(http.get("/v1/calls/never").problem(), (404, "unknown_call".to_owned()));
}

#[test]
fn call_ids_of_strangers_are_reached_percent_encoded_and_by_the_query() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    let ids = ["a/b", "..", "a%2Fb", "a+b c", "\"q\"\\{}<x>~é@lab", "?#&=", "%41"];
    for (at, id) in ids.iter().enumerate() {
        edge.start(id, &format!("user-{at}"));
    }
    let http = daemon.http(KEY);
    for id in ids {
        let encoded = utf8_percent_encode(id, NON_ALPHANUMERIC);
        if id != ".." {
            assert_eq!(http.get(&format!("/v1/calls/{encoded}")).ok()["call_id"], id);
        }
        let calls = http.get(&format!("/v1/calls?call_id={encoded}")).ok();
        assert_eq!((&calls["calls"][0]["call_id"], &calls["next"]), (&json!(id), &Value::Null));
        assert!(calls["calls"][0].get("variables").is_some(), "it is the whole context");
    }
    assert_eq!(http.get("/v1/calls?call_id=none").ok(), json!({"calls": [], "next": null}));
}

#[test]
fn all_active_calls_are_listed_page_by_page() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    let starts = (0..1_250).map(|at| ("call.start", start(&format!("call {at:04}"), &format!("user-{at}"))));
    assert!(edge.pipeline(starts).iter().all(Result::is_ok));
    edge.set("call 0007", "session", json!({"secret": "only in a context"}));
    let http = daemon.http(KEY);
    let first = http.get("/v1/calls?instance_id=support-de").ok();
    assert_eq!(first["calls"].as_array().unwrap().len(), 1_000);
    assert!(first["calls"].as_array().unwrap().iter().all(|call| call.get("variables").is_none()));
    let next = first["next"].as_str().expect("there is more").replace(' ', "%20");
    let second = http.get(&format!("/v1/calls?from={next}")).ok();
    assert_eq!(second["next"], Value::Null);
    let ids: HashSet<String> = [&first, &second]
        .iter()
        .flat_map(|page| page["calls"].as_array().unwrap())
        .map(|call| call["call_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 1_250);
    assert_eq!(http.get("/v1/calls?instance_id=sales-us&call_id=").ok()["calls"], json!([]));
}

#[test]
fn what_is_not_there_is_a_problem() {
    let daemon = Daemon::start();
    let http = daemon.http(KEY);
    let session = session_id(&daemon.edge().start("a", BERT));
    assert_eq!(http.get("/").problem(), (404, "method_not_found".to_owned()));
    assert_eq!(http.get("/v1/session").problem(), (404, "method_not_found".to_owned()));
    assert_eq!(http.send("POST", "/v1/calls", &[], Some(&json!({}))).problem(), (405, "method_not_found".to_owned()));
    assert_eq!(http.get("/v1/sessions/nonsense").problem(), (404, "unknown_session".to_owned()));
    assert_eq!(http.get(&format!("/v1/sessions/{}", session.to_uppercase())).problem().0, 404);
    assert_eq!(http.get("/v1/calls?instance=support-de").problem(), (400, "invalid_params".to_owned()));
    assert_eq!(http.get("/v1/calls?instance_id=a%20b").problem(), (400, "invalid_params".to_owned()));
    assert_eq!(http.get("/v1/watch").problem(), (426, "invalid_request".to_owned()));
}
