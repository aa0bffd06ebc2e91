//! What of the log may go: what records contain and watchers no longer need for resuming.

use std::time::Duration;

use super::meta::{Mark, Progress};

/// How finely age and size of the log are known: in parts of the window.
const GRAIN: u32 = 32;

/// How long and how large the log is kept for watchers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) age: Duration,
    pub(super) bytes: u64,
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

    /// Moves the beginning of the log and gives the old and the new one, if it moves. The last log record
    /// always stays, so that a start can tell a trimmed log from a lost one.
    pub(super) fn trim(&mut self, window: &Window, now: i64) -> Option<(u64, u64)> {
        let age = i64::try_from(window.age.as_millis()).unwrap_or(i64::MAX);
        let unneeded =
            |mark: &&Mark| now.saturating_sub(mark.at) >= age || self.bytes.saturating_sub(mark.bytes) > window.bytes;
        let passed = self.marks.iter().take_while(unneeded).count();
        // Of the marks behind the window only the newest says anything.
        self.marks.drain(..passed.checked_sub(1)?);
        let unwatched = self.marks.front()?.sequence.saturating_add(1);
        let first = unwatched.min(self.watermark.saturating_add(1)).min(self.high_water);
        if first <= self.trimmed {
            return None;
        }
        let old = std::mem::replace(&mut self.trimmed, first);
        while self.marks.front().is_some_and(|mark| mark.sequence < first) {
            self.marks.pop_front();
        }
        Some((old, first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { age: Duration::from_secs(3_600), bytes: 32_000 };
    const HOUR: i64 = 3_600_000;

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
        assert_eq!(progress.trim(&WINDOW, HOUR - 1), None);
        assert_eq!(progress.trim(&WINDOW, HOUR), Some((0, 11)));
        assert_eq!(progress.trim(&WINDOW, HOUR), None);
        assert_eq!(progress.trim(&WINDOW, 3 * HOUR), Some((11, 16)), "16 is in no record yet");
        assert_eq!(progress.trim(&WINDOW, 9 * HOUR), None);
    }

    #[test]
    fn the_last_log_record_always_stays() {
        let mut progress = Progress::default();
        grow(&mut progress, 10, 0);
        progress.watermark = 10;
        assert_eq!(progress.trim(&WINDOW, 2 * HOUR), Some((0, 10)));
        assert_eq!(progress.trim(&WINDOW, 9 * HOUR), None);
    }

    #[test]
    fn a_log_larger_than_its_limit_is_trimmed_before_its_time() {
        let mut progress = Progress::default();
        for to in (10..=400).step_by(10) {
            grow(&mut progress, to, 1);
            progress.watermark = to;
        }
        let (_, first) = progress.trim(&WINDOW, 1).expect("40,000 bytes are over 32,000");
        assert!((70..=90).contains(&first), "{first}");
    }
}
