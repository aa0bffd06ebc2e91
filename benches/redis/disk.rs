//! What this machine's disk takes for one fdatasync: the measure for a commit of one event.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hdrhistogram::Histogram;

/// About what one event adds to a log.
const RECORD: [u8; 256] = [0x5a; 256];

/// Appends records to a growing file and syncs each, for some time. Nanoseconds of each.
pub fn fdatasync(dir: &Path, time: Duration) -> anyhow::Result<Histogram<u64>> {
    let path = dir.join("fdatasync");
    let mut file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut taken = Histogram::new_with_bounds(1_000, 60_000_000_000, 3)?;
    let begin = Instant::now();
    while begin.elapsed() < time {
        let before = Instant::now();
        file.write_all(&RECORD)?;
        file.sync_data().context("cannot sync")?;
        taken.saturating_record(u64::try_from(before.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    std::fs::remove_file(&path)?;
    Ok(taken)
}
