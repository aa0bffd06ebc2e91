//! PRODUCT.md 4.1 and 4.2, for every order in which three parallel calls of one session can start and end: `session`
//! variables are reset where the number of active calls goes from 0 to 1 and nowhere else, `call` variables go with
//! their call and touch no other.

use std::collections::BTreeSet;
use std::time::Duration;

use super::world::*;
use crate::domain::session::*;

/// The calls of one order.
pub const CALLS: [&str; 3] = ["a", "b", "c"];

/// A start or an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Start(&'static str),
    End(&'static str),
}

/// All orders in which each call starts before it ends: 6! / 2^3.
pub fn orders() -> Vec<Vec<Event>> {
    let mut orders = vec![Vec::new()];
    for _ in 0..2 * CALLS.len() {
        orders = orders.iter().flat_map(|order| continued(order)).collect();
    }
    orders
}

fn continued(order: &[Event]) -> Vec<Vec<Event>> {
    let next = CALLS.iter().filter_map(|call| {
        match (order.contains(&Event::Start(call)), order.contains(&Event::End(call))) {
            (false, _) => Some(Event::Start(call)),
            (true, false) => Some(Event::End(call)),
            (true, true) => None,
        }
    });
    next.map(|event| [order, &[event]].concat()).collect()
}

/// What is expected, counted by hand: which calls are up, and which `session` variables there are.
#[derive(Default)]
struct Expected {
    up: BTreeSet<&'static str>,
    shared: BTreeSet<String>,
}

impl Expected {
    /// What a start deletes.
    fn reset_by(&mut self, call: &'static str, reset: Reset) -> Vec<String> {
        let resets = self.up.is_empty() || reset == Reset::EveryCall;
        self.up.insert(call);
        let gone = if resets { std::mem::take(&mut self.shared) } else { BTreeSet::new() };
        gone.into_iter().map(|name| format!("variable - {name} new_call")).collect()
    }

    /// What a call sees, or who names none.
    fn seen(&self, call: Option<&str>) -> String {
        let own = call.map(|call| format!("own={call:?}"));
        let shared = self.shared.iter().map(|name| format!("{name}=1"));
        own.into_iter().chain(shared).chain(["user=1".to_owned()]).collect::<Vec<_>>().join(" ")
    }
}

/// Plays one order, each event `apart` from the one before; how often something was reset.
fn play(order: &[Event], reset: Reset, apart: Duration) -> usize {
    let mut world = World::caller();
    world.rules.reset = reset;
    world.start("before", "edge@1").unwrap();
    world.set(Some("before"), "user", "1", Lifetime::User).unwrap();
    world.set(Some("before"), "shared_before", "1", Lifetime::Session).unwrap();
    world.end("before", "edge@1").unwrap();
    let mut expected = Expected { shared: BTreeSet::from(["shared_before".to_owned()]), ..Expected::default() };
    let mut resets = 0;
    for event in order {
        world.wait(apart);
        match event {
            Event::Start(call) => {
                let mut told_of = expected.reset_by(call, reset);
                resets += usize::from(!told_of.is_empty());
                told_of.push(format!("call {call} started by edge@192.0.2.1 Allowed none"));
                assert_eq!(told(&world.start(call, "edge@1")), told_of, "{event:?} of {order:?}");
                let shared = format!("shared_{call}");
                world.set(Some(call), &shared, "1", Lifetime::Session).unwrap();
                world.set(Some(call), "own", &format!("{call:?}"), Lifetime::Call).unwrap();
                expected.shared.insert(shared);
            }
            Event::End(call) => {
                let gone = [format!("variable {call} own call_ended"), format!("call {call} ended ended None")];
                assert_eq!(told(&world.end(call, "edge@1")), gone, "{event:?} of {order:?}");
                expected.up.remove(call);
            }
        }
        let up: BTreeSet<&str> = world.session.calls.iter().map(|call| call.id.as_str()).collect();
        assert_eq!(up, expected.up, "after {event:?} of {order:?}");
        for reader in expected.up.iter().map(|call| Some(*call)).chain([None]) {
            assert_eq!(world.sees(reader), expected.seen(reader), "{reader:?} after {event:?} of {order:?}");
        }
    }
    let mut replayed = Session::unopened(world.session.id, world.rules.release.instance.clone(), world.commits[0].at);
    world.commits.iter().for_each(|commit| replayed.apply(commit));
    assert_eq!(replayed, world.session, "{order:?}");
    resets
}

#[test]
fn whatever_the_order_of_three_calls_a_reset_happens_exactly_where_the_first_of_them_starts() {
    let orders = orders();
    assert_eq!(orders.len(), 90);
    // Calls of one instant, and calls so far apart that none could be taken for another one's repetition.
    for apart in [Duration::ZERO, Duration::from_secs(60)] {
        let resets: Vec<usize> = orders.iter().map(|order| play(order, Reset::NewCall, apart)).collect();
        let with = |count| resets.iter().filter(|resets| **resets == count).count();
        // One after the other in 3! orders; one alone and two together, before or behind it, in 3 * 4 * 2; all as one.
        assert_eq!((with(1), with(2), with(3)), (60, 24, 6));
    }
}

#[test]
fn whatever_the_order_of_three_calls_the_literal_rule_resets_at_each_start() {
    for order in orders() {
        assert_eq!(play(&order, Reset::EveryCall, Duration::from_secs(1)), CALLS.len(), "{order:?}");
    }
}
