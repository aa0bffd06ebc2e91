//! A hashed timer wheel over wall-clock times: what is due within some minutes lies in slots of 64 ms, what is later
//! in a map. Time is an argument, so that a virtual clock can drive it.

use std::collections::BTreeMap;

use crate::domain::time::Timestamp;

/// Milliseconds of one slot.
const SLOT: i64 = 64;
/// Slots of the wheel: nearly nine minutes.
const SLOTS: i64 = 8_192;

/// Items by the time at which they are due.
#[derive(Debug)]
pub(super) struct Wheel<T> {
    slots: Vec<Vec<(Timestamp, T)>>,
    /// The first slot, counted since the epoch, that may hold something.
    current: i64,
    later: BTreeMap<i64, Vec<(Timestamp, T)>>,
    len: usize,
}

impl<T> Wheel<T> {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            slots: std::iter::repeat_with(Vec::new).take(usize::try_from(SLOTS).unwrap_or(0)).collect(),
            current: slot_of(now),
            later: BTreeMap::new(),
            len: 0,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn insert(&mut self, at: Timestamp, item: T) {
        self.len += 1;
        self.place(at, item);
    }

    fn place(&mut self, at: Timestamp, item: T) {
        // What is overdue is found first.
        let slot = slot_of(at).max(self.current);
        if slot < self.current + SLOTS {
            if let Some(slot) = self.slots.get_mut(index(slot)) {
                slot.push((at, item));
            }
        } else {
            self.later.entry(slot).or_default().push((at, item));
        }
    }

    /// Takes what is due at `now`, never anything earlier than its time.
    pub(super) fn advance(&mut self, now: Timestamp) -> Vec<T> {
        let mut due = Vec::new();
        let target = slot_of(now);
        let last = target.min(self.current + SLOTS - 1);
        for slot in self.current..=last {
            if let Some(slot) = self.slots.get_mut(index(slot)) {
                if slot.is_empty() {
                    continue;
                }
                let (ready, waiting) = std::mem::take(slot).into_iter().partition(|(at, _)| *at <= now);
                let ready: Vec<(Timestamp, T)> = ready;
                *slot = waiting;
                due.extend(ready.into_iter().map(|(_, item)| item));
            }
        }
        self.current = self.current.max(target);
        // What comes within reach of the wheel moves into it, or is due at once after a long step.
        let within = self.later.split_off(&(self.current + SLOTS));
        for (at, item) in std::mem::replace(&mut self.later, within).into_values().flatten() {
            if at <= now {
                due.push(item);
            } else {
                self.place(at, item);
            }
        }
        self.len -= due.len();
        due
    }
}

fn slot_of(at: Timestamp) -> i64 {
    at.unix_millis().div_euclid(SLOT)
}

fn index(slot: i64) -> usize {
    usize::try_from(slot.rem_euclid(SLOTS)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_unix_millis(millis)
    }

    proptest! {
        #[test]
        fn everything_is_due_once_never_early_and_at_the_next_look(
            items in prop::collection::vec((0_i64..3_000_000, 0_i64..2_000_000), 0..60),
            steps in prop::collection::vec(prop_oneof![0_i64..200, 0_i64..1_000_000], 1..60),
        ) {
            let mut wheel = Wheel::new(at(0));
            let mut waiting: Vec<(i64, i64)> = items;
            waiting.sort_unstable();
            let mut inserted: Vec<i64> = Vec::new();
            let mut now = 0;
            for step in steps {
                now += step;
                // An item is inserted at some time, due at another one, which may be over already.
                while let Some((due, _)) = waiting.iter().position(|(_, when)| *when <= now).map(|place| waiting.remove(place)) {
                    wheel.insert(at(due), due);
                    inserted.push(due);
                }
                let mut taken = wheel.advance(at(now));
                taken.sort_unstable();
                let mut expected: Vec<i64> = inserted.iter().copied().filter(|due| *due <= now).collect();
                expected.sort_unstable();
                inserted.retain(|due| *due > now);
                prop_assert_eq!(taken, expected);
                prop_assert_eq!(wheel.len(), inserted.len());
            }
        }
    }
}
