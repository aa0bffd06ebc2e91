//! Frames that are none, or whose text is no request.

use serde_json::{Value, json};

use super::support::{Daemon, Framing};
use super::{Bystander, reason};

const FRAME: usize = 64 * 1024;

#[test]
fn a_length_that_is_none_is_a_parse_error_and_closes_the_connection() {
    let daemon = Daemon::start();
    let mut bystander = Bystander::of(&daemon);
    for bytes in [
        "-1:{},",
        "+2:{},",
        "007:{\"a\":1},",
        "99999999999999999999:{},",
        "2x:{},",
        "2 :{},",
        "1:{},",
        "3:{},x",
        "2:{};",
    ] {
        let mut edge = daemon.edge();
        edge.send_raw(bytes.as_bytes());
        edge.end_of_requests();
        let said = edge.until_closed();
        assert_eq!(said.len(), 1, "{bytes}: {said:?}");
        assert_eq!(reason(&said[0]), "parse_error", "{bytes}");
        assert_eq!(said[0]["id"], Value::Null, "{bytes}");
        bystander.is_unharmed();
    }
}

#[test]
fn a_length_that_is_none_closes_without_waiting_for_the_end_of_the_requests() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.send_raw(b"-1:{},");
    assert_eq!(edge.until_closed().len(), 1);
}

#[test]
fn a_netstring_above_the_limit_is_refused_and_the_connection_goes_on() {
    let daemon = Daemon::start();
    let mut bystander = Bystander::of(&daemon);
    let mut edge = daemon.edge();
    let huge = "x".repeat(FRAME + 1);
    edge.send_document(&huge);
    assert_eq!(reason(&edge.next_document().unwrap()), "limit_exceeded");
    assert_eq!(edge.ok("ping", &json!({})), json!({"pong": true}));
    bystander.is_unharmed();
    let padded = |length: usize| {
        let head = r#"{"jsonrpc":"2.0","id":77,"method":"ping","params":{"pad":""#;
        let tail = r#""}}"#;
        format!("{head}{}{tail}", "p".repeat(length - head.len() - tail.len()))
    };
    edge.send_document(&padded(FRAME));
    assert_eq!(edge.answer(77), Ok(json!({"pong": true})), "exactly at the limit");
}

#[test]
fn a_length_of_many_megabytes_takes_no_memory_before_its_bytes_are_there() {
    let daemon = Daemon::start();
    let mut bystander = Bystander::of(&daemon);
    let before = daemon.resident_bytes();
    let connections: Vec<_> = (0..200)
        .map(|_| {
            let mut edge = daemon.edge();
            edge.send_raw(b"99999999:{");
            assert_eq!(reason(&edge.next_document().unwrap()), "limit_exceeded");
            edge
        })
        .collect();
    assert!(daemon.resident_bytes() < before + 64 * 1024 * 1024);
    bystander.is_unharmed();
    drop(connections);
}

#[test]
fn a_bare_document_without_end_is_refused_at_the_limit_and_closes() {
    let daemon = Daemon::start();
    let mut bystander = Bystander::of(&daemon);
    let mut edge = daemon.switch("edge-1", Framing::Bare);
    edge.send_raw(format!("{{\"a\":\"{}", "x".repeat(FRAME)).as_bytes());
    let said = edge.until_closed();
    assert_eq!(said.iter().map(reason).collect::<Vec<_>>(), ["limit_exceeded"]);
    bystander.is_unharmed();
}

#[test]
fn bare_bytes_that_are_no_object_close_the_connection() {
    let daemon = Daemon::start();
    let mut bystander = Bystander::of(&daemon);
    for bytes in [
        "GET / HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n",
        "\"text\"",
        "null",
        "\u{16}\u{3}\u{1}\0",
        "}",
        "{\"a\" 1}",
        "{'a':1}",
    ] {
        let mut edge = daemon.switch("edge-1", Framing::Bare);
        edge.send_raw(bytes.as_bytes());
        let said = edge.until_closed();
        assert_eq!(said.iter().map(reason).collect::<Vec<_>>(), ["parse_error"], "{bytes:?}");
        bystander.is_unharmed();
    }
}

