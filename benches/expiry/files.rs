//! What a data directory takes, and this process.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use rocksdb::{BottommostLevelCompaction, Cache, CompactOptions, DB, Env, Options};
use rustix::fs::{Advice, fadvise};

/// What stays of a session that sleeps: its record, its alias, its entry in the expiry index.
pub const FAMILIES: [&str; 3] = ["sessions", "aliases", "expiry"];

/// Bytes of memory that this process holds.
pub fn resident() -> anyhow::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim_end().parse().context("VmRSS is no number")?;
    Ok(kib * 1024)
}

/// Compacts everything in a closed data directory; the result is the bytes of each of [`FAMILIES`].
pub fn compact(data: &Path) -> anyhow::Result<[u64; 3]> {
    let cache = Cache::new_lru_cache(64 << 20);
    let (mut options, families) = Options::load_latest(data, Env::new()?, false, cache)?;
    options.set_max_subcompactions(2);
    let db = DB::open_cf_descriptors(&options, data, families)?;
    let mut compaction = CompactOptions::default();
    compaction.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
    for name in FAMILIES {
        let family = db.cf_handle(name).context("a column family is missing")?;
        db.flush_cf(family)?;
        db.compact_range_cf_opt(family, None::<&[u8]>, None::<&[u8]>, &compaction);
    }
    let files = db.live_files()?;
    Ok(FAMILIES
        .map(|name| files.iter().filter(|file| file.column_family_name == name).map(|file| file.size as u64).sum()))
}

/// Asks the kernel to forget the contents of all files of a directory.
pub fn forget(data: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let file = fs::File::open(entry.path())?;
            file.sync_all()?;
            fadvise(&file, 0, None, Advice::DontNeed)?;
        }
    }
    Ok(())
}
