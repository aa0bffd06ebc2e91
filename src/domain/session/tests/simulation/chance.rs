//! Chance from a seed, and the commands it chooses.

use std::time::Duration;

use crate::domain::session::tests::world::{DAY, call, change, json, leg, name, start_command};
use crate::domain::session::*;

const CALLS: [&str; 4] = ["a", "b", "c", "d"];
const NAMES: [&str; 4] = ["v", "w", "x", "y"];

/// The generator `SplitMix64`: small, and the same on every machine and in every version.
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(super) fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    pub(super) fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }

    pub(super) fn retention(&mut self) -> Retention {
        Retention {
            session_retention: self.of(&[Duration::from_secs(60), Duration::from_secs(3_600), DAY, 30 * DAY]),
            user_idle_limit: self.of(&[None, None, Some(Duration::from_secs(1_800)), Some(40 * DAY)]),
            anonymous_sessions: self.of(&[AnonymousSessions::Drop, AnonymousSessions::Drop, AnonymousSessions::Keep]),
        }
    }

    /// How far the clock moves.
    pub(super) fn wait(&mut self) -> Duration {
        match self.below(20) {
            0 => DAY * u32::try_from(self.below(40)).unwrap(),
            1 => Duration::from_secs(self.below(7_200)),
            2 | 3 => Duration::from_secs(self.below(90)),
            _ => Duration::from_millis(self.below(500)),
        }
    }

    pub(super) fn command(&mut self) -> Command {
        let id = self.of(&CALLS);
        let from = self.of(&["edge@1", "edge@1", "media@1"]);
        match self.below(12) {
            0..=2 => Command::Start(Box::new(start_command(id, from))),
            3 => Command::Ringing { call: call(id), code: Some(180) },
            4 => Command::Answer { call: call(id) },
            5..=7 => {
                Command::End { call: call(id), leg: Some(leg(from)), cause: EndCause::Switch("bye".into()), code: None }
            }
            _ => {
                let lifetime = self.of(&[None, Some(Lifetime::Session), Some(Lifetime::User)]);
                let on = self.one_in(2).then_some(id);
                let lifetime = if on.is_some() && self.one_in(3) { Some(Lifetime::Call) } else { lifetime };
                let ttl = self.one_in(4).then(|| Duration::from_secs(self.below(400) + 1));
                let set = SetVariable {
                    name: name(self.of(&NAMES)),
                    value: json(&self.below(1_000).to_string()),
                    lifetime,
                    ttl,
                };
                let delete = name(self.of(&NAMES));
                let (set, delete) = if self.one_in(4) { (vec![], vec![delete]) } else { (vec![set], vec![]) };
                Command::Change(Change { set, delete, ..change(on) })
            }
        }
    }
}
