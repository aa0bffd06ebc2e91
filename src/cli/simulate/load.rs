//! `recalld simulate load`: many calls a second, and how fast their events were answered.
//!
//! Calls start at the rate that was asked for, however slow the answers are: a rate that waits for answers would hide
//! the slow ones.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::call::random_call_id;
use super::latency::Latencies;
use super::link::Link;
use super::{Target, callers};
use crate::cli::{exit, interrupted, out, tables, words};
use crate::domain::duration;

/// How often calls that are due are started.
const TICK: Duration = Duration::from_millis(5);
/// Most calls at one time. What would be more is counted and not started, so that this program stays honest about what
/// it can do.
const MOST_CALLS: usize = 20_000;

/// Arguments of `simulate load`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: Target,
    /// How many calls start in a second. Each has seven events.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    calls_per_second: u64,
    /// For how long calls start.
    #[arg(long = "for", value_name = "DURATION", default_value = "30s", value_parser = duration::parse)]
    duration: Duration,
    /// Connections the calls are spread over.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    connections: u64,
    /// How many callers there are. The first 999 have numbers, the others user IDs.
    #[arg(long, value_name = "N", default_value_t = callers::LAST_NUMBER,
          value_parser = clap::value_parser!(u64).range(1..))]
    callers: u64,
    /// How long each call is up between its last variable and its end.
    #[arg(long, value_name = "DURATION", default_value = "0ms", value_parser = duration::parse)]
    hold: Duration,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
}

/// What happened so far.
struct Tally {
    latencies: Latencies,
    completed: u64,
    broken: u64,
    not_started: u64,
    refusals: BTreeMap<String, u64>,
}

/// What all calls of a run have in common.
struct Shared {
    run: String,
    instance: Option<String>,
    callers: u64,
    hold: Duration,
    tally: Mutex<Tally>,
}

/// Plays the load and prints the summary. Fails if no call got through.
pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut links = Vec::new();
    for _ in 0..arguments.connections {
        links.push(Link::connect(arguments.target.switch).await?);
    }
    let shared = Arc::new(Shared {
        run: random_call_id()?,
        instance: arguments.target.instance.clone(),
        callers: arguments.callers,
        hold: arguments.hold,
        tally: Mutex::new(Tally {
            latencies: Latencies::new(),
            completed: 0,
            broken: 0,
            not_started: 0,
            refusals: BTreeMap::new(),
        }),
    });
    out::waiting(&format!(
        "{} a second for {}; Ctrl-C ends it and tells what came of it so far",
        words::counted(arguments.calls_per_second, "call", "calls"),
        duration::format(arguments.duration)
    ));
    let begin = Instant::now();
    let mut calls = JoinSet::new();
    tokio::select! {
        () = start_calls(arguments, &links, &shared, &mut calls) => {}
        () = interrupted() => {}
    }
    tokio::select! {
        () = async { while calls.join_next().await.is_some() {} } => {}
        () = interrupted() => {}
    }
    let took = begin.elapsed();
    let tally = shared.tally.lock();
    if arguments.json {
        out::json(&tally.json(took))?;
    } else {
        out::line(tally.table(took))?;
    }
    if tally.completed == 0 { Err(exit::with(exit::FAILED, "no call got through")) } else { Ok(()) }
}

async fn start_calls(arguments: &Arguments, links: &[Link], shared: &Arc<Shared>, calls: &mut JoinSet<()>) {
    let begin = Instant::now();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut progress = Progress::new(begin);
    let mut started = 0_u64;
    let mut links = links.iter().cycle();
    loop {
        ticks.tick().await;
        let elapsed = begin.elapsed().min(arguments.duration);
        while calls.try_join_next().is_some() {}
        let due = due(arguments.calls_per_second, elapsed);
        for number in started..due {
            match links.next() {
                Some(link) if calls.len() < MOST_CALLS => {
                    calls.spawn(play(link.clone(), Arc::clone(shared), number));
                }
                _ => shared.tally.lock().not_started += 1,
            }
        }
        started = due;
        if elapsed == arguments.duration {
            return;
        }
        progress.show(&shared.tally, calls.len());
    }
}

fn due(per_second: u64, elapsed: Duration) -> u64 {
    let due = u128::from(per_second) * elapsed.as_micros() / 1_000_000;
    u64::try_from(due).unwrap_or(u64::MAX)
}

