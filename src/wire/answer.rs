//! Answers to a switch: one buffer, one write, in the framing it was spoken to (PRODUCT.md 5.1).
//!
//! Kamailio wants `"jsonrpc":"2.0"`, the id as the integer it sent, and exactly one of `result` and
//! `error`.

use bytes::BytesMut;

use super::framing::Framing;
use super::json;
use super::jsonrpc::RequestId;
use crate::domain::refusal::{Reason, Refusal};

/// The code of a reason in `error.code`. The two that only HTTP knows get the code of the nearest.
#[must_use]
pub const fn code(reason: Reason) -> i32 {
    match reason {
        Reason::ParseError => -32700,
        Reason::InvalidRequest => -32600,
        Reason::MethodNotFound => -32601,
        Reason::InvalidParams => -32602,
        Reason::Internal => -32603,
        Reason::UnknownCall | Reason::UnknownSession => -32001,
        Reason::UnknownRelease => -32002,
        Reason::NotAllowed | Reason::Unauthorized => -32003,
        Reason::Overloaded => -32004,
        Reason::LimitExceeded => -32005,
        Reason::UserLifetimeUnavailable => -32006,
        Reason::RevisionConflict => -32007,
        Reason::CallIdInUse => -32008,
        Reason::AssuranceTooLow => -32009,
        Reason::Late => -32010,
        Reason::ReadOnly => -32011,
    }
}

/// Appends the answer to a request that succeeded. `result_json` is JSON text.
pub fn write_result(out: &mut BytesMut, framing: Framing, id: &RequestId, result_json: &str) {
    with_id(Some(id), |id| write_parts(out, framing, &[HEAD, id, ",\"result\":", result_json, "}"]));
}

/// Appends the answer to a change of variables: the session's revision after it.
pub fn write_revision(out: &mut BytesMut, framing: Framing, id: &RequestId, revision: u64) {
    let revision = json::Integer::unsigned(revision);
    with_id(Some(id), |id| {
        write_parts(out, framing, &[HEAD, id, ",\"result\":{\"revision\":", revision.as_str(), "}}"]);
    });
}

/// Appends the answer to a request that was refused; without an id where it could not be read.
pub fn write_error(out: &mut BytesMut, framing: Framing, id: Option<&RequestId>, refusal: &Refusal) {
    let mut message = String::with_capacity(refusal.detail.len() + 2);
    json::push_string(&mut message, &refusal.detail);
    let code = json::Integer::signed(i64::from(code(refusal.reason)));
    with_id(id, |id| {
        let parts = [
            HEAD,
            id,
            ",\"error\":{\"code\":",
            code.as_str(),
            ",\"message\":",
            &message,
            ",\"data\":{\"reason\":\"",
            refusal.reason.as_str(),
            "\"}}}",
        ];
        write_parts(out, framing, &parts);
    });
}

const HEAD: &str = "{\"jsonrpc\":\"2.0\",\"id\":";

fn with_id(id: Option<&RequestId>, write: impl FnOnce(&str)) {
    match id {
        None => write("null"),
        Some(RequestId::Integer(id)) => write(json::Integer::signed(*id).as_str()),
        Some(RequestId::Text(id)) => {
            let mut text = String::with_capacity(id.len() + 2);
            json::push_string(&mut text, id);
            write(&text);
        }
    }
}

fn write_parts(out: &mut BytesMut, framing: Framing, parts: &[&str]) {
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    out.reserve(length + 12);
    if framing == Framing::Netstring {
        out.extend_from_slice(json::Integer::length(length).as_str().as_bytes());
        out.extend_from_slice(b":");
    }
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
    if framing == Framing::Netstring {
        out.extend_from_slice(b",");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut BytesMut)) -> String {
        let mut out = BytesMut::new();
        write(&mut out);
        String::from_utf8(out.to_vec()).expect("answers are text")
    }

    #[test]
    fn a_result_is_answered_in_the_framing_it_was_asked_in() {
        let id = RequestId::Integer(2);
        assert_eq!(
            written(|out| write_result(out, Framing::Netstring, &id, "{}")),
            "36:{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}},"
        );
        assert_eq!(
            written(|out| write_result(out, Framing::Bare, &id, "{}")),
            "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}"
        );
    }

    #[test]
    fn a_change_is_answered_with_the_revision() {
        let id = RequestId::Integer(7);
        for revision in [0, 9, u64::MAX] {
            let result = format!("{{\"revision\":{revision}}}");
            for framing in [Framing::Netstring, Framing::Bare] {
                let expected = written(|out| write_result(out, framing, &id, &result));
                assert_eq!(written(|out| write_revision(out, framing, &id, revision)), expected);
            }
        }
    }

    #[test]
    fn an_error_has_a_code_and_its_stable_word_and_no_result() {
        for reason in Reason::ALL {
            let refusal = Refusal::new(reason, "say \"why\"\n");
            let text = written(|out| write_error(out, Framing::Bare, Some(&RequestId::Integer(i64::MIN)), &refusal));
            let value: serde_json::Value = serde_json::from_str(&text).expect("answers are JSON");
            assert_eq!(value["jsonrpc"], "2.0");
            assert_eq!(value["id"], i64::MIN);
            assert_eq!(value["error"]["code"], code(reason));
            assert_eq!(value["error"]["message"], "say \"why\"\n");
            assert_eq!(value["error"]["data"]["reason"], reason.as_str());
            assert!(value.get("result").is_none());
        }
    }

    #[test]
    fn a_string_id_is_echoed_as_a_string_and_an_unknown_one_as_null() {
        let refusal = Refusal::new(Reason::ParseError, "x");
        let id = RequestId::Text("a\"\u{1}é".into());
        let text = written(|out| write_error(out, Framing::Bare, Some(&id), &refusal));
        let value: serde_json::Value = serde_json::from_str(&text).expect("answers are JSON");
        assert_eq!(value["id"], "a\"\u{1}é");
        let text = written(|out| write_error(out, Framing::Netstring, None, &refusal));
        assert!(text.contains("\"id\":null,"), "{text}");
    }
}
