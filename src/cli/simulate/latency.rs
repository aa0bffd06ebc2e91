//! A histogram of durations with a fixed size: 64 steps for each doubling, so that a value is off by 1.6 % at most.

use std::time::Duration;

const STEPS_BITS: u32 = 6;
const STEPS: usize = 1 << STEPS_BITS;
/// Doublings above the first [`STEPS`] microseconds: enough for an hour.
const DOUBLINGS: usize = 27;

/// Counts of durations.
pub(super) struct Latencies {
    counts: Vec<u64>,
    total: u64,
    longest: Duration,
}

impl Latencies {
    pub(super) fn new() -> Self {
        Self { counts: vec![0; STEPS * (DOUBLINGS + 1)], total: 0, longest: Duration::ZERO }
    }

    /// Counts one duration.
    pub(super) fn record(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let last = self.counts.len().saturating_sub(1);
        if let Some(count) = self.counts.get_mut(place(micros).min(last)) {
            *count += 1;
        }
        self.total += 1;
        self.longest = self.longest.max(duration);
    }

    /// How many were counted.
    pub(super) const fn total(&self) -> u64 {
        self.total
    }

    /// The longest.
    pub(super) const fn longest(&self) -> Duration {
        self.longest
    }

    /// The duration that this share of all, from 0 to 1, does not exceed.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count is a count")]
    pub(super) fn percentile(&self, share: f64) -> Duration {
        let wanted = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (place, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_micros(highest(place)).min(self.longest);
            }
        }
        self.longest
    }
}

/// Where a duration is counted: exactly below [`STEPS`] microseconds, else by its doubling and the bits that follow.
fn place(micros: u64) -> usize {
    let Some(doubling) = (u64::BITS - micros.leading_zeros()).checked_sub(STEPS_BITS + 1) else {
        return usize::try_from(micros).unwrap_or(usize::MAX);
    };
    // Between STEPS and twice STEPS, so that the doubling adds the missing STEPS.
    doubling as usize * STEPS + usize::try_from(micros >> doubling).unwrap_or(usize::MAX)
}

/// The longest duration, in microseconds, that is counted at a place.
fn highest(place: usize) -> u64 {
    let (doublings, within) = (place / STEPS, (place % STEPS) as u64);
    match doublings.checked_sub(1) {
        None => within,
        Some(doubling) => ((STEPS as u64 + within + 1) << doubling) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_is_counted_where_the_next_longer_one_begins() {
        for micros in (0..100_000).chain([1 << 20, (1 << 20) - 1, 3_600_000_000]) {
            let place = place(micros);
            assert!(highest(place) >= micros, "{micros}");
            assert!(place == 0 || highest(place - 1) < micros, "{micros}");
        }
    }

    #[test]
    fn percentiles_are_off_by_little() {
        let mut latencies = Latencies::new();
        (1..=10_000).for_each(|micros| latencies.record(Duration::from_micros(micros)));
        for (share, exact) in [(0.5, 5_000.0), (0.99, 9_900.0), (1.0, 10_000.0)] {
            let found = latencies.percentile(share).as_micros() as f64;
            assert!((found / exact - 1.0).abs() < 0.017, "{share}: {found}");
        }
        assert_eq!(latencies.longest(), Duration::from_millis(10));
        latencies.record(Duration::from_secs(1 << 30));
        assert_eq!(latencies.total(), 10_001);
    }
}
