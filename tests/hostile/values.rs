//! Values and texts that harm who trusts them.

use serde_json::{Value, json};

use super::support::{Daemon, Framing, KEY, rpc};
use super::{ANNA, Bystander, reason};

fn set(value: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":9,"method":"variables.set","params":{{"call_id":"one","set":{{"value":{value}}}}}}}"#
    )
}

#[test]
fn line_breaks_dollars_and_control_characters_come_back_within_one_document() {
    let daemon = Daemon::start();
    for (at, framing) in [Framing::Netstring, Framing::Bare].into_iter().enumerate() {
        let mut edge = daemon.switch("edge-1", framing);
        let call = format!("one-{at}");
        edge.start(&call, ANNA);
        let values = json!({
            "break": "a\r\nContent-Length: 5\r\n\r\nb", "dollar": "${system(id)} $(id) $5", "control": "\u{1}\u{1b}[2J\u{7f}",
            "netstring": "5:{},", "quotes": "\"}]}\\", "separator": "\u{2028}\u{feff}",
        });
        edge.set(&call, "session", values.clone());
        assert_eq!(edge.context(&call)["variables"], values);
    }
}

#[test]
fn u0000_is_invalid_in_values_and_call_ids_and_harms_nobody_in_other_texts() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("one", ANNA);
    for value in [r#""\u0000""#, r#"{"a":["x\u0000y"]}"#, r#"{"\u0000":1}"#] {
        edge.send_document(&set(value));
        assert_eq!(reason(&edge.next_document().unwrap()), "invalid_params", "{value}");
    }
    assert_eq!(edge.refused("call.start", &rpc::start("nul\0", ANNA)), "invalid_params");
    let mut start = rpc::start("other", "+493023125102\u{0}@x\r\nX-Header: 1");
    start["display"] = json!("\0\r\n");
    let answer = edge.call("call.start", &start);
    assert!(answer.is_ok() || answer.is_err_and(|error| error.reason == "invalid_params"));
    assert_eq!(edge.context("one")["revision"], 0);
}

#[test]
fn integers_beyond_i64_and_numbers_beyond_f64_are_invalid_params() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("one", ANNA);
    for value in [
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        r#"{"a":[99999999999999999999]}"#,
        "1e400",
    ] {
        edge.send_document(&set(value));
        assert_eq!(reason(&edge.next_document().unwrap()), "invalid_params", "{value}");
    }
    for value in ["9223372036854775807", "-9223372036854775808", "1e300"] {
        edge.send_document(&set(value));
        assert!(edge.next_document().unwrap().get("result").is_some(), "{value}");
    }
}

#[test]
fn half_a_surrogate_is_refused() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("one", ANNA);
    for value in [r#""\ud800""#, r#""\udc00\ud800""#] {
        edge.send_document(&set(value));
        let reason = reason(&edge.next_document().unwrap());
        assert!(matches!(reason.as_str(), "invalid_params" | "parse_error"), "{value}: {reason}");
    }
    assert_eq!(edge.context("one")["revision"], 0);
}

#[test]
fn a_value_as_deep_as_allowed_is_taken_and_a_deeper_one_is_not() {
    let daemon = Daemon::start();
    let mut bystander = Bystander::of(&daemon);
    let http = daemon.http(KEY);
    let session = bystander.edge.context("bystander")["session_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/sessions/{session}/variables/deep");
    let nested = |depth: usize| -> Value { (0..depth).fold(json!(1), |inner, _| json!([inner])) };
    // The object around the value is one level.
    http.put(&path, &json!({"value": nested(31)})).ok();
    let (status, reason) = http.put(&path, &json!({"value": nested(40)})).problem();
    assert!(
        matches!((status, reason.as_str()), (400, "invalid_params" | "parse_error") | (422, "limit_exceeded")),
        "{status} {reason}"
    );
    assert_eq!(bystander.edge.context("bystander")["variables"]["deep"], nested(31));
}

#[test]
fn identities_of_any_bytes_start_a_call_or_are_refused_and_never_more() {
    let daemon = Daemon::start();
    let mut bystander = Bystander::of(&daemon);
    let mut edge = daemon.edge();
    let long = "9".repeat(900);
    let froms = [
        "",
        "<",
        "<>",
        "sip:",
        "sip:@",
        "tel:",
        "%",
        "sip:%zz@x",
        "sip:%00@x",
        "\"",
        "\"\\",
        "<sip:a@b",
        "sip:a@[::1",
        ";;;",
        "sip:+@x",
        "tel:+++49",
        "sip:\u{202e}@x",
        "tel:++4930",
        "sip:anonymous",
        "$(id)",
        long.as_str(),
    ];
    for (at, from) in froms.into_iter().enumerate() {
        let mut start = rpc::start(&format!("odd-{at}"), ANNA);
        start["from"] = json!(from);
        start["pai"] = json!(["<", from]);
        start["rpid"] = json!(from);
        start["privacy"] = json!(from);
        match edge.call("call.start", &start) {
            Ok(context) => assert_eq!(context["call_id"], format!("odd-{at}")),
            Err(error) => {
                assert!(matches!(error.reason.as_str(), "invalid_params" | "limit_exceeded"), "{from:?}: {error:?}");
                assert!(from.len() < 3 || !error.message.contains(from), "the text is not repeated: {}", error.message);
            }
        }
    }
    let mut start = rpc::start("odd-to", ANNA);
    for to in ["", "<", "sip:", "%zz", long.as_str()] {
        start["to"] = json!(to);
        let reason = edge.refused("call.start", &start);
        assert!(matches!(reason.as_str(), "unknown_release" | "invalid_params" | "limit_exceeded"), "{to:?}: {reason}");
    }
    bystander.is_unharmed();
}
