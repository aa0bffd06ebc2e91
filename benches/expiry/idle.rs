//! Sessions that sleep: what they cost in memory and on the disk, and at the start.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::ensure;
use recalld::actors::Clock;

use crate::files::{beyond_caches, compact, resident};
use crate::house::{House, configure, values};
use crate::load::load;
use crate::process::Process;
use crate::redis::Redis;
use crate::{Settings, say};

/// Bytes of JSON of each variable.
pub const VALUE: usize = 50;
/// What is loaded before memory is first looked at, so that everything that does not grow is there already.
const BEFORE: usize = 5;
/// How long a daemon that is ready is left alone before its memory is looked at.
const SETTLE: Duration = Duration::from_secs(2);

pub fn run(settings: &Settings) -> anyhow::Result<()> {
    let place = tempfile::tempdir_in(&settings.dir)?;
    let sessions = settings.sessions;
    let house = House::open(place.path(), Clock::system(None), settings.arbiters)?;
    let (before, values) = (sessions / BEFORE, values(VALUE)?);
    let figures = || house.directory.store().figures();
    let began = Instant::now();
    load(&house, 0, before, &values, Duration::ZERO)?;
    let (first, first_beyond) = (resident()?, beyond_caches(&figures()?)?);
    load(&house, before, sessions - before, &values, Duration::ZERO)?;
    let (last, last_figures) = (resident()?, figures()?);
    let rate = sessions as f64 / began.elapsed().as_secs_f64();
    say!("loaded {sessions} sessions, {rate:.0}/s (call.start, variables.set of three, call.end)");
    let growth = |from: u64, to: u64, count: usize| (to as f64 - from as f64) / count as f64;
    let beyond = growth(first_beyond, beyond_caches(&last_figures)?, sessions - before);
    say!("resident memory per idle session beyond block cache and write buffers: {beyond:.1} bytes (goal: at most 16)");
    say!(
        "  resident {} MiB at {before}, {} MiB at {sessions}; then block cache {} MiB, write buffers {} MiB",
        first >> 20,
        last >> 20,
        last_figures.cache_bytes >> 20,
        last_figures.write_buffer_bytes >> 20
    );
    house.close();

    let empty = tempfile::tempdir_in(&settings.dir)?;
    let (took, of_empty) = start_daemon(settings, empty.path())?;
    say!("start without sessions: ready in {:.2} s, {} MiB resident", took.as_secs_f64(), of_empty >> 20);
    for kind in ["stopped in order", "killed"] {
        let (took, of_full) = start_daemon(settings, place.path())?;
        say!(
            "start with {sessions} sessions, {kind} before: ready in {:.2} s (goal: 5 s), {} MiB resident, {:.1} bytes \
             more per session",
            took.as_secs_f64(),
            of_full >> 20,
            growth(of_empty, of_full, sessions)
        );
    }

    let bytes = compact(&place.path().join("data/db"))?;
    let each = bytes.map(|bytes| bytes as f64 / sessions as f64);
    say!(
        "disk per idle session after compaction: {:.0} bytes (goal: at most 550): record {:.0}, alias {:.0}, expiry entry \
         {:.0}",
        each.iter().sum::<f64>(),
        each[0],
        each[1],
        each[2]
    );
    drop(place);

    let place = tempfile::tempdir_in(&settings.dir)?;
    let redis = Redis::start(&settings.redis, place.path())?;
    let before = redis.resident()?;
    redis.load(sessions, &format!("\"{}\"", "a".repeat(VALUE - 2)))?;
    say!(
        "Redis with the same: {:.0} bytes of resident memory per session",
        growth(before, redis.resident()?, sessions)
    );
    Ok(())
}

/// Starts the real daemon on a data directory; how long it took until it answers, and its memory a little later. It is
/// killed at the end.
fn start_daemon(settings: &Settings, dir: &Path) -> anyhow::Result<(Duration, u64)> {
    let (config, switch) = configure(dir)?;
    let began = Instant::now();
    let mut command = Command::new(&settings.recalld);
    let mut daemon = Process::start("recalld", command.arg("serve").arg("--config").arg(&config), dir)?;
    let took = daemon.wait_until(|| {
        ping(switch)?;
        Ok(began.elapsed())
    })?;
    std::thread::sleep(SETTLE);
    Ok((took, daemon.resident()?))
}

fn ping(address: SocketAddr) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(b"40:{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"},")?;
    let mut answer = [0; 64];
    let length = stream.read(&mut answer)?;
    let answer = String::from_utf8_lossy(answer.get(..length).unwrap_or_default());
    ensure!(answer.contains("\"pong\":true"), "`ping` was answered {answer}");
    Ok(())
}
