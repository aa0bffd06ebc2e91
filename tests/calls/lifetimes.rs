//! How long variables live, and who sees them (PRODUCT.md 4.1, 4.2).

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::ANNA;
use super::support::{Config, Daemon, wait};

fn variables(context: &Value) -> &Value {
    &context["variables"]
}

#[test]
fn session_variables_go_at_the_start_of_a_new_call_and_user_variables_stay() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("one", ANNA);
    edge.set("one", "session", json!({"ticket": {"id": 4711}, "step": 2}));
    edge.set("one", "user", json!({"language": "de"}));
    edge.end("one");
    let context = edge.start("two", ANNA);
    assert_eq!(variables(&context), &json!({"language": "de"}));
    assert_eq!(context["active_calls"], 1);
}

#[test]
fn a_parallel_call_joins_the_live_session_and_wipes_nothing() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("one", ANNA);
    edge.set("one", "session", json!({"ticket": 1}));
    let parallel = edge.start("two", ANNA);
    assert_eq!(variables(&parallel), &json!({"ticket": 1}));
    assert_eq!((&parallel["active_calls"], &parallel["returning"]), (&json!(2), &json!(true)));
    edge.end("one");
    assert_eq!(variables(&edge.context("two")), &json!({"ticket": 1}), "one call is still up");
    assert_eq!(variables(&edge.start("three", ANNA)), &json!({"ticket": 1}));
    edge.end("two");
    edge.end("three");
    assert_eq!(variables(&edge.start("four", ANNA)), &json!({}), "from 0 to 1");
}

#[test]
fn a_release_may_reset_at_every_call() {
    let mut config = Config::default();
    config.tenants =
        config.tenants.replacen("generation = \"phone2\"", "generation = \"phone2\"\nreset = \"every-call\"", 1);
    let daemon = Daemon::with(config);
    let mut edge = daemon.edge();
    edge.start("one", ANNA);
    edge.set("one", "session", json!({"ticket": 1}));
    assert_eq!(variables(&edge.start("two", ANNA)), &json!({}));
}

#[test]
fn a_refused_start_wipes_nothing() {
    let daemon = Daemon::with(Config::default().limits("active_calls = 1"));
    let mut edge = daemon.edge();
    edge.start("one", ANNA);
    edge.set("one", "session", json!({"ticket": 1}));
    edge.end("one");
    edge.start("other", super::BERT);
    let refused = edge.refused("call.start", &super::support::rpc::start("two", ANNA));
    assert_eq!(refused, "overloaded");
    let session = edge.call("context.get", &json!({"call_id": "two"})).unwrap_err();
    assert_eq!(session.reason, "unknown_call");
    let reopened = {
        edge.end("other");
        edge.start("one", ANNA)
    };
    assert_eq!(variables(&reopened), &json!({"ticket": 1}), "the same call again, and nothing came between");
}

#[test]
fn call_variables_shadow_in_their_own_call_only_and_go_with_it() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("one", ANNA);
    edge.start("two", ANNA);
    edge.set("one", "session", json!({"menu": "shared"}));
    edge.set("one", "call", json!({"menu": "own", "only": true}));
    assert_eq!(variables(&edge.context("one")), &json!({"menu": "own", "only": true}));
    assert_eq!(variables(&edge.context("two")), &json!({"menu": "shared"}));
    edge.ok("variables.delete", &json!({"call_id": "one", "names": ["menu"]}));
    assert_eq!(variables(&edge.context("one")), &json!({"menu": "shared", "only": true}), "the call's own goes first");
    edge.ok("variables.delete", &json!({"call_id": "one", "names": ["menu"]}));
    assert_eq!(variables(&edge.context("two")), &json!({}));
    edge.end("one");
    let reopened = edge.start("one", ANNA);
    assert_eq!(variables(&reopened), &json!({}), "call variables went at the end of the call");
}

#[test]
fn session_and_user_variables_share_their_names_and_setting_moves() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("one", ANNA);
    edge.set("one", "session", json!({"language": "de"}));
    edge.set("one", "user", json!({"language": "en"}));
    edge.ok("variables.set", &json!({"call_id": "one", "set": {"language": "fr", "fresh": 1}}));
    edge.end("one");
    let context = edge.start("two", ANNA);
    assert_eq!(
        variables(&context),
        &json!({"language": "fr"}),
        "without a lifetime the existing one is kept, a new variable is a session one"
    );
}

