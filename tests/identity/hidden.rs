//! What a caller asked to hide (PRODUCT.md 3.1, 3.4): an asserted number beside a privacy request reaches no app, no
//! watcher, no log and no disk, and no two withheld callers share anything.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::kept_number::{keeping, nowhere_under};
use super::support::{Daemon, KEY, rpc};
use super::{ANNA, session_id};

/// Of the hidden caller, in every header that could carry it.
const HIDDEN: &str = "+493023125977";
const DIGITS: &str = "23125977";
const NAME: &str = "Hidden Canary";

/// A start with everything a stranger or a carrier may send, and this beside it.
fn start(call: &str, way: &Value) -> Value {
    let mut start = json!({
        "call_id": call, "from": format!("\"{NAME}\" <sip:{HIDDEN}@192.0.2.7;user=phone>"), "to": "tel:+493023125000",
        "display": NAME, "pai": [format!("\"{NAME}\" <sip:{HIDDEN}@192.0.2.9>"), format!("<tel:{HIDDEN}>")],
        "headers": {"P-Asserted-Identity": format!("<tel:{HIDDEN}>"), "X-Name": NAME},
    });
    start.as_object_mut().unwrap().extend(way.as_object().unwrap().clone());
    start
}

fn ways() -> Vec<Value> {
    let mut ways: Vec<Value> =
        ["id", "user", "header", "history", "none; ID", " critical ;\thistory", "id;critical;user"]
            .iter()
            .map(|privacy| json!({"privacy": privacy}))
            .collect();
    for privacy in ["full", "uri", "name", "yes"] {
        ways.push(json!({"rpid": format!("\"{NAME}\" <sip:{HIDDEN}@192.0.2.7>;party=calling;privacy={privacy}")}));
    }
    for user in ["anonymous", "Restricted", "PRIVATE", "unavailable", "unknown", "blocked", "withheld"] {
        ways.push(json!({"from": format!("\"{NAME}\" <sip:{user}@192.0.2.7>")}));
    }
    for spelled in ["266696687", "7378742833", "86282452253", "8656696", "2562533"] {
        ways.push(json!({"from": format!("sip:{spelled}@192.0.2.7")}));
        ways.push(json!({"from": format!("<sip:+{spelled}@192.0.2.7;user=phone>")}));
    }
    ways.push(json!({"from": format!("\"{NAME}\" <sip:{DIGITS}@anonymous.invalid>")}));
    // What no user can be read from asks all the same.
    for from in [
        "\"Anonymous\" <sip:anonymous.invalid>",
        "<sip:anonymous>",
        "<sip:anonymous@anonymous.invalid",
        "\"Anonymous <sip:anonymous@192.0.2.7>",
        "sip:x%zz@anonymous.invalid",
    ] {
        ways.push(json!({"from": from}));
    }
    ways
}

#[test]
fn an_asserted_number_beside_a_privacy_request_reaches_nobody() {
    let mut config = keeping();
    config.environment.push(("RECALLD_LOG".to_owned(), "trace".to_owned()));
    let mut daemon = Daemon::with(config);
    let mut edge = daemon.edge();
    let http = daemon.http(KEY);
    let mut watcher = daemon.watcher(KEY);
    watcher.subscribe("w", &json!({"instance_id": "support-de"}));
    let mut sessions = BTreeSet::new();
    let mut told = Vec::new();
    for (at, way) in ways().iter().enumerate() {
        let call = format!("hidden-{at}");
        let context = edge.ok("call.start", &start(&call, way));
        assert_eq!((&context["anonymous"], &context["returning"]), (&json!(true), &json!(false)), "{way}");
        assert!(sessions.insert(session_id(&context)), "a session of its own: {way}");
        let shown = http.get(&format!("/v1/calls/{call}")).ok();
        assert_eq!((&shown["number"], shown.get("display"), shown.get("headers")), (&Value::Null, None, None), "{way}");
        let event = watcher.until("the start", |message| message["event"] == "started");
        told.extend([context, shown, event]);
    }
    // With a user ID the caller is known, and what was to be hidden stays so.
    let by_user = edge.ok("call.start", &start("by-user", &json!({"user_id": "customer-7", "privacy": "id"})));
    assert_eq!((&by_user["anonymous"], &by_user["active_calls"]), (&json!(false), &json!(1)));
    let shown = http.get("/v1/calls/by-user").ok();
    assert_eq!((&shown["presentation"], &shown["number"]), (&json!("restricted"), &Value::Null));
    told.extend([by_user, shown]);
    told.push(json!(http.get("/v1/calls").text));
    told.push(json!(daemon.metrics()));
    told.push(json!(daemon.recalld(&["calls", "--json"]).out));
    for told in &told {
        assert!(!told.to_string().contains(DIGITS) && !told.to_string().contains(NAME), "{told}");
    }
    let unknown = http.post("/v1/lookup", &json!({"number": HIDDEN, "instance_id": "support-de"}));
    assert_eq!(unknown.problem(), (404, "unknown_session".to_owned()), "she was never there");
    daemon.terminate();
    let log = daemon.log();
    assert!(log.contains("TRACE") && !log.contains(DIGITS) && !log.contains(NAME));
    nowhere_under(&daemon.data_path(), &[DIGITS, NAME]);
}

#[test]
fn withheld_callers_share_nothing() {
    let daemon = Daemon::with(keeping());
    let mut edge = daemon.edge();
    let way = json!({"privacy": "id"});
    let one = session_id(&edge.ok("call.start", &start("one", &way)));
    edge.set("one", "session", json!({"secret": 1}));
    let other = edge.ok("call.start", &start("other", &way));
    assert_ne!(session_id(&other), one);
    assert_eq!((&other["active_calls"], &other["variables"]), (&json!(1), &json!({})));
    let known = edge.ok("call.start", &rpc::start("known", ANNA));
    assert_eq!(known["active_calls"], 1);
    edge.end("one");
    let again = edge.ok("call.start", &start("again", &way));
    assert_ne!(session_id(&again), one, "nor with herself later");
    assert_eq!(again["variables"], json!({}));
}
