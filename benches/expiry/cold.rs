//! A returning caller whose session sleeps on the disk, and one who called a moment ago.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use recalld::actors::Clock;
use recalld::domain::ids::CallId;

use crate::files::forget;
use crate::house::{House, Told, end, values};
use crate::load::{load, user};
use crate::{Settings, say};

/// Calls of each kind.
const CALLS: usize = 2_000;
const VALUE: usize = 50;

pub fn run(settings: &Settings) -> anyhow::Result<()> {
    let place = tempfile::tempdir_in(&settings.dir)?;
    let house = House::open(place.path(), Clock::system(None), settings.arbiters)?;
    load(&house, 0, settings.sessions, &values(VALUE)?, Duration::ZERO)?;
    house.close();
    let house = House::open(place.path(), Clock::system(None), settings.arbiters)?;
    let (mut cold, mut warm) = (histogram()?, histogram()?);
    for number in 0..CALLS {
        // Far apart, so that no two lie in one block.
        let caller = number * (settings.sessions / CALLS).max(1) % settings.sessions;
        if number % 100 == 0 {
            forget(&place.path().join("data/db"))?;
        }
        for (round, latency) in [(0, &mut cold), (1, &mut warm)] {
            let call: CallId = format!("{number:06}-{round}-again@192.0.2.7").parse()?;
            let (told, taken) = mpsc::channel();
            let began = Instant::now();
            house.start(caller, &user(caller), &call, told_to(told))?;
            taken.recv().context("no answer")?;
            latency.saturating_record(u64::try_from(began.elapsed().as_nanos())?);
            let (told, taken) = mpsc::channel();
            house.event(&call, end(&call)?, told_to(told));
            taken.recv().context("no answer")?;
            house.rest()?;
        }
    }
    house.close();
    let millis = |latency: &Histogram<u64>, quantile| latency.value_at_quantile(quantile) as f64 / 1e6;
    let ratio = millis(&cold, 0.99) / millis(&warm, 0.99);
    say!(
        "call.start of a returning caller, one of {} sessions: cold p50 {:.2} ms, p99 {:.2} ms; warm p50 {:.2} ms, p99 \
         {:.2} ms: p99 {ratio:.2} times (goal: at most 3)",
        settings.sessions,
        millis(&cold, 0.5),
        millis(&cold, 0.99),
        millis(&warm, 0.5),
        millis(&warm, 0.99)
    );
    Ok(())
}

fn told_to(told: mpsc::Sender<bool>) -> Box<dyn recalld::actors::Reply> {
    Told::boxed(move |taken| {
        // Whoever waited has given up.
        let _ = told.send(taken);
    })
}

fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1_000, 60_000_000_000, 3)?)
}
