//! A program of the simulation. It is made as a whole before it runs, and each step says by itself all that happens in
//! it: so what is left when steps are taken out is a program too.

use std::fmt::Write as _;
use std::time::Duration;

use super::chance::Chance;
use super::machine::Machine;
use crate::domain::session::*;

const STEPS: usize = 160;

/// What happens at one moment.
#[derive(Debug, Clone)]
pub(super) enum Action {
    Crash,
    Trim,
    Rest,
    Retention(Retention),
    Note,
    Settle,
    Sweep,
    Look,
    Write,
    Read,
    /// Of one of three callers, or of a withheld one.
    Event {
        caller: Option<u8>,
        command: Command,
    },
}

/// The clock moves, then something happens.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) wait: Duration,
    pub(super) action: Action,
    /// Decides what the action leaves open, as how much of what waits is written at once.
    pub(super) seed: u64,
}

/// Steps, and the rules they begin with.
#[derive(Debug, Clone)]
pub(super) struct Program {
    reset: Reset,
    retention: Retention,
    pub(super) steps: Vec<Step>,
}

/// What came of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ran {
    pub(super) crashes: usize,
    pub(super) expired: usize,
}

impl Program {
    pub(super) fn from_seed(seed: u64) -> Self {
        let mut chance = Chance(seed);
        Self {
            reset: chance.of(&[Reset::NewCall, Reset::NewCall, Reset::EveryCall]),
            retention: chance.retention(),
            steps: (0..STEPS).map(|_| Step::any(&mut chance)).collect(),
        }
    }

    pub(super) fn with(&self, steps: &[Step]) -> Self {
        Self { steps: steps.to_vec(), ..*self }
    }

    /// Runs it, then the machine crashes and everything that can be done is done. Panics where a promise is broken.
    pub(super) fn run(&self) -> Ran {
        let mut machine = Machine::new(self.reset, self.retention);
        for step in &self.steps {
            machine.step(step);
        }
        machine.crash();
        machine.settle();
        machine.check();
        Ran { crashes: machine.crashes, expired: machine.expired }
    }

    /// One step a line.
    pub(super) fn in_words(&self) -> String {
        let mut words = format!("{:?}, {:?}\n", self.reset, self.retention);
        for (at, Step { wait, action, seed }) in self.steps.iter().enumerate() {
            let _ = writeln!(words, "{:>3}. {wait:?} later {action:?} (seed {seed})", at + 1);
        }
        words
    }
}

impl Step {
    fn any(chance: &mut Chance) -> Self {
        let wait = chance.wait();
        let action = match chance.below(32) {
            0 => Action::Crash,
            1 => Action::Trim,
            2 => Action::Rest,
            3 => Action::Retention(chance.retention()),
            4 => Action::Note,
            5 => Action::Settle,
            6 => Action::Sweep,
            7..=9 => Action::Look,
            10..=14 => Action::Write,
            15 | 16 => Action::Read,
            _ => {
                let caller = u8::try_from(chance.below(4)).unwrap();
                Action::Event { caller: (caller < 3).then_some(caller), command: chance.command() }
            }
        };
        Self { wait, action, seed: chance.next() }
    }

    /// The same in a simpler form, if there is one.
    pub(super) fn simpler(&self) -> Option<Self> {
        (self.wait > Duration::ZERO).then(|| Self { wait: Duration::ZERO, ..self.clone() })
    }
}
