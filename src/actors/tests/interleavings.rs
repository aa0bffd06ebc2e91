//! Every order in which three parallel calls of one session can start and end, through directory, actors and writer: one
//! caller for each order, all of them at the same time.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::domain::session::tests::interleavings::{Event, orders};

fn caller(order: usize) -> String {
    format!("sip:+4930231251{order:02}@example.com")
}

fn call_id(order: usize, call: &str) -> String {
    format!("{order}-{call}")
}

/// What is expected of one order so far.
#[derive(Debug, Default, PartialEq)]
struct Expected {
    /// Calls that are up, with the values of their own variables.
    up: BTreeMap<String, Vec<String>>,
    /// Names of the session's variables.
    shared: BTreeSet<String>,
}

impl Expected {
    fn found(session: &Session) -> Self {
        let own = |call: &Call| call.variables.iter().map(|own| own.value.as_str().to_owned()).collect();
        Self {
            up: session.calls.iter().map(|call| (call.id.to_string(), own(call))).collect(),
            shared: session.variables.iter().map(|variable| variable.name.to_string()).collect(),
        }
    }
}

#[test]
fn whatever_the_order_of_three_calls_they_reset_once_where_they_begin_and_leave_nothing_of_themselves() {
    run(|path| async move {
        let house = House::open(&path);
        let orders = orders();
        let mut expected: Vec<Expected> = orders.iter().map(|_| Expected::default()).collect();
        for step in 0..6 {
            let told: Vec<_> = orders
                .iter()
                .enumerate()
                .map(|(at, order)| match order[step] {
                    Event::Start(call) => house.start("support-de", &call_id(at, call), &caller(at)),
                    Event::End(call) => house.end(&call_id(at, call)),
                })
                .collect();
            for ((at, order), told) in orders.iter().enumerate().zip(told) {
                let session = answered(told).await.expect("it is taken").session;
                let expected = &mut expected[at];
                match order[step] {
                    Event::Start(call) => {
                        if expected.up.is_empty() {
                            expected.shared.clear();
                        }
                        expected.up.insert(call_id(at, call), Vec::new());
                    }
                    Event::End(call) => {
                        expected.up.remove(&call_id(at, call));
                    }
                }
                assert_eq!(Expected::found(&session), *expected, "after step {step} of {order:?}");
            }
            let mut set = Vec::new();
            for (at, order) in orders.iter().enumerate() {
                let Event::Start(call) = order[step] else { continue };
                let (id, shared) = (call_id(at, call), format!("shared_{call}"));
                let own = format!("{id:?}");
                set.push(house.set(&id, "own", &own, Lifetime::Call));
                set.push(house.set(&id, &shared, "1", Lifetime::Session));
                expected[at].up.insert(id, vec![own]);
                expected[at].shared.insert(shared);
            }
            for answer in set {
                answered(answer).await.expect("a revision");
            }
        }
        house.rests().await;
        let tenant = House::release("support-de").tenant;
        for (at, order) in orders.iter().enumerate() {
            let again = house.start("support-de", &call_id(at, "again"), &caller(at));
            let session = answered(again).await.expect("a context").session;
            assert_eq!((session.contacts, session.variables.len()), (4, 0), "the next call resets: {order:?}");
            let ended = house.directory.find_call(&tenant, &id(&call_id(at, "a"))).await.expect("readable");
            assert!(ended.expect("it lingers").call.variables.is_empty());
        }
        house.directory.shutdown();
    });
}
