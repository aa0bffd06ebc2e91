//! `POST /v1/lookup` and `recalld session-id`: whoever has a number finds its session, and the audit log says so.

use serde_json::{Value, json};

use super::support::{Daemon, KEY, OTHER_KEY, rpc};
use super::{ANNA, BERT, PLAIN, audited_of, config, session_id};

fn of(number: &str, instance: &str) -> Value {
    json!({"number": number, "instance_id": instance})
}

#[test]
fn a_number_finds_the_session_however_it_is_written() {
    let daemon = Daemon::with(config());
    let mut edge = daemon.edge();
    let session = session_id(&edge.start("a", ANNA));
    edge.set("a", "user", json!({"language": "de"}));
    let random = session_id(&edge.ok("call.start", &rpc::start_to("b", ANNA, "tel:+12025550100")));
    edge.end("a");
    edge.end("b");
    let http = daemon.http(KEY);
    for number in [ANNA, "030 23125101", "tel:+49-30-23125-101", "\"Anna\" <sip:+493023125101@192.0.2.9>"] {
        let answer = http.post("/v1/lookup", &of(number, "support-de"));
        assert_eq!(answer.header("etag"), "\"1\"", "{number}");
        let context = answer.ok();
        assert_eq!((&context["session_id"], &context["call_id"]), (&json!(session), &Value::Null));
        assert_eq!(context, http.get(&format!("/v1/sessions/{session}")).ok(), "{number}");
    }
    let american = json!({"number": "(202) 555-0123", "instance_id": "support-de", "region": "US"});
    assert_eq!(http.post("/v1/lookup", &american).problem(), (404, "unknown_session".to_owned()));
    let english = session_id(&edge.start("c", "+442079460123"));
    let british = json!({"number": "020 7946 0123", "instance_id": "support-de", "region": "GB"});
    assert_eq!(http.post("/v1/lookup", &british).ok()["session_id"], english);
    assert_eq!(http.post("/v1/lookup", &of(ANNA, "sales-us")).ok()["session_id"], random, "a random session ID");

    let entries = audited_of(&daemon, "number_looked_up");
    let sessions: Vec<_> = entries.iter().map(|entry| entry["session"].clone()).collect();
    let seen = json!(session);
    assert_eq!(sessions, [seen.clone(), seen.clone(), seen.clone(), seen, Value::Null, json!(english), json!(random)]);
    assert!(entries.iter().all(|entry| entry["who"] == "api_key:bot" && entry["tenant"] == "acme"));
}

#[test]
fn a_lookup_makes_nothing_and_finds_nothing_of_others() {
    let daemon = Daemon::with(config());
    let mut edge = daemon.edge();
    let (http, other) = (daemon.http(KEY), daemon.http(OTHER_KEY));
    let unknown = (404, "unknown_session".to_owned());
    assert_eq!(http.post("/v1/lookup", &of(BERT, "support-de")).problem(), unknown);
    assert_eq!(edge.start("first", BERT)["returning"], false, "the question was no contact");
    for number in ["anonymous", "sip:anonymous@anonymous.invalid", "", "x", "17"] {
        assert_eq!(http.post("/v1/lookup", &of(number, "support-de")).problem(), unknown, "{number:?}");
    }
    let release = (404, "unknown_release".to_owned());
    assert_eq!(http.post("/v1/lookup", &of(BERT, "helpdesk-uk")).problem(), release);
    assert_eq!(other.post("/v1/lookup", &of(BERT, "support-de")).problem(), release);
    let refused = daemon.http(PLAIN).post("/v1/lookup", &of(BERT, "support-de"));
    assert_eq!(refused.problem(), (403, "not_allowed".to_owned()));
    for bad in [json!({"number": BERT}), json!({"number": 1, "instance_id": "support-de"}), json!([])] {
        assert_eq!(http.post("/v1/lookup", &bad).problem(), (400, "invalid_params".to_owned()), "{bad}");
    }
    let region = json!({"number": BERT, "instance_id": "support-de", "region": "de"});
    assert_eq!(http.post("/v1/lookup", &region).problem(), (400, "invalid_params".to_owned()));
    assert!(!daemon.log().contains(&BERT[3..]));
}

