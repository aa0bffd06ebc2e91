//! Framing, ids, errors and what of the context a switch sees (PRODUCT.md 5.1, 5.2).

use std::time::Duration;

use serde_json::{Value, json};

use super::ANNA;
use super::support::{Config, Daemon, Framing, Incoming, Switch, rpc};

#[test]
fn both_framings_are_answered_on_one_port_in_the_framing_they_were_asked_in() {
    let daemon = Daemon::start();
    for framing in [Framing::Netstring, Framing::Bare] {
        let mut edge = daemon.switch("edge-1", framing);
        assert_eq!(edge.ok("ping", &json!({})), json!({"pong": true}));
        edge.start(&format!("{framing:?}"), ANNA);
    }
}

#[test]
fn bare_documents_may_have_whitespace_between_them_or_nothing() {
    let daemon = Daemon::start();
    let mut edge = daemon.switch("edge-1", Framing::Bare);
    let ping = |id: i64| json!({"jsonrpc": "2.0", "id": id, "method": "ping", "params": {}}).to_string();
    edge.send_raw(format!("{}{} \r\n\t{}\n", ping(1), ping(2), ping(3)).as_bytes());
    for id in 1..=3 {
        assert_eq!(edge.answer(id), Ok(json!({"pong": true})));
    }
}

#[test]
fn an_id_comes_back_as_it_was() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    for id in [json!("a-\"7\""), json!(0), json!(-5), json!(i64::MAX), json!(i64::MIN)] {
        edge.send_document(&json!({"jsonrpc": "2.0", "id": id, "method": "ping"}).to_string());
        let answer = edge.next_document().unwrap();
        assert_eq!(answer["id"], id);
        assert_eq!(answer["result"], json!({"pong": true}));
    }
}

#[test]
fn a_notification_is_never_answered_not_even_a_wrong_one() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.notify("ping", &json!({}));
    edge.notify("no.such.method", &json!({}));
    edge.notify("call.answer", &json!({"call_id": "nobody"}));
    edge.notify("call.start", &json!({"call_id": 7}));
    edge.send_document(&json!({"jsonrpc": "2.0", "id": null, "method": "ping", "params": {}}).to_string());
    let id = edge.send("ping", &json!({}));
    let (answered, _) = edge.next_answer().unwrap();
    assert_eq!(answered, Some(id), "the first answer is that of the request");
    assert!(edge.poll_document(Duration::from_millis(200)) == Incoming::Nothing, "nothing is pushed on this channel");
}

#[test]
fn errors_have_the_codes_and_words_of_the_contract() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    let cases = [
        ("no.such.method", json!({}), "method_not_found", -32601),
        ("call.start", json!({"call_id": "a"}), "invalid_params", -32602),
        ("call.start", json!({"call_id": 7, "from": "a", "to": "b"}), "invalid_params", -32602),
        ("call.start", json!([]), "invalid_params", -32602),
        ("call.dtmf", json!({"call_id": "a", "digit": "55"}), "invalid_params", -32602),
        ("call.ringing", json!({"call_id": "a", "code": "180"}), "invalid_params", -32602),
        ("context.get", json!({}), "invalid_params", -32602),
        ("variables.set", json!({"call_id": "a", "set": {"no name": 1}}), "invalid_params", -32602),
        ("variables.set", json!({"call_id": "a", "set": {"n": 1}, "ttl": "soon"}), "invalid_params", -32602),
        ("call.start", rpc::start_to("a", ANNA, "tel:+12025550199"), "unknown_release", -32002),
    ];
    for (method, params, reason, code) in cases {
        let error = edge.call(method, &params).unwrap_err();
        assert_eq!((error.reason.as_str(), error.code), (reason, code), "{method} {params}: {}", error.message);
    }
    for document in [r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, r#"{"id":1,"method":"ping"}"#, "[]"] {
        edge.send_document(document);
        let (_, answer) = edge.next_answer().unwrap();
        assert_eq!(answer.unwrap_err().reason, "invalid_request", "{document}");
    }
    assert_eq!(edge.ok("ping", &json!({})), json!({"pong": true}), "a netstring connection goes on");
}

#[test]
fn unknown_members_are_ignored() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    let mut start = rpc::start("one", ANNA);
    start["colour"] = json!({"of": ["the", "sky"]});
    start["sync"] = json!(null);
    edge.ok("call.start", &start);
    edge.ok("call.end", &json!({"call_id": "one", "cause": "bye", "code": 200, "who": "caller"}));
}

#[test]
fn a_value_of_any_json_type_comes_back_as_it_was() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("one", ANNA);
    let values = json!({
        "null": null, "no": false, "zero": 0, "most": i64::MAX, "least": i64::MIN, "real": 0.25, "large": 1.5e15,
        "text": "Grüße 🙂 \"\\/ \t", "list": [1, [2, [3]]], "object": {"a": {"b": {}}}, "empty": "",
    });
    edge.set("one", "session", values.clone());
    assert_eq!(edge.context("one")["variables"], values);
}

