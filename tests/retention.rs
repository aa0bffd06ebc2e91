//! Short lifetimes over real time (PRODUCT.md 4.1): what has ended is not readable anywhere, is announced once and at most
//! a second late, and does not come back after `kill -9`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

mod support;

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rand::rngs::{StdRng, SysRng};
use rand::{RngExt as _, SeedableRng as _, TryRng as _};
use serde_json::{Value, json};

use support::{Config, Daemon, KEY, Watcher, cli, rpc, wait};

/// Between the daemon's milliseconds and the test's clock.
const BLUR: Duration = Duration::from_millis(2);

/// What a change by the wheel may be late, as the test sees it on a busy machine; what the daemon measures is held to a
/// second.
const LATE: Duration = Duration::from_secs(5);

/// Holds the greatest lateness the daemon has measured to a second, and to what the machine itself stood still.
fn is_punctual(daemon: &Daemon, stalls: Stalls) {
    let metrics = daemon.metrics();
    let line = metrics.lines().find_map(|line| line.strip_prefix("recalld_timers_most_lateness_seconds "));
    let lateness: f64 = line.expect("the daemon tells how late timers are").parse().unwrap();
    let stalled = stalls.end().as_secs_f64();
    assert!(lateness <= 1.0 + stalled, "{lateness} s, while the machine stood still for {stalled} s at most");
}

/// How long the machine lets a thread wait that only wants to sleep a moment and sync a few bytes: on one that is busy
/// with other tests no daemon can be punctual.
struct Stalls {
    end: Arc<AtomicBool>,
    measured: JoinHandle<Duration>,
}

impl Stalls {
    fn measure() -> Self {
        const PAUSE: Duration = Duration::from_millis(10);
        let end = Arc::new(AtomicBool::new(false));
        let ended = end.clone();
        let measured = std::thread::spawn(move || {
            let mut file = tempfile::tempfile().unwrap();
            let mut most = Duration::ZERO;
            while !ended.load(Ordering::Relaxed) {
                let began = Instant::now();
                std::thread::sleep(PAUSE);
                file.write_all(b"a few bytes").unwrap();
                file.sync_data().unwrap();
                most = most.max(began.elapsed().saturating_sub(PAUSE));
            }
            most
        });
        Self { end, measured }
    }

    fn end(self) -> Duration {
        self.end.store(true, Ordering::Relaxed);
        self.measured.join().unwrap()
    }
}

/// A variable with a `ttl`: between these moments it was set.
struct Short {
    session: String,
    call: String,
    ttl: Duration,
    before: Instant,
    after: Instant,
}

impl Short {
    fn set(daemon: &Daemon, number: usize, ttl: Duration) -> Self {
        let mut edge = daemon.edge();
        let call = format!("call-{number}");
        let start = json!({"call_id": call, "user_id": format!("user-{number}"), "from": "sip:x@example.com",
            "to": "sip:+493023125000@192.0.2.1"});
        let session = edge.ok("call.start", &start)["session_id"].as_str().unwrap().to_owned();
        let lifetime = ["session", "user", "call"][number % 3];
        let before = Instant::now();
        edge.ok(
            "variables.set",
            &json!({"call_id": call, "set": {name(number): number}, "lifetime": lifetime,
                "ttl": format!("{}ms", ttl.as_millis())}),
        );
        let after = Instant::now();
        // Two of three are in sleeping sessions.
        if lifetime != "call" {
            edge.end(&call);
        }
        Self { session, call, ttl, before, after }
    }

    fn has_ended_by(&self, moment: Instant) -> bool {
        moment > self.after + self.ttl + BLUR
    }

    fn must_be_there_until(&self) -> Instant {
        self.before + self.ttl - BLUR
    }
}

fn name(number: usize) -> String {
    format!("short_{number}")
}

/// Whether a variable is shown by an answer with a context.
fn shows(context: &Value, name: &str) -> bool {
    context["variables"].get(name).is_some()
}

