//! From waiting items to one batch.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Instant;

use rocksdb::{ColumnFamily, WriteBatch};

use super::super::error::StoreError;
use super::super::families::{ACTIVE, ALIASES, EXPIRY, LOG, SESSIONS, family};
use super::super::layout;
use super::super::release::ReleaseNumbers;
use super::super::seal::Purpose;
use super::super::unrecorded::{SessionKey, Unrecorded};
use super::{AliasChange, Group, MOST_BYTES, MOST_ITEMS, Record, Write, Writer, wall_clock};

/// A batch and what follows once it is durable.
pub(super) struct Built<T> {
    pub(super) batch: WriteBatch,
    pub(super) bytes: usize,
    pub(super) log_bytes: u64,
    pub(super) next_sequence: u64,
    pub(super) covered: Vec<Covered>,
    pub(super) tickets: Vec<(T, u64)>,
}

/// What an item means for the replay after a crash.
pub(super) enum Covered {
    Logged { session: SessionKey, sequence: u64, ordinal: u64 },
    Recorded { session: SessionKey, ordinal: u64 },
    Forgotten { session: SessionKey },
}

impl Covered {
    pub(super) fn apply(self, unrecorded: &mut Unrecorded, now: Instant) {
        match self {
            Self::Logged { session, sequence, ordinal } => unrecorded.logged(session, sequence, ordinal, now),
            Self::Recorded { session, ordinal } => unrecorded.recorded(&session, ordinal),
            Self::Forgotten { session } => unrecorded.forgotten(&session),
        }
    }
}

struct Families<'db> {
    log: &'db ColumnFamily,
    sessions: &'db ColumnFamily,
    active: &'db ColumnFamily,
    aliases: &'db ColumnFamily,
    expiry: &'db ColumnFamily,
}

impl<G: Group> Writer<G> {
    /// Takes a group from the front of `backlog`. Nothing is taken when this fails.
    pub(super) fn build(
        &mut self,
        backlog: &mut VecDeque<Write<G::Ticket>>,
        tick: bool,
    ) -> Result<Built<G::Ticket>, StoreError> {
        let store = self.store.clone();
        let families = Families {
            log: family(&store.db, LOG)?,
            sessions: family(&store.db, SESSIONS)?,
            active: family(&store.db, ACTIVE)?,
            aliases: family(&store.db, ALIASES)?,
            expiry: family(&store.db, EXPIRY)?,
        };
        let items = backlog.len().min(MOST_ITEMS);
        let mut built = Built {
            batch: WriteBatch::default(),
            bytes: 0,
            log_bytes: self.start.progress.bytes,
            next_sequence: self.start.next_sequence,
            covered: Vec::with_capacity(items),
            tickets: Vec::with_capacity(items),
        };
        if tick {
            self.note_progress(&mut built, &families)?;
        }
        while built.tickets.len() < MOST_ITEMS && built.batch.size_in_bytes() < MOST_BYTES {
            let Some(write) = backlog.pop_front() else { break };
            self.add(write, &mut built, &families);
        }
        built.bytes = built.batch.size_in_bytes();
        Ok(built)
    }

    fn add(&mut self, write: Write<G::Ticket>, built: &mut Built<G::Ticket>, families: &Families<'_>) {
        let Write { release, session, log, record, forget, aliases, ticket } = write;
        let ReleaseNumbers { tenant, release } = release;
        let key = (tenant, session);
        if let Some(log) = log {
            debug_assert_eq!(log.purpose, Purpose::Commit, "the log holds commits");
            let sequence = built.put_log(families.log, tenant, release, &log.value);
            built.covered.push(Covered::Logged { session: key, sequence, ordinal: log.ordinal });
        }
        let sequence = built.next_sequence - 1;
        if let Some(Record { mut sealed, has_active_call, expires }) = record
            && !forget
        {
            debug_assert_eq!(sealed.purpose, Purpose::Record, "a record is no commit");
            layout::set_applied(&mut sealed.value, sequence);
            built.batch.put_cf(families.sessions, layout::session_key(tenant, &session), &sealed.value);
            if let Some(at) = expires {
                let key = layout::expiry_key(at, tenant, &session);
                built.batch.put_cf(families.expiry, key, release.to_be_bytes());
            }
            built.covered.push(Covered::Recorded { session: key, ordinal: sealed.ordinal });
            self.set_active(has_active_call, key, built, families);
        }
        if forget {
            built.put_log(families.log, tenant, release, &layout::start_log_value(&session, 33));
            built.batch.delete_cf(families.sessions, layout::session_key(tenant, &session));
            built.covered.push(Covered::Forgotten { session: key });
            self.set_active(false, key, built, families);
        }
        for alias in aliases {
            match alias {
                AliasChange::Put(alias) => built.batch.put_cf(
                    families.aliases,
                    layout::alias_key(tenant, alias.key_version, alias.rule_version, &alias.value),
                    session.as_bytes(),
                ),
                AliasChange::Delete(alias) => built.batch.delete_cf(
                    families.aliases,
                    layout::alias_key(tenant, alias.key_version, alias.rule_version, &alias.value),
                ),
            }
        }
        built.tickets.push((ticket, sequence));
    }

    /// The family `active` is touched only when something changes: most records are written of sessions
    /// that never had one with an active call.
    fn set_active(&mut self, active: bool, key: SessionKey, built: &mut Built<G::Ticket>, families: &Families<'_>) {
        let (tenant, session) = &key;
        if active {
            if self.start.active.insert(key) {
                built.batch.put_cf(families.active, layout::session_key(*tenant, session), []);
            }
        } else if self.start.active.remove(&key) {
            built.batch.delete_cf(families.active, layout::session_key(*tenant, session));
        }
    }

    /// Adds how far the log is covered, and deletes what nobody needs of it. Only what earlier groups made
    /// durable counts.
    fn note_progress(&mut self, built: &mut Built<G::Ticket>, families: &Families<'_>) -> Result<(), StoreError> {
        let before = self.start.progress.clone();
        let last = self.last_sequence();
        let now = wall_clock();
        let progress = &mut self.start.progress;
        progress.high_water = last;
        progress.watermark = self.store.unrecorded.lock().watermark(last);
        if let Some((from, to)) = self.store.times.note(progress) {
            let (from, to) = (layout::expiry_bound(from), layout::expiry_bound(to));
            built.batch.delete_range_cf(families.expiry, from, to);
        }
        progress.mark(&self.start.window, now);
        if let Some(trimmed) = progress.trim(&self.start.window, now) {
            // Told before it happens, so that no reader takes what is left for all there was.
            self.store.trimmed.store(trimmed.to, Ordering::SeqCst);
            if trimmed.is_rest_small && self.start.deleted_to < trimmed.to {
                let from = std::mem::replace(&mut self.start.deleted_to, trimmed.to);
                let (from, to) = (layout::log_bound(from), layout::log_bound(trimmed.to));
                built.batch.delete_range_cf(families.log, from, to);
            }
        }
        if *progress != before {
            progress.put(&self.store.db, &mut built.batch)?;
        }
        Ok(())
    }
}

impl<T> Built<T> {
    fn put_log(&mut self, log: &ColumnFamily, tenant: u32, release: u32, value: &[u8]) -> u64 {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.batch.put_cf(log, layout::log_key(sequence, tenant, release), value);
        self.log_bytes += layout::log_bytes(value);
        sequence
    }
}
