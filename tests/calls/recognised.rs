//! Who is calling, and is it the same caller again (PRODUCT.md 3.1, 3.2, 5.2).

use std::collections::BTreeSet;
use std::sync::Barrier;

use data_encoding::HEXLOWER;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::support::{Config, Daemon, Framing, Switch, rpc};
use super::{ANNA, BERT};

fn text<'v>(context: &'v Value, member: &str) -> &'v str {
    context[member].as_str().unwrap_or_else(|| panic!("{member} is no text: {context}"))
}

#[test]
fn a_first_caller_gets_a_whole_context() {
    let daemon = Daemon::start();
    let context = daemon.edge().start("first-1@192.0.2.7", ANNA);
    let session_id = text(&context, "session_id");
    assert_eq!(session_id.len(), 64);
    assert!(session_id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{session_id}");
    assert_eq!(text(&context, "call_id"), "first-1@192.0.2.7");
    assert_eq!(text(&context, "callerid"), format!("{session_id}/first-1@192.0.2.7"));
    assert_eq!(context["tenant"], "acme");
    assert_eq!(context["instance_id"], "support-de");
    assert_eq!(context["returning"], false);
    assert_eq!(context["anonymous"], false);
    assert_eq!(context["assurance"], "none");
    assert_eq!(context["active_calls"], 1);
    assert_eq!(context["last_contact"], Value::Null);
    assert_eq!(context["revision"], 0);
    assert_eq!(context["variables"], json!({}));
    assert!(context.get("truncated").is_none());
    assert!(!context.to_string().contains("23125101"), "no number is in the context: {context}");
    let first_contact = text(&context, "first_contact");
    assert_eq!((first_contact.len(), &first_contact[23..]), (24, "Z"), "UTC with milliseconds: {first_contact}");
}

#[test]
fn a_returning_caller_is_recognised_however_the_number_is_written() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    let first = edge.start("spelling-0", ANNA);
    edge.end("spelling-0");
    let spellings = [
        "tel:+49-30-23125-101",
        "\"Anna\" <sip:+493023125101@192.0.2.9:5080;transport=tcp>;tag=7f",
        "sip:03023125101@192.0.2.7;user=phone",
        "sips:%2B493023125101@192.0.2.7",
        "004930 23125 101",
    ];
    for (at, from) in spellings.into_iter().enumerate() {
        let call = format!("spelling-{}", at + 1);
        let context = edge.ok("call.start", &json!({"call_id": call, "from": from, "to": "tel:+493023125000"}));
        assert_eq!(context["session_id"], first["session_id"], "{from}");
        assert_eq!(context["returning"], true, "{from}");
        assert_eq!(context["first_contact"], first["first_contact"], "{from}");
        assert!(text(&context, "last_contact") >= text(&first, "first_contact"), "{from}");
        edge.end(&call);
    }
    let other = edge.start("spelling-other", BERT);
    assert_ne!(other["session_id"], first["session_id"]);
    assert_eq!(other["returning"], false);
}

#[test]
fn the_session_id_of_a_phone2_release_is_the_keyed_value_of_the_contract() {
    let daemon = Daemon::start();
    let context = daemon.edge().start("keyed", ANNA);

    let root = HEXLOWER.decode(&std::fs::read(daemon.place().join("root.key")).unwrap()).unwrap();
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(Some(b"acme"), &root).expand(b"recalld/pseudonym/1", &mut key).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(&Sha256::digest(format!("tel:{ANNA}").as_bytes()));
    mac.update(b"support-de");
    assert_eq!(text(&context, "session_id"), HEXLOWER.encode(&mac.finalize().into_bytes()));
}

#[test]
fn a_phone1_caller_keeps_the_session_and_shares_it_with_no_other_release() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    let sales = |call: &str| json!({"call_id": call, "from": format!("tel:{ANNA}"), "to": "tel:+12025550100"});
    let first = edge.ok("call.start", &sales("sales-1"));
    edge.end("sales-1");
    let again = edge.ok("call.start", &sales("sales-2"));
    assert_eq!(first["instance_id"], "sales-us");
    assert_eq!(again["session_id"], first["session_id"]);
    assert_eq!(again["returning"], true);
    let support = edge.start("support-1", ANNA);
    assert_ne!(support["session_id"], first["session_id"]);
    assert_eq!(support["returning"], false);
}

#[test]
fn a_user_id_comes_before_all_headers_and_an_asserted_identity_before_from() {
    let trusted = Switch::trusted("edge-1");
    let untrusted = Switch::new("edge-2", "tenant = \"acme\"\nregion = \"DE\"\n");
    let daemon = Daemon::with(Config::default().switches([trusted, untrusted]));
    let mut edge = daemon.edge();
    let mut open = daemon.switch("edge-2", Framing::Netstring);
    let anna = edge.start("plain", ANNA);
    let asserted = |call: &str| {
        let mut start = rpc::start(call, BERT);
        start["pai"] = json!([format!("<sip:someone@192.0.2.7>"), format!("<tel:{ANNA}>")]);
        start
    };
    let by_pai = edge.ok("call.start", &asserted("by-pai"));
    assert_eq!(by_pai["session_id"], anna["session_id"], "a tel entry comes before a sip one");
    assert_eq!(by_pai["assurance"], "trunk");
    let by_from = open.ok("call.start", &asserted("by-from"));
    assert_ne!(by_from["session_id"], anna["session_id"], "a switch that is not trusted asserts nothing");
    assert_eq!(by_from["assurance"], "none");
    let with_user = |call: &str, number: &str| {
        let mut start = rpc::start(call, number);
        start["user_id"] = json!("Customer-4711");
        start
    };
    let one = edge.ok("call.start", &with_user("user-1", ANNA));
    let two = edge.ok("call.start", &with_user("user-2", BERT));
    assert_eq!(one["session_id"], two["session_id"]);
    assert_ne!(one["session_id"], anna["session_id"]);
}

#[test]
fn an_outbound_call_has_its_caller_in_to() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    let inbound = edge.start("in", ANNA);
    let outbound = edge.ok(
        "call.start",
        &json!({"call_id": "out", "from": "tel:+493023125000", "to": format!("tel:{ANNA}"), "direction": "outbound"}),
    );
    assert_eq!(outbound["session_id"], inbound["session_id"]);
    assert_eq!(outbound["instance_id"], "support-de");
}

#[test]
fn two_first_calls_of_one_caller_at_the_same_instant_make_one_session() {
    const CALLERS: usize = 30;
    for called in ["tel:+493023125000", "tel:+12025550100"] {
        let daemon = Daemon::start();
        let together = Barrier::new(2);
        let call = |side: &str| {
            let mut edge = daemon.switch(side, Framing::Netstring);
            (0..CALLERS)
                .map(|caller| {
                    let from = format!("tel:+4930231252{caller:02}");
                    let start = json!({"call_id": format!("{side}-{caller}"), "from": from, "to": called});
                    together.wait();
                    edge.ok("call.start", &start)
                })
                .collect::<Vec<_>>()
        };
        let (one, other) = std::thread::scope(|scope| {
            let one = scope.spawn(|| call("edge-1"));
            let other = scope.spawn(|| call("edge-2"));
            (one.join().unwrap(), other.join().unwrap())
        });
        for (one, other) in one.iter().zip(&other) {
            assert_eq!(one["session_id"], other["session_id"]);
            let returning: BTreeSet<bool> = [one, other].map(|context| context["returning"].as_bool().unwrap()).into();
            assert_eq!(returning.len(), 2, "one of the two was first: {one} {other}");
        }
    }
}
