use proptest::prelude::*;

use super::*;

fn patch(text: &str) -> Result<Change, Refusal> {
    read_json::<PatchBody<'_>>(text.as_bytes())?.into_change(64, None)
}

fn put(text: &str) -> Result<Change, Refusal> {
    read_json::<PutBody<'_>>(text.as_bytes())?.into_change("language", 64, None)
}

fn reason(result: Result<Change, Refusal>) -> Option<Reason> {
    result.err().map(|refusal| refusal.reason)
}

#[test]
fn a_put_sets_one_variable() {
    let change = put(r#"{"value": {"a": [1, null]}, "lifetime": "user", "ttl": "15m", "call_id": "c@192.0.2.7"}"#);
    let change = change.unwrap();
    assert_eq!(change.call.as_ref().map(CallId::as_str), Some("c@192.0.2.7"));
    let [set] = &change.set[..] else { panic!("one variable is set") };
    assert_eq!((set.name.as_str(), set.value.as_str()), ("language", "{\"a\":[1,null]}"));
    assert_eq!((set.lifetime, set.ttl), (Some(Lifetime::User), Some(Duration::from_secs(900))));
    let null = put(r#"{"value": null, "lifetime": null, "ttl": null, "call_id": null}"#).unwrap();
    assert_eq!(null.set[0].value.as_str(), "null");
    assert_eq!((null.set[0].lifetime, null.set[0].ttl, null.call), (None, None, None));
}

#[test]
fn what_is_missing_unknown_or_wrong_is_refused() {
    for bad in [
        r"{}",
        r#"{"lifetime":"user"}"#,
        r#"{"value":1,"lifetme":"user"}"#,
        r#"{"value":1,"value":2}"#,
        r#"{"value":1,"lifetime":"forever"}"#,
        r#"{"value":1,"ttl":15}"#,
        r#"{"value":1,"ttl":"15 minutes"}"#,
        r#"{"value":9223372036854775808}"#,
        r#"{"value":"\u0000"}"#,
        r#"{"value":1,"call_id":"a\nb"}"#,
    ] {
        assert_eq!(reason(put(bad)), Some(Reason::InvalidParams), "{bad}");
    }
    for bad in ["", "{", "{\"value\":}", "\u{feff}{}"] {
        assert_eq!(reason(put(bad)), Some(Reason::ParseError), "{bad}");
    }
    let deep = format!("{{\"value\":{}{}}}", "[".repeat(33), "]".repeat(33));
    assert_eq!(
        reason(read_json::<PutBody<'_>>(deep.as_bytes()).and_then(|b| b.into_change("a", 999, None))),
        Some(Reason::LimitExceeded)
    );
    assert_eq!(reason(put(&format!("{{\"value\":\"{}\"}}", "x".repeat(63)))), Some(Reason::LimitExceeded));
}

#[test]
fn a_patch_sets_and_deletes_and_keeps_a_name_given_twice_to_be_refused() {
    let change = patch(r#"{"set":{"a":{"value":1},"b":{"value":2,"lifetime":"call"}},"delete":["c"],"call_id":"x"}"#);
    let change = change.unwrap();
    let names: Vec<_> = change.set.iter().map(|set| set.name.as_str()).collect();
    assert_eq!((names, change.delete[0].as_str()), (vec!["a", "b"], "c"));
    let twice = patch(r#"{"set":{"a":{"value":1},"a":{"value":2}}}"#).unwrap();
    assert_eq!(twice.set.len(), 2);
    assert_eq!(reason(patch(r#"{"set":{"a b":{"value":1}}}"#)), Some(Reason::InvalidParams));
    assert_eq!(reason(patch(r#"{"set":{"a":1}}"#)), Some(Reason::InvalidParams));
    assert_eq!(reason(patch(r#"{"delete":["a b"]}"#)), Some(Reason::InvalidParams));
    assert_eq!(reason(patch(r#"{"remove":["a"]}"#)), Some(Reason::InvalidParams));
    assert!(patch("{}").is_ok_and(|change| change.set.is_empty() && change.delete.is_empty()));
}

#[test]
fn what_a_client_wrote_is_not_in_the_detail_of_a_refusal() {
    let refusal = put(r#"{"value":1,"+493023125001":"+493023125001"}"#).unwrap_err();
    assert!(!refusal.detail.contains("30231"), "{}", refusal.detail);
}

#[test]
fn conditions_are_one_revision_or_unset() {
    assert_eq!(condition(None, None), Ok(None));
    assert_eq!(condition(Some("\"17\""), None), Ok(Some(Condition::Revision(17))));
    assert_eq!(condition(Some(" \"17\" "), None), Ok(Some(Condition::Revision(17))));
    assert_eq!(condition(Some("*"), None), Ok(None));
    assert_eq!(condition(None, Some("*")), Ok(Some(Condition::Unset)));
    for bad in ["17", "\"\"", "\"", "", "\"+1\"", "W/\"17\"", "\"17\", \"18\"", "\"18446744073709551616\""] {
        assert_eq!(condition(Some(bad), None).map_err(|refusal| refusal.reason), Err(Reason::InvalidParams), "{bad}");
    }
    for (if_match, if_none_match) in [(Some("\"17\""), Some("*")), (None, Some("\"17\""))] {
        let refused = condition(if_match, if_none_match).map_err(|refusal| refusal.reason);
        assert_eq!(refused, Err(Reason::InvalidParams));
    }
}

proptest! {
    #[test]
    fn any_json_value_is_kept_as_it_is(number in any::<i64>(), text in "\\PC{0,8}", flag in any::<bool>()) {
        prop_assume!(!text.contains('\0'));
        let value = serde_json::json!({"a": number, "b": text, "c": [flag, null]});
        let body = serde_json::json!({"value": value}).to_string();
        let change = read_json::<PutBody<'_>>(body.as_bytes()).and_then(|body| body.into_change("a", 4096, None));
        let change = change.map_err(|refusal| TestCaseError::fail(refusal.to_string()))?;
        let read: serde_json::Value = serde_json::from_str(change.set[0].value.as_str()).unwrap();
        prop_assert_eq!(read, value);
    }

    #[test]
    fn no_body_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = read_json::<PatchBody<'_>>(&bytes).and_then(|body| body.into_change(64, None));
        let _ = read_json::<PutBody<'_>>(&bytes).and_then(|body| body.into_change("a", 64, None));
    }
}
