//! Jumps of hours and days, both ways.

use std::time::{Duration, Instant};

use serde_json::json;

use super::support::{KEY, cli, wait};
use super::{Moved, names_in};

const ANNA: &str = "+493023125101";

/// Leaves a `session` variable, one with a `ttl`, and a `user` variable behind; the session's path on the API.
fn leave(moved: &Moved, ttl: &str) -> String {
    let mut edge = moved.daemon.edge();
    let session = edge.start("past", ANNA)["session_id"].as_str().unwrap().to_owned();
    edge.set("past", "session", json!({"ticket": 1}));
    edge.set("past", "user", json!({"language": "de"}));
    edge.ok("variables.set", &json!({"call_id": "past", "set": {"pin_ok": true}, "lifetime": "session", "ttl": ttl}));
    edge.end("past");
    format!("/v1/sessions/{session}")
}

/// The names a voice app sees.
fn names(moved: &Moved, session: &str) -> Vec<String> {
    names_in(&moved.daemon.http(KEY).get(session).ok())
}

#[test]
fn a_jump_forward_of_hours_deletes_nothing_and_is_forgotten_when_the_clock_returns() {
    let moved = Moved::start("+0");
    let session = leave(&moved, "1h");
    assert!(!moved.is_doubted());
    moved.set("+3h");
    wait::until("the clock is doubted", || moved.is_doubted());
    let status = moved.status();
    let ahead = status["clock"]["ahead_seconds"].as_f64().unwrap();
    assert!((10_700.0..10_900.0).contains(&ahead), "{ahead}");
    assert!(status["warnings"].to_string().contains("retention confirm clock"), "{status}");
    assert!(moved.daemon.metrics().contains("\nrecalld_clock_doubted 1\n"));
    assert!(moved.daemon.metrics().contains("\nrecalld_timers_paused 1\n"));
    assert!(moved.daemon.log().contains("jumped forward"));
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(names(&moved, &session), ["language", "pin_ok", "ticket"], "reads go by the trusted clock");
    let (code, refused) = cli::ask(&moved.daemon, &["retention", "run"]);
    assert_eq!(code, 1, "{refused}");
    moved.set("+0");
    wait::until("the clock is believed again", || !moved.is_doubted());
    assert!(moved.daemon.metrics().contains("\nrecalld_clock_doubted 0\n"));
    assert_eq!(names(&moved, &session), ["language", "pin_ok", "ticket"]);
}

#[test]
fn after_a_confirmed_jump_of_days_everything_due_ends_and_no_jump_back_revives_it() {
    let mut moved = Moved::start("+0");
    let session = leave(&moved, "1h");
    let mut watcher = moved.daemon.watcher(KEY);
    watcher.subscribe("w", &json!({"instance_id": "support-de"}));
    moved.set("+40d");
    wait::until("the clock is doubted", || moved.is_doubted());
    let (code, text) = cli::ask(&moved.daemon, &["retention", "review", "--as-of", "41d"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("session variable ticket") && text.contains("session variable pin_ok"), "{text}");
    assert!(!text.contains("user variable"), "{text}");
    let (code, text) = cli::ask(&moved.daemon, &["retention", "confirm"]);
    assert_eq!(code, 0, "{text}");
    let (_, audit) = cli::ask(&moved.daemon, &["audit", "show", "--json"]);
    assert!(audit.contains("clock_confirmed"), "{audit}");
    assert_eq!(names(&moved, &session), ["language"]);
    for _ in 0..2 {
        watcher.until("a variable expires", |message| message["cause"] == "expired");
    }
    let (code, _) = cli::ask(&moved.daemon, &["retention", "confirm"]);
    assert_eq!(code, 1, "nothing waits any more");

    for offset in ["+39d", "-2h", "-20d"] {
        moved.set(offset);
        wait::until("the clock is behind", || moved.status()["clock"]["ahead_seconds"].as_f64().unwrap() < -600.0);
        assert!(!moved.is_doubted());
        assert_eq!(names(&moved, &session), ["language"], "{offset}");
    }
    moved.daemon.kill();
    moved.daemon.restart();
    assert_eq!(names(&moved, &session), ["language"], "the time that was known waits for the clock");
    wait::until("the clock is behind", || moved.status()["clock"]["ahead_seconds"].as_f64().unwrap() < -600.0);
}

#[test]
fn a_jump_back_deletes_nothing_early_and_nothing_late() {
    let moved = Moved::start("+0");
    let before = Instant::now();
    let session = leave(&moved, "4s");
    let after = Instant::now();
    moved.set("-3d");
    let gone = wait::within(Duration::from_secs(30), || {
        let asked = Instant::now();
        let is_there = names(&moved, &session).iter().any(|name| name == "pin_ok");
        assert!(!is_there || asked < after + Duration::from_secs(4), "returned after its end");
        (!is_there).then(Instant::now)
    });
    assert!(gone.unwrap() + Duration::from_millis(10) > before + Duration::from_secs(4), "gone before its end");
    assert_eq!(names(&moved, &session), ["language", "ticket"]);
}

#[test]
fn a_clock_that_was_set_forward_while_the_daemon_was_down_is_believed() {
    let mut moved = Moved::start("+0");
    let session = leave(&moved, "1h");
    moved.daemon.kill();
    moved.set("+2h");
    moved.daemon.restart();
    assert!(!moved.is_doubted());
    assert_eq!(names(&moved, &session), ["language", "ticket"], "a gap at the start is time that has passed");
    moved.daemon.terminate();
    moved.set("+31d");
    moved.daemon.restart();
    assert_eq!(names(&moved, &session), ["language"]);
    moved.daemon.kill();
    moved.set("+0");
    moved.daemon.restart();
    assert_eq!(names(&moved, &session), ["language"], "what has ended stays ended");
}
