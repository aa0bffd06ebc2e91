//! Real Kamailio with the example `config/kamailio.cfg`, sipp as caller and as callee, and the daemon.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

#[path = "kamailio/lab.rs"]
mod lab;
#[path = "kamailio/program.rs"]
mod program;
mod support;

use std::net::TcpListener;

use lab::{IS_BUSY, Lab, RINGS, WAITS};
use serde_json::json;
use support::{Config, Daemon, Framing, wait};

const ALICE: &str = "\"Alice Example\" <sip:+12025550143@192.0.2.7>";
const BOB: &str = "\"Bob Example\" <sip:+442079460123@192.0.2.7>";
const NOBODY: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";

#[test]
fn a_returning_caller_is_known_to_the_callee() {
    let mut lab = Lab::start();
    let mut call = lab.call("first", ALICE);
    call.wait_for("talking");
    let first = lab.invite("first");
    assert!(is_session_id(first.session_id()), "{}", first.session_id());
    assert_eq!(first.header("X-Returning"), Some("0"));
    lab.wait_state("first", "answered");
    assert_eq!(lab.context("first")["session_id"], first.session_id());
    call.hang_up();
    assert_eq!(lab.wait_state("first", "ended")["cause"], "bye");

    let mut call = lab.call("second", ALICE);
    call.wait_for("talking");
    let second = lab.invite("second");
    assert_eq!(second.session_id(), first.session_id());
    assert_eq!(second.header("X-Returning"), Some("1"));
    let mut other = lab.call("other", BOB);
    other.wait_for("talking");
    assert_ne!(lab.invite("other").session_id(), first.session_id());
    assert_eq!(lab.invite("other").header("X-Returning"), Some("0"));
    call.hang_up();
    other.hang_up();
}

#[test]
fn a_variable_goes_into_a_header_only_if_it_cannot_end_it() {
    let mut lab = Lab::start();
    let mut call = lab.call("first", ALICE);
    call.wait_for("talking");
    assert_eq!(lab.invite("first").header("X-Language"), None);
    lab.set("first", "user", json!({"language": "de"}));

    let mut second = lab.call("second", ALICE);
    second.wait_for("talking");
    assert_eq!(lab.invite("second").header("X-Language"), Some("de"));
    lab.set("second", "user", json!({"language": "de\r\nX-Evil: 1"}));

    let mut third = lab.call("third", ALICE);
    third.wait_for("talking");
    let invite = lab.invite("third");
    assert_eq!((invite.header("X-Language"), invite.header("X-Evil")), (None, None));
    for call in [call, second, third] {
        call.hang_up();
    }
}

#[test]
fn a_caller_cannot_write_the_headers_that_the_callee_believes() {
    let mut lab = Lab::start();
    let forged = ["X-Session-Id: forged", "x-session-id: forged", "X-Returning: 1", "X-Language: xx"];
    let mut call = lab.call_to(lab::ANSWERS, "forger", ALICE, &forged);
    call.wait_for("talking");
    let invite = lab.invite("forger");
    assert!(is_session_id(invite.session_id()), "{}", invite.session_id());
    assert_eq!((invite.header("X-Returning"), invite.header("X-Language")), (Some("0"), None));
    call.hang_up();
}

#[test]
fn parallel_calls_share_the_session() {
    let mut lab = Lab::start();
    let mut one = lab.call("one", ALICE);
    one.wait_for("talking");
    lab.set("one", "session", json!({"ticket": 4711}));
    let mut two = lab.call("two", ALICE);
    two.wait_for("talking");
    assert_eq!(lab.invite("one").session_id(), lab.invite("two").session_id());
    let context = lab.context("two");
    assert_eq!((&context["active_calls"], &context["variables"]), (&json!(2), &json!({"ticket": 4711})));
    one.hang_up();
    lab.wait_state("one", "ended");
    assert_eq!(lab.context("two")["active_calls"], 1);
    two.hang_up();
    lab.wait_state("two", "ended");
}

