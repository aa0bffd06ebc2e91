//! Entries and verdicts as JSON: on the admin socket and in files.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Fault, Told, Verdict};

/// A verdict for programs.
#[derive(Serialize)]
struct Verified {
    sound: bool,
    entries: u64,
    head: String,
    /// Whether entries that were cut off at the end would have been found.
    against_head: bool,
    /// Up to which entry whoever has an earlier root key can have written the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    unproved_up_to: Option<u64>,
    fault_count: u64,
    faults: Vec<Fault>,
}

/// An entry as JSON: its number and time, what it says, its MAC.
#[must_use]
pub fn shown(told: Told) -> Value {
    let mut object = Map::new();
    object.insert("sequence".to_owned(), told.sequence.into());
    object.insert("at".to_owned(), told.at.map(|at| at.to_string()).into());
    match told.entry {
        Value::Object(entry) => object.extend(entry),
        _ => {
            object.insert("what".to_owned(), "unreadable".into());
        }
    }
    object.insert("mac".to_owned(), told.mac.into());
    Value::Object(object)
}

/// A verdict as JSON.
#[must_use]
pub fn verified(verdict: Verdict) -> impl Serialize {
    Verified {
        sound: verdict.is_sound(),
        entries: verdict.entries,
        head: verdict.head.to_string(),
        against_head: verdict.against_head,
        unproved_up_to: verdict.unproved_up_to,
        fault_count: verdict.fault_count,
        faults: verdict.faults,
    }
}
