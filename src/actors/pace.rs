//! How many sessions are told at the same time that something of them ends. Each of them makes the groups of the writer
//! larger, and calls wait for those: so few while all are on time, more the later they are, and behind what was
//! promised, after the daemon was down, as many as calls do not notice.

use std::time::{Duration, Instant};

/// Sessions that are told at the same time while they are on time.
const FEWEST: usize = 8;
/// Who is not later than this is on time: it leaves room for a machine that is busy for a moment.
const ON_TIME: Duration = Duration::from_millis(100);
/// So many more for each millisecond beyond. The number follows the lateness and nothing else: where as many end as
/// become due, both stay as they are. A number that is moved step by step until the lateness is right swings, and calls
/// feel each swing.
const MORE_PER_MILLI: usize = 2;
/// What is promised (PRODUCT.md 4.1).
const PROMISED: Duration = Duration::from_secs(1);
/// Sessions that are told at the same time behind what was promised: at least, and at most. Some hundreds add two or
/// three milliseconds to a group, and a slow disk alone must not keep a backlog from ever being done.
const FEWEST_BEHIND: usize = 256;
const MOST: usize = 2_048;
/// A session that takes longer than this shows that the daemon has other work.
const SLOW: Duration = Duration::from_millis(50);
/// Behind what was promised the number moves by one for so many sessions: by an eighth while as many as it allows come
/// and go.
const SESSIONS_PER_STEP: usize = 8;

/// The bound, and how much of it is used.
#[derive(Debug)]
pub(super) struct Pace {
    told: usize,
    /// The bound behind what was promised.
    behind: usize,
    /// Sessions since it was raised.
    since_step: usize,
    /// It was lowered then. What was told before says nothing about the new one.
    lowered_at: Option<Instant>,
}

impl Pace {
    pub(super) const fn new() -> Self {
        Self { told: 0, behind: FEWEST_BEHIND, since_step: 0, lowered_at: None }
    }

    /// Whether another session may be told, one that is `late`.
    pub(super) fn has_room(&self, late: Duration) -> bool {
        self.told < self.bound(late)
    }

    fn bound(&self, late: Duration) -> usize {
        if late > PROMISED {
            return self.behind;
        }
        let beyond = usize::try_from(late.saturating_sub(ON_TIME).as_millis()).unwrap_or(MOST);
        FEWEST + beyond.saturating_mul(MORE_PER_MILLI)
    }

    pub(super) const fn tell(&mut self) {
        self.told += 1;
    }

    /// A session that was told has done what was to be done, and the next one that waits is `late`.
    pub(super) fn done(&mut self, began: Instant, now: Instant, late: Duration) {
        self.told = self.told.saturating_sub(1);
        if late <= PROMISED {
            return;
        }
        if now.duration_since(began) <= SLOW {
            self.since_step = (self.since_step + 1) % SESSIONS_PER_STEP;
            self.behind = (self.behind + usize::from(self.since_step == 0)).min(MOST);
        } else if self.lowered_at.is_none_or(|lowered_at| began >= lowered_at) {
            self.behind = (self.behind * 3 / 4).max(FEWEST_BEHIND);
            self.lowered_at = Some(now);
        }
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
            while pace.has_room(late) {
                pace.tell();
            }
            now += took;
            for _ in 0..pace.told {
                pace.done(began, now, late);
            }
        }
    }

    #[test]
    fn few_are_told_at_once_while_all_are_on_time_and_more_the_later_they_are() {
        let mut pace = Pace::new();
        assert_eq!(pace.bound(Duration::ZERO), FEWEST);
        assert_eq!(pace.bound(ON_TIME), FEWEST);
        let bounds = [200, 300, 600].map(|late| pace.bound(Duration::from_millis(late)));
        assert_eq!(bounds, [FEWEST + 200, FEWEST + 400, FEWEST + 1_000]);
        rounds(&mut pace, 20, SLOW * 4, ON_TIME * 2);
        assert_eq!(pace.bound(ON_TIME * 2), bounds[0], "also on a slow machine, to keep what is promised");
    }

    /// A minute in which 16,700 a second become due, and what is told at once is done after some milliseconds, more if
    /// it is much.
    #[test]
    fn a_million_in_a_minute_settles_far_from_what_was_promised() {
        const STEP: Duration = Duration::from_millis(5);
        let mut pace = Pace::new();
        let began = Instant::now();
        let mut waiting = std::collections::VecDeque::new();
        let mut most = 0;
        for step in 0..12_000_u32 {
            let now = STEP * step;
            waiting.extend(std::iter::repeat_n(now, if step % 2 == 0 { 83 } else { 84 }));
            // One group of the writer each other step.
            if step % 2 == 1 {
                for _ in 0..pace.told {
                    pace.done(began + now - STEP, began + now, Duration::ZERO);
                }
            }
            while waiting.front().is_some_and(|due| pace.has_room(now - *due)) {
                waiting.pop_front();
                pace.tell();
            }
            if step > 200 {
                let late = waiting.front().map_or(Duration::ZERO, |due| now - *due);
                assert!(late < Duration::from_millis(300), "{late:?} late after {now:?}");
                most = most.max(pace.told);
            }
        }
        assert!(most < 300, "{most} at once");
    }

    #[test]
    fn a_backlog_is_done_as_fast_as_calls_do_not_notice() {
        let hours = Duration::from_secs(7_200);
        let mut pace = Pace::new();
        rounds(&mut pace, 50, SLOW / 2, hours);
        assert_eq!(pace.bound(hours), MOST);
        rounds(&mut pace, 1, SLOW * 2, hours);
        assert_eq!(pace.bound(hours), MOST * 3 / 4, "once a round");
        rounds(&mut pace, 60, SLOW * 2, hours);
        assert_eq!(pace.bound(hours), FEWEST_BEHIND, "also a slow disk gets through a backlog");
    }
}
