//! The one clock of the daemon. Deadlines are wall-clock times, and the wall clock can be set: it is compared with the
//! clock that counts since the machine was started, suspensions included.
//!
//! - The time never goes back, also not behind the latest time that was noted on the disk before the start: what has
//!   ended stays ended. A clock that is behind waits there.
//! - A jump forward of more than five minutes while the daemon runs is not believed: the time goes on by the other
//!   clock, and nothing is deleted, until an operator confirms the new time or the clock returns (PRODUCT.md 4.1), also
//!   if the daemon ends in between. A jump back of more than that is not followed either, and deletes nothing early.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

use crate::domain::time::Timestamp;
use crate::store::Doubt;

/// Jumps up to this long are believed.
const BELIEVED: Duration = Duration::from_secs(5 * 60);
#[expect(clippy::cast_possible_truncation, reason = "five minutes")]
const BELIEVED_MILLIS: i64 = BELIEVED.as_millis() as i64;

/// Wall-clock time that never decreases and does not follow jumps.
#[derive(Debug)]
pub struct Clock {
    source: Source,
    /// The latest time that was told.
    latest: AtomicI64,
    /// Wall clock minus the clock since the start of the machine, when they last agreed.
    offset: AtomicI64,
    /// By how much the wall clock is ahead of the time that is believed, in milliseconds; behind it if negative; 0 while
    /// they agree.
    gap: AtomicI64,
}

/// How the wall clock stands to the time that is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WallClock {
    /// They agree, but for small steps, which are followed.
    Agrees,
    /// It has jumped forward, and nobody has confirmed that.
    Ahead(Duration),
    /// It has jumped back, or was behind a time that had been noted before the start.
    Behind(Duration),
}

#[derive(Debug)]
enum Source {
    System,
    /// Set by hand: time passes in seconds that takes days.
    Manual(AtomicI64),
}

impl Clock {
    /// The clock of the system, not before a time that was noted earlier.
    #[must_use]
    pub fn system(not_before: Option<Timestamp>) -> Self {
        Self::system_in_doubt(not_before, None)
    }

    /// The same; it stays doubted if it was, as [`Clock::doubt`] told, and has not returned. A machine that was started
    /// anew counts from zero again and has nothing to compare the clock with: its clock is believed, as at any start.
    pub(super) fn system_in_doubt(not_before: Option<Timestamp>, doubt: Option<&Doubt>) -> Self {
        let (wall, boot) = (system_millis(), boot_millis());
        let floor = not_before.map_or(i64::MIN, Timestamp::unix_millis);
        let doubt = doubt.filter(|doubt| doubt.machine_start == machine_start());
        let believed = doubt.map(|doubt| boot.saturating_add(doubt.offset_millis).max(floor));
        let (latest, offset, gap) = match believed.filter(|believed| wall.saturating_sub(*believed) > BELIEVED_MILLIS) {
            Some(believed) => (believed, believed.saturating_sub(boot), wall.saturating_sub(believed)),
            None => (floor.max(wall), wall - boot, 0),
        };
        Self {
            source: Source::System,
            latest: AtomicI64::new(latest),
            offset: AtomicI64::new(offset),
            gap: AtomicI64::new(gap),
        }
    }

    /// The time of the system, believed or not.
    pub(super) fn system_time() -> Timestamp {
        Timestamp::from_unix_millis(system_millis())
    }

    /// A clock that stands until it is moved.
    #[must_use]
    pub fn manual(start: Timestamp) -> Self {
        let start = start.unix_millis();
        Self {
            source: Source::Manual(AtomicI64::new(start)),
            latest: AtomicI64::new(start),
            offset: AtomicI64::new(0),
            gap: AtomicI64::new(0),
        }
    }

