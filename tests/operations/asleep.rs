//! Memory does not grow with the number of sessions that sleep: they lie on the disk, and so do their ends.

use serde_json::json;

use super::health::value;
use crate::support::{Daemon, rpc, wait};

/// Sessions that sleep, first few and then many.
const FEW: usize = 1_000;
const MANY: usize = 15_000;

/// What each of them holds: 60 MB together, in memory not to be overlooked.
const BYTES: usize = 4_000;

/// What memory may have grown by for other reasons, between two starts with all caches empty.
const FOR_OTHER_REASONS: f64 = (32 << 20) as f64;

/// Everything that is in memory because of a session or a call. Each goes back to nothing.
const GAUGES: [&str; 8] = [
    "recalld_active_calls",
    "recalld_active_sessions",
    "recalld_calls_in_memory",
    "recalld_sessions_in_memory",
    "recalld_session_memory_bytes",
    "recalld_timers_waiting",
    "recalld_unrecorded_sessions",
    "recalld_writer_queue_items",
];

/// Callers ring, leave variables behind that end in thirty days, and hang up.
fn call(daemon: &Daemon, callers: std::ops::Range<usize>) {
    let text = "x".repeat(BYTES);
    let mut edge = daemon.edge();
    let callers: Vec<usize> = callers.collect();
    // Fewer at once than may be in progress on one connection.
    for part in callers.chunks(500) {
        let done = edge.pipeline(part.iter().flat_map(|caller| {
            let call = format!("call-{caller}");
            let mut start = rpc::start(&call, "anonymous");
            start["user_id"] = json!(format!("customer-{caller}"));
            let set = json!({"call_id": call, "lifetime": "session", "set": {"notes": text, "ticket": caller}});
            [("call.start", start), ("variables.set", set), ("call.end", json!({"call_id": call}))]
        }));
        assert!(done.iter().all(Result::is_ok), "{:?}", done.iter().find(|answer| answer.is_err()));
    }
}

/// Waits until nothing of them is in memory.
fn sleeps(daemon: &Daemon, when: &str) {
    let mut left = Vec::new();
    let nothing = wait::within(wait::LONG, || {
        let metrics = daemon.metrics();
        left =
            GAUGES.map(|name| (name, value(&metrics, name))).into_iter().filter(|(_, value)| *value != 0.0).collect();
        left.is_empty().then_some(())
    });
    assert!(nothing.is_some(), "in memory {when}: {left:?}");
}

/// Memory right after a start, without what the database holds for speed.
fn after_a_start(daemon: &mut Daemon, when: &str) -> f64 {
    // The first start takes what the database had only in its log into its tables, and the second finds nothing to do.
    for _ in 0..2 {
        daemon.terminate();
        daemon.restart();
        sleeps(daemon, when);
    }
    let metrics = daemon.metrics();
    let for_speed = ["recalld_database_cache_bytes", "recalld_database_write_buffer_bytes"];
    value(&metrics, "process_resident_memory_bytes") - for_speed.map(|name| value(&metrics, name)).iter().sum::<f64>()
}

#[test]
fn sessions_that_sleep_take_no_memory_however_many_they_are() {
    let mut daemon = Daemon::start();
    call(&daemon, 0..FEW);
    sleeps(&daemon, "with few that sleep");
    let with_few = after_a_start(&mut daemon, "after a start with few that sleep");

    call(&daemon, FEW..MANY);
    sleeps(&daemon, "with many that sleep");
    let with_many = after_a_start(&mut daemon, "after a start with many that sleep");
    assert!(
        with_many < with_few + FOR_OTHER_REASONS,
        "{with_few} bytes with {FEW} that sleep, {with_many} with {MANY}"
    );

    // They are there, and one that wakes goes to sleep again.
    let stored = value(&daemon.metrics(), "recalld_stored_sessions");
    assert!(stored >= MANY as f64 * 0.9, "{stored} of {MANY} are stored, as the database estimates");
    let mut edge = daemon.edge();
    let mut start = rpc::start("again", "anonymous");
    start["user_id"] = json!("customer-7");
    let again = edge.ok("call.start", &start);
    assert_eq!((&again["returning"], &again["variables"]), (&json!(true), &json!({})));
    edge.end("again");
    sleeps(&daemon, "after a caller has returned");
}
