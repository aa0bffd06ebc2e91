//! Pipelining, and the order of the frames of one call (PRODUCT.md 4.2, 5.1).

use std::collections::HashMap;

use serde_json::{Value, json};

use super::support::{Answer, Config, Daemon, Framing, rpc};
use super::{ANNA, BERT};

#[test]
fn an_end_right_behind_the_start_of_a_cold_session_leaves_no_phantom() {
    let mut daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("warm", ANNA);
    edge.set("warm", "user", json!({"language": "de"}));
    edge.set("warm", "session", json!({"ticket": 1}));
    edge.end("warm");
    drop(edge);
    daemon.terminate();
    daemon.restart();

    let mut edge = daemon.edge();
    let answers = edge.pipeline([
        ("call.start", rpc::start("quick", ANNA)),
        ("call.end", json!({"call_id": "quick"})),
        ("context.get", json!({"call_id": "quick"})),
    ]);
    assert_eq!(answers[0].as_ref().unwrap()["variables"], json!({"language": "de"}));
    assert_eq!(answers[0].as_ref().unwrap()["returning"], true);
    assert_eq!(answers[1], Ok(json!({})));
    assert_eq!(answers[2].as_ref().unwrap_err().reason, "unknown_call");
    assert_eq!(edge.start("next", ANNA)["active_calls"], 1, "no phantom is left");
}

#[test]
fn frames_of_one_call_take_effect_as_they_arrived_also_behind_a_cold_start() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    let answers = edge.pipeline([
        ("call.start", rpc::start("one", ANNA)),
        ("call.ringing", json!({"call_id": "one", "code": 180})),
        ("variables.set", json!({"call_id": "one", "set": {"step": 1}})),
        ("variables.set", json!({"call_id": "one", "set": {"step": 2}, "if_revision": 1})),
        ("context.get", json!({"call_id": "one"})),
        ("call.answer", json!({"call_id": "one"})),
        ("variables.delete", json!({"call_id": "one", "names": ["step"], "if_revision": 2})),
        ("context.get", json!({"call_id": "one"})),
    ]);
    let results: Vec<&Value> = answers.iter().map(|answer| answer.as_ref().unwrap()).collect();
    assert_eq!(results[2]["revision"], 1);
    assert_eq!(results[3]["revision"], 2);
    assert_eq!(results[4]["variables"], json!({"step": 2}));
    assert_eq!(results[6]["revision"], 3);
    assert_eq!(results[7]["variables"], json!({}));
}

#[test]
fn frames_behind_a_refused_start_are_dropped_with_it() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    let mut start = rpc::start("refused", ANNA);
    start["to"] = json!("tel:+12025550199");
    let answers = edge.pipeline([
        ("call.start", start),
        ("call.answer", json!({"call_id": "refused"})),
        ("variables.set", json!({"call_id": "refused", "set": {"a": 1}})),
        ("call.end", json!({"call_id": "refused"})),
    ]);
    let reasons: Vec<String> = answers[..3].iter().map(|answer| answer.as_ref().unwrap_err().reason.clone()).collect();
    assert_eq!(reasons, ["unknown_release", "unknown_call", "unknown_call"]);
    assert_eq!(answers[3], Ok(json!({})));
}

/// The life of one call: 6 requests.
fn life(call: &str, number: &str, step: usize) -> (&'static str, Value) {
    match step {
        0 => ("call.start", rpc::start(call, number)),
        1 => ("variables.set", json!({"call_id": call, "lifetime": "call", "set": {"step": 1}})),
        2 => ("variables.set", json!({"call_id": call, "set": {"step": 2}})),
        3 => ("call.answer", json!({"call_id": call})),
        4 => ("context.get", json!({"call_id": call})),
        _ => ("call.end", json!({"call_id": call})),
    }
}

fn lives(calls: usize, prefix: &str) -> Vec<(&'static str, Value)> {
    (0..6)
        .flat_map(|step| (0..calls).map(move |call| (step, call)))
        .map(|(step, call)| life(&format!("{prefix}-{call}"), &format!("+493023125{:03}", call % 1_000), step))
        .collect()
}

#[test]
fn thousands_of_requests_in_flight_on_one_connection_keep_the_order_of_each_call() {
    const CALLS: usize = 500;
    for framing in [Framing::Netstring, Framing::Bare] {
        let daemon = Daemon::start();
        let mut edge = daemon.switch("edge-1", framing);
        let answers = edge.pipeline(lives(CALLS, "call"));
        assert_eq!(answers.len(), 6 * CALLS);
        for call in 0..CALLS {
            let of = |step: usize| {
                let answer = &answers[step * CALLS + call];
                answer.as_ref().unwrap_or_else(|error| panic!("call {call}, step {step}: {error:?}"))
            };
            assert_eq!(of(0)["active_calls"], 1);
            let revision = of(0)["revision"].as_u64().unwrap();
            assert_eq!(of(1)["revision"], revision + 1);
            assert_eq!(of(2)["revision"], revision + 2);
            assert_eq!(of(4)["variables"], json!({"step": 2}));
            assert_eq!(of(5), &json!({}));
        }
    }
}

