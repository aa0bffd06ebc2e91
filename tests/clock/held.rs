//! `30d` mistyped as `30m`.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::Moved;
use super::support::{Daemon, KEY, cli, wait};

/// Callers with a `session` variable: enough that a mistake is held.
const CALLERS: usize = 1_100;

fn with_retention(retention: &str) -> impl FnOnce(&mut super::Config) {
    let line = format!("id = \"acme\"\nsession_retention = \"{retention}\"");
    move |config| config.tenants = config.tenants.replacen("id = \"acme\"\nsession_retention = \"30d\"", &line, 1)
}

/// Calls, and gives the paths of the sessions.
fn call_everybody(daemon: &Daemon) -> Vec<String> {
    let mut edge = daemon.edge();
    let calls = 0..CALLERS;
    let start = |call: usize| {
        json!({"call_id": format!("c{call}"), "user_id": format!("user-{call}"),
        "from": "sip:x@example.com", "to": "sip:+493023125000@192.0.2.1"})
    };
    let started = edge.pipeline(calls.clone().map(|call| ("call.start", start(call)))).into_iter();
    let sessions = started.map(|context| format!("/v1/sessions/{}", context.unwrap()["session_id"].as_str().unwrap()));
    let sessions = sessions.collect();
    let set = |call: usize| json!({"call_id": format!("c{call}"), "set": {"ticket": call}});
    for answer in edge.pipeline(calls.clone().map(|call| ("variables.set", set(call)))) {
        answer.unwrap();
    }
    for answer in edge.pipeline(calls.map(|call| ("call.end", json!({"call_id": format!("c{call}")})))) {
        answer.unwrap();
    }
    sessions
}

/// Sessions and rows of a review.
fn review(daemon: &Daemon, more: &[&str]) -> (u64, usize) {
    let (code, text) = cli::ask(daemon, &[&["retention", "review", "--json"], more].concat());
    assert_eq!(code, 0, "{text}");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let total = lines.iter().position(|line| line["type"] == "total").expect("a total");
    let first_row = lines.iter().position(|line| line["type"] == "row");
    assert!(first_row.is_none_or(|row| row > total), "counts come first");
    assert_eq!(lines.last().unwrap()["type"], "end");
    (lines[total]["sessions"].as_u64().unwrap(), lines.iter().filter(|line| line["type"] == "row").count())
}

#[test]
fn a_mistyped_retention_is_held_over_a_restart_until_it_is_corrected_or_confirmed() {
    let mut moved = Moved::start("-1d");
    let sessions = call_everybody(&moved.daemon);
    let ticket = |moved: &Moved, caller: usize| {
        let context = moved.daemon.http(KEY).get(&sessions[caller]).ok();
        context["variables"]["ticket"]["value"].clone()
    };
    moved.daemon.terminate();
    moved.set("+0");
    moved.daemon.restart();

    let mistyped = moved.place.path().join("mistyped.toml");
    let text = std::fs::read_to_string(moved.daemon.config_path()).unwrap();
    std::fs::write(&mistyped, text.replacen("\"30d\"", "\"30m\"", 1)).unwrap();
    assert_eq!(review(&moved.daemon, &[]), (0, 0), "nothing is due");
    let before = review(&moved.daemon, &["--with", mistyped.to_str().unwrap()]);
    assert_eq!(before, (CALLERS as u64, CALLERS), "a review tells before the reload what would go");
    assert_eq!(review(&moved.daemon, &["--as-of", "31d", "--counts"]), (CALLERS as u64, 0));
    assert_eq!(review(&moved.daemon, &["--tenant", "globex", "--as-of", "31d"]), (0, 0));

    moved.daemon.configure(with_retention("30m"));
    moved.daemon.signal(Signal::HUP);
    let state = |moved: &Moved| moved.status()["retention"]["change"]["state"].clone();
    wait::until("the change is held", || state(&moved) == "held");
    let status = moved.status();
    assert_eq!(status["retention"]["change"]["releases"][0]["wanted"]["session_retention"], "30m", "{status}");
    assert!(status["warnings"].to_string().contains("retention confirm retention"), "{status}");
    assert!(moved.daemon.metrics().contains("\nrecalld_retention_held 1\n"));
    assert!(moved.daemon.log().contains("is held"));
    let (code, text) = cli::ask(&moved.daemon, &["status"]);
    assert!(code == 0 && text.contains("a shorter one is held"), "{text}");
    assert_eq!(review(&moved.daemon, &[]), (0, 0), "the retention before stays in force");
    assert_eq!(review(&moved.daemon, &["--held", "--counts"]), (CALLERS as u64, 0));

    moved.daemon.kill();
    moved.daemon.restart();
    wait::until("the change is held after a restart", || state(&moved) == "held");
    assert_eq!(ticket(&moved, 7), 7, "nothing is lost");

    moved.daemon.configure(|config| config.tenants = config.tenants.replacen("\"30m\"", "\"30d\"", 1));
    moved.daemon.signal(Signal::HUP);
    wait::until("nothing is held any more", || state(&moved) == Value::Null);
    let (code, text) = cli::ask(&moved.daemon, &["retention", "confirm", "retention"]);
    assert_eq!(code, 1, "{text}");

    moved.daemon.configure(with_retention("30m"));
    moved.daemon.signal(Signal::HUP);
    wait::until("the change is held again", || state(&moved) == "held");
    let (code, text) = cli::ask(&moved.daemon, &["retention", "confirm"]);
    assert!(code == 0 && text.contains("session_retention 30m"), "{text}");
    let (_, audit) = cli::ask(&moved.daemon, &["audit", "show", "--json"]);
    assert!(audit.contains("retention_confirmed") && audit.contains("\"30m\""), "{audit}");
    assert_eq!(ticket(&moved, 8), Value::Null, "reads are exact at once");
    let swept = wait::within(Duration::from_secs(60), || {
        moved.status()["retention"]["sweep"].is_null().then(|| review(&moved.daemon, &[]))
    });
    assert_eq!(swept, Some((0, 0)), "what was due has ended");
    moved.daemon.kill();
    moved.daemon.restart();
    assert_eq!(state(&moved), Value::Null, "what was confirmed stays in force");
    assert_eq!(ticket(&moved, 9), Value::Null);
}
