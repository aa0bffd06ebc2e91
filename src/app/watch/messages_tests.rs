use serde_json::{Value, json};

use super::*;
use crate::app::samples::{parsed, session, time, variable};
use crate::domain::refusal::Reason;
use crate::domain::session::{ChangeCause, EndCause, Lifetime};

fn commit(effects: Vec<Effect>) -> Commit {
    Commit { ordinal: 41, revision: 18, at: time(5_000), activity: true, effects }
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn call_message(effect: Effect, digit: Option<DtmfDigit>) -> Value {
    let id = session().id;
    let commit = commit(vec![effect]);
    let happening = Happening { session: &id, commit: &commit, effect: &commit.effects[0], digit };
    parse(&call(begin_at("call", "a\"b", "CURSOR"), happening, |out| out.push_str("{}")).unwrap())
}

fn change_message(effect: Effect, told: Told<'_>) -> Value {
    let id = session().id;
    let commit = commit(vec![effect]);
    let happening = Happening { session: &id, commit: &commit, effect: &commit.effects[0], digit: None };
    parse(&change(begin_at("change", "a", "CURSOR"), happening, told).unwrap())
}

fn with(base: Value, more: Value) -> Value {
    let mut base = base;
    base.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    base
}

#[test]
fn events_of_a_call_have_the_form_of_the_contract() {
    let base = json!({"type": "call", "id": "a\"b", "cursor": "CURSOR", "session_id": "5f".repeat(32),
        "call_id": "1-\"q\"", "at": "1970-01-01T00:00:05.000Z"});
    let id = || parsed::<CallId>("1-\"q\"");
    let message = call_message(Effect::CallRinging { call: id(), code: Some(180) }, None);
    assert_eq!(message, with(base.clone(), json!({"event": "ringing", "code": 180})));
    let message = call_message(Effect::CallAnswered { call: id() }, None);
    assert_eq!(message, with(base.clone(), json!({"event": "answered"})));
    let dtmf = || Effect::CallDtmf { call: id(), duration_ms: Some(120) };
    let message = call_message(dtmf(), DtmfDigit::new('5'));
    assert_eq!(message, with(base.clone(), json!({"event": "dtmf", "digit": "5", "duration_ms": 120})));
    assert_eq!(call_message(dtmf(), None), with(base.clone(), json!({"event": "dtmf", "duration_ms": 120})));
    let ended = Effect::CallEnded { call: id(), cause: EndCause::Switch("busy".into()), code: Some(486) };
    assert_eq!(call_message(ended, None), with(base, json!({"event": "ended", "cause": "busy", "code": 486})));
}

#[test]
fn changes_have_the_form_of_the_contract() {
    let base = json!({"type": "change", "id": "a", "cursor": "CURSOR", "session_id": "5f".repeat(32), "call_id": null,
        "at": "1970-01-01T00:00:05.000Z", "revision": 18, "name": "language"});
    let variable = variable("language", "\"de\"", Lifetime::User);
    let set = || Effect::VariableSet {
        call: None,
        name: variable.name.clone(),
        value: variable.value.clone(),
        lifetime: variable.lifetime,
        ttl_end: None,
    };
    let value = json!({"value": "de", "lifetime": "user", "revision": 12, "set_at": "1970-01-01T00:00:01.000Z",
        "expires_at": "1970-01-01T00:00:09.000Z"});
    assert_eq!(
        change_message(set(), Told::Value(&variable, Some(time(9_000)))),
        with(base.clone(), json!({"cause": "set", "variable": value}))
    );
    assert_eq!(
        change_message(set(), Told::Gone),
        with(base.clone(), json!({"cause": "set", "variable": null, "gone": true}))
    );
    assert_eq!(
        change_message(set(), Told::Withheld),
        with(base.clone(), json!({"cause": "set", "variable": null, "withheld": true}))
    );
    let deleted = Effect::VariableDeleted { call: None, name: variable.name.clone(), cause: ChangeCause::NewCall };
    assert_eq!(change_message(deleted, Told::Gone), with(base, json!({"cause": "new_call", "variable": null})));
}

#[test]
fn answers_name_the_operation_they_are_for() {
    assert_eq!(parse(&revision("b", 19)), json!({"type": "result", "id": "b", "revision": 19}));
    assert_eq!(
        parse(&context("b", 19, "{\"x\":1}")),
        json!({"type": "result", "id": "b", "revision": 19, "context": {"x": 1}})
    );
    let refusal = Refusal::new(Reason::RevisionConflict, "why");
    assert_eq!(
        parse(&error(Some("b"), &refusal, Some("{}"))),
        json!({"type": "error", "id": "b", "reason": "revision_conflict", "detail": "why", "context": {}})
    );
    assert_eq!(
        parse(&error(None, &refusal, None)),
        json!({"type": "error", "id": null, "reason": "revision_conflict", "detail": "why"})
    );
    assert_eq!(parse(&end(begin("lagged", "a"))), json!({"type": "lagged", "id": "a"}));
}
