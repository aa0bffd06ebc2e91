//! The audit log (PRODUCT.md 7): what was done with numbers, keys and the configuration, by whom and when. Each entry
//! carries a MAC over itself and the MAC of the entry before, with a key derived from the root key: whoever can write to
//! the database but has no root key cannot change, remove or reorder an entry without being found out. Entries at the
//! end can be cut off unseen; that is found with a *head*, the number and MAC of the last entry, noted elsewhere. The
//! daemon writes it into its log every hour and at its end.
//!
//! An entry holds session IDs and names of the configuration. It never holds a number, a value, a call ID or the text of
//! a request: there is no place for them in [`Entry`].
//!
//! | file | subject |
//! |---|---|
//! | `entry` | what an entry says |
//! | `chain` | how entries are written and authenticated, heads |
//! | `keeper` | the thread that appends |
//! | `form` | entries and verdicts as JSON |
//! | `verify` | what was changed, removed, reordered, cut off |

mod chain;
mod entry;
mod form;
mod keeper;
#[cfg(test)]
mod tests;
mod verify;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

pub use chain::{AuditKey, AuditKeys, Head, InvalidHead, Told};
pub use entry::{Entry, RevealedBy, What, Who};
pub use form::{shown, verified};
pub use verify::{Fault, Verdict, verify};

use crate::domain::refusal::{Reason, Refusal};
use crate::domain::time::Timestamp;
use crate::store::{AuditRow, Store, StoreError};
use chain::read_row;
use keeper::{Keeper, Task};

/// Entries that may wait to be written; whoever records more of them waits for room.
const MOST_WAITING: usize = 1_024;
/// Rows that are read at a time.
const CHUNK: usize = 1_000;
/// Most bytes of one part of the log, as it is shown.
const PART: usize = 1 << 20;

/// Why an entry could not be recorded or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// The store failed.
    #[error("the audit log: {0}")]
    Store(#[from] StoreError),
    /// The daemon ends.
    #[error("the audit log is closed: recalld ends")]
    Closed,
}

impl From<AuditError> for Refusal {
    fn from(error: AuditError) -> Self {
        tracing::error!("{error}");
        Refusal::new(Reason::Internal, "this has to be audited and the audit log cannot be used: see the daemon's log")
    }
}

/// The audit log of a running daemon.
pub struct Audit {
    store: Store,
    keys: Arc<AuditKeys>,
    tasks: Mutex<Option<mpsc::Sender<Task>>>,
    keeper: Mutex<Option<std::thread::JoinHandle<()>>>,
    head: Arc<ArcSwap<Head>>,
    refused_keys: AtomicU64,
}

