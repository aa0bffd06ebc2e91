//! `kill -9`, the clock is set while the daemon is down, and it starts again: nothing ends early, and what has ended never
//! comes back, whatever the clock says then.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::support::{Config, KEY, cli, wait};
use super::{Moved, names_in};

const ANNA: &str = "+493023125101";
const BERT: &str = "+493023125102";

/// Variables of each lifetime, by the hours of their `ttl`.
const HOURS: [u32; 6] = [1, 3, 6, 20, 60, 130];

fn name(hours: u32) -> String {
    format!("hours_{hours:03}")
}

/// Keeps what is told for as long as the clock is moved, and no call is reaped.
fn patient() -> Config {
    let mut config = Config::default().data("log_window = \"15d\"").limits("max_call_age = \"30d\"");
    config.privacy.push_str("erase_within = \"30d\"\n");
    config
}

/// A session with a call that stays up, and one that sleeps, with the same variables; their paths on the API.
fn leave(moved: &Moved) -> [String; 2] {
    let mut edge = moved.daemon.edge();
    [("up", ANNA), ("over", BERT)].map(|(call, number)| {
        let session = edge.start(call, number)["session_id"].as_str().unwrap().to_owned();
        for (at, hours) in HOURS.into_iter().enumerate() {
            let lifetime = match (at % 3, call) {
                (0, _) => "session",
                (1, "up") => "call",
                _ => "user",
            };
            let set =
                json!({"call_id": call, "set": {name(hours): hours}, "lifetime": lifetime, "ttl": format!("{hours}h")});
            edge.ok("variables.set", &set);
        }
        if call == "over" {
            edge.end(call);
        }
        format!("/v1/sessions/{session}")
    })
}

/// Holds every reader to what has ended by this hour.
fn is_exact(moved: &Moved, sessions: &[String; 2], hour: u32) {
    let left: Vec<String> = HOURS.into_iter().filter(|hours| *hours > hour).map(name).collect();
    let http = moved.daemon.http(KEY);
    assert_eq!(names_in(&moved.daemon.edge().context("up")), left, "a switch after {hour} h");
    assert_eq!(names_in(&http.get("/v1/calls/up").ok()), left, "the call after {hour} h");
    assert_eq!(names_in(&http.get(&sessions[1]).ok()), left, "the session that sleeps after {hour} h");
    let of_call = [name(HOURS[1]), name(HOURS[4])];
    let left: Vec<String> = left.into_iter().filter(|name| !of_call.contains(name)).collect();
    assert_eq!(names_in(&http.get(&sessions[0]).ok()), left, "the session with a call after {hour} h");
}

/// How often each variable was announced as expired, and the last cursor.
struct Told {
    expired: BTreeMap<[String; 3], usize>,
    cursor: String,
}

impl Told {
    /// Goes on where it was, until everything is told that has ended by this hour.
    fn go_on(&mut self, moved: &Moved, hour: u32) {
        let ended = 2 * HOURS.into_iter().filter(|hours| *hours <= hour).count();
        let mut watcher = moved.daemon.watcher(KEY);
        watcher.send(&json!({"op": "subscribe", "id": "w", "instance_id": "support-de", "from": self.cursor}));
        wait::until("what has ended is announced", || {
            while let Some(message) = watcher.poll(Duration::from_millis(50)).unwrap() {
                assert_ne!(message["type"], "resync", "nothing is missed");
                if let Some(cursor) = message["cursor"].as_str() {
                    cursor.clone_into(&mut self.cursor);
                }
                if message["cause"] == "expired" {
                    let what = ["session_id", "call_id", "name"].map(|member| message[member].to_string());
                    *self.expired.entry(what).or_default() += 1;
                }
            }
            self.expired.len() >= ended
        });
        assert_eq!(self.expired.len(), ended, "after {hour} h: {:?}", self.expired);
        assert!(self.expired.values().all(|times| *times == 1), "each once: {:?}", self.expired);
    }
}

