use serde_json::Value;

use super::*;
use crate::app::samples::{parsed, release, rules, session, time};
use crate::domain::caller::{Assurance, CallerSource, Presentation};
use crate::domain::session::{Direction, Leg};

fn start(ordinal: u64) -> LogRecord {
    let effect = Effect::CallStarted {
        call: parsed("c@192.0.2.7"),
        leg: Leg { switch: parsed("edge-1"), peer: [127, 0, 0, 1].into() },
        direction: Direction::Inbound,
        presentation: Presentation::Allowed,
        source: CallerSource::From,
        assurance: Assurance::Trunk,
        switch_at: None,
        reopened: false,
    };
    let commit = Commit { ordinal, revision: 16, at: time(1_795_194_189_551), activity: true, effects: vec![effect] };
    LogRecord { sequence: 7, session: session().id, commit }
}

#[test]
fn the_start_of_a_call_that_is_over_is_told_from_the_log_without_variables() {
    let sight = Sight { variables: true, trusted: true, number: true };
    let mut known = session();
    known.variables = vec![crate::app::samples::variable("ticket", "1", Lifetime::Session)];
    let context = |ordinal, known: Option<&Session>| {
        let mut out = String::new();
        write_past(&mut out, &start(ordinal), &parsed("c@192.0.2.7"), known, &rules(), sight);
        serde_json::from_str::<Value>(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    };
    let returning = context(30, Some(&known));
    assert_eq!(returning["call_id"], "c@192.0.2.7");
    assert_eq!(returning["instance_id"], release().instance.as_str());
    assert_eq!((&returning["returning"], &returning["assurance"]), (&Value::from(true), &Value::from("trunk")));
    assert_eq!(returning["revision"], 16);
    assert_eq!(returning["variables"], serde_json::json!({}));
    assert_eq!(returning["number"], Value::Null);
    let forgotten = context(1, None);
    assert_eq!(forgotten["returning"], false);
}