#[test]
fn a_key_looks_up_sixty_numbers_a_minute() {
    let daemon = Daemon::with(config());
    let http = daemon.http(KEY);
    for _ in 0..60 {
        assert_eq!(http.post("/v1/lookup", &of(ANNA, "support-de")).status, 404);
    }
    let limited = http.post("/v1/lookup", &of(ANNA, "support-de"));
    assert_eq!(limited.problem(), (422, "limit_exceeded".to_owned()));
    let wait: u64 = limited.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(audited_of(&daemon, "number_looked_up").len(), 60);
    assert_eq!(daemon.http(KEY).get("/v1/calls").status, 200, "only lookups are limited");
}

#[test]
fn an_operator_gets_the_session_id_of_a_number_and_the_audit_log_says_who() {
    let daemon = Daemon::with(config());
    let mut edge = daemon.edge();
    let session = session_id(&edge.start("a", ANNA));
    let random = session_id(&edge.ok("call.start", &rpc::start_to("b", ANNA, "tel:+12025550100")));
    let ask = |number: &str, instance: &str| {
        let words = ["session-id", "--tenant", "acme", "--instance", instance, "--number", "-", "--json"];
        daemon.recalld_with(&words, &format!("{number}\n"))
    };
    assert_eq!(ask("030 23125 101", "support-de").json(), json!({"session_id": session, "known": true}));
    assert_eq!(ask(ANNA, "sales-us").json(), json!({"session_id": random, "known": true}));
    let later = ask(BERT, "support-de").json();
    assert_eq!(later["known"], false);
    assert_eq!(later["session_id"], session_id(&edge.start("c", BERT)), "what the first contact makes");
    for (number, instance) in [(BERT, "sales-us"), (BERT, "nothing"), ("anonymous", "support-de")] {
        let refused = ask(number, instance);
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(!refused.err.contains(&BERT[3..]), "{refused:?}");
    }
    let entries = audited_of(&daemon, "session_id_asked");
    let told: Vec<_> = entries.iter().map(|entry| (&entry["instance_id"], &entry["session"])).collect();
    let (support, sales) = (json!("support-de"), json!("sales-us"));
    let (session, random, later) = (json!(session), json!(random), later["session_id"].clone());
    assert_eq!(told, [(&support, &session), (&sales, &random), (&support, &later), (&sales, &Value::Null)]);
    let uid = rustix::process::getuid().as_raw();
    assert!(entries.iter().all(|entry| entry["who"] == format!("uid:{uid}")));
}

#[test]
fn a_caller_from_before_a_key_rotation_is_found_and_stays_where_she_is() {
    let daemon = Daemon::with(config());
    let mut edge = daemon.edge();
    let session = session_id(&edge.start("a", ANNA));
    let random = session_id(&edge.ok("call.start", &rpc::start_to("b", ANNA, "tel:+12025550100")));
    edge.end("a");
    edge.end("b");
    let rotated = daemon.recalld(&["key", "rotate", "--tenant", "acme", "--json"]);
    assert_eq!(rotated.code, 0, "{rotated:?}");
    let aliases = || daemon.recalld(&["key", "status", "--tenant", "acme", "--json"]).json();
    let before = aliases();
    let http = daemon.http(KEY);
    for (instance, session) in [("support-de", &session), ("sales-us", &random)] {
        assert_eq!(http.post("/v1/lookup", &of(ANNA, instance)).ok()["session_id"], *session);
        let words = ["session-id", "--tenant", "acme", "--instance", instance, "--number", "-", "--json"];
        assert_eq!(daemon.recalld_with(&words, ANNA).json(), json!({"session_id": session, "known": true}));
    }
    assert_eq!(aliases(), before, "a question is no contact and migrates nobody");
    assert_eq!(edge.start("c", ANNA)["session_id"], session);
    let uid = rustix::process::getuid().as_raw();
    let entry = &audited_of(&daemon, "pseudonym_key_rotated")[0];
    assert_eq!((&entry["who"], &entry["tenant"]), (&json!(format!("uid:{uid}")), &json!("acme")));
}
