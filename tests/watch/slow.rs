//! A client that does not read.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::{Daemon, KEY};
use super::{ANNA, release, short};

#[test]
fn a_client_that_does_not_read_slows_nobody_and_gets_lagged_and_a_resync() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("a", ANNA);
    let mut slow = daemon.watcher(KEY);
    slow.subscribe("s", &release());
    let mut quick = daemon.watcher(KEY);
    quick.subscribe("q", &json!({"call_id": "a"}));
    // Twenty megabytes fill whatever lies between the daemon and a client, then events that cannot collapse.
    let large = "x".repeat(15_000);
    for _ in 0..14 {
        let sets = (0..100).map(|n| ("variables.set", json!({"call_id": "a", "set": {"large": [n, large]}})));
        assert!(edge.pipeline(sets).iter().all(Result::is_ok));
    }
    let keys = (0..6_000).map(|_| ("call.dtmf", json!({"call_id": "a", "digit": "1"})));
    assert!(edge.pipeline(keys).iter().all(Result::is_ok));
    let begun = Instant::now();
    edge.set("a", "session", json!({"last": "word"}));
    assert!(begun.elapsed() < Duration::from_secs(2), "the daemon is as quick as before");

    let last = |message: &Value| message["name"] == "last" && message["variable"]["value"] == "word";
    let in_time = quick.until("the last change", |message| last(message) || message["type"] == "lagged");
    assert!(last(&in_time) || in_time["type"] == "lagged");

    let lagged = slow.until("lagged", |message| message["type"] == "lagged");
    assert_eq!(lagged, json!({"type": "lagged", "id": "s"}));
    assert_eq!(slow.next(), json!({"type": "resync", "id": "s"}));
    let snapshot = slow.next();
    assert_eq!(short(&snapshot), "snapshot");
    assert_eq!(snapshot["context"]["variables"]["last"]["value"], "word");
    assert_eq!(short(&slow.next()), "synced");
    edge.end("a");
    assert_eq!(slow.until("the end", |message| message["event"] == "ended")["call_id"], "a");
}
