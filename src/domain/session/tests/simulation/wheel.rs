//! The timer wheel: the index is read ahead, what is nearer than that is asked for by sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::disk::Disk;
use crate::domain::ids::SessionId;
use crate::domain::time::Timestamp;

/// How far the index is read ahead.
pub(super) const NEAR: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timer {
    pub(super) at: Timestamp,
    pub(super) session: SessionId,
}

pub(super) struct Wheel {
    read_to: Timestamp,
    timers: BTreeSet<Timer>,
    /// Timers that wait or are being done.
    open: BTreeMap<Timer, usize>,
}

impl Wheel {
    /// Begins to read the index at a time.
    pub(super) fn from(expired_to: Timestamp) -> Self {
        Self { read_to: expired_to, timers: BTreeSet::new(), open: BTreeMap::new() }
    }

    pub(super) fn arm(&mut self, at: Timestamp, session: SessionId) {
        let timer = Timer { at, session };
        if self.timers.insert(timer) {
            *self.open.entry(timer).or_default() += 1;
        }
    }

    /// Whether the next part of the index is so long that the clock must have jumped: then what waits is written first.
    pub(super) fn is_far(&self, now: Timestamp) -> bool {
        now.after(NEAR) > self.read_to.after(NEAR)
    }

    pub(super) fn read_ahead(&mut self, disk: &Disk, now: Timestamp) {
        if self.read_to > now.after(NEAR / 2) {
            return;
        }
        let until = now.after(NEAR);
        let read: Vec<_> = disk.index.iter().filter(|(at, _)| *at >= self.read_to && *at < until).copied().collect();
        for (at, session) in read {
            self.arm(at, session);
        }
        self.read_to = until;
    }

    pub(super) fn due(&mut self, now: Timestamp) -> Vec<Timer> {
        let due: Vec<Timer> = self.timers.iter().copied().take_while(|timer| timer.at <= now).collect();
        self.timers.retain(|timer| timer.at > now);
        due
    }

    pub(super) fn done(&mut self, timer: Option<Timer>) {
        let Some(timer) = timer else { return };
        let open = self.open.get_mut(&timer).expect("it was open");
        *open -= 1;
        if *open == 0 {
            self.open.remove(&timer);
        }
    }

    /// Before when everything of the index has been done.
    pub(super) fn done_to(&self, now: Timestamp) -> Timestamp {
        self.open.first_key_value().map_or(self.read_to, |(first, _)| self.read_to.min(first.at)).min(now)
    }
}
