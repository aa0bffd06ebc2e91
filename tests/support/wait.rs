//! Waiting for something to become true, where no event tells it.

use std::time::{Duration, Instant};

/// Between two looks.
pub const PAUSE: Duration = Duration::from_millis(10);

/// How long most things may take on a busy machine.
pub const LONG: Duration = Duration::from_secs(20);

/// Looks until there is something, at most for this time.
pub fn within<T>(most: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + most;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= until {
            return None;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Looks until it is true; fails the test if it is not within [`LONG`].
pub fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    assert!(within(LONG, || is_true().then_some(())).is_some(), "not within {LONG:?}: {what}");
}
