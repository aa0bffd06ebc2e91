//! Everything that says RocksDB: column families and keys, sealing, the writer thread with group commit,
//! recovery after a crash, reads. Knows no actor and no socket.
//!
//! The log comes first, the state follows: an event waits for one log record only. A session's record is
//! written when it falls idle, and [`Store::open`] replays over the records what they do not contain yet.
//!
//! | file | subject |
//! |---|---|
//! | `families` | column families and their options |
//! | `layout` | how keys and the clear parts of values are written |
//! | `seal`, `data_keys` | sealing, and the tenant keys it is done with |
//! | `wrapping` | keys at rest |
//! | `pseudonym_keys` | versions of the tenants' pseudonym keys, aliases left under each |
//! | `former_keys` | keys of the audit log from before another root key |
//! | `rewriting` | rotation of data keys: old records are sealed anew in the background |
//! | `reroot` | another root key |
//! | `release` | tenants and releases: numbers in keys, data keys |
//! | `meta` | format, root key check, epoch, progress of the log |
//! | `writer` | the one thread that writes, group commit |
//! | `unrecorded`, `trim` | what the log still has to hold, and what may go |
//! | `recovery` | from files to sessions at the start |
//! | `read` | loads, aliases, the log for watchers, figures |
//! | `expiry` | sessions by the time at which something of them ends |
//! | `retention` | retentions last in force, scans over the records |
//! | `space` | free room on the disk |
//! | `kept` | numbers of running calls in records, where they are kept |
//! | `audit` | the rows of the audit log |

mod audit;
mod data_keys;
mod error;
mod expiry;
mod families;
mod former_keys;
mod kept;
mod layout;
mod meta;
mod metrics;
mod pseudonym_keys;
mod read;
mod recovery;
mod release;
mod reroot;
mod retention;
mod rewriting;
mod seal;
mod space;
#[cfg(test)]
mod tests;
mod trim;
mod unrecorded;
mod wrapping;
mod writer;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use rocksdb::{DB, WriteBatch, WriteOptions};
use zeroize::Zeroizing;

pub use audit::{AuditRow, OfflineAudit};
pub use error::StoreError;
pub use expiry::{Doubt, Due, DueCursor};
pub use former_keys::FormerAuditKey;
pub use metrics::{Histogram, StoreMetrics};
pub use pseudonym_keys::{AliasCounts, PseudonymVersion};
pub use read::{Cached, Figures, LogPart, LogRecord};
pub use recovery::{Damage, Recovered, RecoveredSession};
pub use release::{Release, ReleaseNumbers, Sealed};
pub use reroot::{Reroot, RerootStep, Rerooted};
pub use retention::{ScanCursor, Scanned};
pub use rewriting::{DataKeyVersions, Destroying, Rewritten};
pub use space::{discards, free_bytes};
pub use writer::{AliasChange, AliasKey, Group, Record, Write, WriterHandle};

use crate::domain::ids::{ReleaseId, SessionId};
use expiry::Times;
use release::Registry;
use rewriting::Rewriting;
use unrecorded::Unrecorded;
use wrapping::Wrapping;
use writer::WriterStart;

/// Told once, when the first write fails: the daemon has to end.
pub type OnFailure = Arc<dyn Fn(&StoreError) + Send + Sync>;

/// What the store needs of the root key; the root key itself stays outside.
pub struct RootSecrets {
    /// Recognises a wrong root key.
    pub check_value: [u8; 16],
    /// Wraps the tenants' data keys, and pseudonym keys that are not derived any more.
    pub wrapping_key: Zeroizing<[u8; 32]>,
}

/// How the store is opened.
pub struct StoreOptions {
    /// `[data] path`.
    pub path: PathBuf,
    /// Derived from `[keys] root`.
    pub root: RootSecrets,
    /// `durability = "relaxed"`: writes are not synced, a power loss may take answered changes along.
    pub relaxed: bool,
    /// How long the log is kept for watchers that resume (`log_window`).
    pub log_window: Duration,
    /// How large it may grow for them (`log_bytes`).
    pub log_bytes: u64,
    /// Memory for blocks, indexes and filters (`cache`).
    pub cache_bytes: usize,
    /// How often progress is noted and the log trimmed.
    pub tick: Duration,
    /// Told when the first write fails.
    pub on_failure: Option<OnFailure>,
}

