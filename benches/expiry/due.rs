//! Sessions that end: at their time while calls go on, and as fast as they can.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use recalld::actors::{Clock, Delivery, Filter, Subscription};
use recalld::domain::session::{ChangeCause, Effect};
use recalld::domain::time::Timestamp;
use recalld::store::Histogram;
use tokio::sync::Notify;

use crate::house::{House, Pump, RETENTION, Time, values};
use crate::lives::{self, Lives};
use crate::load::load;
use crate::redis::Redis;
use crate::{Settings, say};

/// One million in a minute.
const PER_SECOND: f64 = 1_000_000.0 / 60.0;
const VALUE: usize = 50;
/// Time before the first end of a run.
const AHEAD: Duration = Duration::from_secs(3);
const WARM_UP: Duration = Duration::from_secs(1);

/// What a watcher of everything has heard of ends.
#[derive(Default, Clone, Copy)]
struct Heard {
    sessions: usize,
    early: usize,
    most_late: Duration,
    /// How often events were missed because the watcher was too slow.
    lagged: usize,
}

struct Watcher {
    subscriptions: Vec<Subscription>,
}

impl Watcher {
    fn new(house: &House) -> Self {
        let subscribe = |release: &Arc<recalld::store::Release>| {
            house.directory.publisher().subscribe(Filter::Release(release.id().clone()), Arc::new(Notify::new()))
        };
        Self { subscriptions: house.releases.iter().map(subscribe).collect() }
    }

    /// Hears until so many sessions have ended, or nothing ends any more.
    fn hear(&self, time: Time, count: usize, so_far: &AtomicUsize) -> Heard {
        let mut heard = Heard::default();
        let mut last = Instant::now();
        while heard.sessions < count && last.elapsed() < Duration::from_secs(30) {
            for subscription in &self.subscriptions {
                for delivery in subscription.take(usize::MAX) {
                    let Delivery::Event(event) = delivery else {
                        heard.lagged += 1;
                        continue;
                    };
                    // The three variables of a session end in one commit.
                    let is_end =
                        matches!(event.effect(), Some(Effect::VariableDeleted { cause: ChangeCause::Expired, .. }));
                    if is_end && event.index == 0 {
                        let end = event.session.last_activity.after(RETENTION);
                        let now = time.now();
                        heard.sessions += 1;
                        heard.early += usize::from(now < end || event.commit.at < end);
                        heard.most_late = heard.most_late.max(now.since(end));
                        last = Instant::now();
                    }
                }
            }
            so_far.store(heard.sessions, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(1));
        }
        heard
    }
}

/// Ends at their time beside 5,000 call events a second, in alternating runs with and without.
pub fn beside_calls(settings: &Settings) -> anyhow::Result<()> {
    let place = tempfile::tempdir_in(&settings.dir)?;
    let runs = settings.runs;
    let base = Timestamp::from_unix_millis(1_790_000_000_000);
    let window = Duration::from_secs_f64(settings.due as f64 / PER_SECOND);
    let house = House::open(place.path(), Clock::manual(base), settings.arbiters)?;
    let values = values(VALUE)?;
    let step = Duration::from_secs_f64(1.0 / PER_SECOND);
    let mut begins = Vec::with_capacity(runs);
    for run in 0..runs {
        begins.push(house.directory.now());
        load(&house, run * settings.due, settings.due, &values, step)?;
        // The ends of one run are over before those of the next begin.
        house.directory.clock().advance(window * 2 + AHEAD * 4 + Duration::from_secs(60));
    }
    house.close();
    say!(
        "{} ends within {:.1} s, beside {} call events/s, {runs} runs:",
        settings.due,
        window.as_secs_f64(),
        lives::RATE
    );

    let (mut with, mut without) = (Vec::new(), Vec::new());
    for begin in begins {
        let from =
            Timestamp::from_unix_millis(begin.after(RETENTION).unix_millis() - i64::try_from(AHEAD.as_millis())?);
        let house = House::open(place.path(), Clock::manual(from), settings.arbiters)?;
        let time = Time::from(from);
        let pump = Pump::start(&house, time)?;
        let watcher = Watcher::new(&house);
        let is_over = AtomicBool::new(false);
        let (heard, lives) = std::thread::scope(|scope| {
            let hears = scope.spawn(|| {
                let heard = watcher.hear(time, settings.due, &AtomicUsize::new(0));
                is_over.store(true, Ordering::Relaxed);
                heard
            });
            let lives = lives::run(&house, &values, AHEAD, || is_over.load(Ordering::Relaxed));
            (hears.join(), lives)
        });
        let heard = heard.map_err(|_| anyhow::anyhow!("the watcher panicked"))?;
        let lives = lives?;
        say!(
            "  {} announced, {} early, latest {:.3} s late{}; call events {}",
            heard.sessions,
            heard.early,
            heard.most_late.as_secs_f64(),
            if heard.lagged > 0 { format!(" ({} times a watcher was too slow)", heard.lagged) } else { String::new() },
            told(&lives)
        );
        let metrics = house.directory.store().metrics();
        let misses = metrics.cache_misses.load(Ordering::Relaxed);
        let (groups, items) = (counts(&metrics.write_micros), counts(&metrics.group_items));
        say!("    {}; {misses} lookups were not answered from memory", written(&groups, &items));
        with.push(p99(&lives));
        drop(watcher);

        let until = Instant::now() + WARM_UP + window;
        let lives = lives::run(&house, &values, WARM_UP, || Instant::now() > until)?;
        say!("  without ends: call events {}", told(&lives));
        let since = |before: Counts, now: Counts| now.into_iter().zip(before).map(|(now, was)| (now.0, now.1 - was.1));
        let groups: Counts = since(groups, counts(&metrics.write_micros)).collect();
        let items: Counts = since(items, counts(&metrics.group_items)).collect();
        say!("    {}", written(&groups, &items));
        without.push(p99(&lives));
        drop(pump);
        house.close();
    }
    let ratio = median(&mut with).context("no run")? / median(&mut without).context("no run")?;
    say!(
        "p99 of call events with ends to without, medians: {ratio:.2} (goal: at most 1.5; none early, none over 1 s late)"
    );
    Ok(())
}

