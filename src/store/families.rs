//! The column families and how RocksDB is set up for each (the key layouts are in `layout`).

use std::path::Path;

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType,
    DBRecoveryMode, Env, Options,
};

use super::error::StoreError;
use super::layout;

/// Every commit: the only write an event waits for.
pub(super) const LOG: &str = "log";
/// One sealed record per session.
pub(super) const SESSIONS: &str = "sessions";
/// Sessions whose record holds an active call.
pub(super) const ACTIVE: &str = "active";
/// Keyed values to session IDs.
pub(super) const ALIASES: &str = "aliases";
/// Sessions by coarse deadline.
pub(super) const EXPIRY: &str = "expiry";
/// The audit chain.
pub(super) const AUDIT: &str = "audit";
/// Versions of pseudonym keys.
pub(super) const KEYS: &str = "keys";
/// Numbers of tenants and releases, progress of the log, format, epoch.
pub(super) const META: &str = "meta";

/// How a family is used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Profile {
    /// Read and written at random places: bloom filter and compression pay.
    Points,
    /// The same, but sealed: what looks like random bytes does not become smaller.
    Sealed,
    /// Written at one end, trimmed at the other, read in order: neither pays.
    Queue,
    /// The same, and so much that nothing of it may be written twice.
    Log,
}

const FAMILIES: [(&str, Profile, usize); 8] = [
    (LOG, Profile::Log, 64 << 20),
    (SESSIONS, Profile::Sealed, 32 << 20),
    (ACTIVE, Profile::Points, 4 << 20),
    (ALIASES, Profile::Points, 16 << 20),
    (EXPIRY, Profile::Queue, 8 << 20),
    (AUDIT, Profile::Queue, 1 << 20),
    (KEYS, Profile::Points, 1 << 20),
    (META, Profile::Points, 1 << 20),
];

/// Bytes that flushes and compactions write in a second at most. What they write at once is in the way of the sync that
/// calls wait for; this is several times what the log alone grows by while a hundred thousand events a second come in.
const BACKGROUND_BYTES_PER_SECOND: i64 = 96 << 20;
/// How finely that is spread.
const REFILL_MICROS: i64 = 2_000;
/// Of ten times a compaction has its turn once before a flush: calls wait for flushes if there are too many.
const FLUSHES_FIRST: i32 = 10;
/// Files of a family that are not compacted yet, from which on nothing is written. Far more than there are where writes
/// are slowed down (twenty, but for the log), the more the longer it lasts: stopped, calls would wait for a whole
/// compaction.
const FILES_THAT_STOP_WRITES: i32 = 1_000;
/// Bytes of a file after which the kernel begins to bring them to the disk.
const BYTES_PER_SYNC: u64 = 256 << 10;

/// Opens the database, or makes it.
pub(super) fn open(path: &Path, cache_bytes: usize) -> Result<DB, StoreError> {
    let cache = Cache::new_lru_cache(cache_bytes);
    let families: Vec<_> = FAMILIES
        .iter()
        .map(|(name, profile, memory)| {
            Ok(ColumnFamilyDescriptor::new(*name, family_options(*profile, *memory, &cache)?))
        })
        .collect::<Result<_, StoreError>>()?;
    let mut options = database_options();
    let mut env = Env::new()?;
    // Compactions: calls do not wait for a core that one of them has.
    env.lower_thread_pool_cpu_priority();
    options.set_env(&env);
    let db = DB::open_cf_descriptors(&options, path, families)?;
    // What was written a moment ago is what callers who return need. Only in this way the binding says it.
    for name in [SESSIONS, ALIASES] {
        let table = ("block_based_table_factory", "{prepopulate_block_cache=kFlushOnly;}");
        db.set_options_cf(family(&db, name)?, &[table])?;
    }
    Ok(db)
}

fn database_options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_paranoid_checks(true);
    // A torn tail was never answered. Anything else in the write-ahead log that does not read is a loss,
    // and must stop the start: point-in-time recovery would silently drop answered commits behind it.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_track_and_verify_wals_in_manifest(true);
    // A recycled file holds old records behind the new ones, which blurs what a torn tail is.
    options.set_recycle_log_file_num(0);
    options.set_max_total_wal_size(256 << 20);
    // The info log repeats keys; it stays small and few.
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(4 << 20);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options.set_max_open_files(512);
    options.set_max_background_jobs(2);
    options.set_bytes_per_sync(BYTES_PER_SYNC);
    options.set_ratelimiter(BACKGROUND_BYTES_PER_SECOND, REFILL_MICROS, FLUSHES_FIRST);
    // One thread writes.
    options.set_allow_concurrent_memtable_write(false);
    options.set_enable_write_thread_adaptive_yield(false);
    options
}

fn family_options(profile: Profile, memory: usize, cache: &Cache) -> Result<Options, StoreError> {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    // In parts: whole, the index and the filter of one file are some hundred kilobytes each, and the cache is divided
    // into shards of one megabyte. A shard that holds two of them keeps none, and then each read of a record reads and
    // checks them again.
    table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    table.set_pin_top_level_index_and_filter(true);
    let mut options = match profile {
        // The end, where all is written, need not be looked for. Only in this way the binding says it.
        Profile::Log => Options::default().get_options_from_string(format!(
            "memtable_insert_with_hint_prefix_extractor=rocksdb.FixedPrefix.{}",
            layout::LOG_PREFIX
        ))?,
        _ => Options::default(),
    };
    options.set_write_buffer_size(memory);
    options.set_level_zero_stop_writes_trigger(FILES_THAT_STOP_WRITES);
    // Small at first: some file systems sync nothing while they delete a file, the longer the larger it is
    // (`space::discards`).
    options.set_target_file_size_base(4 << 20);
    options.set_target_file_size_multiplier(2);
    match profile {
        Profile::Points | Profile::Sealed => {
            table.set_bloom_filter(10.0, false);
            table.set_partition_filters(true);
            // Most of what is looked for lies in the files, or nowhere: a fiftieth of the memory of a table spares the
            // search in it.
            options.set_memtable_prefix_bloom_ratio(0.02);
            options.set_memtable_whole_key_filtering(true);
        }
        Profile::Queue => {}
        // Its files do not overlap: a compaction moves each at once by its name, to a level that holds any number of them
        // and from which they can be removed.
        Profile::Log => {
            options.set_num_levels(2);
            options.set_level_compaction_dynamic_level_bytes(false);
            options.set_level_zero_file_num_compaction_trigger(1);
            options.set_level_zero_slowdown_writes_trigger(FILES_THAT_STOP_WRITES);
        }
    }
    options.set_compression_type(match profile {
        Profile::Points => DBCompressionType::Lz4,
        Profile::Sealed | Profile::Queue | Profile::Log => DBCompressionType::None,
    });
    options.set_block_based_table_factory(&table);
    Ok(options)
}

/// The handle of a family that `open` has made sure is there.
pub(super) fn family<'db>(db: &'db DB, name: &'static str) -> Result<&'db ColumnFamily, StoreError> {
    db.cf_handle(name).ok_or(StoreError::Incomplete("a column family is missing"))
}

/// The names of all families.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().map(|(name, _, _)| *name)
}
