//! The expiry index: sessions by the time at which something of them ends, one entry per session at its earliest end,
//! written with the session's record. Activity does not touch it: whoever takes an entry looks at the session, which
//! may end later by then and gets a new entry. What has been done is deleted by range, behind a time that is kept with
//! the progress of the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rocksdb::{ColumnFamily, DB, ReadOptions, WriteBatch};

use super::error::StoreError;
use super::families::{EXPIRY, META, family};
use super::meta::Progress;
use super::release::Release;
use super::{Store, layout, sync_write};
use crate::domain::ids::SessionId;
use crate::domain::time::Timestamp;

/// An entry of the index.
#[derive(Debug, Clone)]
pub struct Due {
    /// When something of the session ended, when its record was written.
    pub at: Timestamp,
    /// Whose session.
    pub release: Arc<Release>,
    /// Which one.
    pub session: SessionId,
}

/// A place in the index.
#[derive(Debug, Clone)]
pub struct DueCursor(Vec<u8>);

impl DueCursor {
    /// Before all entries from this time on.
    #[must_use]
    pub fn at(time: Timestamp) -> Self {
        Self(layout::expiry_bound(time).as_ref().to_vec())
    }

    /// Behind an entry.
    fn behind(key: &[u8]) -> Self {
        let mut place = key.to_vec();
        place.push(0);
        Self(place)
    }
}

impl Store {
    /// Entries from a place up to a time, this one not included, in order, at most `limit`, and the place behind them.
    /// May block on the disk.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn due(&self, from: &DueCursor, until: Timestamp, limit: usize) -> Result<(Vec<Due>, DueCursor), StoreError> {
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(layout::expiry_bound(until).as_ref());
        options.fill_cache(false);
        let mut entries = self.inner.db.raw_iterator_cf_opt(family(&self.inner.db, EXPIRY)?, options);
        entries.seek(&from.0);
        let registry = self.inner.registry.read();
        let mut due = Vec::new();
        let mut next = from.clone();
        while let Some((key, value)) = entries.item() {
            if due.len() >= limit {
                break;
            }
            let unreadable = StoreError::Incomplete("an entry of the expiry index cannot be read");
            let (at, _, session) = layout::read_expiry_key(key).ok_or(unreadable.clone())?;
            let number = layout::read_u32(value, 0).ok_or(unreadable)?;
            // A tenant whose key is gone has nothing left that could be read, and so nothing that could be kept.
            if let Some(release) = registry.by_number(number).and_then(|known| known.release.clone()) {
                due.push(Due { at, release, session });
            }
            next = DueCursor::behind(key);
            entries.next();
        }
        entries.status()?;
        Ok((due, next))
    }

    /// Notes durably, at once, that it is this late: after a jump of the clock, so that no clock that is set back later
    /// brings back what has ended by then. Blocks on the disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_clock(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        put_time(&mut batch, family(&self.inner.db, META)?, now);
        self.inner.written(sync_write(&self.inner.db, batch))
    }

    /// Notes durably that the clock is doubted, and why, or that it is not. Blocks on the disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_doubt(&self, doubt: Option<&Doubt>) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        let meta = family(&self.inner.db, META)?;
        match doubt {
            Some(Doubt { offset_millis, machine_start }) => {
                let value = [&offset_millis.to_be_bytes(), machine_start.as_bytes()].concat();
                batch.put_cf(meta, DOUBT_KEY, value);
            }
            None => batch.delete_cf(meta, DOUBT_KEY),
        }
        self.inner.written(sync_write(&self.inner.db, batch))
    }

    /// Notes durably that it is this late and that the clock is not doubted any more: before anything ends by it. Blocks on
    /// the disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_confirmed_clock(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        let meta = family(&self.inner.db, META)?;
        put_time(&mut batch, meta, now);
        batch.delete_cf(meta, DOUBT_KEY);
        self.inner.written(sync_write(&self.inner.db, batch))
    }

    /// Notes times with the progress of the log: what the clock says, and before when everything of the expiry index
    /// has been done.
    pub fn note_times(&self, clock: Timestamp, expired_to: Timestamp) {
        self.inner.times.clock.fetch_max(clock.unix_millis(), Ordering::Relaxed);
        self.inner.times.expired_to.fetch_max(expired_to.unix_millis(), Ordering::Relaxed);
    }
}

/// The time at which the daemon is known to have run, noted apart from the progress of the log.
const CLOCK_KEY: &[u8] = b"clock";

/// Set while the clock is doubted.
const DOUBT_KEY: &[u8] = b"clock-doubt";

/// Why a clock is doubted, for the next start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// How the believed time stands to the time since the start of the machine, in milliseconds.
    pub offset_millis: i64,
    /// Which start of the machine that was (`/proc/sys/kernel/random/boot_id`).
    pub machine_start: Box<str>,
}

fn put_time(batch: &mut WriteBatch, meta: &ColumnFamily, now: Timestamp) {
    let millis = u64::try_from(now.unix_millis()).unwrap_or(0);
    batch.put_cf(meta, CLOCK_KEY, millis.to_be_bytes());
}

/// What [`Store::put_doubt`] has noted. What does not read is of no start of this machine.
pub(super) fn noted_doubt(db: &DB) -> Result<Option<Doubt>, StoreError> {
    let value = db.get_pinned_cf(family(db, META)?, DOUBT_KEY)?;
    Ok(value.as_deref().and_then(|value| {
        let (offset, machine_start) = value.split_first_chunk()?;
        let machine_start = std::str::from_utf8(machine_start).ok()?.into();
        Some(Doubt { offset_millis: i64::from_be_bytes(*offset), machine_start })
    }))
}

/// The time that [`Store::put_clock`] has noted.
pub(super) fn noted_clock(db: &DB) -> Result<Option<Timestamp>, StoreError> {
    let value = db.get_pinned_cf(family(db, META)?, CLOCK_KEY)?;
    let millis = value.map(|value| {
        let millis = layout::read_u64(&value, 0).and_then(|millis| i64::try_from(millis).ok());
        millis.ok_or(StoreError::Incomplete("the time it was last used at cannot be read"))
    });
    Ok(millis.transpose()?.map(Timestamp::from_unix_millis))
}

/// Times that the writer notes when it writes anyway, or when they have moved far enough.
pub(super) struct Times {
    clock: AtomicI64,
    expired_to: AtomicI64,
}

/// How far times may move before they are noted although nothing else is written.
const WORTH_NOTING_MILLIS: i64 = 60_000;

impl Times {
    pub(super) fn of(progress: &Progress) -> Self {
        Self { clock: AtomicI64::new(progress.clock), expired_to: AtomicI64::new(progress.expired_to) }
    }

    pub(super) fn is_worth_noting(&self, progress: &Progress) -> bool {
        self.clock.load(Ordering::Relaxed).saturating_sub(progress.clock) >= WORTH_NOTING_MILLIS
    }

    /// Takes the times over; what of the index may be deleted, from and to, if that has moved.
    pub(super) fn note(&self, progress: &mut Progress) -> Option<(Timestamp, Timestamp)> {
        progress.clock = self.clock.load(Ordering::Relaxed);
        let before = std::mem::replace(&mut progress.expired_to, self.expired_to.load(Ordering::Relaxed));
        let moved = progress.expired_to > before;
        moved.then(|| (Timestamp::from_unix_millis(before), Timestamp::from_unix_millis(progress.expired_to)))
    }
}