/// A call's life. Ends early when the connection is over or the start is refused.
async fn play(link: Link, shared: Arc<Shared>, number: u64) {
    let call_id = format!("{number}-{}", shared.run);
    let caller = number % shared.callers + 1;
    let mut start = json!({
        "call_id": call_id,
        "from": callers::sip_uri(&callers::number(caller)),
        "to": callers::sip_uri(callers::CALLED),
    });
    if let Some(start) = start.as_object_mut() {
        if caller > callers::LAST_NUMBER {
            start.insert("user_id".to_owned(), format!("simulated-{caller}").into());
        }
        if let Some(instance) = &shared.instance {
            start.insert("instance_id".to_owned(), instance.as_str().into());
        }
    }
    let of_call = json!({ "call_id": call_id }).to_string();
    let set = |name: &str, value: u64, lifetime: &str| {
        json!({ "call_id": call_id, "set": { name: value }, "lifetime": lifetime }).to_string()
    };
    let ringing = json!({ "call_id": call_id, "code": 180 }).to_string();
    let life = [
        ("call.start", start.to_string()),
        ("call.ringing", ringing),
        ("call.answer", of_call.clone()),
        ("variables.set", set("step", number, "call")),
        ("variables.set", set("ticket", number, "session")),
        ("variables.set", set("language", caller % 5, "user")),
        ("call.end", of_call),
    ];
    for (at, (method, params)) in life.into_iter().enumerate() {
        if method == "call.end" && !shared.hold.is_zero() {
            tokio::time::sleep(shared.hold).await;
        }
        let begin = Instant::now();
        let Ok(answer) = link.ask_raw(method, params).await else {
            shared.tally.lock().broken += 1;
            return;
        };
        let took = begin.elapsed();
        let mut tally = shared.tally.lock();
        tally.latencies.record(took);
        if let Err(refused) = answer {
            *tally.refusals.entry(refused.reason).or_default() += 1;
            if at == 0 {
                return;
            }
        }
    }
    shared.tally.lock().completed += 1;
}

/// A line a second on standard error, where somebody sees it.
struct Progress {
    shown: bool,
    begin: Instant,
    next: Instant,
    events: u64,
}

impl Progress {
    fn new(begin: Instant) -> Self {
        Self { shown: io::stderr().is_terminal(), begin, next: begin + Duration::from_secs(1), events: 0 }
    }

    fn show(&mut self, tally: &Mutex<Tally>, active: usize) {
        let now = Instant::now();
        if !self.shown || now < self.next {
            return;
        }
        let tally = tally.lock();
        let events = tally.latencies.total();
        eprintln!(
            "{:>5} s {:>9} events/s  p50 {}  p99 {}  {}  {} refused",
            (now - self.begin).as_secs(),
            words::count(events - self.events),
            millis(tally.latencies.percentile(0.5)),
            millis(tally.latencies.percentile(0.99)),
            words::counted(active as u64, "active call", "active calls"),
            words::count(tally.refused()),
        );
        self.events = events;
        self.next += Duration::from_secs(1);
    }
}

impl Tally {
    fn refused(&self) -> u64 {
        self.refusals.values().sum()
    }

    fn per_second(&self, took: Duration) -> f64 {
        self.latencies.total() as f64 / took.as_secs_f64().max(1e-9)
    }

    fn table(&self, took: Duration) -> String {
        let mut fields = vec![
            ("calls", format!("{} completed", words::count(self.completed))),
            (
                "events",
                format!(
                    "{} in {:.1} s, {:.0} a second",
                    words::count(self.latencies.total()),
                    took.as_secs_f64(),
                    self.per_second(took)
                ),
            ),
            (
                "answered after",
                format!(
                    "p50 {}  p90 {}  p99 {}  p99.9 {}  longest {}",
                    millis(self.latencies.percentile(0.5)),
                    millis(self.latencies.percentile(0.9)),
                    millis(self.latencies.percentile(0.99)),
                    millis(self.latencies.percentile(0.999)),
                    millis(self.latencies.longest())
                ),
            ),
            ("refused", words::count(self.refused())),
        ];
        for (reason, count) in &self.refusals {
            fields.push(("", format!("{} {}", words::count(*count), words::printable(reason))));
        }
        if self.broken > 0 {
            fields.push((
                "cut off",
                format!("{}: the connection was over", words::counted(self.broken, "call", "calls")),
            ));
        }
        if self.not_started > 0 {
            let calls = words::counted(self.not_started, "call", "calls");
            fields.push(("not started", format!("{calls}: {MOST_CALLS} were up already")));
        }
        tables::fields(&fields)
    }

    fn json(&self, took: Duration) -> serde_json::Value {
        let millis = |duration: Duration| (duration.as_secs_f64() * 1e6).round() / 1e3;
        json!({
            "seconds": (took.as_secs_f64() * 1e3).round() / 1e3,
            "calls": { "completed": self.completed, "cut_off": self.broken, "not_started": self.not_started },
            "events": self.latencies.total(),
            "events_per_second": self.per_second(took).round(),
            "latency_ms": {
                "p50": millis(self.latencies.percentile(0.5)),
                "p90": millis(self.latencies.percentile(0.9)),
                "p99": millis(self.latencies.percentile(0.99)),
                "p999": millis(self.latencies.percentile(0.999)),
                "longest": millis(self.latencies.longest()),
            },
            "refused": self.refusals,
        })
    }
}

fn millis(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1e3)
}
