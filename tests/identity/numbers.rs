//! Which release a call is for, and on which side its caller is (PRODUCT.md 3.1).

use serde_json::json;

use super::support::{Config, Daemon, Rpc, Switch, rpc};
use super::{ANNA, BERT};

/// Releases with exact numbers, prefixes that contain each other, and short codes.
fn config() -> Config {
    let release = |name: &str, numbers: &str| {
        format!("[[tenant.release]]\ninstance_id = \"{name}\"\ngeneration = \"phone2\"\nnumbers = {numbers}\n")
    };
    let tenants = [
        "[[tenant]]\nid = \"acme\"\n".to_owned(),
        release("exact", "[\"+493023125000\"]"),
        release("narrow", "[\"+49302312500*\"]"),
        release("wide", "[\"+493023125*\"]"),
        release("short", "[\"115\", \"1150\"]"),
        release("none", "[]"),
    ];
    Config::default().tenants(&tenants.concat()).switches([Switch::trusted("edge-1")])
}

fn release_of(edge: &mut Rpc, call: &str, to: &str) -> String {
    let context = edge.ok("call.start", &rpc::start_to(call, ANNA, to));
    context["instance_id"].as_str().unwrap().to_owned()
}

#[test]
fn an_exact_number_comes_before_the_longest_prefix_and_that_before_a_shorter_one() {
    let daemon = Daemon::with(config());
    let mut edge = daemon.edge();
    for (at, (to, release)) in [
        ("tel:+493023125000", "exact"),
        ("sip:03023125000@192.0.2.1;user=phone", "exact"),
        ("sip:+49 30 23125-000@192.0.2.1", "exact"),
        ("tel:+493023125001", "narrow"),
        ("tel:+493023125101", "wide"),
        ("sip:115@192.0.2.1", "short"),
        ("sip:1150@192.0.2.1", "short"),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(release_of(&mut edge, &format!("call-{at}"), to), release, "{to}");
    }
    for to in ["sip:11@192.0.2.1", "sip:11500@192.0.2.1", "tel:+442079460000", "sip:desk@192.0.2.1", "sip:@", ""] {
        assert_eq!(edge.refused("call.start", &rpc::start_to("none", ANNA, to)), "unknown_release", "{to:?}");
    }
}

#[test]
fn a_named_release_needs_no_number_and_comes_before_one() {
    let daemon = Daemon::with(config());
    let mut edge = daemon.edge();
    let mut start = rpc::start_to("named", ANNA, "tel:+493023125000");
    start["instance_id"] = json!("none");
    assert_eq!(edge.ok("call.start", &start)["instance_id"], "none");
    start["instance_id"] = json!("unknown");
    assert_eq!(edge.refused("call.start", &start), "unknown_release");
}

#[test]
fn an_outbound_call_has_its_caller_in_to_and_its_release_in_from() {
    let daemon = Daemon::with(config());
    let mut edge = daemon.edge();
    let inbound = edge.ok("call.start", &rpc::start_to("in", ANNA, "sip:115@192.0.2.1"));
    edge.set("in", "user", json!({"language": "de"}));
    edge.end("in");
    let outbound = |call: &str, more: serde_json::Value| {
        let mut start = json!({"call_id": call, "from": "sip:115@192.0.2.1", "to": format!("tel:{ANNA}"),
            "direction": "outbound"});
        start.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        start
    };
    let context = edge.ok("call.start", &outbound("out", json!({})));
    assert_eq!(context["session_id"], inbound["session_id"]);
    assert_eq!((&context["returning"], &context["variables"]["language"]), (&json!(true), &json!("de")));
    // Identity headers speak of the calling side, which is the release.
    let asserted = json!({"pai": [format!("<tel:{BERT}>")], "privacy": "id", "rpid": format!("<tel:{BERT}>;privacy=full"),
        "verstat": "TN-Validation-Passed-A"});
    let context = edge.ok("call.start", &outbound("out-2", asserted));
    assert_eq!(context["session_id"], inbound["session_id"]);
    assert_eq!((&context["anonymous"], &context["assurance"]), (&json!(false), &json!("none")));
    let wrong =
        json!({"call_id": "wrong", "from": "tel:+442079460001", "to": "sip:115@192.0.2.1", "direction": "outbound"});
    assert_eq!(edge.refused("call.start", &wrong), "unknown_release");
    let unknown =
        json!({"call_id": "odd", "from": "sip:115@192.0.2.1", "to": format!("tel:{ANNA}"), "direction": "sideways"});
    assert_eq!(edge.refused("call.start", &unknown), "invalid_params");
}
