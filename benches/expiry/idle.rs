//! Sessions that sleep: what they cost in memory and on the disk, and at the start.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::ensure;
use recalld::actors::Clock;

use crate::files::{compact, resident};
use crate::house::{House, configure, values};
use crate::load::load;
use crate::process::Process;
use crate::redis::Redis;
use crate::{Settings, say};

/// Bytes of JSON of each variable.
pub const VALUE: usize = 50;
/// How often memory is looked at. The first time something is still missing that does not grow with the sessions.
const STEPS: usize = 10;
/// How long a daemon that is ready is left alone before its memory is looked at.
const SETTLE: Duration = Duration::from_secs(2);

pub fn run(settings: &Settings) -> anyhow::Result<()> {
    let place = tempfile::tempdir_in(&settings.dir)?;
    let sessions = settings.sessions;
    let house = House::open(place.path(), Clock::system(None), settings.arbiters)?;
    let values = values(VALUE)?;
    let began = Instant::now();
    let mut beyond = Vec::with_capacity(STEPS);
    for step in 0..STEPS {
        let (from, to) = (sessions * step / STEPS, sessions * (step + 1) / STEPS);
        load(&house, from, to - from, &values, Duration::ZERO)?;
        let (resident, figures) = (resident()?, house.directory.store().figures()?);
        let own = resident.saturating_sub(figures.cache_bytes + figures.write_buffer_bytes);
        beyond.push((to, own));
        say!(
            "  {to} sessions: {} MiB resident, of it block cache {}, write buffers {}, anything else {}",
            resident >> 20,
            figures.cache_bytes >> 20,
            figures.write_buffer_bytes >> 20,
            own >> 20
        );
    }
    let rate = sessions as f64 / began.elapsed().as_secs_f64();
    say!("loaded {sessions} sessions, {rate:.0}/s (call.start, variables.set of three, call.end)");
    let growth = |from: u64, to: u64, count: usize| (to as f64 - from as f64) / count as f64;
    // Allocators take and give back some dozens of MiB at a time, so a line through all looks says more than two of them.
    let each = slope(beyond.get(STEPS / 3..).unwrap_or_default());
    say!("resident memory per idle session beyond block cache and write buffers: {each:.1} bytes (goal: at most 16)");
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

/// The slope of the straight line that fits best.
fn slope(points: &[(usize, u64)]) -> f64 {
    let count = points.len() as f64;
    let mean_x = points.iter().map(|(x, _)| *x as f64).sum::<f64>() / count;
    let mean_y = points.iter().map(|(_, y)| *y as f64).sum::<f64>() / count;
    let both = points.iter().map(|(x, y)| (*x as f64 - mean_x) * (*y as f64 - mean_y)).sum::<f64>();
    both / points.iter().map(|(x, _)| (*x as f64 - mean_x).powi(2)).sum::<f64>()
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
