//! PRODUCT.md 4.3 and 3.4: the states of a call, its legs, its call ID again, withheld callers.

use std::time::Duration;

use super::world::*;
use crate::domain::caller::{Assurance, Presentation};
use crate::domain::refusal::Reason;
use crate::domain::session::*;

fn up() -> World {
    let mut world = World::caller();
    world.start("a", "edge@1").unwrap();
    world
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn states_may_be_skipped_and_none_goes_back() {
    let mut world = up();
    assert_eq!(world.known("a").state, CallState::Started);
    assert!(world.answer("a").unwrap().is_some());
    assert_eq!(world.ringing("a", 180), Ok(None));
    assert_eq!(world.known("a").state, CallState::Answered);
    assert_eq!(world.known("a").ringing_at, None);
    world.start("b", "edge@1").unwrap();
    assert!(world.end("b", "edge@1").unwrap().is_some());
    assert_eq!(world.known("b").state, CallState::Ended);
}

#[test]
fn repeated_events_change_nothing() {
    let mut world = up();
    assert_eq!(world.start("a", "edge@1"), Ok(None));
    world.ringing("a", 180).unwrap();
    let rang = world.known("a").ringing_at;
    world.wait(seconds(1));
    assert_eq!(world.ringing("a", 183), Ok(None));
    assert_eq!(world.known("a").ringing_at, rang);
    world.answer("a").unwrap();
    assert_eq!(world.answer("a"), Ok(None));
    world.end("a", "edge@1").unwrap();
    assert_eq!(world.end("a", "edge@1"), Ok(None));
}

#[test]
fn call_events_do_not_raise_the_revision() {
    let mut world = up();
    world.ringing("a", 180).unwrap();
    world.answer("a").unwrap();
    world.dtmf("a").unwrap();
    world.end("a", "edge@1").unwrap();
    assert_eq!((world.session.revision, world.session.ordinal), (0, 5));
}

#[test]
fn an_end_of_an_unknown_call_is_nothing_and_every_other_event_unknown_call() {
    let mut world = up();
    world.end("a", "edge@1").unwrap();
    for id in ["a", "never"] {
        assert_eq!(world.end(id, "edge@1"), Ok(None));
        assert_eq!(world.ringing(id, 180), Err(Reason::UnknownCall));
        assert_eq!(world.answer(id), Err(Reason::UnknownCall));
        assert_eq!(world.dtmf(id), Err(Reason::UnknownCall));
        assert_eq!(world.set(Some(id), "x", "1", None), Err(Reason::UnknownCall));
        let assert = Command::Assert { call: call(id), level: Assurance::App };
        assert_eq!(world.run(&assert), Err(Reason::UnknownCall));
    }
}

#[test]
fn a_call_ends_with_its_last_leg() {
    let mut world = up();
    assert_eq!(told(&world.start("a", "media@2")), ["call a joined by media@192.0.2.2"]);
    assert_eq!((world.session.contacts, world.session.calls.len()), (1, 1));
    assert_eq!(told(&world.end("a", "edge@1")), ["call a left by edge@192.0.2.1"]);
    assert_eq!(world.end("a", "edge@1"), Ok(None), "this leg is over already");
    assert_eq!(told(&world.end("a", "media@2")), ["call a ended ended None"]);
}

#[test]
fn another_peer_of_the_same_switch_is_another_leg() {
    let mut world = up();
    assert_eq!(told(&world.start("a", "edge@2")), ["call a joined by edge@192.0.2.2"]);
    assert_eq!(world.end("a", "edge@3"), Ok(None), "either may be meant, so none is");
    assert_eq!(world.known("a").legs.len(), 2);
}

#[test]
fn a_failed_over_peer_ends_the_only_leg_of_its_switch() {
    let mut world = up();
    assert_eq!(world.end("a", "media@1"), Ok(None), "a switch that has no leg ends nothing");
    assert_eq!(told(&world.end("a", "edge@9")), ["call a ended ended None"]);
}

#[test]
fn a_lost_call_loses_no_leg_of_another_peer() {
    let mut world = up();
    assert_eq!(world.end_with("a", Some("edge@9"), EndCause::Lost), Ok(None));
    world.start("a", "media@1").unwrap();
    assert_eq!(told(&world.end_with("a", Some("edge@1"), EndCause::Lost)), ["call a left by edge@192.0.2.1"]);
    assert_eq!(told(&world.end_with("a", Some("media@1"), EndCause::Lost)), ["call a ended lost None"]);
}

#[test]
fn an_end_without_a_leg_ends_the_call_whatever_its_legs() {
    let mut world = up();
    world.start("a", "media@1").unwrap();
    assert_eq!(told(&world.end_with("a", None, EndCause::Reaped)), ["call a ended reaped None"]);
}

#[test]
fn an_active_call_id_of_another_caller_is_in_use() {
    let mut world = up();
    let hidden = Start { presentation: Presentation::Restricted, ..start_command("a", "edge@1") };
    assert_eq!(world.run(&Command::Start(Box::new(hidden))), Err(Reason::CallIdInUse));
}

#[test]
fn two_withheld_starts_from_one_switch_are_the_same_call_and_from_another_not() {
    let mut world = World::anonymous();
    world.start("a", "edge@1").unwrap();
    assert_eq!(world.start("a", "edge@1"), Ok(None));
    assert_eq!(told(&world.start("a", "edge@2")).len(), 1);
    assert_eq!(world.start("a", "media@1"), Err(Reason::CallIdInUse));
}

#[test]
fn a_call_started_again_within_32_seconds_of_its_end_is_reopened() {
    let mut world = up();
    world.end("a", "edge@1").unwrap();
    world.wait(seconds(60));
    let first = world.session.first_contact;
    world.start("b", "edge@1").unwrap();
    let started = world.known("b").clone();
    world.set(None, "s", "1", Lifetime::Session).unwrap();
    world.end("b", "edge@1").unwrap();
    world.wait(seconds(32));
    assert_eq!(told(&world.start("b", "edge@1")), ["call b reopened by edge@192.0.2.1 Allowed none"]);
    let again = world.known("b");
    assert!(again.reopened && again.returning && !started.reopened);
    assert_eq!((again.started_at, again.previous_contact), (started.started_at, first));
    assert_eq!((again.state, again.ended_at), (CallState::Started, None));
    assert_eq!((world.session.contacts, world.session.last_contact), (2, Some(started.started_at)));
    assert_eq!(world.sees(Some("b")), "s=1", "no reset");
}

#[test]
fn after_32_seconds_or_from_another_caller_the_same_call_id_is_a_new_call() {
    for (wait, presentation) in
        [(Duration::from_millis(32_001), Presentation::Allowed), (seconds(1), Presentation::Restricted)]
    {
        let mut world = up();
        world.set(None, "s", "1", Lifetime::Session).unwrap();
        world.end("a", "edge@1").unwrap();
        world.wait(wait);
        let again = Start { presentation, ..start_command("a", "edge@1") };
        world.run(&Command::Start(Box::new(again))).unwrap();
        assert!(!world.known("a").reopened);
        assert_eq!((world.session.contacts, world.sees(None)), (2, String::new()));
        assert_eq!(world.known("a").started_at, world.now);
    }
}

#[test]
fn a_withheld_call_is_reopened_from_its_own_switch_only() {
    for (from, reopened) in [("edge@2", true), ("media@1", false)] {
        let mut world = World::anonymous();
        world.start("a", "edge@1").unwrap();
        world.end("a", "edge@1").unwrap();
        world.start("a", from).unwrap();
        assert_eq!(world.known("a").reopened, reopened, "{from}");
        assert!(!world.known("a").returning && world.known("a").previous_contact.is_none());
    }
}

#[test]
fn ended_calls_are_remembered_for_32_seconds_and_at_most_8_of_them() {
    let mut world = World::caller();
    for id in 0..20 {
        world.start(&id.to_string(), "edge@1").unwrap();
        world.end(&id.to_string(), "edge@1").unwrap();
    }
    let kept: Vec<&str> = world.session.ended.iter().map(|call| call.id.as_str()).collect();
    assert_eq!(kept, ["12", "13", "14", "15", "16", "17", "18", "19"]);
    world.wait(Duration::from_millis(32_001));
    world.set(None, "x", "1", None).unwrap();
    assert!(world.session.ended.is_empty());
}

#[test]
fn a_caller_returns_if_there_was_a_contact_before_this_call() {
    let mut world = World::caller();
    world.set(None, "noted", "1", Lifetime::User).unwrap();
    let first = world.now;
    world.start("a", "edge@1").unwrap();
    assert!(!world.known("a").returning, "a variable set beforehand is no contact");
    assert_eq!(world.known("a").previous_contact, None);
    world.wait(seconds(5));
    world.start("b", "edge@1").unwrap();
    assert!(world.known("b").returning);
    assert_eq!(world.known("b").previous_contact, Some(first));
}

#[test]
fn a_withheld_caller_never_returns_and_has_no_user_variables() {
    let mut world = World::anonymous();
    world.start("a", "edge@1").unwrap();
    world.start("b", "edge@1").unwrap();
    assert!(!world.known("b").returning);
    assert_eq!(world.set(Some("a"), "x", "1", Lifetime::User), Err(Reason::UserLifetimeUnavailable));
    assert!(world.set(Some("a"), "x", "1", None).unwrap().is_some());
    assert!(world.set(Some("a"), "y", "1", Lifetime::Call).unwrap().is_some());
    assert_eq!(world.sees(Some("a")), "x=1 y=1");
}

#[test]
fn a_pressed_key_is_passed_on_without_the_digit() {
    let mut world = up();
    assert_eq!(told(&world.dtmf("a")), ["call a dtmf Some(80)"]);
    assert_eq!(told(&world.dtmf("a")).len(), 1, "a key pressed twice is two keys");
}

#[test]
fn an_ended_call_shows_the_sessions_variables_until_the_next_new_call() {
    let mut world = up();
    world.set(Some("a"), "s", "1", Lifetime::Session).unwrap();
    world.set(Some("a"), "u", "1", Lifetime::User).unwrap();
    world.start("b", "edge@1").unwrap();
    world.end("a", "edge@1").unwrap();
    world.wait(seconds(1));
    world.start("d", "edge@1").unwrap();
    world.set(Some("b"), "s", "2", None).unwrap();
    assert_eq!(world.sees(Some("a")), "s=2 u=1", "a parallel call is no new call");
    world.end("b", "edge@1").unwrap();
    world.end("d", "edge@1").unwrap();
    world.wait(seconds(1));
    let ended = world.known("a").clone();
    world.start("e", "edge@1").unwrap();
    let context = world.session.context(Some(&ended), Authority::Trusted, &world.rules, world.now);
    assert!(context.variables.is_empty() && context.withheld.is_empty());
    assert_eq!(world.sees(Some("e")), "u=1");
}
