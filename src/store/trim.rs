//! What of the log may go: what records contain and watchers no longer need for resuming.
//!
//! While much is kept, whole files of the log go once nothing in them is needed ([`Store::remove_trimmed`]): a deletion
//! would lie in a file with what is new, which would overlap all others, and RocksDB would write all of them again. That
//! leaves one file with what is needed and what is not, and what is in memory. While little is kept, a file takes long to
//! fill and there is little to be written again: then it is deleted.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rocksdb::LiveFile;

use super::error::StoreError;
use super::families::{LOG, family};
use super::meta::{Mark, Progress};
use super::{Store, layout};

/// How finely age and size of the log are known: in parts of the window.
const GRAIN: u32 = 32;
/// A log is small whose needed part RocksDB holds in one table in memory.
const SMALL: u64 = 64 << 20;

/// How long and how large the log is kept for watchers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) age: Duration,
    pub(super) bytes: u64,
}

/// The beginning of the log has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trimmed {
    /// Sequences before this one may go.
    pub(super) to: u64,
    /// Whether what stays is little.
    pub(super) is_rest_small: bool,
}

impl Store {
    /// Removes files that hold nothing but what the log has been trimmed of. Blocks on the disk.
    ///
    /// # Errors
    /// When RocksDB cannot: then nothing is written any more.
    pub fn remove_trimmed(&self) -> Result<(), StoreError> {
        let db = &self.inner.db;
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        let removable = self.inner.removable.load(Ordering::Acquire);
        // To look takes the longer the more files there are, and calls may wait for it.
        if self.inner.removed.swap(removable, Ordering::Relaxed) >= removable {
            return Ok(());
        }
        let to = layout::log_bound(removable);
        let is_unneeded = |file: &LiveFile| {
            file.column_family_name == LOG
                && file.level > 0
                && file.end_key.as_ref().is_some_and(|last| last.as_slice() < to.as_ref())
        };
        if !db.live_files()?.iter().any(is_unneeded) {
            return Ok(());
        }
        // Without syncs that what was trimmed is in records may be less durable than that the file is gone.
        let log = family(db, LOG)?;
        let removed = db.flush_wal(true).and_then(|()| db.delete_file_in_range_cf(log, layout::log_bound(0), to));
        removed.map_err(StoreError::from).inspect_err(|error| self.inner.fail(error.clone()))
    }
}

impl Progress {
    /// Notes how long the log is now, if the last note is far enough away.
    pub(super) fn mark(&mut self, window: &Window, now: i64) {
        let grain = i64::try_from((window.age / GRAIN).as_millis()).unwrap_or(i64::MAX);
        let due = self.marks.back().is_none_or(|last| {
            last.sequence < self.high_water
                && (now.saturating_sub(last.at) >= grain
                    || self.bytes.saturating_sub(last.bytes) >= window.bytes / u64::from(GRAIN))
        });
        if due {
            self.marks.push_back(Mark { at: now, sequence: self.high_water, bytes: self.bytes });
        }
    }

    /// Moves the beginning of the log, if it can. The last log record always stays, so that a start can tell a trimmed log
    /// from a lost one.
    pub(super) fn trim(&mut self, window: &Window, now: i64) -> Option<Trimmed> {
        let age = i64::try_from(window.age.as_millis()).unwrap_or(i64::MAX);
        let unneeded =
            |mark: &&Mark| now.saturating_sub(mark.at) >= age || self.bytes.saturating_sub(mark.bytes) > window.bytes;
        let passed = self.marks.iter().take_while(unneeded).count();
        // Of the marks behind the window only the newest says anything.
        self.marks.drain(..passed.checked_sub(1)?);
        let behind = self.marks.front()?;
        let unwatched = behind.sequence.saturating_add(1).min(self.high_water);
        let first = unwatched.min(self.watermark.saturating_add(1));
        // How much of it waits for records is not known.
        let is_rest_small = first == unwatched && self.bytes.saturating_sub(behind.bytes) <= SMALL;
        if first <= self.trimmed {
            return None;
        }
        self.trimmed = first;
        while self.marks.front().is_some_and(|mark| mark.sequence < first) {
            self.marks.pop_front();
        }
        Some(Trimmed { to: first, is_rest_small })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { age: Duration::from_secs(3_600), bytes: 32_000 };
    const HOUR: i64 = 3_600_000;

    fn trim(progress: &mut Progress, now: i64) -> Option<u64> {
        progress.trim(&WINDOW, now).map(|trimmed| trimmed.to)
    }

    fn grow(progress: &mut Progress, to: u64, now: i64) {
        progress.bytes += (to - progress.high_water) * 100;
        progress.high_water = to;
        progress.mark(&WINDOW, now);
    }

    #[test]
    fn the_log_is_trimmed_behind_the_window_but_never_behind_the_watermark() {
        let mut progress = Progress::default();
        grow(&mut progress, 10, 0);
        grow(&mut progress, 20, HOUR / 2);
        progress.watermark = 15;
        assert_eq!(trim(&mut progress, HOUR - 1), None);
        assert_eq!(trim(&mut progress, HOUR), Some(11));
        assert_eq!(trim(&mut progress, HOUR), None);
        assert_eq!(trim(&mut progress, 3 * HOUR), Some(16), "16 is in no record yet");
        assert_eq!(trim(&mut progress, 9 * HOUR), None);
    }

    #[test]
    fn the_last_log_record_always_stays() {
        let mut progress = Progress::default();
        grow(&mut progress, 10, 0);
        progress.watermark = 10;
        assert_eq!(trim(&mut progress, 2 * HOUR), Some(10));
        assert_eq!(trim(&mut progress, 9 * HOUR), None);
    }

    #[test]
    fn a_log_larger_than_its_limit_is_trimmed_before_its_time() {
        let mut progress = Progress::default();
        for to in (10..=400).step_by(10) {
            grow(&mut progress, to, 1);
            progress.watermark = to;
        }
        let first = trim(&mut progress, 1).expect("40,000 bytes are over 32,000");
        assert!((70..=90).contains(&first), "{first}");
    }

    #[test]
    fn what_stays_is_small_or_not() {
        for (kept, watermark, expected) in [
            (SMALL, 20, Trimmed { to: 11, is_rest_small: true }),
            (SMALL + 1, 20, Trimmed { to: 11, is_rest_small: false }),
            (SMALL, 9, Trimmed { to: 10, is_rest_small: false }),
        ] {
            let mut progress = Progress::default();
            grow(&mut progress, 10, 0);
            progress.watermark = watermark;
            progress.high_water = 20;
            progress.bytes += kept;
            let window = Window { bytes: u64::MAX, ..WINDOW };
            assert_eq!(progress.trim(&window, HOUR), Some(expected));
        }
    }
}
