//! `calls.sync` (PRODUCT.md 5.1): the calls a switch still has, in parts.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::member::{Member, integer, invalid, read, too_long};
use crate::domain::ids::CallId;
use crate::domain::refusal::Refusal;

/// Most bytes of the id of a sync.
pub const MAX_SYNC_ID: usize = 64;
/// Most call IDs of one part.
pub const MAX_CALL_IDS: usize = 4_096;

/// One part of the list of calls that a switch still has.
#[derive(Debug, PartialEq, Eq)]
pub struct CallsSync {
    /// The same in all parts of one list, another one in the next list.
    pub sync: Box<str>,
    /// Its number; the first one is 0 or 1.
    pub part: u32,
    /// Whether the list ends with this part.
    pub last: bool,
    /// The calls. What can be no call ID is left out: a stranger chooses it, and no call of that name was ever taken.
    pub calls: Vec<CallId>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow, default)]
    sync: Member<'a>,
    #[serde(borrow, default)]
    part: Member<'a>,
    #[serde(borrow, default)]
    last: Option<&'a RawValue>,
    #[serde(borrow, default)]
    call_ids: Option<&'a RawValue>,
}

pub(super) fn parse(params: Option<&RawValue>) -> Result<CallsSync, Refusal> {
    let params: Params<'_> = read(params)?;
    Ok(CallsSync {
        sync: sync_id(&params.sync)?,
        part: integer(&params.part, PART_RULE)?.ok_or_else(|| invalid("part is missing"))?,
        last: match params.last.map(RawValue::get) {
            Some("true") => true,
            Some("false") => false,
            Some(_) => return Err(invalid("last is true or false")),
            None => return Err(invalid("last is missing")),
        },
        calls: call_ids(params.call_ids.ok_or_else(|| invalid("call_ids is missing"))?)?,
    })
}

const PART_RULE: &str = "part is the number of the part: 1, 2, 3 …";

fn sync_id(member: &Member<'_>) -> Result<Box<str>, Refusal> {
    match member {
        Member::Absent => Err(invalid("sync is missing")),
        Member::Integer(number) => Ok(number.to_string().into()),
        Member::Text(text) if text.is_empty() => Err(invalid("sync is an id, not an empty one")),
        Member::Text(text) if text.len() > MAX_SYNC_ID => Err(too_long("the id of a sync is at most 64 bytes long")),
        Member::Text(text) => Ok((**text).into()),
        _ => Err(invalid("sync is an id: a string or an integer")),
    }
}

fn call_ids(raw: &RawValue) -> Result<Vec<CallId>, Refusal> {
    let wrong = || invalid("call_ids is an array of strings");
    let elements: Vec<Member<'_>> = serde_json::from_str(raw.get()).map_err(|_| wrong())?;
    if elements.len() > MAX_CALL_IDS {
        return Err(too_long("call_ids holds at most 4096 call IDs: send more parts"));
    }
    let mut calls = Vec::with_capacity(elements.len());
    for element in elements {
        let Member::Text(text) = element else { return Err(wrong()) };
        calls.extend(text.parse::<CallId>());
    }
    Ok(calls)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::refusal::Reason;
    use crate::wire::calls::Method;
    use crate::wire::jsonrpc::parse_request;

    fn parsed(params: &Value) -> Result<CallsSync, Refusal> {
        let frame = json!({"jsonrpc": "2.0", "method": "calls.sync", "params": params}).to_string();
        match parse_request(frame.as_bytes()).map_err(|wrong| wrong.refusal)?.method {
            Method::CallsSync(sync) => Ok(sync),
            other => panic!("not a sync: {other:?}"),
        }
    }

    fn texts(sync: &CallsSync) -> Vec<&str> {
        sync.calls.iter().map(CallId::as_str).collect()
    }

    #[test]
    fn a_part_says_which_calls_the_switch_still_has() {
        let sync = parsed(&json!({"sync": "s-1", "part": 2, "last": true, "call_ids": ["1@x", "2@x"], "more": 1}));
        let sync = sync.expect("a good part");
        assert_eq!((&*sync.sync, sync.part, sync.last, texts(&sync)), ("s-1", 2, true, vec!["1@x", "2@x"]));
        let sync = parsed(&json!({"sync": 17, "part": 0, "last": false, "call_ids": []})).expect("a good part");
        assert_eq!((&*sync.sync, sync.part, sync.last, texts(&sync)), ("17", 0, false, vec![]));
    }

    #[test]
    fn a_call_id_that_can_be_none_spoils_no_list() {
        let call_ids = json!(["", "a\u{7}b", "x".repeat(300), "<null>", "é\"\\"]);
        let sync = parsed(&json!({"sync": "s", "part": 1, "last": true, "call_ids": call_ids})).expect("a good part");
        assert_eq!(texts(&sync), ["<null>", "é\"\\"]);
    }

    #[test]
    fn what_is_missing_or_wrong_is_told_by_its_name() {
        let good = json!({"sync": "s", "part": 1, "last": true, "call_ids": ["1"]});
        for (member, values) in [
            ("sync", vec![json!(null), json!(""), json!([]), json!(true), json!(1.5)]),
            ("part", vec![json!(null), json!("1"), json!(-1), json!(1.5), json!(1_u64 << 32)]),
            ("last", vec![json!(null), json!("true"), json!(1), json!([])]),
            ("call_ids", vec![json!(null), json!("1"), json!({}), json!([1]), json!([null]), json!([["1"]])]),
        ] {
            for value in values {
                let mut params = good.clone();
                params[member] = value.clone();
                let refusal = parsed(&params).expect_err(member);
                assert_eq!(refusal.reason, Reason::InvalidParams, "{member} {value}");
                assert!(refusal.detail.contains(member), "{member}: {refusal}");
            }
            let mut params = good.clone();
            params.as_object_mut().expect("an object").remove(member);
            assert!(parsed(&params).expect_err(member).detail.contains(member), "{member}");
        }
    }

    #[test]
    fn a_part_has_limits() {
        let of =
            |sync: &str, calls: usize| json!({"sync": sync, "part": 1, "last": true, "call_ids": vec!["1"; calls]});
        assert!(parsed(&of(&"s".repeat(MAX_SYNC_ID), MAX_CALL_IDS)).is_ok());
        for wrong in [of(&"s".repeat(MAX_SYNC_ID + 1), 1), of("s", MAX_CALL_IDS + 1)] {
            assert_eq!(parsed(&wrong).map_err(|refusal| refusal.reason), Err(Reason::LimitExceeded));
        }
    }

    proptest! {
        #[test]
        fn a_list_is_read_as_it_was_written(
            sync in "\\PC{1,16}",
            part in any::<u32>(),
            last in any::<bool>(),
            calls in prop::collection::vec("\\PC{1,40}", 0..40),
        ) {
            let read = parsed(&json!({"sync": sync, "part": part, "last": last, "call_ids": calls})).expect("a good part");
            let expected: Vec<CallId> = calls.iter().filter_map(|call| call.parse().ok()).collect();
            prop_assert_eq!(read, CallsSync { sync: sync.into(), part, last, calls: expected });
        }

        #[test]
        fn parameters_of_any_kind_are_a_part_or_a_refusal(params in "[\\[\\]{}\",:a-z0-9 \\\\-]{0,80}") {
            let frame = format!("{{\"jsonrpc\":\"2.0\",\"method\":\"calls.sync\",\"params\":{params}}}");
            let _ = parse_request(frame.as_bytes());
        }
    }
}