#[test]
fn withheld_callers_are_never_joined() {
    let mut lab = Lab::start();
    let privacy = ["Privacy: id", "P-Asserted-Identity: \"Erika Mustermann\" <sip:+493023125042@192.0.2.7>"];
    let mut seen = Vec::new();
    for call_id in ["first", "second"] {
        let mut call = lab.call_to(lab::ANSWERS, call_id, NOBODY, &privacy);
        call.wait_for("talking");
        let invite = lab.invite(call_id);
        let random = invite.session_id().strip_prefix("anon-").expect("a withheld caller");
        assert!(random.len() == 32 && is_hex(random), "{random}");
        assert_eq!(invite.header("X-Returning"), Some("0"));
        assert_eq!(lab.context(call_id)["anonymous"], true);
        seen.push(random.to_owned());
        call.hang_up();
    }
    assert_ne!(seen[0], seen[1]);
}

#[test]
fn busy_and_cancelled_calls_end() {
    let mut lab = Lab::start();
    lab.call_to(IS_BUSY, "busy", ALICE, &[]).finish();
    assert_eq!(lab.wait_state("busy", "ended")["cause"], "failed");

    let mut call = lab.call_to(RINGS, "cancelled", ALICE, &[]);
    call.wait_for("ringing");
    lab.wait_state("cancelled", "ringing");
    call.hang_up();
    assert_eq!(lab.wait_state("cancelled", "ended")["cause"], "failed");
    // Both were contacts.
    assert_eq!(lab.invite("cancelled").header("X-Returning"), Some("1"));
}

#[test]
fn text_that_strangers_choose_does_no_harm() {
    let mut lab = Lab::start();
    let call_id = r#"N-"q"\{}<x>~7@lab"#;
    let name = r#""Zoë O'Neil %41+b; \"Q\" <x>" <sip:+12025550143@192.0.2.7>"#;
    let mut call = lab.call(call_id, name);
    call.wait_for("talking");
    let session_id = lab.invite(call_id).session_id().to_owned();
    assert!(is_session_id(&session_id), "{session_id}");
    assert_eq!(lab.context(call_id)["call_id"], call_id);
    call.hang_up();

    let mut call = lab.call("plain", ALICE);
    call.wait_for("talking");
    assert_eq!(lab.invite("plain").session_id(), session_id);
    call.hang_up();
}

#[test]
fn a_call_outlives_a_restart_of_kamailio() {
    let mut lab = Lab::start();
    let mut first = lab.call("first", ALICE);
    first.wait_for("talking");
    lab.wait_state("first", "answered");
    lab.set("first", "session", json!({"ticket": 4711}));
    let before = lab.context("first");

    lab.restart_kamailio();
    assert_eq!(lab.context("first"), before);
    let mut second = lab.call("second", ALICE);
    second.wait_for("talking");
    assert_eq!(lab.invite("second").session_id(), before["session_id"]);
    assert_eq!(lab.context("second")["variables"], json!({"ticket": 4711}));

    first.hang_up();
    lab.wait_state("first", "ended");
    second.hang_up();
    lab.wait_state("second", "ended");
}

#[test]
fn a_call_outlives_a_restart_of_recalld() {
    let mut lab = Lab::start();
    let mut call = lab.call("first", ALICE);
    call.wait_for("talking");
    lab.wait_state("first", "answered");
    lab.set("first", "call", json!({"step": "menu"}));
    let before = lab.context("first");

    lab.daemon.kill();
    let mut meanwhile = lab.call("meanwhile", BOB);
    meanwhile.wait_for("talking");
    assert_eq!(lab.invite("meanwhile").session_id(), "none");
    meanwhile.hang_up();

    lab.daemon.restart();
    assert_eq!(lab.context("first"), before);
    lab.wait_connected();
    let mut second = lab.call("second", ALICE);
    second.wait_for("talking");
    assert_eq!(lab.invite("second").session_id(), before["session_id"]);
    second.hang_up();
    call.hang_up();
    lab.wait_state("first", "ended");
}

#[test]
fn calls_go_through_without_a_context() {
    // Nobody listens.
    let mut lab = Lab::beside(Daemon::prepare(Config::default()));
    let mut call = lab.call("down", ALICE);
    call.wait_for("talking");
    assert_without_context(&mut lab, "down");
    call.hang_up();

    // Somebody listens and does not answer.
    let silent = TcpListener::bind(lab.daemon.switch_address("edge-1")).unwrap();
    lab.wait_connected();
    let mut call = lab.call("silent", ALICE);
    call.wait_for("talking");
    assert_without_context(&mut lab, "silent");
    call.hang_up();
    drop(silent);

    // The called number belongs to no release.
    lab.daemon.restart();
    lab.wait_connected();
    let mut call = lab.call_to("+493023125900", "refused", ALICE, &[]);
    call.wait_for("talking");
    assert_without_context(&mut lab, "refused");
    call.hang_up();
}