    /// Moves a manual clock; the clock of the system moves by itself.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(millis) = &self.source {
            millis.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }

    /// The time by which everything is decided, in UTC with milliseconds.
    pub fn now(&self) -> Timestamp {
        let believed = match &self.source {
            Source::Manual(millis) => millis.load(Ordering::SeqCst),
            Source::System => {
                let (wall, boot) = (system_millis(), boot_millis());
                let gap = wall.saturating_sub(boot).saturating_sub(self.offset.load(Ordering::Relaxed));
                if gap.abs() > BELIEVED_MILLIS { wall - gap } else { wall }
            }
        };
        let latest = self.latest.load(Ordering::Relaxed);
        if believed <= latest {
            return Timestamp::from_unix_millis(latest);
        }
        Timestamp::from_unix_millis(self.latest.fetch_max(believed, Ordering::Relaxed).max(believed))
    }

    /// Compares the clocks, which has to happen about once a second: small steps, as of time synchronisation, are
    /// followed.
    pub(super) fn compare(&self) -> WallClock {
        if let Source::System = &self.source {
            let wall = system_millis();
            let offset = wall.saturating_sub(boot_millis());
            let mut gap = offset.saturating_sub(self.offset.load(Ordering::Relaxed));
            // After a start with a clock that was behind, one that comes nearer to the time it is known to be is not ahead.
            let is_ahead = wall.saturating_sub(self.latest.load(Ordering::Relaxed)) > BELIEVED_MILLIS;
            if gap.abs() <= BELIEVED_MILLIS || (gap > 0 && !is_ahead) {
                self.offset.store(offset, Ordering::Relaxed);
                let behind = self.latest.load(Ordering::Relaxed).saturating_sub(wall);
                gap = if behind > BELIEVED_MILLIS { -behind } else { 0 };
            } else if gap > 0 {
                // The time goes on by the other clock, also if it had waited for a clock that was behind.
                let (latest, boot) = (self.latest.load(Ordering::Relaxed), wall.saturating_sub(offset));
                let waited = self.offset.fetch_max(latest.saturating_sub(boot), Ordering::Relaxed);
                gap = offset.saturating_sub(waited.max(latest.saturating_sub(boot)));
            }
            self.gap.store(gap, Ordering::Relaxed);
        }
        self.wall_clock()
    }

    /// What the last comparison found.
    pub fn wall_clock(&self) -> WallClock {
        let gap = self.gap.load(Ordering::Relaxed);
        let by = Duration::from_millis(gap.unsigned_abs());
        match gap.signum() {
            1 => WallClock::Ahead(by),
            -1 => WallClock::Behind(by),
            _ => WallClock::Agrees,
        }
    }

    /// Whether the wall clock is ahead and nobody has confirmed it: then nothing is deleted because of its time.
    pub fn is_doubted(&self) -> bool {
        self.gap.load(Ordering::Relaxed) > 0
    }

    /// What has to be known at the next start if the wall clock is doubted.
    pub(super) fn doubt(&self) -> Option<Doubt> {
        let offset_millis = self.offset.load(Ordering::Relaxed);
        self.is_doubted().then(|| Doubt { offset_millis, machine_start: machine_start() })
    }

    /// Believes a wall clock that is ahead from now on; by how much it was, if it was.
    pub(super) fn confirm(&self) -> Option<Duration> {
        let WallClock::Ahead(by) = self.compare() else { return None };
        self.offset.store(system_millis().saturating_sub(boot_millis()), Ordering::Relaxed);
        self.gap.store(0, Ordering::Relaxed);
        Some(by)
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one clock")]
fn system_millis() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// What tells one start of the machine from another; empty where the system does not tell.
fn machine_start() -> Box<str> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().into()
}

