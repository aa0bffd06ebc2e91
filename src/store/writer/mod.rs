//! The one thread that writes. It takes everything that is waiting, makes one batch of it, writes that
//! batch once, synced, and only then tells everybody in order. There is no artificial wait: the sync in
//! progress is the window in which the next group gathers. Sequences are given here and nowhere else.

mod batch;
mod queue;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use rocksdb::WriteOptions;

use super::error::StoreError;
use super::meta::Progress;
use super::release::{ReleaseNumbers, Sealed};
use super::trim::Window;
use super::unrecorded::SessionKey;
use super::{Inner, Store};
use crate::domain::ids::{SessionId, TenantId};
use crate::domain::time::Timestamp;
use queue::{Queue, Taken};

/// Most items of one group.
const MOST_ITEMS: usize = 4_096;
/// Most bytes of one group; a single larger item still goes.
const MOST_BYTES: usize = 1 << 20;

/// What is told about written items, on the writer's thread: must be quick and never block.
pub trait Group: Send + 'static {
    /// What comes back for each item.
    type Ticket: Send + 'static;

    /// The item is durable. `sequence` is that of its log record, or of the last log record before it.
    fn written(&mut self, ticket: Self::Ticket, sequence: u64);

    /// The item is not written and never will be.
    fn failed(&mut self, ticket: Self::Ticket, reason: &StoreError);

    /// All of a group were told: the moment to wake each connection once.
    fn finished(&mut self);
}

/// One item for the writer. Without `log`, `record`, `forget` and `aliases` it is a barrier: told after
/// everything before it is durable.
#[derive(Debug)]
pub struct Write<T> {
    /// The release of the session.
    pub release: ReleaseNumbers,
    /// The session.
    pub session: SessionId,
    /// The commit for the log.
    pub log: Option<Sealed>,
    /// The session's record.
    pub record: Option<Record>,
    /// Deletes the record. The log notes it, so that no replay brings the session back.
    pub forget: bool,
    /// Aliases in the same batch.
    pub aliases: Vec<AliasChange>,
    /// Comes back when it is written.
    pub ticket: T,
}

/// A session's record for the database.
#[derive(Debug)]
pub struct Record {
    /// The record.
    pub sealed: Sealed,
    /// Whether an active call is in it: such sessions are given back at the next start.
    pub has_active_call: bool,
    /// The time of a new entry in the expiry index, if the session needs one.
    pub expires: Option<Timestamp>,
}

/// How a caller is found (PRODUCT.md 3.3), beside the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AliasKey {
    /// Version of the pseudonym key.
    pub key_version: u32,
    /// Version of the normalisation rules.
    pub rule_version: u16,
    /// The keyed value; the instance is part of what it was made from.
    pub value: [u8; 32],
}

/// A change of an alias of the item's session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AliasChange {
    /// The alias leads to the item's session.
    Put(AliasKey),
    /// The alias is replaced by a newer one.
    Delete(AliasKey),
}

/// What recovery leaves to the writer.
pub(super) struct WriterStart {
    pub(super) next_sequence: u64,
    pub(super) progress: Progress,
    /// Sessions in the `active` family.
    pub(super) active: HashSet<SessionKey>,
    pub(super) relaxed: bool,
    pub(super) window: Window,
    /// Where the deletions of this run of the daemon in the log begin.
    pub(super) deleted_to: u64,
    pub(super) tick: Duration,
}

/// The way to the writer. Cheap to clone; when the last one is dropped, that waits for
/// the writer like [`WriterHandle::shutdown`].
pub struct WriterHandle<T: Send + 'static> {
    shared: Arc<Shared<T>>,
}

impl<T: Send + 'static> Clone for WriterHandle<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

struct Shared<T: Send + 'static> {
    queue: Arc<Queue<T>>,
    store: Store,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl<T: Send + 'static> Shared<T> {
    fn shutdown(&self) {
        self.queue.close();
        let Some(thread) = self.thread.lock().take() else { return };
        // A ticket may hold the last handle: the writer cannot wait for itself.
        if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
            tracing::error!("the writer ended by a panic");
        }
    }
}

impl<T: Send + 'static> Drop for Shared<T> {
    /// RocksDB must be closed before the program ends, not while it does.
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl<T: Send + 'static> WriterHandle<T> {
    /// Hands an item over. Never blocks; how much may wait is bounded by permits elsewhere. After a
    /// failed write the item fails at once; after the end of the writer its ticket is dropped.
    pub fn submit(&self, write: Write<T>) {
        self.shared.queue.push(write, &self.shared.store.inner.metrics.queue_depth);
    }

    /// Items waiting for the writer.
    #[must_use]
    pub fn queue_depth(&self) -> u64 {
        self.shared.store.inner.metrics.queue_depth.load(Ordering::Relaxed)
    }

    /// Writes what is waiting, notes how far the log is covered, and ends the thread. Blocks until then.
    pub fn shutdown(&self) {
        self.shared.shutdown();
    }
}