#[test]
fn an_expired_value_is_not_readable_anywhere_and_is_announced_at_most_a_second_late() {
    const CALLERS: usize = 60;
    let stalls = Stalls::measure();
    let daemon = Daemon::start();
    let mut watcher = daemon.watcher(KEY);
    watcher.subscribe("w", &json!({"instance_id": "support-de"}));
    let mut rng = StdRng::seed_from_u64(SysRng.try_next_u64().unwrap());
    let shorts: Vec<_> = (0..CALLERS)
        .map(|number| Short::set(&daemon, number, Duration::from_millis(rng.random_range(1_000..4_000))))
        .collect();

    let (http, mut edge) = (daemon.http(KEY), daemon.edge());
    let mut open: Vec<usize> = (0..CALLERS).collect();
    while !open.is_empty() {
        open.retain(|number| {
            let (short, name) = (&shorts[*number], name(*number));
            let asked = Instant::now();
            let is_of_call = number % 3 == 2;
            let context = if is_of_call {
                edge.context(&short.call)
            } else {
                http.get(&format!("/v1/sessions/{}", short.session)).ok()
            };
            let answered = Instant::now();
            if shows(&context, &name) {
                assert!(!short.has_ended_by(asked), "{name} is returned after its end");
                return true;
            }
            assert!(answered > short.must_be_there_until(), "{name} is gone before its end");
            if is_of_call {
                let snapshot = snapshot(&daemon, &json!({"call_id": short.call}));
                assert!(!shows(&snapshot, &name), "{snapshot}");
            }
            let snapshot = snapshot(&daemon, &json!({"session_id": short.session}));
            assert!(!shows(&snapshot, &name), "{snapshot}");
            false
        });
    }

    let mut announced = 0;
    while announced < CALLERS {
        let message = watcher.next();
        if message["type"] == "change" && message["cause"] == "expired" {
            announced += 1;
        }
    }
    is_punctual(&daemon, stalls);
}

fn snapshot(daemon: &Daemon, to: &Value) -> Value {
    let mut watcher = daemon.watcher(KEY);
    let (before, _) = watcher.subscribe("s", to);
    before.into_iter().find(|message| message["type"] == "snapshot").expect("a snapshot")["context"].clone()
}

/// Takes what the watcher is told of expirations, with the moment; the last cursor.
fn take_expired(watcher: &mut Watcher, told: &mut HashMap<String, Vec<Instant>>, cursor: &mut String) {
    while let Ok(Some(message)) = watcher.poll(Duration::from_millis(20)) {
        if let Some(new) = message["cursor"].as_str() {
            new.clone_into(cursor);
        }
        assert_ne!(message["type"], "resync", "nothing is missed");
        if message["cause"] == "expired" {
            told.entry(message["name"].as_str().unwrap().to_owned()).or_default().push(Instant::now());
        }
    }
}

#[test]
fn expirations_survive_kill_9_each_once_none_early_and_nothing_comes_back() {
    const CALLERS: usize = 90;
    let seed = SysRng.try_next_u64().unwrap();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut daemon = Daemon::start();
    let (mut told, mut cursor) = (HashMap::new(), String::new());
    let mut watcher = daemon.watcher(KEY);
    cursor.push_str(&watcher.subscribe("w", &json!({"instance_id": "support-de"})).1);
    let shorts: Vec<_> = (0..CALLERS)
        .map(|number| Short::set(&daemon, number, Duration::from_millis(rng.random_range(1_000..7_000))))
        .collect();

    // Killed while some end, while the daemon is down others do.
    for _ in 0..4 {
        let until = Instant::now() + Duration::from_millis(rng.random_range(200..1_500));
        while Instant::now() < until {
            take_expired(&mut watcher, &mut told, &mut cursor);
        }
        daemon.kill();
        std::thread::sleep(Duration::from_millis(rng.random_range(0..300)));
        daemon.restart();
        let http = daemon.http(KEY);
        for (number, short) in shorts.iter().enumerate() {
            let asked = Instant::now();
            let context = http.get(&format!("/v1/sessions/{}", short.session)).ok();
            let is_there = shows(&context, &name(number));
            assert!(!(is_there && short.has_ended_by(asked)), "{} came back", name(number));
        }
        watcher = daemon.watcher(KEY);
        let resume = json!({"op": "subscribe", "id": "w", "instance_id": "support-de", "from": cursor});
        watcher.send(&resume);
    }
    let done = wait::within(Duration::from_secs(60), || {
        take_expired(&mut watcher, &mut told, &mut cursor);
        (told.len() == CALLERS).then_some(())
    });
    assert!(done.is_some(), "{} of {CALLERS} are announced", told.len());
    for (number, short) in shorts.iter().enumerate() {
        let told = &told[&name(number)];
        assert_eq!(told.len(), 1, "{} is announced once", name(number));
        assert!(told[0] > short.must_be_there_until(), "{} is announced early", name(number));
    }
    take_expired(&mut watcher, &mut told, &mut cursor);
    assert!(told.values().all(|told| told.len() == 1), "each is announced once");
    let (code, text) = cli::ask(&daemon, &["retention", "review"]);
    assert!(code == 0 && text.contains("0 sessions"), "nothing is left that has ended: {text}");
}

