//! PRODUCT.md 4.1: how long variables live.

use std::time::Duration;

use super::world::*;
use crate::domain::refusal::Reason;
use crate::domain::session::*;

const SECOND: Duration = Duration::from_secs(1);

/// A caller with one variable of each lifetime and one call.
fn spoken() -> World {
    let mut world = World::caller();
    world.start("a", "edge@1").unwrap();
    world.set(Some("a"), "c", "1", Lifetime::Call).unwrap();
    world.set(Some("a"), "s", "2", Lifetime::Session).unwrap();
    world.set(Some("a"), "u", "3", Lifetime::User).unwrap();
    world
}

#[test]
fn call_variables_are_seen_by_their_call_only_and_go_with_it() {
    let mut world = spoken();
    world.start("b", "edge@1").unwrap();
    assert_eq!(world.sees(Some("a")), "c=1 s=2 u=3");
    assert_eq!(world.sees(Some("b")), "s=2 u=3");
    assert_eq!(world.sees(None), "s=2 u=3");
    let revision = world.session.revision;
    assert_eq!(told(&world.end("a", "edge@1")), ["variable a c call_ended", "call a ended ended None"]);
    assert_eq!(world.session.revision, revision + 1);
    world.end("b", "edge@1").unwrap();
    assert_eq!(world.session.revision, revision + 1, "an end without call variables changes none");
    assert_eq!(world.sees(None), "s=2 u=3");
}

#[test]
fn a_new_call_deletes_session_variables_in_the_same_commit_before_the_call_is_added() {
    let mut world = spoken();
    world.end("a", "edge@1").unwrap();
    world.wait(60 * SECOND);
    let revision = world.session.revision;
    let answer = world.start("b", "edge@1");
    assert_eq!(told(&answer), ["variable - s new_call", "call b started by edge@192.0.2.1 Allowed none"]);
    assert_eq!(world.session.revision, revision + 1);
    assert_eq!(world.sees(Some("b")), "u=3");
}

#[test]
fn a_parallel_call_wipes_nothing() {
    let mut world = spoken();
    let revision = world.session.revision;
    assert_eq!(told(&world.start("b", "edge@1")), ["call b started by edge@192.0.2.1 Allowed none"]);
    world.end("a", "edge@1").unwrap();
    assert_eq!(told(&world.start("d", "edge@1")).len(), 1);
    assert_eq!(world.sees(Some("d")), "s=2 u=3");
    assert_eq!(world.session.revision, revision + 1, "only the end of the call variable raised it");
}

#[test]
fn the_literal_rule_resets_at_the_start_of_every_call() {
    let mut world = spoken();
    world.rules.reset = Reset::EveryCall;
    assert_eq!(told(&world.start("b", "edge@1"))[0], "variable - s new_call");
    assert_eq!(world.sees(Some("a")), "c=1 u=3", "call variables of a running call stay");
}

#[test]
fn busy_and_cancelled_calls_reset_and_refused_starts_do_not() {
    let mut world = spoken();
    let mut other = start_command("a", "edge@1");
    other.presentation = crate::domain::caller::Presentation::Restricted;
    assert_eq!(world.run(&Command::Start(Box::new(other))), Err(Reason::CallIdInUse));
    assert_eq!(world.sees(None), "s=2 u=3");
    world.end("a", "edge@1").unwrap();
    world.start("busy", "edge@1").unwrap();
    world.end("busy", "edge@1").unwrap();
    assert_eq!(world.sees(None), "u=3");
    assert_eq!(world.session.contacts, 2);
}