#[test]
fn above_its_capacity_every_request_is_still_answered_once_and_only_with_overloaded() {
    const CALLS: usize = 4_000;
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    let answers = edge.pipeline(lives(CALLS, "flood"));
    let mut reasons: HashMap<String, usize> = HashMap::new();
    for error in answers.iter().filter_map(|answer: &Answer| answer.as_ref().err()) {
        *reasons.entry(error.reason.clone()).or_default() += 1;
    }
    for reason in reasons.keys() {
        assert!(matches!(reason.as_str(), "overloaded" | "unknown_call"), "{reasons:?}");
    }
    if reasons.contains_key("unknown_call") {
        assert!(
            reasons.contains_key("overloaded"),
            "a call is unknown only because its start was refused: {reasons:?}"
        );
    }
    assert_eq!(edge.ok("ping", &json!({})), json!({"pong": true}));
}

#[test]
fn notifications_pause_the_reader_and_none_is_lost() {
    const TIMES: usize = 20_000;
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("noisy", ANNA);
    let mut bytes = Vec::new();
    for value in 0..TIMES {
        let set = json!({"jsonrpc": "2.0", "method": "variables.set",
            "params": {"call_id": "noisy", "set": {"last": value}}});
        bytes.extend_from_slice(&Framing::Netstring.frame(&set.to_string()));
    }
    std::thread::scope(|scope| {
        let mut writer = edge.stream().try_clone().unwrap();
        scope.spawn(move || std::io::Write::write_all(&mut writer, &bytes).unwrap());
        let mut other = daemon.edge();
        assert_eq!(other.start("quiet", BERT)["active_calls"], 1, "other connections are served meanwhile");
    });
    let context = edge.context("noisy");
    assert_eq!(context["revision"], TIMES, "each notification took effect");
    assert_eq!(context["variables"]["last"], TIMES - 1);
}

#[test]
fn a_call_whose_start_was_a_notification_is_there_for_the_next_request() {
    let daemon = Daemon::start();
    let mut edge = daemon.switch("edge-1", Framing::Bare);
    edge.notify("call.start", &rpc::start("quiet", ANNA));
    edge.notify("variables.set", &json!({"call_id": "quiet", "set": {"a": 1}}));
    assert_eq!(edge.context("quiet")["variables"], json!({"a": 1}));
    edge.notify("call.end", &json!({"call_id": "quiet"}));
    assert_eq!(edge.context_reason("quiet"), "unknown_call");
}

#[test]
fn more_active_calls_than_the_limit_are_overloaded_at_once_and_work_again_when_there_is_room() {
    let daemon = Daemon::with(Config::default().limits("active_calls = 2"));
    let mut edge = daemon.edge();
    edge.start("one", ANNA);
    edge.start("two", ANNA);
    let error = edge.call("call.start", &rpc::start("three", BERT)).unwrap_err();
    assert_eq!((error.reason.as_str(), error.code), ("overloaded", -32004));
    edge.set("one", "session", json!({"goes": "on"}));
    assert_eq!(edge.start("two", ANNA)["active_calls"], 2, "a repeated start is no further call");
    edge.end("one");
    edge.start("three", BERT);
}

#[test]
fn above_the_memory_for_sessions_new_calls_are_overloaded_and_running_ones_go_on() {
    let daemon = Daemon::with(Config::default().limits("session_memory = \"1MiB\""));
    let mut edge = daemon.edge();
    let large = "v".repeat(15_000);
    let started = (0..1_000)
        .take_while(|call| {
            let (id, number) = (format!("heavy-{call}"), format!("+493023125{call:03}"));
            match edge.call("call.start", &rpc::start(&id, &number)) {
                Ok(_) => {
                    // Near the limit the set is refused, too, because it needs memory.
                    let set = json!({"call_id": id, "lifetime": "call", "set": {"large": large}});
                    let refused = edge.call("variables.set", &set).err().map(|error| error.reason);
                    assert!(matches!(refused.as_deref(), None | Some("overloaded")), "{refused:?}");
                    true
                }
                Err(error) => {
                    assert_eq!(error.reason, "overloaded");
                    false
                }
            }
        })
        .count();
    assert!((20..200).contains(&started), "{started} sessions of 15 KB are within 1 MiB");
    edge.ok("call.answer", &json!({"call_id": "heavy-0"}));
    for call in 0..started {
        edge.end(&format!("heavy-{call}"));
    }
    edge.start("there-is-room-again", ANNA);
}
