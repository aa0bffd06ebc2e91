//! What waits for the writer. Whoever hands something over never blocks, and wakes the writer only if
//! it sleeps.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::Write;

/// What the writer was woken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// There may be work, or it is time to note progress.
    Open,
    /// Nothing more will come.
    Closed,
}

pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    wake: Condvar,
    /// How long the oldest item of the last take had waited.
    waited_micros: AtomicU64,
}

struct State<T> {
    waiting: VecDeque<Write<T>>,
    /// When the oldest of them came.
    since: Option<Instant>,
    /// Spares a system call per item while the writer is busy.
    asleep: bool,
    closed: bool,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        let state = State { waiting: VecDeque::new(), since: None, asleep: false, closed: false };
        Self { state: Mutex::new(state), wake: Condvar::new(), waited_micros: AtomicU64::new(0) }
    }
}

impl<T> Queue<T> {
    pub(super) fn push(&self, write: Write<T>, depth: &AtomicU64) {
        let mut state = self.state.lock();
        if state.closed {
            drop(state);
            drop(write);
            return;
        }
        if state.waiting.is_empty() {
            state.since = Some(Instant::now());
        }
        state.waiting.push_back(write);
        depth.fetch_add(1, Ordering::Relaxed);
        let asleep = std::mem::take(&mut state.asleep);
        drop(state);
        if asleep {
            self.wake.notify_one();
        }
    }

    /// Moves everything that waits to the end of `backlog`. Sleeps only if `backlog` stays empty, and no
    /// longer than `until`.
    pub(super) fn take(&self, backlog: &mut VecDeque<Write<T>>, until: Option<Instant>, depth: &AtomicU64) -> Taken {
        let mut state = self.state.lock();
        while state.waiting.is_empty() && backlog.is_empty() && !state.closed {
            state.asleep = true;
            match until {
                None => self.wake.wait(&mut state),
                Some(until) => {
                    if self.wake.wait_until(&mut state, until).timed_out() {
                        break;
                    }
                }
            }
        }
        state.asleep = false;
        depth.fetch_sub(u64::try_from(state.waiting.len()).unwrap_or(0), Ordering::Relaxed);
        if backlog.is_empty() {
            std::mem::swap(backlog, &mut state.waiting);
        } else {
            backlog.append(&mut state.waiting);
        }
        let since = state.since.take();
        let taken = if state.closed { Taken::Closed } else { Taken::Open };
        drop(state);
        let waited = since.map_or(0, |since| u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX));
        self.waited_micros.store(waited, Ordering::Relaxed);
        taken
    }

    pub(super) fn last_wait_micros(&self) -> u64 {
        self.waited_micros.load(Ordering::Relaxed)
    }

    /// Drops what waits: the writer is no more, and whoever waits must not wait for ever.
    pub(super) fn abandon(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        drop(waiting);
    }

    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.wake.notify_one();
    }
}