#[test]
fn session_variables_end_after_the_retention_without_activity_and_not_a_millisecond_sooner() {
    let mut world = spoken();
    world.end("a", "edge@1").unwrap();
    let end = world.now.after(30 * DAY);
    assert_eq!(world.expires_at(None, "s"), Some(end));
    assert_eq!(world.expires_at(None, "u"), None);
    world.wait(30 * DAY - Duration::from_millis(1));
    assert_eq!(world.sees(None), "s=2 u=3");
    assert_eq!(world.run(&Command::Expire), Ok(None));
    world.wait(Duration::from_millis(1));
    assert_eq!(world.sees(None), "u=3");
    let before = world.session.last_activity;
    let answer = world.run(&Command::Expire);
    assert_eq!(told(&answer), ["variable - s expired"]);
    assert_eq!(world.session.last_activity, before, "expiry is no activity");
    assert_eq!(world.run(&Command::Expire), Ok(None));
}

#[test]
fn user_variables_end_only_by_hand_unless_the_release_sets_an_idle_limit() {
    let mut world = spoken();
    world.end("a", "edge@1").unwrap();
    world.wait(3_000 * DAY);
    assert_eq!(world.sees(None), "u=3");
    world.rules.user_idle_limit = Some(3_000 * DAY);
    assert_eq!(world.sees(None), "");
    world.rules.user_idle_limit = Some(3_001 * DAY);
    assert_eq!(world.expires_at(None, "u"), Some(world.now.after(DAY)));
}

#[test]
fn while_a_call_is_active_the_session_is_active() {
    let mut world = spoken();
    world.rules.user_idle_limit = Some(DAY);
    assert_eq!(world.expires_at(Some("a"), "s"), None);
    assert_eq!(world.expires_at(Some("a"), "u"), None);
    world.wait(31 * DAY);
    assert_eq!(world.sees(Some("a")), "c=1 s=2 u=3");
    world.end("a", "edge@1").unwrap();
    assert_eq!(world.sees(None), "s=2 u=3");
}

#[test]
fn activity_never_revives_what_has_expired() {
    for revive in ["start", "set", "delete"] {
        let mut world = spoken();
        world.set(Some("a"), "t", "4", Lifetime::Session).unwrap();
        world.end("a", "edge@1").unwrap();
        world.wait(30 * DAY);
        let answer = match revive {
            "start" => world.start("b", "edge@1"),
            "set" => world.set(None, "s", "9", None),
            _ => world.delete(None, "u"),
        };
        assert_eq!(told(&answer)[..2], ["variable - s expired", "variable - t expired"], "{revive}");
        assert!(!world.sees(None).contains("t="), "{revive}");
    }
}

#[test]
fn refusals_and_commands_without_effect_write_nothing_not_even_expiry() {
    let mut world = spoken();
    world.end("a", "edge@1").unwrap();
    world.wait(30 * DAY);
    let before = world.session.clone();
    assert_eq!(world.delete(None, "s"), Ok(None), "it is gone already");
    assert_eq!(world.delete(None, "missing"), Ok(None));
    assert_eq!(world.change(change(None)), Ok(None));
    assert_eq!(world.end("a", "edge@1"), Ok(None));
    assert_eq!(world.answer("a"), Err(Reason::UnknownCall));
    assert_eq!(world.session, before);
}

#[test]
fn a_ttl_counts_from_the_write_and_the_earlier_end_wins() {
    let mut world = World::caller();
    world.start("a", "edge@1").unwrap();
    for lifetime in [Lifetime::Call, Lifetime::Session, Lifetime::User] {
        world.set_for(Some("a"), lifetime.as_str(), lifetime, 60 * SECOND).unwrap();
        assert_eq!(world.expires_at(Some("a"), lifetime.as_str()), Some(world.now.after(60 * SECOND)));
    }
    world.wait(30 * SECOND);
    world.set_for(Some("a"), "session", Lifetime::Session, 60 * SECOND).unwrap();
    world.set_for(Some("a"), "long", Lifetime::Session, 60 * DAY).unwrap();
    world.wait(30 * SECOND);
    assert_eq!(world.sees(Some("a")), "long=1 session=1");
    let answer = world.ringing("a", 180);
    assert_eq!(told(&answer), ["variable - user expired", "variable a call expired", "call a ringing Some(180)"]);
    world.end("a", "edge@1").unwrap();
    assert_eq!(world.expires_at(None, "long"), Some(world.now.after(30 * DAY)));
    world.set(None, "session", "2", None).unwrap();
    assert_eq!(world.expires_at(None, "session"), Some(world.now.after(30 * DAY)), "a ttl omitted is none");
    assert_eq!(world.set_for(None, "never", Lifetime::Session, Duration::ZERO), Err(Reason::InvalidParams));
}

