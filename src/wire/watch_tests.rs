use proptest::prelude::*;

use super::*;

fn refused(text: &str) -> (Option<String>, Reason) {
    let refused = read(text, 1024).map(|(id, _)| id).unwrap_err();
    (refused.id, refused.refusal.reason)
}

#[test]
fn the_operations_of_the_contract_are_read() {
    let release = read(r#"{"op":"subscribe","id":"a","instance_id":"support-de"}"#, 1024).unwrap();
    assert_eq!(release.0, "a");
    assert!(matches!(&release.1, Operation::Subscribe { to: Wanted::Release(name), from: None }
        if name.as_str() == "support-de"));
    let (_, call) = read(r#"{"op":"subscribe","id":"a","call_id":"1\u00e9","from":"c"}"#, 1024).unwrap();
    assert!(matches!(&call, Operation::Subscribe { to: Wanted::One(One::Call(id)), from: Some(from) }
        if id == "1é" && from == "c"));
    let (_, get) = read(r#"{"id":"a","session_id":"5f","op":"get"}"#, 1024).unwrap();
    assert!(matches!(&get, Operation::Get(One::Session(id)) if id == "5f"));
    assert!(matches!(read(r#"{"op":"unsubscribe","id":"a"}"#, 1024), Ok((_, Operation::Unsubscribe))));
    let text = r#"{"op":"set","id":"b","session_id":"5f","set":{"n":{"value":[1]}},"delete":["m"],"call_id":"c","if_revision":7}"#;
    let (_, set) = read(text, 1024).unwrap();
    let Operation::Set { of: One::Session(_), change } = set else { panic!("a set of a session") };
    assert_eq!(change.condition, Some(Condition::Revision(7)));
    assert_eq!((change.set[0].value.as_str(), change.delete[0].as_str()), ("[1]", "m"));
    assert_eq!(change.call.as_ref().map(crate::domain::ids::CallId::as_str), Some("c"));
    let (_, by_call) = read(r#"{"op":"set","id":"b","call_id":"c","set":{}}"#, 1024).unwrap();
    assert!(matches!(by_call, Operation::Set { of: One::Call(_), .. }));
}

#[test]
fn a_refused_message_is_answered_with_its_id_where_there_is_one() {
    let some = |id: &str| Some(id.to_owned());
    assert_eq!(refused("{"), (None, Reason::ParseError));
    assert_eq!(refused("[]"), (None, Reason::InvalidParams));
    assert_eq!(refused(r#"{"op":"get"}"#), (None, Reason::InvalidParams));
    assert_eq!(refused(r#"{"op":"get","id":7,"call_id":"c"}"#), (None, Reason::InvalidParams));
    assert_eq!(refused(&format!(r#"{{"op":"get","id":"{}"}}"#, "x".repeat(129))), (None, Reason::InvalidParams));
    assert_eq!(refused(r#"{"op":"dance","id":"a"}"#), (some("a"), Reason::MethodNotFound));
    for bad in [
        r#"{"op":"subscribe","id":"a"}"#,
        r#"{"op":"subscribe","id":"a","instance_id":"b","call_id":"c"}"#,
        r#"{"op":"subscribe","id":"a","instance_id":"no spaces"}"#,
        r#"{"op":"subscribe","id":"a","instance_id":"b","form":"c"}"#,
        r#"{"op":"get","id":"a","session_id":"b","call_id":"c"}"#,
        r#"{"op":"set","id":"a","set":{}}"#,
        r#"{"op":"set","id":"a","session_id":"b","set":{"n":5}}"#,
        r#"{"op":"set","id":"a","session_id":"b","if_revision":-1}"#,
    ] {
        assert_eq!(refused(bad), (some("a"), Reason::InvalidParams), "{bad}");
    }
}

proptest! {
    #[test]
    fn no_message_makes_it_panic(text in "\\PC{0,100}", op in "(subscribe|set|get|unsubscribe)", rest in "\\PC{0,40}") {
        let _ = read(&text, 64);
        let _ = read(&format!("{{\"op\":\"{op}\",\"id\":\"a\",{rest}}}"), 64);
        let _ = read(&format!("{{\"op\":\"{op}\",\"id\":\"a\",\"set\":{{{rest}}}}}"), 64);
    }
}
