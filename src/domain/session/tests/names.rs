//! PRODUCT.md 4.2, 3.5 and 4.4: names, conditions, assurance and limits.

use super::world::*;
use crate::domain::caller::Assurance;
use crate::domain::refusal::Reason;
use crate::domain::session::*;

fn up() -> World {
    let mut world = World::caller();
    world.start("a", "edge@1").unwrap();
    world
}

fn kept(world: &World, of: &str) -> Option<Lifetime> {
    world.session.variables.iter().find(|v| v.name.as_str() == of).map(|v| v.lifetime)
}

#[test]
fn session_and_user_variables_share_one_set_of_names_and_another_lifetime_moves() {
    let mut world = up();
    world.set(None, "x", "1", Lifetime::Session).unwrap();
    world.set(None, "x", "2", Lifetime::User).unwrap();
    assert_eq!((kept(&world, "x"), world.sees(None)), (Some(Lifetime::User), "x=2".to_owned()));
    world.set(None, "x", "3", Lifetime::Session).unwrap();
    assert_eq!((kept(&world, "x"), world.session.variables.len()), (Some(Lifetime::Session), 1));
}

#[test]
fn call_variables_shadow_the_sessions_in_their_calls_view_only() {
    let mut world = up();
    world.start("b", "edge@1").unwrap();
    world.set(None, "x", "\"session\"", Lifetime::Session).unwrap();
    world.set(Some("a"), "x", "\"call\"", Lifetime::Call).unwrap();
    assert_eq!(world.sees(Some("a")), "x=\"call\"");
    assert_eq!(world.sees(Some("b")), "x=\"session\"");
    world.delete(Some("a"), "x").unwrap();
    assert_eq!(world.sees(Some("a")), "x=\"session\"");
    world.delete(Some("a"), "x").unwrap();
    assert_eq!(world.sees(Some("b")), "");
    assert_eq!(world.delete(Some("a"), "x"), Ok(None), "a missing name is no error");
}

#[test]
fn a_lifetime_omitted_is_the_existing_one_else_session() {
    let mut world = up();
    world.set(Some("a"), "new", "1", None).unwrap();
    assert_eq!(kept(&world, "new"), Some(Lifetime::Session));
    world.set(None, "u", "1", Lifetime::User).unwrap();
    world.set(Some("a"), "u", "2", None).unwrap();
    assert_eq!(kept(&world, "u"), Some(Lifetime::User));
    world.set(Some("a"), "u", "3", Lifetime::Call).unwrap();
    assert_eq!(told(&world.set(Some("a"), "u", "4", None)), ["variable a u set 4 call None"]);
    assert_eq!(told(&world.set(None, "u", "5", None)), ["variable - u set 5 user None"]);
    assert_eq!(world.sees(Some("a")), "new=1 u=4");
}

#[test]
fn a_call_variable_needs_a_call() {
    let mut world = up();
    assert_eq!(world.set(None, "x", "1", Lifetime::Call), Err(Reason::InvalidParams));
}

#[test]
fn a_name_is_set_once_and_not_deleted_too() {
    let mut world = up();
    world.set(None, "x", "1", None).unwrap();
    let twice = Change { set: vec![set_variable("x", "1"), set_variable("x", "1")], ..change(None) };
    assert_eq!(world.change(twice), Err(Reason::InvalidParams));
    let both = Change { set: vec![set_variable("x", "1")], delete: vec![name("x")], ..change(None) };
    assert_eq!(world.change(both), Err(Reason::InvalidParams));
    let again = Change { delete: vec![name("x"), name("y"), name("x")], ..change(None) };
    assert_eq!(told(&world.change(again)), ["variable - x deleted"]);
}

#[test]
fn all_changes_of_one_commit_share_one_revision() {
    let mut world = up();
    world.set(None, "old", "1", None).unwrap();
    let mixed =
        Change { set: vec![set_variable("x", "1"), set_variable("y", "2")], delete: vec![name("old")], ..change(None) };
    let commit = world.change(mixed).unwrap().unwrap();
    assert_eq!((commit.revision, commit.effects.len()), (2, 3));
    assert!(world.session.variables.iter().all(|variable| variable.revision == 2));
    world.set(None, "x", "1", None).unwrap();
    assert_eq!(world.session.revision, 3, "setting the same value again is a change");
}

#[test]
fn if_revision_means_the_sessions_revision_and_no_update_is_lost() {
    let mut world = up();
    let write = |revision| Change {
        set: vec![set_variable("x", "1")],
        condition: Some(Condition::Revision(revision)),
        ..change(None)
    };
    assert!(world.change(write(0)).unwrap().is_some());
    assert_eq!(world.change(write(0)), Err(Reason::RevisionConflict));
    assert!(world.change(write(1)).unwrap().is_some());
    let missing = Change { delete: vec![name("no")], condition: Some(Condition::Revision(9)), ..change(None) };
    assert_eq!(world.change(missing), Err(Reason::RevisionConflict), "a condition is checked before all");
}