#[test]
fn a_call_that_is_reaped_or_lost_leaves_session_variables_and_is_no_activity() {
    for cause in [EndCause::Reaped, EndCause::Lost] {
        let mut world = spoken();
        world.answer("a").unwrap();
        let last_event = world.now;
        world.wait(DAY);
        let answer = world.end_with("a", None, cause.clone());
        assert_eq!(told(&answer).len(), 2);
        assert_eq!(world.sees(None), "s=2 u=3");
        assert_eq!(world.session.last_activity, last_event);
        assert_eq!(world.expires_at(None, "s"), Some(last_event.after(30 * DAY)));
    }
}

#[test]
fn call_events_and_changes_of_variables_are_activity_and_an_assurance_is_not() {
    let mut world = World::caller();
    let step = |world: &mut World, act: &dyn Fn(&mut World) -> Answer| {
        world.wait(SECOND);
        act(world).unwrap().unwrap();
        world.session.last_activity == world.now
    };
    assert!(step(&mut world, &|w| w.start("a", "edge@1")));
    assert!(step(&mut world, &|w| w.start("a", "media@1")));
    assert!(step(&mut world, &|w| w.ringing("a", 180)));
    assert!(step(&mut world, &|w| w.answer("a")));
    assert!(step(&mut world, &|w| w.dtmf("a")));
    assert!(step(&mut world, &|w| w.set(None, "s", "1", None)));
    assert!(step(&mut world, &|w| w.delete(None, "s")));
    assert!(!step(&mut world, &|w| w
        .run(&Command::Assert { call: call("a"), level: crate::domain::caller::Assurance::App })));
    assert!(step(&mut world, &|w| w.end("a", "edge@1")));
    assert!(step(&mut world, &|w| w.end("a", "media@1")));
}

#[test]
fn a_changed_retention_applies_to_data_that_is_already_there() {
    let mut world = spoken();
    world.end("a", "edge@1").unwrap();
    world.wait(60 * SECOND);
    world.rules.session_retention = 60 * SECOND;
    assert_eq!(world.sees(None), "u=3");
    world.rules.session_retention = 61 * SECOND;
    assert_eq!(world.sees(None), "s=2 u=3");
}

#[test]
fn the_record_of_contacts_stays_when_all_variables_are_gone() {
    let mut world = spoken();
    let first = world.now;
    assert!(!world.known("a").returning);
    world.end("a", "edge@1").unwrap();
    world.wait(400 * DAY);
    world.start("b", "edge@1").unwrap();
    assert_eq!((world.session.first_contact, world.session.contacts), (Some(first), 2));
    assert_eq!(world.known("b").previous_contact, Some(first));
    assert!(world.known("b").returning);
}

#[test]
fn the_session_of_a_withheld_caller_may_go_when_its_variables_are_gone() {
    let mut world = World::anonymous();
    world.start("a", "edge@1").unwrap();
    world.set(Some("a"), "s", "1", None).unwrap();
    let gone = |world: &World| world.session.may_be_forgotten(&world.rules, world.now);
    assert!(!gone(&world));
    world.end("a", "edge@1").unwrap();
    world.wait(29 * DAY);
    assert!(!gone(&world));
    world.wait(DAY);
    assert!(gone(&world));
    world.rules.anonymous_sessions = AnonymousSessions::Keep;
    assert!(!gone(&world));
    let mut known = World::caller();
    known.wait(300 * DAY);
    assert!(!gone(&known), "a caller's record stays");
}
