//! The one clock of the daemon. It never goes back: after a backward jump of the system clock it stands until the
//! system clock has caught up, so that nothing that has ended comes back.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use crate::domain::time::Timestamp;

/// Wall-clock time that never decreases.
#[derive(Debug)]
pub struct Clock {
    latest: AtomicI64,
}

impl Default for Clock {
    fn default() -> Self {
        Self { latest: AtomicI64::new(system_millis()) }
    }
}

impl Clock {
    /// The time now, in UTC with milliseconds.
    pub fn now(&self) -> Timestamp {
        let system = system_millis();
        let latest = self.latest.load(Ordering::Relaxed);
        if system == latest {
            return Timestamp::from_unix_millis(latest);
        }
        Timestamp::from_unix_millis(self.latest.fetch_max(system, Ordering::Relaxed).max(system))
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one clock")]
fn system_millis() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
