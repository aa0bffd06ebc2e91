//! Withheld callers (PRODUCT.md 3.4).

use serde_json::{Value, json};

use super::support::{Daemon, Framing, rpc};
use super::{ANNA, BERT};

fn withheld(call: &str) -> Value {
    json!({"call_id": call, "from": "sip:anonymous@anonymous.invalid", "to": "tel:+493023125000"})
}

#[test]
fn a_withheld_call_joins_nothing_and_is_never_returning() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    let first = edge.ok("call.start", &withheld("hidden-1"));
    let second = edge.ok("call.start", &withheld("hidden-2"));
    for context in [&first, &second] {
        let session_id = context["session_id"].as_str().unwrap();
        let random = session_id.strip_prefix("anon-").unwrap_or_else(|| panic!("{session_id}"));
        assert_eq!(random.len(), 32);
        assert_eq!(context["anonymous"], true);
        assert_eq!(context["returning"], false);
        assert_eq!(context["active_calls"], 1);
    }
    assert_ne!(first["session_id"], second["session_id"]);
}

#[test]
fn every_way_to_ask_for_privacy_hides_even_an_asserted_number() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    let known = edge.start("known", ANNA);
    let ways = [
        json!({"privacy": "id"}),
        json!({"privacy": "header;user"}),
        json!({"privacy": "history"}),
        json!({"rpid": format!("<sip:{ANNA}@192.0.2.7>;party=calling;privacy=full")}),
        json!({"from": "sip:Anonymous@192.0.2.7"}),
        json!({"from": "sip:266696687@192.0.2.7"}),
        json!({"from": "sip:+86282452253@192.0.2.7"}),
        json!({"from": "sip:unavailable@192.0.2.7"}),
    ];
    for (at, way) in ways.iter().enumerate() {
        let mut start = rpc::start(&format!("asks-{at}"), ANNA);
        start["pai"] = json!(format!("<tel:{ANNA}>"));
        start.as_object_mut().unwrap().extend(way.as_object().unwrap().clone());
        let context = edge.ok("call.start", &start);
        assert_eq!(context["anonymous"], true, "{way}");
        assert_ne!(context["session_id"], known["session_id"], "{way}");
    }
}

#[test]
fn a_display_name_withholds_nothing_and_a_user_id_makes_the_caller_known() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    let named = json!({"call_id": "named", "from": format!("\"Anonymous\" <sip:{ANNA}@192.0.2.7>"),
        "to": "tel:+493023125000"});
    assert_eq!(edge.ok("call.start", &named)["anonymous"], false);
    let mut by_user = withheld("by-user");
    by_user["user_id"] = json!("customer-7");
    let context = edge.ok("call.start", &by_user);
    assert_eq!(context["anonymous"], false);
    edge.end("by-user");
    by_user["call_id"] = json!("by-user-again");
    assert_eq!(edge.ok("call.start", &by_user)["returning"], true);
}

#[test]
fn a_user_variable_of_a_withheld_caller_is_refused_and_others_are_not() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.ok("call.start", &withheld("hidden"));
    let user = json!({"call_id": "hidden", "lifetime": "user", "set": {"language": "de"}});
    let error = edge.call("variables.set", &user).unwrap_err();
    assert_eq!((error.reason.as_str(), error.code), ("user_lifetime_unavailable", -32006));
    edge.set("hidden", "session", json!({"language": "de"}));
    edge.set("hidden", "call", json!({"menu": 3}));
    assert_eq!(edge.context("hidden")["variables"], json!({"language": "de", "menu": 3}));
}

#[test]
fn two_withheld_starts_from_one_switch_are_the_same_call_and_from_another_are_not() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    let first = edge.ok("call.start", &withheld("hidden"));
    let again = edge.ok("call.start", &withheld("hidden"));
    assert_eq!(again["session_id"], first["session_id"]);
    assert_eq!(again["active_calls"], 1);
    let mut other = daemon.switch("edge-2", Framing::Netstring);
    assert_eq!(other.refused("call.start", &withheld("hidden")), "call_id_in_use");
    assert_eq!(edge.refused("call.start", &rpc::start("hidden", BERT)), "call_id_in_use");
}