impl Store {
    /// Starts the writer. There can be one.
    ///
    /// # Errors
    /// When there was one before, or no thread can be had.
    pub fn spawn_writer<G: Group>(&self, group: G) -> Result<WriterHandle<G::Ticket>, StoreError> {
        let start = self.inner.start.lock().take().ok_or(StoreError::WriterClosed)?;
        let queue = Arc::new(Queue::default());
        let writer = Writer { store: self.inner.clone(), queue: queue.clone(), group, start };
        let thread = std::thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| StoreError::io(&self.inner.path, error))?;
        Ok(WriterHandle { shared: Arc::new(Shared { queue, store: self.clone(), thread: Mutex::new(Some(thread)) }) })
    }

    /// Sessions whose log records have been waiting for a record for longer than `older_than`, the oldest
    /// first, some thousand at most: asked to write their record, they let the log be trimmed and keep
    /// the next start short.
    #[must_use]
    pub fn oldest_unrecorded(&self, older_than: Duration) -> Vec<(TenantId, SessionId)> {
        let waiting = self.inner.unrecorded.lock().older_than(older_than, Instant::now(), MOST_ITEMS);
        let registry = self.inner.registry.read();
        waiting
            .into_iter()
            .filter_map(|(tenant, session)| Some((registry.tenant_name(tenant)?.clone(), session)))
            .collect()
    }
}

struct Writer<G: Group> {
    store: Arc<Inner>,
    queue: Arc<Queue<G::Ticket>>,
    group: G,
    start: WriterStart,
}

/// Poisons the store when the writer's thread panics: what it had in hand is unknown.
struct PoisonOnPanic<T> {
    store: Arc<Inner>,
    queue: Arc<Queue<T>>,
}

impl<T> Drop for PoisonOnPanic<T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.queue.abandon();
            self.store.fail(StoreError::Poisoned("the writer panicked".to_owned()));
        }
    }
}

impl<G: Group> Writer<G> {
    fn run(mut self) {
        let _poison = PoisonOnPanic { store: self.store.clone(), queue: self.queue.clone() };
        let mut backlog = VecDeque::new();
        let mut next_tick = Instant::now() + self.start.tick;
        loop {
            let taken = self.queue.take(&mut backlog, self.idle_until(next_tick), &self.store.metrics.queue_depth);
            if backlog.is_empty() && taken == Taken::Closed {
                break;
            }
            let now = Instant::now();
            let tick = now >= next_tick;
            if tick {
                next_tick = now + self.start.tick;
            }
            self.round(&mut backlog, now, tick);
        }
        self.round(&mut backlog, Instant::now(), true);
    }

    /// When to wake up although nothing comes in: only while there is something to note or to trim.
    fn idle_until(&self, next_tick: Instant) -> Option<Instant> {
        let progress = &self.start.progress;
        let last = self.last_sequence();
        let times = &self.store.times;
        let settled = progress.high_water == last
            && progress.watermark == last
            && progress.trimmed >= last
            && !times.is_worth_noting(progress);
        (!settled && self.store.failure.get().is_none()).then_some(next_tick)
    }

    const fn last_sequence(&self) -> u64 {
        self.start.next_sequence - 1
    }

    /// One group: one batch, one write, then the acknowledgements in order.
    fn round(&mut self, backlog: &mut VecDeque<Write<G::Ticket>>, now: Instant, tick: bool) {
        if let Some(failure) = self.store.failure.get() {
            let failure = StoreError::Poisoned(failure.to_string());
            return self.refuse(backlog.drain(..).map(|write| write.ticket), &failure);
        }
        let store = self.store.clone();
        let writing = store.lock_writing();
        let built = match self.build(backlog, tick) {
            Ok(built) => built,
            Err(error) => {
                self.store.fail(error.clone());
                return self.refuse(backlog.drain(..).map(|write| write.ticket), &error);
            }
        };
        if !built.batch.is_empty() {
            let mut options = WriteOptions::default();
            options.set_sync(!self.start.relaxed);
            if let Err(error) = self.store.db.write_opt(built.batch, &options) {
                let error = StoreError::from(error);
                self.store.fail(error.clone());
                self.refuse(built.tickets.into_iter().map(|(ticket, _)| ticket), &error);
                return;
            }
            self.count(built.tickets.len(), built.bytes, now);
        }
        drop(writing);
        self.store.removable.store(self.start.progress.trimmed, Ordering::Release);
        self.start.next_sequence = built.next_sequence;
        self.start.progress.bytes = built.log_bytes;
        if !built.covered.is_empty() {
            let mut unrecorded = self.store.unrecorded.lock();
            for covered in built.covered {
                covered.apply(&mut unrecorded, now);
            }
            let count = u64::try_from(unrecorded.len()).unwrap_or(u64::MAX);
            self.store.metrics.unrecorded.store(count, Ordering::Relaxed);
        }
        if !built.tickets.is_empty() {
            for (ticket, sequence) in built.tickets {
                self.group.written(ticket, sequence);
            }
            self.group.finished();
        }
    }

    fn count(&self, items: usize, bytes: usize, since: Instant) {
        let metrics = &self.store.metrics;
        let items = u64::try_from(items).unwrap_or(u64::MAX);
        metrics.groups.fetch_add(1, Ordering::Relaxed);
        metrics.items.fetch_add(items, Ordering::Relaxed);
        metrics.bytes.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
        metrics.group_items.observe(items);
        metrics.write_micros.observe(u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX));
        metrics.queue_wait_micros.fetch_add(self.queue.last_wait_micros(), Ordering::Relaxed);
    }

    fn refuse(&mut self, tickets: impl Iterator<Item = G::Ticket>, reason: &StoreError) {
        let mut refused = 0;
        for ticket in tickets {
            self.group.failed(ticket, reason);
            refused += 1;
        }
        if refused > 0 {
            self.store.metrics.failed.fetch_add(refused, Ordering::Relaxed);
            self.group.finished();
        }
    }
}

/// Milliseconds since the Unix epoch, for the age of the log.
#[expect(clippy::disallowed_methods, reason = "an age on the disk, from which no lifetime follows")]
fn wall_clock() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
