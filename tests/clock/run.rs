//! `recalld retention run` ends what is due.

use std::io::Read as _;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::Moved;
use super::support::{Config, KEY, cli, rpc, wait};

/// So many that the wheel, which begins at the same moment, leaves some of them to the operator.
const CALLERS: usize = 4_000;

/// A run while the wheel had no chance yet is a matter of moments.
const ATTEMPTS: usize = 5;

fn pin(attempt: usize) -> String {
    format!("pin_{attempt}")
}

fn start(call: &str, caller: usize) -> Value {
    let mut start = rpc::start(call, "anonymous");
    start["user_id"] = json!(format!("customer-{caller}"));
    start
}

/// Each caller has a variable that ends two minutes later.
fn call_everybody(moved: &Moved, attempt: usize) {
    let mut edge = moved.daemon.edge();
    let call = |caller: usize| format!("{attempt}-{caller}");
    let callers: Vec<usize> = (0..CALLERS).collect();
    // Fewer at once than may be in progress on one connection.
    for part in callers.chunks(1_000) {
        let done = edge.pipeline(part.iter().flat_map(|caller| {
            let start = start(&call(*caller), *caller);
            let set = json!({"call_id": call(*caller), "lifetime": "user", "ttl": "2m", "set": {pin(attempt): caller}});
            let end = json!({"call_id": call(*caller)});
            [("call.start", start), ("variables.set", set), ("call.end", end)]
        }));
        assert!(done.iter().all(Result::is_ok), "{:?}", done.iter().find(|answer| answer.is_err()));
    }
}

/// Connections of clients to the admin socket, those included that the daemon has not seen yet.
fn admin_connections(moved: &Moved) -> usize {
    let socket = moved.daemon.place().join("recalld.sock");
    let sockets = std::fs::read_to_string("/proc/net/unix").unwrap();
    sockets.lines().filter(|line| line.ends_with(socket.to_str().unwrap())).count()
}

/// Runs it at the moment at which everything becomes due: while the daemon is held, the clock moves on and the operator
/// asks. What it said.
fn run_when_due(moved: &Moved, clock: &str, more: &[&str]) -> String {
    wait::until("nobody asks", || admin_connections(moved) == 1);
    moved.daemon.signal(Signal::STOP);
    moved.set(clock);
    let mut run = Command::new(env!("CARGO_BIN_EXE_recalld"))
        .args(["retention", "run", "--socket"])
        .arg(moved.daemon.place().join("recalld.sock"))
        .args(more)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    wait::until("the operator asks", || admin_connections(moved) > 1);
    moved.daemon.signal(Signal::CONT);
    let mut said = String::new();
    run.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(run.wait().unwrap().success(), "{said}");
    said
}

/// Until a run has ended something: what it said. Afterwards nothing is due, and nobody can read what was.
fn ends_something(
    moved: &Moved,
    attempts: &mut std::ops::Range<usize>,
    more: &[&str],
    says: impl Fn(&str) -> bool,
) -> String {
    for attempt in attempts {
        call_everybody(moved, attempt);
        // A step that is believed.
        let said = run_when_due(moved, &format!("+{}m", 4 * (attempt + 1)), more);
        wait::until("nothing is due any more", || {
            let (_, review) = cli::ask(&moved.daemon, &["retention", "review", "--counts"]);
            review.contains("\n0 sessions, ")
        });
        let mut edge = moved.daemon.edge();
        for caller in [0, CALLERS / 2, CALLERS - 1] {
            let look = format!("look-{attempt}-{caller}");
            let context = edge.ok("call.start", &start(&look, caller));
            assert_eq!((&context["returning"], &context["variables"]), (&json!(true), &json!({})));
            edge.end(&look);
        }
        if says(&said) {
            return said;
        }
    }
    panic!("{ATTEMPTS} times the wheel was faster");
}

#[test]
fn an_operator_ends_what_is_due_and_is_told_of_how_many_sessions() {
    let moved = Moved::with(Config::default(), "+0");
    let nothing = cli::ask(&moved.daemon, &["retention", "run"]);
    assert_eq!(nothing, (0, "nothing was due\n".to_owned()));
    let mut edge = moved.daemon.edge();
    let one = edge.ok("call.start", &start("first", 0));
    edge.end("first");
    let mut watcher = moved.daemon.watcher(KEY);
    watcher.subscribe("w", &json!({"session_id": one["session_id"]}));
    let mut attempts = 0..2 * ATTEMPTS;

    let said = ends_something(&moved, &mut attempts, &[], |said| said != "nothing was due\n");
    let words: Vec<&str> = said.split_whitespace().collect();
    assert_eq!(words[..3], ["something", "ended", "of"], "{said}");
    assert!(said.ends_with("sessions, of 4,000 stored\n"), "{said}");

    let outcome = |said: &str| serde_json::from_str::<Value>(said).unwrap();
    let said = ends_something(&moved, &mut attempts, &["--json"], |said| outcome(said)["sessions"] != 0);
    let total = outcome(&said);
    let ended = total["sessions"].as_u64().unwrap();
    assert!(ended > 0 && ended <= CALLERS as u64, "{total}");
    assert_eq!((&total["type"], &total["records"], &total["damaged"]), (&json!("total"), &json!(CALLERS), &json!(0)));
    let (_, audit) = cli::ask(&moved.daemon, &["audit", "show", "--json"]);
    assert!(audit.contains("retention_run"), "{audit}");
    watcher.until("it is announced", |message| message["cause"] == "expired");
}
