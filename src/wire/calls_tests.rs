use super::*;
use crate::wire::jsonrpc::parse_request;

fn parsed(method: &str, params: &str) -> Result<(), Refusal> {
    with_parsed(method, params, |_| ())
}

fn with_parsed<T>(method: &str, params: &str, look: impl FnOnce(Method<'_>) -> T) -> Result<T, Refusal> {
    let frame = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{method}\",\"params\":{params}}}");
    parse_request(frame.as_bytes()).map(|request| look(request.method)).map_err(|wrong| wrong.refusal)
}

fn start<T>(members: &str, look: impl FnOnce(&CallStart<'_>) -> T) -> Result<T, Refusal> {
    let params = format!(r#"{{"call_id":"1@x","from":"sip:+12025550143@x","to":"sip:+493023125000@x"{members}}}"#);
    with_parsed("call.start", &params, |method| match method {
        Method::CallStart(start) => look(&start),
        other => panic!("not a start: {other:?}"),
    })
}

fn reason(result: Result<(), Refusal>) -> Option<Reason> {
    result.err().map(|refusal| refusal.reason)
}

#[test]
fn a_start_carries_what_the_switch_says() {
    let members = r#","display":"Alice \"A\"","pai":["tel:+12025550143","sip:a@x"],"rpid":"<sip:a@x>","privacy":"id",
        "verstat":"TN-Validation-Passed-A","user_id":"u1","instance_id":"support-de","direction":"outbound",
        "headers":{"X-A" : "b"},"at":"2026-11-20T18:03:09.551+01:00","source_ip":"192.0.2.7","unknown":[{}]"#;
    start(members, |start| {
        assert_eq!(start.call.as_str(), "1@x");
        assert_eq!((&*start.from, &*start.to), ("sip:+12025550143@x", "sip:+493023125000@x"));
        assert_eq!(start.display.as_deref(), Some("Alice \"A\""));
        assert_eq!(start.pai, ["tel:+12025550143", "sip:a@x"]);
        assert_eq!(start.rpid.as_deref(), Some("<sip:a@x>"));
        assert_eq!(start.privacy.as_deref(), Some("id"));
        assert_eq!(start.verstat.as_deref(), Some("TN-Validation-Passed-A"));
        assert_eq!(start.user_id.as_deref(), Some("u1"));
        assert_eq!(start.instance.as_ref().map(InstanceId::as_str), Some("support-de"));
        assert_eq!(start.direction, Direction::Outbound);
        assert_eq!(start.headers.as_ref().map(CallerNumber::reveal), Some("{\"X-A\":\"b\"}"));
        assert_eq!(start.at.map(|at| at.to_string()).as_deref(), Some("2026-11-20T17:03:09.551Z"));
        assert!(matches!((&start.from, &start.pai[0]), (Cow::Borrowed(_), Cow::Borrowed(_))));
    })
    .expect("a good start");
}

#[test]
fn debug_tells_nothing_a_stranger_wrote_but_the_call_id() {
    let shown =
        start(r#","display":"Alice","user_id":"u-77","headers":{"X-A":"secret"}"#, |start| format!("{start:?}"))
            .expect("a good start");
    for hidden in ["12025550143", "493023125000", "Alice", "u-77", "secret"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}

#[test]
fn what_is_not_set_on_the_switch_counts_as_absent() {
    for nothing in ["null", "\"\"", "\"<null>\""] {
        let members = format!(
            r#","user_id":{nothing},"display":{nothing},"rpid":{nothing},"privacy":{nothing},"verstat":{nothing},
            "instance_id":{nothing},"pai":{nothing},"headers":null,"direction":null,"at":{nothing}"#
        );
        start(&members, |start| {
            assert!(start.user_id.is_none() && start.display.is_none() && start.rpid.is_none());
            assert!(start.privacy.is_none() && start.verstat.is_none() && start.instance.is_none());
            assert!(start.pai.is_empty() && start.headers.is_none() && start.at.is_none());
            assert_eq!(start.direction, Direction::Inbound);
        })
        .expect(nothing);
    }
}

#[test]
fn asserted_identities_come_one_or_many() {
    assert_eq!(start(r#","pai":"tel:+12025550143""#, |start| start.pai.len()), Ok(1));
    assert_eq!(start(r#","pai":["tel:+12025550143","","<null>"]"#, |start| start.pai.len()), Ok(1));
    assert_eq!(start(r#","pai":[]"#, |start| start.pai.len()), Ok(0));
    let many = format!(",\"pai\":[{}]", ["\"a\""; 9].join(","));
    assert_eq!(start(&many, |_| ()).map_err(|refusal| refusal.reason), Err(Reason::LimitExceeded));
    let very_many = format!(",\"pai\":[{}]", vec!["\"a\""; 1000].join(","));
    assert_eq!(start(&very_many, |_| ()).map_err(|refusal| refusal.reason), Err(Reason::LimitExceeded));
}

#[test]
fn a_wrong_type_is_refused_by_the_name_of_the_member_and_not_by_its_value() {
    for member in
        ["display", "rpid", "privacy", "verstat", "user_id", "instance_id", "direction", "headers", "at", "pai"]
    {
        for value in ["true", "[4711]", "{\"a\":\"4711\"}", "-4711", "18446744073709551616"] {
            if member == "headers" && value.starts_with('{') {
                continue;
            }
            let refusal = start(&format!(",\"{member}\":{value}"), |_| ()).expect_err(member);
            assert_eq!(refusal.reason, Reason::InvalidParams, "{member} {value}");
            assert!(refusal.detail.contains(member), "{member}: {refusal}");
            assert!(!refusal.detail.contains("4711"), "{refusal}");
        }
    }
}

#[test]
fn what_a_method_needs_is_missed_by_its_name() {
    for (method, params, name) in [
        ("call.start", r#"{"from":"a","to":"b"}"#, "call_id is missing"),
        ("call.start", r#"{"call_id":"1","to":"b"}"#, "from is missing"),
        ("call.start", r#"{"call_id":"1","from":"b","to":null}"#, "to is missing"),
        ("call.start", r#"{"call_id":"1","from":5,"to":"b"}"#, "from is a string"),
        ("call.ringing", "{}", "call_id is missing"),
        ("call.answer", "{\"call_id\":null}", "call_id is missing"),
        ("call.end", "{\"call_id\":5}", "call_id is a string"),
        ("call.dtmf", "{\"call_id\":\"1\"}", "digit"),
        ("context.get", "{}", "call_id is missing"),
        ("variables.set", "{\"call_id\":\"1\"}", "set is missing"),
        ("variables.set", "{\"set\":{}}", "call_id is missing"),
        ("variables.delete", "{\"call_id\":\"1\"}", "names is missing"),
        ("context.get", "[\"1\"]", "params is an object"),
        ("context.get", "\"1\"", "params is an object"),
        ("context.get", "null", "params is an object"),
    ] {
        let refusal = parsed(method, params).expect_err(params);
        assert_eq!(refusal.reason, Reason::InvalidParams, "{params}");
        assert!(refusal.detail.contains(name), "{params}: {refusal}");
    }
}

#[test]
fn a_member_that_is_there_twice_is_refused() {
    assert_eq!(reason(parsed("context.get", r#"{"call_id":"1","call_id":"2"}"#)), Some(Reason::InvalidParams));
    assert_eq!(reason(start(r#","to":"sip:b@x""#, |_| ())), Some(Reason::InvalidParams));
    assert_eq!(reason(parsed("context.get", r#"{"call_id":"1","c\u0061ll_id":"2"}"#)), Some(Reason::InvalidParams));
}

#[test]
fn texts_have_limits() {
    let long = "x".repeat(MAX_TEXT + 1);
    for member in ["display", "pai", "rpid", "privacy", "verstat", "user_id", "instance_id"] {
        let result = start(&format!(",\"{member}\":\"{long}\""), |_| ());
        assert_eq!(reason(result), Some(Reason::LimitExceeded), "{member}");
    }
    assert_eq!(reason(start(&format!(",\"headers\":{{\"a\":\"{long}\"}}"), |_| ())), Some(Reason::LimitExceeded));
    assert_eq!(reason(start(&format!(",\"user_id\":\"{}\"", "x".repeat(256)), |_| ())), Some(Reason::LimitExceeded));
    let params = format!(r#"{{"call_id":"1","from":"{long}","to":"b"}}"#);
    assert_eq!(reason(parsed("call.start", &params)), Some(Reason::LimitExceeded));
    let id = format!("{{\"call_id\":\"{}\"}}", "x".repeat(256));
    assert_eq!(reason(parsed("context.get", &id)), Some(Reason::LimitExceeded));
}

#[test]
fn a_call_id_with_control_characters_is_refused_and_an_odd_one_is_not() {
    for call in [r"a\r\nb", r"a\u0000", r"\u0085", r"\u007f"] {
        let params = format!("{{\"call_id\":\"{call}\"}}");
        assert_eq!(reason(parsed("context.get", &params)), Some(Reason::InvalidParams), "{call}");
    }
    let odd = with_parsed("context.get", r#"{"call_id":"1-\"q\"\\{}<x>~$@lab"}"#, |method| match method {
        Method::ContextGet { call } => call.to_string(),
        other => panic!("{other:?}"),
    });
    assert_eq!(odd, Ok("1-\"q\"\\{}<x>~$@lab".to_owned()));
}

#[test]
fn what_json_cannot_mean_is_refused() {
    for value in [r#""\ud800""#, "1e999", r#""\ud800\u0041""#] {
        let params = format!("{{\"call_id\":{value}}}");
        assert_eq!(reason(parsed("context.get", &params)), Some(Reason::InvalidParams), "{value}");
    }
    // Where it is not looked at, it does no harm.
    assert_eq!(parsed("context.get", r#"{"call_id":"1","x":1e999}"#), Ok(()));
}

#[test]
fn events_are_checked() {
    for (method, members) in [
        ("call.ringing", "\"code\":99"),
        ("call.ringing", "\"code\":700"),
        ("call.ringing", "\"code\":180.5"),
        ("call.ringing", "\"code\":\"180\""),
        ("call.ringing", "\"code\":-65356"),
        ("call.dtmf", "\"digit\":\"12\""),
        ("call.dtmf", "\"digit\":\"\""),
        ("call.dtmf", "\"digit\":\"E\""),
        ("call.dtmf", "\"digit\":\"5\",\"duration_ms\":-1"),
        ("call.dtmf", "\"digit\":\"5\",\"duration_ms\":4294967296"),
        ("call.end", "\"cause\":\"no spaces\""),
        ("call.end", "\"cause\":\"a\\r\\n\""),
        ("call.end", "\"cause\":7"),
        ("call.end", "\"code\":1000"),
    ] {
        let params = format!("{{\"call_id\":\"1\",{members}}}");
        assert_eq!(reason(parsed(method, &params)), Some(Reason::InvalidParams), "{method} {members}");
    }
    let too_long = format!("{{\"call_id\":\"1\",\"cause\":\"{}\"}}", "x".repeat(65));
    assert_eq!(reason(parsed("call.end", &too_long)), Some(Reason::InvalidParams));
    with_parsed("call.dtmf", r##"{"call_id":"1","digit":"#","duration_ms":160}"##, |method| {
        let Method::CallDtmf { digit, duration_ms, .. } = method else { panic!("not dtmf") };
        assert_eq!((digit.reveal(), duration_ms), ('#', Some(160)));
    })
    .expect("a good digit");
    for (members, expected) in [("", "ended"), (",\"cause\":\"<null>\"", "ended"), (",\"cause\":\"bye\"", "bye")] {
        with_parsed("call.end", &format!("{{\"call_id\":\"1\"{members},\"code\":486}}"), |method| {
            let Method::CallEnd { cause, code, .. } = method else { panic!("not an end") };
            assert_eq!((cause.as_str(), code), (expected, Some(486)));
        })
        .expect("a good end");
    }
}

#[test]
fn the_switch_may_write_its_time_in_three_ways() {
    let expected = Ok(Some("2026-11-20T17:03:09.551Z".to_owned()));
    for at in ["\"2026-11-20T17:03:09.551Z\"", "1795194189551", "1795194189.551", "\"2026-11-20T18:03:09.5510+01:00\""]
    {
        let read = start(&format!(",\"at\":{at}"), |start| start.at.map(|at| at.to_string()));
        assert_eq!(read, expected, "{at}");
    }
    assert_eq!(start(",\"at\":1795194189", |start| start.at.map(Timestamp::unix_millis)), Ok(Some(1_795_194_189_000)));
    for at in ["-1", "\"yesterday\"", "\"2026-11-20\"", "\"2026-11-20T17:03:09\"", "1e11", "-0.5", "1e300"] {
        assert_eq!(reason(start(&format!(",\"at\":{at}"), |_| ())), Some(Reason::InvalidParams), "{at}");
    }
    let far = start(",\"at\":9223372036854775807", |start| start.at.map(|at| at.to_string()));
    assert_eq!(far, Ok(Some("9999-12-31T23:59:59.999Z".to_owned())));
}

#[test]
fn variables_are_set_as_written() {
    let params = r#"{"call_id":"1","set":{"language":"de","ticket":{"id": 4711},"crm:\u0061":null},"lifetime":"user","ttl":"15m","if_revision":17}"#;
    with_parsed("variables.set", params, |method| {
        let Method::VariablesSet(change) = method else { panic!("not a set") };
        assert_eq!(change.call.as_ref().map(CallId::as_str), Some("1"));
        let set: Vec<_> = change.set.iter().map(|set| (set.name.as_str(), set.value.as_str())).collect();
        assert_eq!(set, [("language", "\"de\""), ("ticket", "{\"id\":4711}"), ("crm:a", "null")]);
        assert!(change.set.iter().all(|set| set.lifetime == Some(Lifetime::User)));
        assert!(change.set.iter().all(|set| set.ttl == Some(Duration::from_secs(900))));
        assert_eq!((change.condition, change.delete.len()), (Some(Condition::Revision(17)), 0));
        assert_eq!(change.authority, Authority::OfCall);
    })
    .expect("a good set");
    with_parsed("variables.delete", r#"{"call_id":"1","names":["a","b"]}"#, |method| {
        let Method::VariablesDelete(change) = method else { panic!("not a delete") };
        assert_eq!(change.delete.iter().map(VariableName::as_str).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((change.condition, change.set.len()), (None, 0));
    })
    .expect("a good delete");
}

#[test]
fn a_change_of_variables_is_checked() {
    let many = format!("\"set\":{{{}}}", (0..257).map(|n| format!("\"n{n}\":{n}")).collect::<Vec<_>>().join(","));
    let names = format!("\"names\":[{}]", vec!["\"a\""; 257].join(","));
    for (method, members, expected) in [
        ("variables.set", "\"set\":[1]", Reason::InvalidParams),
        ("variables.set", "\"set\":\"a\"", Reason::InvalidParams),
        ("variables.set", "\"set\":{\"a b\":1}", Reason::InvalidParams),
        ("variables.set", "\"set\":{\"\":1}", Reason::LimitExceeded),
        ("variables.set", "\"set\":{\"a$\":1}", Reason::InvalidParams),
        ("variables.set", "\"set\":{\"a\":9223372036854775808}", Reason::InvalidParams),
        ("variables.set", "\"set\":{\"a\":\"\\u0000\"}", Reason::InvalidParams),
        ("variables.set", "\"set\":{},\"lifetime\":\"forever\"", Reason::InvalidParams),
        ("variables.set", "\"set\":{},\"lifetime\":1", Reason::InvalidParams),
        ("variables.set", "\"set\":{},\"ttl\":\"soon\"", Reason::InvalidParams),
        ("variables.set", "\"set\":{},\"ttl\":60", Reason::InvalidParams),
        ("variables.set", "\"set\":{},\"if_revision\":-1", Reason::InvalidParams),
        ("variables.set", "\"set\":{},\"if_revision\":1.0", Reason::InvalidParams),
        ("variables.set", "\"set\":{},\"if_revision\":\"1\"", Reason::InvalidParams),
        ("variables.set", &many, Reason::LimitExceeded),
        ("variables.delete", "\"names\":\"a\"", Reason::InvalidParams),
        ("variables.delete", "\"names\":[1]", Reason::InvalidParams),
        ("variables.delete", "\"names\":[\"a\",null]", Reason::InvalidParams),
        ("variables.delete", &names, Reason::LimitExceeded),
    ] {
        let params = format!("{{\"call_id\":\"1\",{members}}}");
        assert_eq!(reason(parsed(method, &params)), Some(expected), "{members}");
    }
}