impl StoreOptions {
    /// The defaults of the configuration for a path and a root key.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, root: RootSecrets) -> Self {
        Self {
            path: path.into(),
            root,
            relaxed: false,
            log_window: Duration::from_secs(3_600),
            log_bytes: 4 << 30,
            cache_bytes: 128 << 20,
            tick: Duration::from_secs(5),
            on_failure: None,
        }
    }
}

/// The data directory, open. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    db: DB,
    path: PathBuf,
    epoch: [u8; 16],
    registry: RwLock<Registry>,
    /// Sessions whose data is damaged: reading them is refused.
    damaged: HashSet<(u32, SessionId)>,
    unrecorded: Mutex<Unrecorded>,
    /// Unwraps stored pseudonym keys.
    wrapping: Wrapping,
    /// Held while a batch is made and written that depends on what is there.
    writing: Mutex<()>,
    rewriting: Rewriting,
    /// Nothing in the log before this sequence is told to anybody any more.
    trimmed: AtomicU64,
    /// The same, durably: files of the log before it may go.
    removable: AtomicU64,
    /// Files of the log were removed up to here in this run of the daemon.
    removed: AtomicU64,
    /// Times to be noted with the progress of the log.
    times: Times,
    /// What the one writer starts with.
    start: Mutex<Option<WriterStart>>,
    failure: OnceLock<StoreError>,
    on_failure: Option<OnFailure>,
    metrics: StoreMetrics,
}

impl Store {
    /// Opens the data directory, or makes it, and finds out what was going on when it was closed.
    /// Blocks as long as the replay of the log takes.
    ///
    /// # Errors
    /// A wrong root key and another format are refused before anything is written; missing answered
    /// changes are refused too.
    pub fn open(options: StoreOptions) -> Result<(Self, Recovered), StoreError> {
        recovery::open(options)
    }

    /// The handle of a release. At its first use it gets a number, and its tenant a data key, durably:
    /// this may block on the disk once.
    ///
    /// # Errors
    /// When that cannot be written, or the tenant's data key is gone.
    pub fn release(&self, id: &ReleaseId) -> Result<Arc<Release>, StoreError> {
        if let Some(known) = self.inner.registry.read().by_id(id) {
            return known;
        }
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        let registered = self.inner.registry.write().register(&self.inner.db, id);
        if let Err(error @ StoreError::Database(_)) = &registered {
            self.inner.fail(error.clone());
        }
        registered.inspect_err(|error| self.inner.fail_if_unsynced(error))
    }

    /// Random bytes made with the data: a cursor of another database is recognised by them.
    #[must_use]
    pub fn epoch(&self) -> [u8; 16] {
        self.inner.epoch
    }

    /// The data directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// The first failed write, if there was one: from then on nothing is written.
    #[must_use]
    pub fn failure(&self) -> Option<StoreError> {
        self.inner.failure.get().map(|error| StoreError::Poisoned(error.to_string()))
    }

    /// Counters and gauges.
    #[must_use]
    pub fn metrics(&self) -> &StoreMetrics {
        &self.inner.metrics
    }
}

impl Inner {
    /// Poisons the store: a failed write or sync leaves open what is on the disk, and trying again would
    /// answer for data that may not be there.
    fn fail(&self, error: StoreError) {
        if self.failure.set(error.clone()).is_ok() {
            tracing::error!("{error}: nothing more is written");
            if let Some(told) = &self.on_failure {
                told(&error);
            }
        }
    }

    /// The same for a file beside the database, of which nobody can say whether it is on the disk.
    fn fail_if_unsynced(&self, error: &StoreError) {
        if matches!(error, StoreError::Unsynced { .. }) {
            self.fail(error.clone());
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.db.cancel_all_background_work(true);
    }
}

/// Writes a batch outside of the writer's groups: at creation, at recovery, at first use of a release.
fn sync_write(db: &DB, batch: WriteBatch) -> Result<(), StoreError> {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    Ok(db.write_opt(batch, &options)?)
}
