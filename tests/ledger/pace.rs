//! The load does not run away from the watcher. For a slow watcher changes collapse to the latest, which is right and
//! would hide what this test looks for.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Most revisions that were acknowledged and not yet told. Far below what a daemon keeps waiting for a watcher.
const MOST_UNTOLD: u64 = 400;

/// A watcher that hears of nothing is a fault that another place tells of.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was acknowledged and what was told, in revisions of all sessions.
#[derive(Default)]
pub struct Pace {
    acknowledged: AtomicU64,
    told: AtomicU64,
    /// The daemon is killed: nobody waits any more.
    over: AtomicBool,
}

impl Pace {
    /// A new cycle, in which the watcher has heard of everything.
    pub fn begin(&self) {
        self.acknowledged.store(self.told.load(Ordering::SeqCst), Ordering::SeqCst);
        self.over.store(false, Ordering::SeqCst);
    }

    /// The cycle has ended.
    pub fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    /// Revisions were acknowledged to a connection.
    pub fn acknowledge(&self, revisions: u64) {
        self.acknowledged.fetch_add(revisions, Ordering::SeqCst);
    }

    /// The watcher has heard of further revisions.
    pub fn tell(&self, revisions: u64) {
        self.told.fetch_add(revisions, Ordering::SeqCst);
    }

    /// Waits until the watcher has heard of nearly everything.
    pub fn keep(&self) {
        let untold = || self.acknowledged.load(Ordering::SeqCst).saturating_sub(self.told.load(Ordering::SeqCst));
        let until = Instant::now() + PATIENCE;
        while untold() > MOST_UNTOLD && !self.over.load(Ordering::SeqCst) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
