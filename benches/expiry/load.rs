//! Brings idle sessions about the way calls do: each is a call with three variables that ends.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use anyhow::ensure;
use recalld::domain::ids::CallId;
use recalld::domain::value::JsonText;

use crate::house::{House, Told, end, set};

/// Calls that are up at the same time.
const AT_ONCE: usize = 2_000;

/// What is on its way.
#[derive(Default)]
struct Way {
    state: Mutex<(usize, usize)>,
    changed: Condvar,
}

impl Way {
    fn enter(&self) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state =
            self.changed.wait_while(state, |(on_way, _)| *on_way >= AT_ONCE).unwrap_or_else(PoisonError::into_inner);
        state.0 += 1;
    }

    fn leave(&self, taken: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 -= 1;
        state.1 += usize::from(!taken);
        self.changed.notify_all();
    }

    fn finish(&self) -> usize {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.changed.wait_while(state, |(on_way, _)| *on_way > 0).unwrap_or_else(PoisonError::into_inner).1
    }
}

/// The user ID of a caller.
pub fn user(caller: usize) -> String {
    format!("caller-{caller:08}")
}

/// Loads the callers from `first` on. `step` is how far a clock that is set by hand goes on with each.
pub fn load(house: &House, first: usize, count: usize, values: &[JsonText; 3], step: Duration) -> anyhow::Result<()> {
    let way = Arc::new(Way::default());
    let mut owed = Duration::ZERO;
    for caller in first..first + count {
        way.enter();
        let call: CallId = format!("{caller:08}-load@192.0.2.7").parse()?;
        house.start(caller, &user(caller), &call, Told::boxed(|_| {}))?;
        house.event(&call, set(&call, values)?, Told::boxed(|_| {}));
        let left = way.clone();
        house.event(&call, end(&call)?, Told::boxed(move |taken| left.leave(taken)));
        owed += step;
        let whole = Duration::from_millis(u64::try_from(owed.as_millis())?);
        if whole > Duration::ZERO {
            house.directory.clock().advance(whole);
            owed -= whole;
        }
    }
    let refused = way.finish();
    ensure!(refused == 0, "{refused} calls were refused");
    house.rest()
}
