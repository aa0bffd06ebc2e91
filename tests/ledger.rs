//! The ledger (PRODUCT.md 2, 4.5, 6.1): load from many connections, `kill -9` at random moments, restart. Afterwards
//! every acknowledged change is there, what was not acknowledged is there as a whole or not at all and in order, no
//! revision was given twice, what has ended is not there and does not come back, and a watcher that comes back with its
//! cursor has missed and repeated nothing.
//!
//! Some cycles end in order, by SIGTERM, and some restarts are killed before they are ready.
//!
//! `RECALLD_CRASH_CYCLES` says how often (25), `RECALLD_CRASH_SEED` repeats the load of a printed seed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

mod support;

#[path = "ledger/ends.rs"]
mod ends;
#[path = "ledger/load.rs"]
mod load;
#[path = "ledger/model.rs"]
mod model;
#[path = "ledger/pace.rs"]
mod pace;
#[path = "ledger/rivals.rs"]
mod rivals;
#[path = "ledger/stream.rs"]
mod stream;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::{StdRng, SysRng};
use rand::{RngExt as _, SeedableRng as _, TryRng as _};

use ends::Ends;
use load::Worker;
use pace::Pace;
use rivals::Rivals;
use stream::Stream;
use support::{Config, Daemon};

/// Connections with callers of their own.
const WORKERS: usize = 8;

/// Connections that write to one session together.
const RIVALS: usize = 4;

/// From the first request of a cycle to its `kill -9`, in milliseconds.
const LOAD: std::ops::Range<u64> = 20..900;

/// From a start to a `kill -9` before it is ready, perhaps, in milliseconds.
const RECOVERY: std::ops::Range<u64> = 1..200;

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn after_kill_9_everything_acknowledged_is_there_until_its_end_and_no_revision_was_given_twice() {
    let cycles = from_environment("RECALLD_CRASH_CYCLES", 25);
    let seed = from_environment("RECALLD_CRASH_SEED", SysRng.try_next_u64().unwrap());
    println!("{cycles} cycles with RECALLD_CRASH_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);

    // Far less than is written, so that the log is trimmed; more than a cycle writes, which a watcher may not have seen.
    let mut daemon = Daemon::with(Config::default().data("log_bytes = \"4MiB\""));
    let pace = Arc::new(Pace::default());
    let stream = Stream::start(&daemon, pace.clone());
    let mut workers: Vec<Worker> = (0..WORKERS).map(|number| Worker::new(&daemon, number, rng.random())).collect();
    let mut rivals = Rivals::new(&daemon, RIVALS);
    let mut ends = Ends::new(&daemon, rng.random());
    let begin = Instant::now();
    for cycle in 1..=cycles {
        let load = Duration::from_millis(rng.random_range(LOAD));
        let orderly = rng.random_bool(0.15);
        let killed_while_it_recovers = rng.random_bool(0.25).then(|| Duration::from_millis(rng.random_range(RECOVERY)));
        pace.begin();
        std::thread::scope(|scope| {
            let (daemon, pace) = (&mut daemon, &*pace);
            let edge = daemon.switch_address("edge-1");
            for worker in &mut workers {
                scope.spawn(move || worker.run(edge, pace));
            }
            rivals.run(scope, edge, pace);
            let ends = &mut ends;
            scope.spawn(move || ends.run(edge));
            std::thread::sleep(load);
            if orderly {
                daemon.terminate();
            } else {
                daemon.kill();
            }
            pace.end();
        });
        if let Some(recovery) = killed_while_it_recovers {
            daemon.spawn();
            std::thread::sleep(recovery);
            daemon.kill();
        }
        daemon.restart();
        for worker in &mut workers {
            worker.reconcile(&daemon);
        }
        rivals.reconcile(&daemon);
        ends.reconcile(&daemon);
        for (session, model) in workers.iter().flat_map(Worker::sessions) {
            stream.has_caught_up(session, model.revision, Some(model));
        }
        let (session, revision) = rivals.session();
        stream.has_caught_up(session, revision, None);
        let of_workers: u64 = workers.iter().map(Worker::acknowledged).sum();
        let acknowledged = of_workers + rivals.acknowledged() + ends.acknowledged();
        println!(
            "cycle {cycle}/{cycles}: {acknowledged} changes acknowledged, {} events watched, {:.1} s",
            stream.events(),
            begin.elapsed().as_secs_f64()
        );
    }
    ends.end(&daemon);
    stream.stop();
}