fn boot_millis() -> i64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec.saturating_mul(1_000).saturating_add(time.tv_nsec / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As if the wall clock had been set: what was known before is so much farther from it.
    fn set_forward(clock: &Clock, millis: i64) {
        clock.offset.fetch_sub(millis, Ordering::Relaxed);
        clock.latest.fetch_sub(millis, Ordering::Relaxed);
    }

    #[test]
    fn the_clock_waits_at_a_time_that_was_noted_before() {
        let noted = Timestamp::from_unix_millis(system_millis() + 3_600_000);
        let clock = Clock::system(Some(noted));
        assert_eq!(clock.now(), noted);
        assert!(matches!(clock.compare(), WallClock::Behind(_)) && !clock.is_doubted());
        assert_eq!(clock.confirm(), None, "there is nothing to believe");
    }

    #[test]
    fn a_clock_that_was_behind_at_the_start_is_believed_when_it_is_set_right() {
        let noted = Timestamp::from_unix_millis(system_millis() + 60_000);
        let clock = Clock::system(Some(noted));
        // As if the wall clock had been behind by days when the daemon began, and is by a minute now.
        clock.offset.fetch_sub(3 * 86_400_000, Ordering::Relaxed);
        assert_eq!(clock.now(), noted);
        assert_eq!(clock.compare(), WallClock::Agrees);
        assert_eq!(clock.now(), noted, "it waits for the last minute");
        // As if it was still behind by days after it had been set.
        let noted = Timestamp::from_unix_millis(system_millis() + 86_400_000);
        let clock = Clock::system(Some(noted));
        clock.offset.fetch_sub(2 * 86_400_000, Ordering::Relaxed);
        assert!(matches!(clock.compare(), WallClock::Behind(_)) && !clock.is_doubted());
        assert_eq!(clock.now(), noted);
    }

    #[test]
    fn a_jump_forward_is_not_believed_until_it_is_confirmed() {
        let clock = Clock::system(None);
        let before = clock.now();
        set_forward(&clock, 3_600_000);
        assert!(matches!(clock.compare(), WallClock::Ahead(by) if by >= Duration::from_secs(3_599)));
        assert!(clock.is_doubted());
        assert!(clock.now() < before.after(Duration::from_secs(60)));
        assert!(clock.confirm().is_some_and(|by| by >= Duration::from_secs(3_599)));
        assert!(!clock.is_doubted() && clock.compare() == WallClock::Agrees);
    }

    #[test]
    fn a_doubted_clock_is_doubted_after_another_start_too_unless_it_has_returned() {
        let clock = Clock::system(None);
        set_forward(&clock, 3_600_000);
        clock.compare();
        let (noted, doubt) = (clock.now(), clock.doubt().expect("it is doubted"));
        let again = Clock::system_in_doubt(Some(noted), Some(&doubt));
        assert!(again.is_doubted(), "from the start on");
        assert!(matches!(again.compare(), WallClock::Ahead(by) if by >= Duration::from_secs(3_599)));
        assert!(again.now() >= noted && again.now() < noted.after(Duration::from_secs(60)));
        let returned = Doubt { offset_millis: doubt.offset_millis + 3_600_000, ..doubt.clone() };
        let returned = Clock::system_in_doubt(Some(noted), Some(&returned));
        assert_eq!((returned.compare(), returned.doubt()), (WallClock::Agrees, None));
        // A machine that was started anew has nothing to compare with.
        let elsewhere = Doubt { machine_start: "another start".into(), ..doubt };
        let anew = Clock::system_in_doubt(Some(noted), Some(&elsewhere));
        assert!(!anew.is_doubted() && anew.compare() == WallClock::Agrees);
        assert!(anew.now() >= noted.after(Duration::from_secs(3_599)));
    }

    #[test]
    fn doubted_time_goes_on_also_if_it_had_waited_for_a_clock_that_was_behind() {
        let noted = Timestamp::from_unix_millis(system_millis() - 3_600_000);
        let clock = Clock::system(Some(noted));
        // As if the wall clock had been three days behind what was noted, and was set an hour ahead of it.
        clock.latest.store(noted.unix_millis(), Ordering::Relaxed);
        clock.offset.fetch_sub(3_600_000 + 3 * 86_400_000, Ordering::Relaxed);
        assert!(matches!(clock.compare(), WallClock::Ahead(by) if by < Duration::from_secs(3_700)));
        let first = clock.now();
        std::thread::sleep(Duration::from_millis(5));
        assert!(first >= noted && clock.now() > first && clock.now() < noted.after(Duration::from_secs(60)));
    }

    #[test]
    fn a_clock_that_returns_is_believed_again() {
        let clock = Clock::system(None);
        set_forward(&clock, 3_600_000);
        assert!(matches!(clock.compare(), WallClock::Ahead(_)));
        set_forward(&clock, -3_600_000);
        assert!(clock.compare() == WallClock::Agrees && !clock.is_doubted());
    }

    #[test]
    fn small_steps_are_followed_and_time_never_goes_back() {
        let clock = Clock::system(None);
        for step in [60_000, -120_000, 240_000] {
            clock.offset.fetch_add(step, Ordering::Relaxed);
            let before = clock.now();
            assert_eq!(clock.compare(), WallClock::Agrees);
            assert!(clock.now() >= before);
        }
    }
}