#[test]
fn limits_of_names_and_values_are_checked_before_anything_is_written() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("one", ANNA);
    let longest_name = "n".repeat(128);
    let largest = "v".repeat(16 * 1024 - 2);
    edge.set("one", "session", json!({longest_name.as_str(): 1, "Az_09.:-": 1, "largest": largest}));
    let too_large = "v".repeat(16 * 1024 - 1);
    let refused = [json!({"good": 1, "n".repeat(129): 1}), json!({"good": 1, "large": too_large})];
    for set in refused {
        let reason = edge.refused("variables.set", &json!({"call_id": "one", "set": set}));
        assert!(matches!(reason.as_str(), "limit_exceeded" | "invalid_params"), "{reason}");
    }
    let context = edge.context("one");
    assert_eq!(context["revision"], 1);
    assert!(context["variables"].get("good").is_none(), "all or nothing");
}

#[test]
fn more_variables_or_bytes_than_a_session_may_have_are_limit_exceeded() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("many", ANNA);
    for at in 0..256 {
        edge.set("many", "session", json!({format!("v{at}"): at}));
    }
    let one_more = json!({"call_id": "many", "set": {"one_more": 1}});
    let error = edge.call("variables.set", &one_more).unwrap_err();
    assert_eq!((error.reason.as_str(), error.code), ("limit_exceeded", -32005));
    edge.set("many", "session", json!({"v0": "still"}));
    edge.start("heavy", super::BERT);
    let half = "v".repeat(15 * 1024);
    let refused_at = (0..20).find(|at| {
        let set = json!({"call_id": "heavy", "set": {format!("v{at}"): half}});
        edge.call("variables.set", &set).is_err_and(|error| error.reason == "limit_exceeded")
    });
    assert_eq!(refused_at, Some(17), "17 values of 15 KiB are within 256 KiB");
}

fn switch_with(lines: &str) -> Daemon {
    let mut seeing = Switch::trusted("edge-2");
    seeing.lines.push_str(lines);
    Daemon::with(Config::default().switches([Switch::trusted("edge-1"), seeing]))
}

#[test]
fn a_switch_sees_the_variables_it_is_exposed_only() {
    let daemon = switch_with("expose = [\"language\", \"ticket\"]\n");
    let mut edge = daemon.edge();
    edge.start("one", ANNA);
    edge.set("one", "session", json!({"language": "de", "secret": "x", "ticket": 1}));
    let mut seeing = daemon.switch("edge-2", Framing::Netstring);
    let context = seeing.context("one");
    assert_eq!(context["variables"], json!({"language": "de", "ticket": 1}));
    assert!(context.get("truncated").is_none());
    assert_eq!(edge.context("one")["variables"]["secret"], "x");
}

#[test]
fn an_answer_larger_than_max_answer_leaves_variables_out_in_the_order_of_expose() {
    let daemon = switch_with("expose = [\"last\", \"first\", \"middle\"]\nmax_answer = \"2KiB\"\n");
    let mut edge = daemon.edge();
    edge.start("one", ANNA);
    let kilobyte = "k".repeat(1_000);
    edge.set("one", "session", json!({"first": kilobyte, "middle": kilobyte, "last": "short"}));
    let mut seeing = daemon.switch("edge-2", Framing::Netstring);
    let id = seeing.send("context.get", &json!({"call_id": "one"}));
    let answer = seeing.next_document().unwrap();
    assert_eq!(answer["id"], id);
    assert!(answer.to_string().len() <= 2 * 1024);
    let context: &Value = &answer["result"];
    assert_eq!(context["truncated"], true);
    assert_eq!(context["variables"], json!({"last": "short", "first": kilobyte}));
}

#[test]
fn a_request_not_answered_in_time_is_late_once_and_its_outcome_is_one_of_two() {
    let daemon = Daemon::with(Config { limits: "answer_within = \"10ms\"\n".to_owned(), ..Config::default() });
    let mut edge = daemon.edge();
    let requests = (0..400).map(|call| ("call.start", rpc::start(&format!("busy-{call}"), ANNA)));
    let answers = edge.pipeline(requests.collect::<Vec<_>>());
    for answer in answers {
        if let Err(error) = answer {
            assert!(
                matches!((error.reason.as_str(), error.code), ("late", -32010) | ("overloaded", -32004)),
                "{error:?}"
            );
        }
    }
    // `late` says: repeat it.
    for call in 0..400 {
        let start = rpc::start(&format!("busy-{call}"), ANNA);
        while let Err(error) = edge.call("call.start", &start) {
            assert!(matches!(error.reason.as_str(), "late" | "overloaded"), "{error:?}");
        }
    }
    let context = edge.ok("context.get", &json!({"call_id": "busy-0"}));
    assert_eq!(context["active_calls"], 400);
}
