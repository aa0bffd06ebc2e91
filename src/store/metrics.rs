//! Counters of the writer and of reads, plain atomics: the daemon exports them.

use std::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds of write times, in microseconds.
const LATENCY_BOUNDS: [u64; 15] =
    [100, 150, 250, 400, 650, 1_000, 1_600, 2_500, 4_000, 6_500, 10_000, 25_000, 100_000, 400_000, 1_600_000];
/// Upper bounds of items per group.
const SIZE_BOUNDS: [u64; 13] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096];

/// How often values fell under each bound.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    counts: Vec<AtomicU64>,
    sum: AtomicU64,
}

impl Histogram {
    fn new(bounds: &'static [u64]) -> Self {
        Self { bounds, counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(), sum: AtomicU64::new(0) }
    }

    pub(super) fn observe(&self, value: u64) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Upper bounds with the number of values in each bucket, not accumulated; the last has no bound.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let bounds = self.bounds.iter().copied().map(Some).chain([None]);
        bounds.zip(self.counts.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    /// Sum of all values.
    pub fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }
}

/// What the writer has done, and how reads went.
#[derive(Debug)]
pub struct StoreMetrics {
    /// Groups written.
    pub groups: AtomicU64,
    /// Items written, barriers included.
    pub items: AtomicU64,
    /// Bytes of keys and values handed to RocksDB.
    pub bytes: AtomicU64,
    /// Items that were refused because a write failed.
    pub failed: AtomicU64,
    /// Items waiting for the writer.
    pub queue_depth: AtomicU64,
    /// Microseconds that the oldest item of each group waited until its write began.
    pub queue_wait_micros: AtomicU64,
    /// Sessions with log records that no record contains yet.
    pub unrecorded: AtomicU64,
    /// Reads that memory could not answer: they were done again on a thread that may block.
    pub cache_misses: AtomicU64,
    /// Microseconds of each synced write.
    pub write_micros: Histogram,
    /// Items of each group.
    pub group_items: Histogram,
}

impl Default for StoreMetrics {
    fn default() -> Self {
        Self {
            groups: AtomicU64::new(0),
            items: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            queue_depth: AtomicU64::new(0),
            queue_wait_micros: AtomicU64::new(0),
            unrecorded: AtomicU64::new(0),
            cache_misses: AtomicU64::new(0),
            write_micros: Histogram::new(&LATENCY_BOUNDS),
            group_items: Histogram::new(&SIZE_BOUNDS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_counted_under_the_first_bound_that_holds_it() {
        let histogram = Histogram::new(&[10, 20]);
        for value in [0, 10, 11, 20, 21, 1_000] {
            histogram.observe(value);
        }
        assert_eq!(histogram.buckets().collect::<Vec<_>>(), [(Some(10), 2), (Some(20), 2), (None, 2)]);
        assert_eq!(histogram.sum(), 1_062);
    }
}
