//! How often each API key has asked for numbers.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::api_key::Access;
use crate::domain::ids::TenantId;

/// How often a key may ask within [`PERIOD`].
pub(super) const MOST: usize = 60;
const PERIOD: Duration = Duration::from_secs(60);

/// When each key asked within the last minute.
#[derive(Debug, Default)]
pub(super) struct Lookups(Mutex<HashMap<(TenantId, String), VecDeque<Instant>>>);

impl Lookups {
    /// Counts a question, or says how long to wait.
    pub(super) fn take(&self, access: &Access, now: Instant) -> Result<(), Duration> {
        let mut keys = self.0.lock();
        let asked = keys.entry((access.tenant().clone(), access.name().to_owned())).or_default();
        while asked.front().is_some_and(|at| now.duration_since(*at) >= PERIOD) {
            asked.pop_front();
        }
        match asked.front() {
            Some(oldest) if asked.len() >= MOST => Err(PERIOD.saturating_sub(now.duration_since(*oldest))),
            _ => {
                asked.push_back(now);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::api_key::tests::access;

    #[test]
    fn a_key_asks_sixty_times_a_minute_and_others_are_not_hindered() {
        let (lookups, begin) = (Lookups::default(), Instant::now());
        let after = |seconds| begin + Duration::from_secs(seconds);
        for second in 0..60 {
            assert_eq!(lookups.take(&access("one"), after(second / 2)), Ok(()));
        }
        assert_eq!(lookups.take(&access("one"), after(30)), Err(Duration::from_secs(30)));
        assert_eq!(lookups.take(&access("two"), after(30)), Ok(()));
        assert_eq!(lookups.take(&access("three"), after(30)), Ok(()), "another tenant");
        assert_eq!(lookups.take(&access("one"), after(60)), Ok(()));
        assert_eq!(lookups.take(&access("one"), after(60)), Ok(()));
        assert_eq!(lookups.take(&access("one"), after(60)), Err(Duration::from_secs(1)));
    }
}
