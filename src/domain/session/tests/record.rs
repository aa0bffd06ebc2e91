//! What is written down and printed: commits and sessions survive it, values do not show.

use std::mem::size_of;
use std::sync::Arc;

use super::world::*;
use crate::domain::caller::{CallerDetails, CallerNumber};
use crate::domain::session::*;

fn busy() -> World {
    let mut world = World::caller();
    world.set(None, "u", "\"secret-1\"", Lifetime::User).unwrap();
    world.start("a", "edge@1").unwrap();
    world.start("b", "media@2").unwrap();
    world.set(Some("a"), "c", "\"secret-2\"", Lifetime::Call).unwrap();
    world.set(Some("a"), "s", "{\"k\":\"secret-3\"}", None).unwrap();
    world.end("b", "media@2").unwrap();
    world.run(&Command::Assert { call: call("a"), level: crate::domain::caller::Assurance::App }).unwrap();
    world
}

#[test]
fn a_session_survives_being_written_down_and_its_details_do_not() {
    let mut world = busy();
    let bytes = postcard::to_stdvec(&world.session).unwrap();
    assert_eq!(written_down(&world.session), world.session);
    let number = CallerNumber::new("+12025550123".to_owned());
    let details = CallerDetails { number: Some(number), ..CallerDetails::default() };
    let without = world.session.clone();
    world.session.attach_details(&call("a"), Some(Arc::new(details)));
    assert!(world.known("a").details.is_some());
    assert_eq!(postcard::to_stdvec(&world.session).unwrap(), bytes);
    assert_eq!(written_down(&world.session), without);
    world.end("a", "edge@1").unwrap();
    assert!(world.known("a").details.is_none(), "they go with the call");
}

#[test]
fn applying_the_same_commits_gives_the_same_state_and_twice_changes_nothing() {
    let world = busy();
    let mut again = World::caller().session;
    for commit in &world.commits {
        let read: Commit = postcard::from_bytes(&postcard::to_stdvec(commit).unwrap()).unwrap();
        assert_eq!(read, *commit);
        again.apply(&read);
        again.apply(&read);
    }
    assert_eq!(again, world.session);
    again.apply(&world.commits[0]);
    assert_eq!(again, world.session);
}

#[test]
fn no_printed_commit_session_or_refusal_shows_a_value() {
    let world = busy();
    let printed = format!("{:?} {:?}", world.commits, world.session);
    assert!(printed.contains("JsonText(10 bytes)") && !printed.contains("secret"), "{printed}");
    let mut rules = world.rules.clone();
    rules.limits.value = 3;
    rules.min_assurance = crate::domain::caller::Assurance::App;
    let write = |of: &str, lifetime| {
        let set = SetVariable { lifetime: Some(lifetime), ..set_variable(of, "\"secret-4\"") };
        Command::Change(Change { set: vec![set], ..change(None) })
    };
    for command in [write("u", Lifetime::User), write("x", Lifetime::Session), write("x", Lifetime::Call)] {
        let refusal = decide(&world.session, &command, &rules, world.now).unwrap_err();
        assert!(!format!("{refusal} {refusal:?}").contains("secret"));
    }
}

#[test]
fn an_active_call_with_its_session_and_three_variables_needs_less_than_1500_bytes() {
    // What the allocator is asked for: an Arc has two counters before what it shares.
    let shared = |bytes: usize| 16 + bytes;
    let variable = shared(size_of::<Variable>()) + size_of::<usize>() + shared(16) + 32;
    let call = shared(size_of::<Call>()) + size_of::<usize>() + shared(64) + size_of::<Leg>();
    let all = shared(size_of::<Session>()) + call + 3 * variable;
    assert!(all < 1_500, "{all}");
}