impl Audit {
    /// Takes the log up where it ended. Blocks on the disk. Without a time from `clock` nothing is recorded.
    ///
    /// # Errors
    /// When the last entry cannot be read, or no thread can be had.
    pub fn open(
        store: Store,
        keys: AuditKeys,
        clock: impl Fn() -> Option<Timestamp> + Send + 'static,
    ) -> Result<Self, AuditError> {
        let keys = Arc::new(keys);
        let head = store.last_audit()?.map_or(Head::default(), |row| Head::of(&row));
        let head = Arc::new(ArcSwap::from_pointee(head));
        let (tasks, waiting) = mpsc::channel(MOST_WAITING);
        let keeper = Keeper::new(store.clone(), keys.clone(), head.clone(), Box::new(clock));
        let thread = std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || keeper.run(waiting))
            .map_err(|error| StoreError::Io { path: "a thread".to_owned(), what: error.to_string() })?;
        Ok(Self {
            store,
            keys,
            tasks: Mutex::new(Some(tasks)),
            keeper: Mutex::new(Some(thread)),
            head,
            refused_keys: AtomicU64::new(0),
        })
    }

    /// Records an entry. It is on the disk when this returns: only then may leave what it tells of.
    ///
    /// # Errors
    /// When it is not recorded.
    pub async fn record(&self, entry: Entry) -> Result<(), AuditError> {
        let (told, durable) = oneshot::channel();
        let tasks = self.tasks.lock().clone().ok_or(AuditError::Closed)?;
        tasks.send(Task { entry, told }).await.map_err(|_| AuditError::Closed)?;
        durable.await.unwrap_or(Err(AuditError::Closed))
    }

    /// Records an entry, on a thread that may block.
    ///
    /// # Errors
    /// When it is not recorded.
    pub fn record_blocking(&self, entry: Entry) -> Result<(), AuditError> {
        let (told, durable) = oneshot::channel();
        let tasks = self.tasks.lock().clone().ok_or(AuditError::Closed)?;
        tasks.blocking_send(Task { entry, told }).map_err(|_| AuditError::Closed)?;
        durable.blocking_recv().unwrap_or(Err(AuditError::Closed))
    }

    /// Counts a request without a known API key, wherever it came from.
    pub fn count_refused_key(&self) {
        self.refused_keys.fetch_add(1, Ordering::Relaxed);
    }

    /// Records how many requests without a known API key there were since the last time: asked every minute, so that a
    /// flood of them does not fill the log.
    ///
    /// # Errors
    /// When it is not recorded.
    pub async fn record_refused_keys(&self) -> Result<(), AuditError> {
        match self.refused_keys.swap(0, Ordering::Relaxed) {
            0 => Ok(()),
            count => self.record(Entry::new(Who::Daemon, What::ApiKeysRefused { count })).await,
        }
    }

    /// The last entry that is on the disk.
    #[must_use]
    pub fn head(&self) -> Head {
        **self.head.load()
    }

    /// Writes the head into the daemon's log, which lies elsewhere.
    pub fn log_head(&self) {
        tracing::info!("the head of the audit log is {}", self.head());
    }

    /// Entries behind a number and not older than `since`, and the number behind which the next part begins. Blocks on
    /// the disk.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn entries(
        &self,
        after: u64,
        since: Option<Timestamp>,
        limit: usize,
    ) -> Result<(Vec<Told>, Option<u64>), AuditError> {
        Ok(part(|after, limit| self.store.read_audit(after, limit), after, since, limit)?)
    }

    /// Looks at the whole chain. Blocks on the disk, for as long as that takes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn verify(&self, noted: Option<Head>) -> Result<Verdict, AuditError> {
        Ok(verify(|after, limit| self.store.read_audit(after, limit), &self.keys, noted)?)
    }

    /// Ends the log of this run: what was counted and the end itself are recorded, the head goes into the daemon's log.
    /// Nothing is recorded any more after it.
    pub async fn close(&self) {
        let ended = match self.record_refused_keys().await {
            Ok(()) => self.record(Entry::new(Who::Daemon, What::Stopped)).await,
            failed => failed,
        };
        if let Err(error) = ended {
            tracing::error!("the end is not in the audit log: {error}");
        }
        drop(self.tasks.lock().take());
        let keeper = self.keeper.lock().take();
        let joined = tokio::task::spawn_blocking(move || keeper.map(std::thread::JoinHandle::join)).await;
        if !matches!(joined, Ok(None | Some(Ok(())))) {
            tracing::error!("the keeper of the audit log ended by a panic");
        }
        self.log_head();
    }
}

impl std::fmt::Debug for Audit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Audit").field("head", &self.head()).finish_non_exhaustive()
    }
}

/// One part of the log as it is shown: entries behind a number and not older than `since`, and the number behind which
/// the next part begins.
///
/// # Errors
/// What `read` says.
pub fn part(
    mut read: impl FnMut(u64, usize) -> Result<Vec<AuditRow>, StoreError>,
    mut after: u64,
    since: Option<Timestamp>,
    limit: usize,
) -> Result<(Vec<Told>, Option<u64>), StoreError> {
    let (mut told, mut bytes) = (Vec::new(), 0);
    loop {
        let rows = read(after, CHUNK)?;
        if rows.is_empty() {
            return Ok((told, None));
        }
        for row in rows {
            after = row.sequence;
            let entry = read_row(&row);
            if since.is_some_and(|since| entry.at.is_some_and(|at| at < since)) {
                continue;
            }
            bytes += row.value.len();
            told.push(entry);
            if told.len() >= limit.max(1) || bytes >= PART {
                return Ok((told, Some(after)));
            }
        }
    }
}
