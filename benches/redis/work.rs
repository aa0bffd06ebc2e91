//! The work that both sides do: callers, calls, and what is asked about them, in which order.
//!
//! A call's life is `call.start`, three `variables.set`, `call.ringing`, `call.answer`, `call.end`. A *lane* lives one
//! call after the other, one request in flight: so the order within a call is kept, and a connection with 16 requests
//! in flight has 16 lanes.

use std::fmt::Write as _;

/// Numbers that are reserved for examples, so none of a real caller.
const RANGES: [(&str, usize, usize); 3] = [("+493023125", 3, 1000), ("+120255501", 2, 100), ("+44207946", 4, 1000)];
const NUMBERS: usize = 2_100;
/// Releases `app-0`, `app-1` … of one tenant; a number is another caller at each.
pub const RELEASES: usize = 10;
/// All callers there are.
pub const CALLERS: usize = NUMBERS * RELEASES;

/// What a call sets, in this order: names and values as JSON.
pub const VARIABLES: [(&str, &str); 3] =
    [("language", "\"de\""), ("ticket", "{\"id\":4711,\"queue\":\"support\"}"), ("last_choice", "\"billing\"")];

/// One request of a call's life, or the question for its context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Start,
    /// One of [`VARIABLES`], by name and value.
    Set(&'static str, &'static str),
    Ringing,
    Answer,
    End,
    Get,
}

const FIRST: Step = Step::Set(VARIABLES[0].0, VARIABLES[0].1);
const SECOND: Step = Step::Set(VARIABLES[1].0, VARIABLES[1].1);
const THIRD: Step = Step::Set(VARIABLES[2].0, VARIABLES[2].1);
const LIFE: &[Step] = &[Step::Start, FIRST, SECOND, THIRD, Step::Ringing, Step::Answer, Step::End];
const FILL: &[Step] = &[Step::Start, FIRST, SECOND, THIRD];
const ASK: &[Step] = &[Step::Get];

/// What the lanes of one run do.
#[derive(Debug, Clone, Copy)]
pub enum Work {
    /// Lives of calls until the time is over.
    Lives,
    /// The calls with these numbers are started, their variables set, and left up.
    Fill { from: usize, to: usize },
    /// The contexts of this many calls that are up are asked for until the time is over.
    Contexts(usize),
}

/// The callers of all calls, made once.
pub struct Callers(Vec<Caller>);

/// Who calls which release.
pub struct Caller {
    /// In E.164.
    pub number: String,
    /// The `instance_id`.
    pub instance: String,
}

impl Callers {
    pub fn new() -> Self {
        let mut callers = Vec::with_capacity(CALLERS);
        for release in 0..RELEASES {
            for (prefix, digits, count) in RANGES {
                for number in 0..count {
                    callers.push(Caller {
                        number: format!("{prefix}{number:0digits$}"),
                        instance: format!("app-{release}"),
                    });
                }
            }
        }
        Self(callers)
    }

    /// The caller with this number, counted from 0 and around.
    pub fn get(&self, number: usize) -> anyhow::Result<&Caller> {
        self.0.get(number % CALLERS).ok_or_else(|| anyhow::anyhow!("there are fewer callers than {CALLERS}"))
    }
}

/// Lives calls one after the other.
pub struct Lane {
    /// The Call-ID of the call it is at.
    pub call_id: String,
    /// The number of its caller.
    pub caller: usize,
    number: usize,
    lanes: usize,
    round: usize,
    step: usize,
}

impl Lane {
    /// One of `lanes` lanes. They share no caller, so that no call finds another one up.
    pub fn new(number: usize, lanes: usize, work: Work) -> Self {
        let number = match work {
            Work::Fill { from, .. } => from + number,
            Work::Lives | Work::Contexts(_) => number,
        };
        let mut lane = Self { call_id: String::new(), caller: number, number, lanes, round: 0, step: 0 };
        lane.name_call(number);
        lane
    }

    /// What it asks next; none when its work is done.
    pub fn step(&self, work: Work) -> Option<Step> {
        let left = match work {
            Work::Fill { to, .. } => self.number + self.round * self.lanes < to,
            Work::Lives | Work::Contexts(_) => true,
        };
        left.then(|| steps(work).get(self.step).copied()).flatten()
    }

    /// The request was answered.
    pub fn advance(&mut self, work: Work) {
        self.step += 1;
        if self.step < steps(work).len() {
            return;
        }
        self.step = 0;
        self.round += 1;
        let next = self.number + self.round * self.lanes;
        match work {
            Work::Lives => {
                self.caller = self.number + self.lanes * (self.round % (CALLERS / self.lanes).max(1));
                self.name_call(next);
            }
            Work::Fill { .. } => {
                self.caller = next;
                self.name_call(next);
            }
            Work::Contexts(calls) => {
                self.caller = next % calls;
                self.name_call(next % calls);
            }
        }
    }

    fn name_call(&mut self, number: usize) {
        self.call_id.clear();
        // Writing to a string cannot fail.
        let _ = write!(self.call_id, "{number:010x}-5b1c9e02@192.0.2.7");
    }
}

fn steps(work: Work) -> &'static [Step] {
    match work {
        Work::Lives => LIFE,
        Work::Fill { .. } => FILL,
        Work::Contexts(_) => ASK,
    }
}