#[test]
fn a_frame_cut_off_by_the_end_of_the_connection_is_a_parse_error() {
    let daemon = Daemon::start();
    let mut bystander = Bystander::of(&daemon);
    for (framing, bytes) in [
        (Framing::Netstring, "40:{\"jsonrpc\":\"2.0\","),
        (Framing::Netstring, "40"),
        (Framing::Bare, "{\"jsonrpc\":\"2.0\",\"id\":1,"),
    ] {
        let mut edge = daemon.switch("edge-1", framing);
        edge.send_raw(bytes.as_bytes());
        edge.end_of_requests();
        let said = edge.until_closed();
        assert!(said.len() <= 1, "{said:?}");
        assert!(said.iter().all(|document| reason(document) == "parse_error"), "{said:?}");
        bystander.is_unharmed();
    }
}

#[test]
fn requests_before_a_lost_framing_are_answered() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    let (id, frame) = edge.request("ping", &json!({}));
    let mut bytes = frame;
    bytes.extend_from_slice(b"nonsense");
    edge.send_raw(&bytes);
    let said = edge.until_closed();
    assert!(said.iter().any(|document| document["id"] == id && document["result"]["pong"] == true), "{said:?}");
}

#[test]
fn a_netstring_whose_text_is_no_json_is_a_parse_error_and_the_next_one_is_served() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    let no_texts: [&[u8]; 7] = [
        b"{",
        b"nonsense",
        b"",
        b"\xff\xfe\xfd",
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\xc3\"}",
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}x",
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"pi\nng\"}",
    ];
    for text in no_texts {
        let mut frame = format!("{}:", text.len()).into_bytes();
        frame.extend_from_slice(text);
        frame.push(b',');
        edge.send_raw(&frame);
        assert_eq!(reason(&edge.next_document().unwrap()), "parse_error", "{:?}", String::from_utf8_lossy(text));
        assert_eq!(edge.ok("ping", &json!({})), json!({"pong": true}));
    }
}

#[test]
fn json_that_is_nested_too_deep_is_limit_exceeded() {
    let daemon = Daemon::start();
    let mut bystander = Bystander::of(&daemon);
    for framing in [Framing::Netstring, Framing::Bare] {
        let mut edge = daemon.switch("edge-1", framing);
        for depth in [40, 20_000] {
            let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            edge.send_document(&format!(r#"{{"jsonrpc":"2.0","id":5,"method":"ping","params":{deep}}}"#));
            let answer = edge.next_document().unwrap();
            assert_eq!(reason(&answer), "limit_exceeded", "{depth}");
            bystander.is_unharmed();
        }
        assert_eq!(edge.ok("ping", &json!({})), json!({"pong": true}), "{framing:?}");
    }
}

#[test]
fn a_member_that_is_there_twice_is_refused() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("twice", super::ANNA);
    for (document, expected) in [
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, "invalid_request"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"call.end"}"#, "invalid_request"),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"context.get","params":{"call_id":"twice","call_id":"other"}}"#,
            "invalid_params",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"variables.set","params":{"call_id":"twice","set":{"a":1,"a":2}}}"#,
            "invalid_params",
        ),
    ] {
        edge.send_document(document);
        assert_eq!(reason(&edge.next_document().unwrap()), expected, "{document}");
    }
    assert_eq!(edge.context("twice")["revision"], 0);
}

#[test]
fn numbers_as_names_and_ids_of_wrong_types_are_refused() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("typed", super::ANNA);
    for (document, expected) in [
        (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, "invalid_request"),
        (r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#, "invalid_request"),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, "invalid_request"),
        (r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#, "invalid_request"),
        (r#"{"jsonrpc":"2.0","id":9223372036854775808,"method":"ping"}"#, "invalid_request"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"context.get","params":{"call_id":5}}"#, "invalid_params"),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"variables.delete","params":{"call_id":"typed","names":[5]}}"#,
            "invalid_params",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"variables.set","params":{"call_id":"typed","set":[["a",1]]}}"#,
            "invalid_params",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"call.start","params":{"call_id":"x","from":5,"to":6}}"#,
            "invalid_params",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"variables.set","params":{"call_id":"typed","set":{"a":1},"if_revision":"0"}}"#,
            "invalid_params",
        ),
    ] {
        edge.send_document(document);
        assert_eq!(reason(&edge.next_document().unwrap()), expected, "{document}");
    }
    // No JSON at all: a name without quotes.
    edge.send_document(r#"{"jsonrpc":"2.0","id":1,"method":"variables.set","params":{"call_id":"typed","set":{5:1}}}"#);
    assert_eq!(reason(&edge.next_document().unwrap()), "parse_error");
    assert_eq!(edge.context("typed")["revision"], 0);
}
