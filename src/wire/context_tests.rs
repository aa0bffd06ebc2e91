use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::domain::caller::{CallerSource, Presentation};
use crate::domain::ids::{ReleaseId, SessionId};
use crate::domain::refusal::Refusal;
use crate::domain::session::{
    AnonymousSessions, Call, CallState, Direction, Lifetime, Limits, Reset, Session, VisibleVariable,
};
use crate::domain::value::JsonText;

fn parsed<T: std::str::FromStr<Err = Refusal>>(text: &str) -> T {
    text.parse().expect("a good name")
}

fn rules() -> Rules {
    Rules {
        release: ReleaseId { tenant: parsed("acme"), instance: parsed("support-de") },
        session_retention: Duration::from_secs(60),
        user_idle_limit: None,
        reset: Reset::NewCall,
        anonymous_sessions: AnonymousSessions::Drop,
        keep_number: false,
        min_assurance: Assurance::None,
        min_assurance_for: BTreeMap::new(),
        limits: Limits::default(),
    }
}

fn session() -> Session {
    let mut session =
        Session::unopened(SessionId::Caller([0x5f; 32]), parsed("support-de"), Timestamp::from_unix_millis(0));
    session.first_contact = Some(Timestamp::from_unix_millis(1_790_842_364_120));
    session.revision = 17;
    session
}

fn call(id: &str) -> Call {
    Call {
        id: parsed(id),
        state: CallState::Started,
        started_at: Timestamp::from_unix_millis(1),
        ringing_at: None,
        answered_at: None,
        ended_at: None,
        end_cause: None,
        end_code: None,
        switch_at: None,
        legs: std::sync::Arc::default(),
        direction: Direction::Inbound,
        presentation: Presentation::Allowed,
        source: CallerSource::From,
        assurance: Assurance::Trunk,
        returning: true,
        previous_contact: Some(Timestamp::from_unix_millis(1_795_194_189_551)),
        reopened: false,
        variables: Vec::new(),
        details: None,
    }
}

fn variable(name: &str, value: &str) -> Variable {
    Variable {
        name: parsed(name),
        value: JsonText::check(value, 16 * 1024).expect("a good value"),
        lifetime: Lifetime::Session,
        revision: 1,
        set_at: Timestamp::from_unix_millis(1),
        ttl_end: None,
    }
}

fn context<'a>(session: &'a Session, call: &'a Call, variables: &'a [Variable]) -> Context<'a> {
    let mut variables: Vec<_> =
        variables.iter().map(|variable| VisibleVariable { variable, expires_at: None }).collect();
    variables.sort_by(|one, other| one.variable.name.cmp(&other.variable.name));
    Context { session, call: Some(call), variables, withheld: Vec::new(), active_calls: 1 }
}

fn written(context: &Context<'_>, expose: &Expose, max_answer: Option<usize>) -> String {
    let mut out = String::from("before");
    write_context(&mut out, context, &rules(), expose, max_answer);
    out.strip_prefix("before").expect("it appends").to_owned()
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).expect("a context is JSON")
}

#[test]
fn a_context_is_that_of_the_contract() {
    let (session, call) = (session(), call("1-22440@192.0.2.7"));
    let variables = [variable("language", "\"de\""), variable("ticket", "{\"id\":4711}")];
    let text = written(&context(&session, &call, &variables), &Expose::All, None);
    let id = "5f".repeat(32);
    let expected = format!(
        "{{\"session_id\":\"{id}\",\"call_id\":\"1-22440@192.0.2.7\",\"callerid\":\"{id}/1-22440@192.0.2.7\",\"tenant\":\"acme\",\
         \"instance_id\":\"support-de\",\"returning\":true,\"anonymous\":false,\"assurance\":\"trunk\",\"active_calls\":1,\
         \"first_contact\":\"2026-10-01T08:12:44.120Z\",\"last_contact\":\"2026-11-20T17:03:09.551Z\",\"revision\":17,\
         \"variables\":{{\"language\":\"de\",\"ticket\":{{\"id\":4711}}}}}}"
    );
    assert_eq!(text, expected);
}

#[test]
fn a_call_id_is_escaped_in_both_places() {
    let (session, call) = (session(), call("1-\"q\"\\{}<x>~é@lab"));
    let value = read(&written(&context(&session, &call, &[]), &Expose::All, None));
    assert_eq!(value["call_id"], "1-\"q\"\\{}<x>~é@lab");
    assert_eq!(value["callerid"], format!("{}/1-\"q\"\\{{}}<x>~é@lab", "5f".repeat(32)));
    assert_eq!(value["variables"], json!({}));
}

#[test]
fn a_first_contact_has_no_last_one_and_an_anonymous_call_says_so() {
    let mut session = session();
    session.id = SessionId::Anonymous([1; 16]);
    let mut call = call("1");
    (call.previous_contact, call.returning) = (None, false);
    let value = read(&written(&context(&session, &call, &[]), &Expose::All, None));
    assert_eq!(value["last_contact"], Value::Null);
    assert_eq!((&value["anonymous"], &value["returning"]), (&json!(true), &json!(false)));
    assert_eq!(value["session_id"], format!("anon-{}", "01".repeat(16)));
    let nobody = Context { call: None, ..context(&session, &call, &[]) };
    let value = read(&written(&nobody, &Expose::All, None));
    assert_eq!((&value["call_id"], &value["callerid"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_switch_sees_what_its_expose_list_names() {
    let (session, call) = (session(), call("1"));
    let variables = [variable("a", "1"), variable("b", "2"), variable("c", "3")];
    let (a, c, x): (VariableName, VariableName, VariableName) = (parsed("a"), parsed("c"), parsed("x"));
    let mut context = context(&session, &call, &variables);
    context.withheld = vec![&c, &x];
    let text = written(&context, &Expose::Only(vec![x.clone(), parsed("b"), a.clone()]), None);
    assert!(text.contains("\"variables\":{\"b\":2,\"a\":1}"), "{text}");
    assert_eq!(read(&text)["withheld"], json!(["x"]));
    assert_eq!(read(&written(&context, &Expose::All, None))["withheld"], json!(["c", "x"]));
    assert!(read(&written(&context, &Expose::Only(Vec::new()), None)).get("withheld").is_none());
}

#[test]
fn an_answer_keeps_to_its_size_and_leaves_the_least_important_out() {
    let (session, call) = (session(), call("1"));
    let big = format!("\"{}\"", "x".repeat(100));
    let variables = [variable("a", &big), variable("b", "2"), variable("z", &big)];
    let context = context(&session, &call, &variables);
    let whole = written(&context, &Expose::All, None);
    let order = Expose::Only(vec![parsed("z"), parsed("a"), parsed("b")]);
    for max in 0..whole.len() + 200 {
        let text = written(&context, &order, Some(max));
        let value = read(&text);
        let names: Vec<&str> =
            ["z", "a", "b"].into_iter().filter(|name| value["variables"].get(name).is_some()).collect();
        assert_eq!(value.get("truncated").is_some(), names.len() < 3, "{text}");
        assert!(names.is_empty() || text.len() + ENVELOPE <= max, "{max}: {}", text.len());
        assert!(names != ["a", "b"] && names != ["a"], "a before z");
    }
    let roomy = written(&context, &order, Some(whole.len() + 200));
    assert!(read(&roomy).get("truncated").is_none());
}
