//! How many sessions are told at the same time that something of them ends. Each of them makes the groups of the writer
//! larger, and calls wait for those: so few while all are on time, more when they fall behind, and behind what was
//! promised, after the daemon was down, as many as calls do not notice.

use std::time::{Duration, Instant};

/// Sessions that are told at the same time: at least, and at most.
const FEWEST: usize = 32;
const MOST: usize = 2_048;
/// Who is not later than this is on time: it leaves room for a machine that is busy for a moment.
const ON_TIME: Duration = Duration::from_millis(150);
/// What is promised (PRODUCT.md 4.1).
const PROMISED: Duration = Duration::from_secs(1);
/// A session that takes longer than this shows that the daemon has other work.
const SLOW: Duration = Duration::from_millis(25);

/// The bound moves by one for so many sessions: by an eighth while as many as it allows come and go. Faster, it would
/// swing, and calls would feel each swing.
const SESSIONS_PER_STEP: usize = 8;

/// The bound, and how much of it is used.
#[derive(Debug)]
pub(super) struct Pace {
    told: usize,
    bound: usize,
    /// Sessions since the bound was moved.
    since_step: usize,
    /// The bound was lowered then. What was told before says nothing about the new one.
    lowered_at: Option<Instant>,
}

impl Pace {
    pub(super) const fn new() -> Self {
        Self { told: 0, bound: FEWEST, since_step: 0, lowered_at: None }
    }

    /// How many may be told at the same time.
    pub(super) const fn bound(&self) -> usize {
        self.bound
    }

    /// Whether another session may be told.
    pub(super) const fn has_room(&self) -> bool {
        self.told < self.bound
    }

    pub(super) const fn tell(&mut self) {
        self.told += 1;
    }

    /// A session that was told has done what was to be done, and the next one that waits is `late`.
    pub(super) fn done(&mut self, began: Instant, now: Instant, late: Duration) {
        self.told = self.told.saturating_sub(1);
        if late <= ON_TIME {
            self.bound = (self.bound - self.step()).max(FEWEST);
        } else if late <= PROMISED || now.duration_since(began) <= SLOW {
            self.bound = (self.bound + self.step()).min(MOST);
        } else if self.lowered_at.is_none_or(|lowered_at| began >= lowered_at) {
            self.bound = (self.bound * 3 / 4).max(FEWEST);
            self.lowered_at = Some(now);
        }
    }

    const fn step(&mut self) -> usize {
        self.since_step = (self.since_step + 1) % SESSIONS_PER_STEP;
        if self.since_step == 0 { 1 } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounds of as many sessions as may be told, each round taking `took`.
    fn rounds(pace: &mut Pace, count: usize, took: Duration, late: Duration) {
        let mut now = Instant::now();
        for _ in 0..count {
            let began = now;
            while pace.has_room() {
                pace.tell();
            }
            now += took;
            for _ in 0..pace.told {
                pace.done(began, now, late);
            }
        }
    }

    #[test]
    fn few_are_told_at_once_while_all_are_on_time_and_more_when_they_fall_behind() {
        let mut pace = Pace::new();
        rounds(&mut pace, 10, SLOW * 4, Duration::ZERO);
        assert_eq!(pace.bound, FEWEST);
        rounds(&mut pace, 12, SLOW * 4, ON_TIME * 2);
        assert!((FEWEST * 3..FEWEST * 5).contains(&pace.bound), "also on a slow machine, to keep what is promised");
        rounds(&mut pace, 20, SLOW * 4, ON_TIME);
        assert_eq!(pace.bound, FEWEST);
    }

    #[test]
    fn a_backlog_is_done_as_fast_as_calls_do_not_notice() {
        let hours = Duration::from_secs(7_200);
        let mut pace = Pace::new();
        rounds(&mut pace, 50, SLOW / 2, hours);
        assert_eq!(pace.bound, MOST);
        rounds(&mut pace, 1, SLOW * 2, hours);
        assert_eq!(pace.bound, MOST * 3 / 4, "once a round");
        rounds(&mut pace, 60, SLOW * 2, hours);
        assert_eq!(pace.bound, FEWEST);
    }
}