#[test]
fn session_variables_go_after_the_shortest_retention_and_the_record_of_contacts_stays() {
    const RETENTION: Duration = Duration::from_secs(60);
    let mut config = Config::default();
    config.tenants = config.tenants.replacen("\"30d\"", "\"1m\"", 1);
    let stalls = Stalls::measure();
    let mut daemon = Daemon::with(config);
    let mut edge = daemon.edge();
    let session = edge.start("past", "+493023125101")["session_id"].as_str().unwrap().to_owned();
    edge.set("past", "session", json!({"ticket": 1}));
    edge.set("past", "user", json!({"language": "de"}));
    let before = Instant::now();
    edge.end("past");
    let after = Instant::now();
    // What is known of the end is on the disk.
    daemon.kill();
    daemon.restart();
    let mut watcher = daemon.watcher(KEY);
    watcher.subscribe("w", &json!({"session_id": session}));
    let http = daemon.http(KEY);
    let gone = wait::within(RETENTION + LATE, || {
        let asked = Instant::now();
        let context = http.get(&format!("/v1/sessions/{session}")).ok();
        let is_there = shows(&context, "ticket");
        assert!(!is_there || asked < after + RETENTION + BLUR, "returned after its end");
        // Reading is not activity.
        (!is_there).then(Instant::now)
    });
    assert!(gone.expect("it ends") > before + RETENTION - BLUR, "gone before its end");
    let message = watcher.until("it is announced", |message| message["cause"] == "expired");
    assert_eq!(message["name"], "ticket");
    assert!(Instant::now() < after + RETENTION + LATE);
    is_punctual(&daemon, stalls);
    let context = http.get(&format!("/v1/sessions/{session}")).ok();
    assert!(shows(&context, "language"), "what a user variable says stays");
    let next = daemon.edge().start("next", "+493023125101");
    assert_eq!((&next["returning"], &next["variables"]), (&json!(true), &json!({"language": "de"})));
}

/// At a start sessions with active calls come back from the log, and at the same time what is due is found in the index.
#[test]
fn what_is_due_at_a_start_ends_once_and_leaves_the_calls_that_are_up_alone() {
    const CALLS: usize = 10_000;
    const TTL: Duration = Duration::from_secs(6);
    let mut daemon = Daemon::start();
    let mut edge = daemon.edge();
    let call = |round: &str, number: usize| format!("{round}-{number}");
    let start = |round: &str, number: usize| {
        let mut start = rpc::start(&call(round, number), "anonymous");
        start["user_id"] = json!(format!("customer-{number}"));
        ("call.start", start)
    };
    let set = |round: &str, number: usize, lifetime: &str, ttl: Value| {
        let set = json!({"value": number});
        let call = call(round, number);
        ("variables.set", json!({"call_id": call, "lifetime": lifetime, "set": {round: set}, "ttl": ttl}))
    };
    // Fewer at once than may be in progress on one connection.
    let parts = || (0..CALLS / 1_000).map(|part| part * 1_000..(part + 1) * 1_000);
    for part in parts() {
        let done = edge.pipeline(part.flat_map(|number| {
            let end = ("call.end", json!({"call_id": call("first", number)}));
            [start("first", number), set("first", number, "user", json!("6s")), end]
        }));
        assert!(done.iter().all(Result::is_ok), "{:?}", done.iter().find(|answer| answer.is_err()));
    }
    let last_set = Instant::now();
    for part in parts() {
        let again = part.flat_map(|number| [start("second", number), set("second", number, "session", Value::Null)]);
        let done = edge.pipeline(again);
        assert!(done.iter().all(Result::is_ok), "{:?}", done.iter().find(|answer| answer.is_err()));
    }
    daemon.kill();
    std::thread::sleep(TTL.saturating_sub(last_set.elapsed()));
    for _ in 0..2 {
        daemon.restart();
        let mut edge = daemon.edge();
        let ask = |number| ("context.get", json!({"call_id": call("second", number)}));
        let contexts: Vec<_> = parts().flat_map(|part| edge.pipeline(part.map(ask))).collect();
        for context in contexts {
            let context = context.expect("the call is up");
            let variables = context["variables"].as_object().unwrap();
            assert!(variables.contains_key("second") && !variables.contains_key("first"), "{context}");
            // Two starts of the calls' session and two changes, and what has ended.
            assert!(context["revision"].as_u64().unwrap() <= 5, "{context}");
        }
        daemon.kill();
    }
}
