use serde_json::{Value, json};

use super::*;
use crate::app::samples::{call, parsed, rules, session, time, variable};
use crate::domain::session::Lifetime;

const ALL: Sight = Sight { variables: true, trusted: true, number: true };
const PLAIN: Sight = Sight { variables: true, trusted: false, number: false };

fn written(session: &Session, call: Option<&Call>, rules: &Rules, sight: Sight) -> (Value, bool) {
    let mut out = String::new();
    write(&mut out, Seen { session, call, rules, now: time(3_000), most_calls: 2 }, sight);
    let revealed = revealed(session, call, sight).is_some();
    (serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}")), revealed)
}

#[test]
fn a_context_shows_lifetime_and_end_of_each_variable_and_the_calls_of_the_session() {
    let mut session = session();
    session.variables =
        vec![variable("language", "\"de\"", Lifetime::User), variable("ticket", "{\"id\":4711}", Lifetime::Session)];
    session.calls = vec![call("1-\"q\"@192.0.2.7").into()];
    let call = session.calls[0].clone();
    let (context, revealed) = written(&session, Some(&call), &rules(), PLAIN);
    assert!(!revealed);
    let id = "5f".repeat(32);
    let progress = json!({"state": "ringing", "direction": "inbound", "presentation": "allowed", "reopened": false,
        "started_at": "1970-01-01T00:00:01.000Z", "ringing_at": "1970-01-01T00:00:02.000Z", "answered_at": null,
        "ended_at": null, "switch_at": null, "cause": null, "code": null});
    let ids = json!({"call_id": "1-\"q\"@192.0.2.7", "callerid": format!("{id}/1-\"q\"@192.0.2.7")});
    let mut of_session = json!({"assurance": "trunk"});
    let mut expected = json!({"session_id": id, "tenant": "acme", "instance_id": "support", "returning": true,
        "anonymous": false, "assurance": "trunk", "active_calls": 1, "first_contact": "2026-10-01T08:12:44.120Z",
        "last_contact": "1970-01-01T00:00:00.500Z", "revision": 17, "number": "+49••••••••01", "withheld": [],
        "variables": {
            "language": {"value": "de", "lifetime": "user", "revision": 12, "set_at": "1970-01-01T00:00:01.000Z",
                "expires_at": null},
            "ticket": {"value": {"id": 4711}, "lifetime": "session", "revision": 12,
                "set_at": "1970-01-01T00:00:01.000Z", "expires_at": null}}});
    for part in [&progress, &ids] {
        of_session.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
        expected.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
    }
    expected["calls"] = json!([of_session]);
    assert_eq!(context, expected);
}

#[test]
fn the_plain_number_is_seen_only_with_its_scope() {
    let mut session = session();
    session.calls = vec![call("a").into()];
    for call in [Some(session.calls[0].as_ref()), None] {
        let (masked, revealed) = written(&session, call, &rules(), PLAIN);
        assert_eq!((&masked["number"], revealed), (&json!("+49••••••••01"), false));
        assert!(masked.get("display").is_none() && masked.get("headers").is_none());
        let (plain, revealed) = written(&session, call, &rules(), ALL);
        assert_eq!((&plain["number"], revealed), (&json!("+493023125001"), true));
        assert_eq!((&plain["display"], &plain["headers"]), (&json!("Eve \"E\""), &json!({"X-A": "1"})));
    }
    session.calls.clear();
    let (without, revealed) = written(&session, None, &rules(), ALL);
    assert_eq!((&without["number"], revealed), (&Value::Null, false));
}

#[test]
fn without_a_call_the_ends_are_shown_and_user_variables_need_assurance() {
    let mut session = session();
    session.variables = vec![variable("language", "1", Lifetime::User), variable("ticket", "2", Lifetime::Session)];
    let mut rules = rules();
    rules.min_assurance_for.insert(parsed("language"), Assurance::Trunk);
    let (context, _) = written(&session, None, &rules, PLAIN);
    assert_eq!(context["withheld"], json!(["language"]));
    assert_eq!(context["variables"]["ticket"]["expires_at"], "1970-01-01T00:01:01.000Z");
    assert_eq!((&context["call_id"], &context["callerid"]), (&Value::Null, &Value::Null));
    let (trusted, _) = written(&session, None, &rules, ALL);
    assert_eq!(trusted["variables"]["language"]["value"], 1);
    let mut weak = call("a");
    weak.assurance = Assurance::None;
    let (named, _) = written(&session, Some(&weak), &rules, ALL);
    assert_eq!(named["withheld"], json!(["language"]), "a named call counts, whatever the key");
}

#[test]
fn a_key_without_context_read_sees_no_variables() {
    let mut session = session();
    session.variables = vec![variable("ticket", "2", Lifetime::Session)];
    let (context, _) = written(&session, None, &rules(), ALL.without_variables());
    assert!(context.get("variables").is_none() && context.get("withheld").is_none());
}

#[test]
fn a_list_names_the_latest_calls_of_a_session_and_the_number_of_all() {
    let mut session = session();
    session.calls = ["a", "b", "c"].map(|id| call(id).into()).to_vec();
    let (context, _) = written(&session, None, &rules(), PLAIN);
    let ids: Vec<&str> =
        context["calls"].as_array().unwrap().iter().filter_map(|call| call["call_id"].as_str()).collect();
    assert_eq!((ids, &context["active_calls"]), (vec!["b", "c"], &json!(3)));
}