#[test]
fn calls_that_a_killed_kamailio_had_end_as_lost() {
    let mut lab = Lab::listing();
    let mut first = lab.call("first", ALICE);
    first.wait_for("talking");
    lab.wait_state("first", "answered");
    lab.set("first", "session", json!({"ticket": 4711}));
    lab.wait_parts(3);
    assert_eq!(lab.context("first")["active_calls"], 1);

    lab.kill_kamailio();
    let mut second = lab.call("second", BOB);
    second.wait_for("talking");
    assert_eq!(lab.wait_state("first", "ended")["cause"], "lost");
    lab.wait_parts(2);
    lab.wait_state("second", "answered");
    // The people talk on, and nothing comes of it when they hang up.
    first.hang_up();
    second.hang_up();
    assert_eq!(lab.wait_state("second", "ended")["cause"], "bye");
    assert_eq!(lab.wait_state("first", "ended")["cause"], "lost");
}

#[test]
fn a_call_whose_end_recalld_did_not_hear_ends_as_lost() {
    let mut lab = Lab::listing();
    let odd = r#"N-"q"\{}<x>~8@lab"#;
    let (mut call, mut other, mut third) = (lab.call(odd, ALICE), lab.call("other", BOB), lab.call("third", BOB));
    for call in [&mut call, &mut other, &mut third] {
        call.wait_for("talking");
    }
    for call_id in ["other", "third"] {
        lab.wait_state(call_id, "answered");
    }
    let before = lab.context(odd);
    lab.daemon.kill();
    other.hang_up();
    lab.daemon.restart();
    lab.wait_connected();
    assert_eq!(lab.wait_state("other", "ended")["cause"], "lost");
    lab.wait_parts(6);
    assert_eq!(lab.context(odd), before);
    third.hang_up();
    assert_eq!(lab.wait_state("third", "ended")["cause"], "bye");
    call.hang_up();
    wait::until("the call ends", || {
        lab.daemon.switch("edge-2", Framing::Bare).call("context.get", &json!({"call_id": odd})).is_err()
    });
}

#[test]
fn a_call_whose_start_recalld_did_not_hear_is_known_once_it_is_answered() {
    let mut lab = Lab::beside(Daemon::prepare(Config::default()));
    let mut call = lab.call_to(WAITS, "unheard", ALICE, &["P-Asserted-Identity: <sip:+12025550144@192.0.2.7>"]);
    call.wait_for("ringing");
    assert_without_context(&mut lab, "unheard");
    lab.daemon.restart();
    lab.wait_connected();
    assert_eq!(lab.daemon.switch("edge-2", Framing::Bare).context_reason("unheard"), "unknown_call");

    lab.answer(&mut call);
    let mut other = lab.daemon.switch("edge-2", Framing::Bare);
    wait::until("recalld hears of the call", || other.call("context.get", &json!({"call_id": "unheard"})).is_ok());
    lab.wait_state("unheard", "answered");
    let known = lab.context("unheard");
    assert!(is_session_id(known["session_id"].as_str().unwrap()), "{known}");
    call.hang_up();
    assert_eq!(lab.wait_state("unheard", "ended")["cause"], "bye");
    // It was the caller of the asserted number.
    let mut again = lab.call_to(lab::ANSWERS, "again", ALICE, &["P-Asserted-Identity: <sip:+12025550144@192.0.2.7>"]);
    again.wait_for("talking");
    assert_eq!(lab.invite("again").session_id(), known["session_id"]);
    assert_eq!(lab.invite("again").header("X-Returning"), Some("1"));
    again.hang_up();
}

fn assert_without_context(lab: &mut Lab, call_id: &str) {
    let invite = lab.invite(call_id);
    assert_eq!(invite.session_id(), "none");
    assert_eq!((invite.header("X-Returning"), invite.header("X-Language")), (None, None));
}

fn is_session_id(text: &str) -> bool {
    text.len() == 64 && is_hex(text)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
