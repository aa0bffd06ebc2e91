//! The number itself (PRODUCT.md 3.6): masked without its scope, and each reveal in the audit log before it is told.

use serde_json::{Value, json};

use super::support::{Daemon, KEY, rpc};
use super::{ANNA, BERT, PLAIN, audited_of, config, session_id};

fn revealed(by: &str, sessions: &[&str]) -> Value {
    json!({"who": "api_key:bot", "tenant": "acme", "instance_id": "support-de", "what": "number_revealed", "by": by,
        "sessions": sessions})
}

#[test]
fn each_answer_with_a_plain_number_is_audited_and_no_other() {
    let daemon = Daemon::with(config());
    let mut edge = daemon.edge();
    let session = session_id(&edge.start("a", ANNA));
    let mut withheld = rpc::start("hidden", BERT);
    withheld["privacy"] = json!("id");
    edge.ok("call.start", &withheld);
    let of_session = format!("/v1/sessions/{session}");
    let plain = daemon.http(PLAIN);
    for path in ["/v1/calls/a", "/v1/calls?call_id=a", "/v1/calls", &of_session] {
        assert!(plain.get(path).text.contains("+49••••••••01"), "{path}");
    }
    let http = daemon.http(KEY);
    assert_eq!(http.get("/v1/calls/hidden").ok()["number"], Value::Null);
    assert_eq!(audited_of(&daemon, "number_revealed"), Vec::<Value>::new());

    let once = revealed("answer", &[&session]);
    let mut expected = Vec::new();
    for path in ["/v1/calls/a", "/v1/calls?call_id=a", &of_session, "/v1/calls?instance_id=support-de"] {
        assert!(http.get(path).text.contains(ANNA), "{path}");
        expected.push(once.clone());
        assert_eq!(audited_of(&daemon, "number_revealed"), expected, "{path}");
    }
    let conflict = http.send(
        "PUT",
        &format!("{of_session}/variables/x"),
        &[("if-match", "\"77\"")],
        Some(&json!({"value": 1, "call_id": "a"})),
    );
    assert_eq!(conflict.problem().1, "revision_conflict");
    assert!(conflict.text.contains(ANNA), "the current context comes with it");
    expected.push(once.clone());
    assert_eq!(http.put("/v1/calls/a/assurance", &json!({"level": "app"})).ok()["number"], ANNA);
    expected.push(once);
    assert_eq!(audited_of(&daemon, "number_revealed"), expected);

    edge.end("a");
    assert_eq!(http.get("/v1/calls/a").ok()["number"], Value::Null, "gone with the call");
    assert_eq!(audited_of(&daemon, "number_revealed"), expected);
    let all = daemon.recalld(&["audit", "export"]).out;
    assert!(!all.contains(&ANNA[3..]) && !all.contains("\"a\""), "no number and no call ID: {all}");
}

#[test]
fn a_list_of_many_calls_is_one_entry_with_all_their_sessions() {
    let daemon = Daemon::with(config());
    let mut edge = daemon.edge();
    let anna = session_id(&edge.start("a", ANNA));
    let bert = session_id(&edge.start("b", BERT));
    let other = session_id(&edge.ok("call.start", &rpc::start_to("c", ANNA, "tel:+12025550100")));
    daemon.http(KEY).get("/v1/calls").ok();
    let entries = audited_of(&daemon, "number_revealed");
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["sessions"], json!([anna, bert, other]));
    assert_eq!(entries[0].get("instance_id"), None, "two releases: {}", entries[0]);
}

#[test]
fn a_stream_is_audited_once_for_each_call_and_connection() {
    let daemon = Daemon::with(config());
    let mut edge = daemon.edge();
    let anna = session_id(&edge.start("a", ANNA));
    let mut watcher = daemon.watcher(KEY);
    let (before, _) = watcher.subscribe("all", &json!({"instance_id": "support-de"}));
    assert_eq!(before[0]["context"]["number"], ANNA);
    let mut expected = vec![revealed("watch", &[&anna])];
    watcher.subscribe("one", &json!({"session_id": anna}));
    watcher.subscribe("call", &json!({"call_id": "a"}));
    assert_eq!(audited_of(&daemon, "number_revealed"), expected, "told already on this connection");

    let bert = session_id(&edge.start("b", BERT));
    let started = watcher.until("the start", |message| message["event"] == "started");
    assert_eq!(started["context"]["number"], BERT);
    expected.push(revealed("watch", &[&bert]));
    edge.ok("call.answer", &json!({"call_id": "b"}));
    watcher.until("the answer", |message| message["event"] == "answered");
    assert_eq!(audited_of(&daemon, "number_revealed"), expected);

    let mut second = daemon.watcher(KEY);
    second.subscribe("all", &json!({"instance_id": "support-de"}));
    let entries = audited_of(&daemon, "number_revealed");
    assert_eq!(entries.len(), 3);
    assert_eq!(entries[2]["sessions"].as_array().unwrap().len(), 2, "another connection: {}", entries[2]);

    second.send(&json!({"op": "get", "id": "g", "call_id": "a"}));
    second.until("the context", |message| message["type"] == "result");
    assert_eq!(audited_of(&daemon, "number_revealed")[3], revealed("answer", &[&anna]), "a get is an answer");

    let mut masked = daemon.watcher(PLAIN);
    let (before, _) = masked.subscribe("all", &json!({"instance_id": "support-de"}));
    assert!(before.iter().all(|message| message["context"]["number"].as_str().unwrap().contains('•')));
    assert_eq!(audited_of(&daemon, "number_revealed").len(), 4);
}