/// Everything is due at once.
pub fn flat_out(settings: &Settings) -> anyhow::Result<()> {
    let place = tempfile::tempdir_in(&settings.dir)?;
    let base = Timestamp::from_unix_millis(1_790_000_000_000);
    let house = House::open(place.path(), Clock::manual(base), settings.arbiters)?;
    load(&house, 0, settings.due, &values(VALUE)?, Duration::ZERO)?;
    house.close();
    let from = base.after(RETENTION * 2);
    // A little before everything, so that the watcher is there first.
    let house = House::open(place.path(), Clock::manual(base.after(RETENTION / 2)), settings.arbiters)?;
    let watcher = Watcher::new(&house);
    let began = Instant::now();
    house.directory.clock().advance(RETENTION * 3 / 2);
    let heard = watcher.hear(Time::from(from), settings.due, &AtomicUsize::new(0));
    let took = began.elapsed();
    ensure!(heard.lagged > 0 || heard.sessions == settings.due, "{} of {} have ended", heard.sessions, settings.due);
    let rate = heard.sessions as f64 / took.as_secs_f64();
    say!(
        "flat out: {} ends, durable and announced, in {:.1} s: {rate:.0}/s (goal: 20,000/s)",
        heard.sessions,
        took.as_secs_f64()
    );
    drop(watcher);
    house.rest()?;
    house.close();
    drop(place);

    let place = tempfile::tempdir_in(&settings.dir)?;
    let redis = Redis::start(&settings.redis, place.path())?;
    let mut subscriber = redis.subscribe()?;
    let began = Instant::now();
    redis.load(settings.due, &format!("\"{}\"", "a".repeat(VALUE - 2)))?;
    // Telling when they end takes less time than loading them.
    let at = Clock::system(None).now().after(began.elapsed() + Duration::from_secs(1));
    redis.end(settings.due, at.unix_millis())?;
    let wait = at.since(Clock::system(None).now());
    ensure!(wait > Duration::ZERO, "Redis was not told in time");
    std::thread::sleep(wait);
    let took = Redis::expirations(&mut subscriber, settings.due, Instant::now())?;
    let rate = settings.due as f64 / took.as_secs_f64();
    say!("Redis, {} keys that expire at once: {:.1} s, {rate:.0}/s", settings.due, took.as_secs_f64());
    Ok(())
}

fn p99(lives: &Lives) -> f64 {
    lives.latency.value_at_quantile(0.99) as f64
}

fn told(lives: &Lives) -> String {
    let millis = |quantile| lives.latency.value_at_quantile(quantile) as f64 / 1e6;
    let mut text = format!(
        "p50 {:.2} ms, p99 {:.2} ms ({:.2} ms of those that start a call), most {:.1} ms; others took {:.0} % of the \
         processors",
        millis(0.5),
        millis(0.99),
        lives.starts.value_at_quantile(0.99) as f64 / 1e6,
        lives.latency.max() as f64 / 1e6,
        lives.others * 100.0
    );
    if lives.skipped + lives.refused > 0 {
        text = format!("{text} ({} skipped, {} refused)", lives.skipped, lives.refused);
    }
    text
}

/// Upper bounds of values, none for the last, and how many lie under each.
type Counts = Vec<(Option<u64>, u64)>;

fn counts(histogram: &Histogram) -> Counts {
    histogram.buckets().collect()
}

/// What the writer's groups took.
fn written(groups: &Counts, items: &Counts) -> String {
    let under = |counts: &Counts, part: f64| {
        let all: u64 = counts.iter().map(|(_, count)| count).sum();
        let mut so_far = 0;
        let found = counts.iter().find(|(_, count)| {
            so_far += count;
            so_far as f64 >= all as f64 * part
        });
        found.and_then(|(bound, _)| *bound).map_or("any".to_owned(), |bound| bound.to_string())
    };
    format!(
        "{} groups: half of them under {} items and {} µs, 99 of 100 under {} items and {} µs",
        groups.iter().map(|(_, count)| count).sum::<u64>(),
        under(items, 0.5),
        under(groups, 0.5),
        under(items, 0.99),
        under(groups, 0.99)
    )
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