#[test]
fn if_none_match_means_only_if_the_variable_is_unset() {
    let mut world = up();
    let write = |on: Option<&str>| Change {
        set: vec![set_variable("x", "1")],
        condition: Some(Condition::Unset),
        ..change(on)
    };
    world.set(Some("a"), "x", "1", Lifetime::Call).unwrap();
    assert_eq!(world.change(write(Some("a"))), Err(Reason::RevisionConflict));
    assert!(world.change(write(None)).unwrap().is_some());
    assert_eq!(world.change(write(None)), Err(Reason::RevisionConflict));
    world.set_for(None, "x", Lifetime::Session, std::time::Duration::from_secs(1)).unwrap();
    world.wait(std::time::Duration::from_secs(1));
    assert!(world.change(write(None)).unwrap().is_some(), "expired is unset");
}

#[test]
fn below_the_demanded_assurance_user_variables_are_withheld_and_writes_refused() {
    let mut world = up();
    world.set(None, "pin", "1", Lifetime::User).unwrap();
    world.set(None, "s", "1", Lifetime::Session).unwrap();
    world.rules.min_assurance = Assurance::Trunk;
    assert_eq!((world.sees(Some("a")), world.withheld(Some("a"))), ("s=1".to_owned(), vec!["pin".to_owned()]));
    assert_eq!(world.withheld(None), ["pin"], "a request that names no call counts as none");
    let low = Err(Reason::AssuranceTooLow);
    assert_eq!(world.set(Some("a"), "pin", "2", None), low);
    assert_eq!(world.set(Some("a"), "pin", "2", Lifetime::Session), low, "no moving it out of its lifetime");
    assert_eq!(world.set(Some("a"), "s", "2", Lifetime::User), low);
    assert_eq!(world.set(Some("a"), "new", "2", Lifetime::User), low);
    assert_eq!(world.delete(Some("a"), "pin"), low);
    assert_eq!(world.delete(None, "pin"), low);
    assert!(world.set(Some("a"), "s", "2", None).unwrap().is_some());
    world.set(Some("a"), "pin", "9", Lifetime::Call).unwrap();
    assert_eq!((world.sees(Some("a")), world.withheld(Some("a")).len()), ("pin=9 s=2".to_owned(), 0));
    world.delete(Some("a"), "pin").unwrap();

    world.run(&Command::Assert { call: call("a"), level: Assurance::App }).unwrap();
    assert_eq!(world.sees(Some("a")), "pin=1 s=2");
    assert!(world.set(Some("a"), "pin", "2", None).unwrap().is_some());
    assert_eq!(world.set(None, "pin", "3", None), low);
    let trusted = Change { authority: Authority::Trusted, delete: vec![name("pin")], ..change(None) };
    assert!(world.change(trusted).unwrap().is_some());
}

#[test]
fn a_name_of_its_own_assurance_wins_over_the_whole() {
    let mut world = up();
    world.set(None, "free", "1", Lifetime::User).unwrap();
    world.set(None, "pin", "1", Lifetime::User).unwrap();
    world.rules.min_assurance_for.insert(name("pin"), Assurance::App);
    assert_eq!((world.sees(Some("a")), world.withheld(Some("a"))), ("free=1".to_owned(), vec!["pin".to_owned()]));
    world.rules.min_assurance = Assurance::App;
    world.rules.min_assurance_for.insert(name("free"), Assurance::None);
    world.rules.min_assurance_for.remove(&name("pin"));
    assert_eq!((world.sees(Some("a")), world.withheld(Some("a"))), ("free=1".to_owned(), vec!["pin".to_owned()]));
}

#[test]
fn limits_are_checked_on_the_result_of_the_whole_change() {
    let mut world = up();
    world.rules.limits = Limits { value: 8, variables: 3, session_bytes: 20 };
    assert_eq!(world.set(None, "x", "\"1234567\"", None), Err(Reason::LimitExceeded));
    assert!(world.set(None, "x", "\"123456\"", None).unwrap().is_some());
    world.set(Some("a"), "y", "1", Lifetime::Call).unwrap();
    world.set(None, "z", "1", None).unwrap();
    assert_eq!(world.set(Some("a"), "x", "1", Lifetime::Call), Err(Reason::LimitExceeded), "call variables count");
    let swap = Change { set: vec![set_variable("n", "1")], delete: vec![name("z")], ..change(None) };
    assert!(world.change(swap).unwrap().is_some());
    assert!(world.set(None, "n", "\"123456\"", None).unwrap().is_some(), "20 bytes are allowed");
    assert_eq!(world.set(Some("a"), "y", "12", None), Err(Reason::LimitExceeded), "21 are not");
    assert_eq!(world.sees(Some("a")), "n=\"123456\" x=\"123456\" y=1", "all or nothing");
}

#[test]
fn a_session_above_a_lowered_limit_may_shrink_and_not_grow() {
    let mut world = up();
    for of in ["x", "y", "z"] {
        world.set(None, of, "1234", None).unwrap();
    }
    world.rules.limits = Limits { value: 8, variables: 2, session_bytes: 10 };
    assert_eq!(world.set(None, "w", "1", None), Err(Reason::LimitExceeded));
    assert_eq!(world.set(None, "x", "12345", None), Err(Reason::LimitExceeded));
    assert!(world.set(None, "x", "1", None).unwrap().is_some());
    assert!(world.delete(None, "y").unwrap().is_some());
}