#[test]
fn killed_over_and_over_while_its_clock_goes_both_ways_it_ends_nothing_early_and_revives_nothing() {
    let mut moved = Moved::with(patient(), "+0");
    let sessions = leave(&moved);
    let (_, cursor) = moved.daemon.watcher(KEY).subscribe("w", &json!({"instance_id": "support-de"}));
    let mut told = Told { expired: BTreeMap::new(), cursor };
    is_exact(&moved, &sessions, 0);
    // What has passed is the latest time that was seen: a clock that goes back takes nothing of it away.
    for (offset, hour) in [
        ("-5h", 0),
        ("+2h", 2),
        ("+30m", 2),
        ("-5d", 2),
        ("+5h", 5),
        ("+21h", 21),
        ("+1h", 21),
        ("+0", 21),
        ("+3d", 72),
        ("+2d", 72),
        ("+6d", 144),
        ("+0", 144),
    ] {
        moved.kill_and_set(offset);
        is_exact(&moved, &sessions, hour);
        told.go_on(&moved, hour);
        assert!(!moved.is_doubted(), "a gap at a start is time that has passed: {offset}");
        assert_eq!(moved.daemon.edge().context("up")["active_calls"], 1, "the call is up");
    }
}

#[test]
fn a_clock_that_is_behind_at_a_start_waits_and_goes_on_when_it_is_set_right() {
    let mut moved = Moved::with(patient(), "+0");
    let sessions = leave(&moved);
    let now = |moved: &Moved| moved.status()["now"].as_str().unwrap().to_owned();
    let ahead = |moved: &Moved| moved.status()["clock"]["ahead_seconds"].as_f64().unwrap();
    moved.kill_and_set("+2h");
    is_exact(&moved, &sessions, 2);

    moved.kill_and_set("-3d");
    wait::until("the clock is behind", || ahead(&moved) < -3.0 * 86_400.0);
    let waiting = now(&moved);
    is_exact(&moved, &sessions, 2);
    assert!(moved.daemon.log().contains("the system clock is behind the time that is known to have passed"));
    // What is set now ends no sooner for it.
    let set = json!({"call_id": "up", "set": {"while_it_waits": 1}, "lifetime": "session", "ttl": "500ms"});
    moved.daemon.edge().ok("variables.set", &set);
    assert!(names_in(&moved.daemon.edge().context("up")).contains(&"while_it_waits".to_owned()));
    assert_eq!(now(&moved), waiting, "it waits");

    // Nearer, and still behind.
    moved.set("-1d");
    wait::until("the clock is less behind", || ahead(&moved) > -2.0 * 86_400.0);
    assert!(ahead(&moved) < -86_400.0 && !moved.is_doubted(), "{}", moved.status());
    assert_eq!(now(&moved), waiting, "it waits");

    moved.set("+2h");
    wait::until("the clock is believed again", || ahead(&moved) == 0.0 && !moved.is_doubted());
    wait::until("time goes on", || now(&moved) > waiting);
    wait::until("what was set has ended", || {
        !names_in(&moved.daemon.edge().context("up")).contains(&"while_it_waits".to_owned())
    });
    is_exact(&moved, &sessions, 2);
    let (code, text) = cli::ask(&moved.daemon, &["retention", "confirm"]);
    assert_eq!(code, 1, "nothing waits for an operator: {text}");
}

#[test]
fn a_doubted_clock_is_doubted_after_kill_9_too_until_it_is_confirmed_or_returns() {
    let mut moved = Moved::with(patient(), "+0");
    let sessions = leave(&moved);
    let is_doubted_and_nothing_ends = |moved: &Moved| {
        wait::until("the clock is doubted", || moved.is_doubted());
        is_exact(moved, &sessions, 0);
    };
    moved.set("+4h");
    is_doubted_and_nothing_ends(&moved);
    moved.daemon.kill();
    moved.daemon.restart();
    is_doubted_and_nothing_ends(&moved);
    moved.daemon.terminate();
    moved.daemon.restart();
    is_doubted_and_nothing_ends(&moved);
    moved.kill_and_set("+0");
    is_exact(&moved, &sessions, 0);
    assert!(!moved.is_doubted(), "it has returned");

    moved.set("+7h");
    is_doubted_and_nothing_ends(&moved);
    let (code, text) = cli::ask(&moved.daemon, &["retention", "confirm"]);
    assert_eq!(code, 0, "{text}");
    // Killed at once, and down for hours: what was confirmed is not forgotten.
    for offset in ["+9h", "+0"] {
        moved.kill_and_set(offset);
        assert!(!moved.is_doubted(), "{}", moved.status());
        is_exact(&moved, &sessions, 9);
    }
}