#[test]
fn a_variable_with_a_ttl_is_never_returned_after_its_end_and_never_gone_before() {
    const TTL: Duration = Duration::from_millis(600);
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("one", ANNA);
    let before = Instant::now();
    edge.ok("variables.set", &json!({"call_id": "one", "set": {"pin_ok": true}, "ttl": "600ms", "lifetime": "user"}));
    let after = Instant::now();
    edge.set("one", "session", json!({"stays": 1}));
    wait::until("the variable is gone", || {
        let asked = Instant::now();
        let context = edge.context("one");
        let answered = Instant::now();
        assert_eq!(variables(&context)["stays"], 1);
        if variables(&context).get("pin_ok").is_some() {
            assert!(asked < after + TTL, "returned after its end");
            return false;
        }
        // The two clocks may differ by the length of a millisecond.
        assert!(answered + Duration::from_millis(1) >= before + TTL, "gone before its end");
        true
    });
}

#[test]
fn one_revision_counter_counts_changes_of_all_calls_and_no_events() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("one", ANNA);
    edge.start("two", ANNA);
    let first = edge.set("one", "session", json!({"a": 1, "b": 2, "c": 3}));
    let second = edge.set("two", "call", json!({"a": 1}));
    edge.ok("call.ringing", &json!({"call_id": "one", "code": 180}));
    edge.ok("call.answer", &json!({"call_id": "one"}));
    let third = edge.ok("variables.delete", &json!({"call_id": "two", "names": ["b", "missing"]}));
    assert_eq!(first, 1, "all changes of one commit share their revision");
    assert_eq!(second, 2);
    assert_eq!(third["revision"], 3);
    assert_eq!(edge.context("one")["revision"], 3);
    let nothing = edge.ok("variables.delete", &json!({"call_id": "two", "names": ["missing"]}));
    assert_eq!(nothing["revision"], 3, "a missing name is no error, and no change");
}

#[test]
fn if_revision_lets_one_of_two_writers_win() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("one", ANNA);
    edge.start("two", ANNA);
    edge.set("one", "session", json!({"counter": 0}));
    let set = |call: &str, value: i64, revision: u64| json!({"call_id": call, "set": {"counter": value}, "if_revision": revision});
    assert_eq!(edge.ok("variables.set", &set("one", 1, 1))["revision"], 2);
    let lost = edge.call("variables.set", &set("two", 1, 1)).unwrap_err();
    assert_eq!((lost.reason.as_str(), lost.code), ("revision_conflict", -32007));
    assert_eq!(edge.context("two")["variables"]["counter"], 1);
    assert_eq!(edge.ok("variables.set", &set("two", 2, 2))["revision"], 3);
    let delete = json!({"call_id": "two", "names": ["counter"], "if_revision": 2});
    assert_eq!(edge.refused("variables.delete", &delete), "revision_conflict");
}

#[test]
fn two_writers_never_lose_an_update() {
    const TIMES: i64 = 40;
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("call-a", ANNA);
    edge.start("call-b", ANNA);
    edge.set("call-a", "session", json!({"counter": 0}));
    std::thread::scope(|scope| {
        for call in ["call-a", "call-b"] {
            let mut edge = daemon.edge();
            scope.spawn(move || {
                let mut done = 0;
                while done < TIMES {
                    let context = edge.context(call);
                    let next = context["variables"]["counter"].as_i64().unwrap() + 1;
                    let set = json!({"call_id": call, "set": {"counter": next}, "if_revision": context["revision"]});
                    match edge.call("variables.set", &set) {
                        Ok(_) => done += 1,
                        Err(error) => assert_eq!(error.reason, "revision_conflict"),
                    }
                }
            });
        }
    });
    let context = edge.context("call-a");
    assert_eq!(context["variables"]["counter"], 2 * TIMES);
    assert_eq!(context["revision"], 2 * TIMES + 1);
}
