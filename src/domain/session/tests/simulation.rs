//! The core under crashes, from a seed: sessions decide, commits wait for a writer, groups become durable, records
//! are written when a session falls idle and now and then, the log is trimmed behind them, and at any moment the
//! machine may lose what is not durable. One seed replays one run:
//!
//!     RECALLD_SEED=17 cargo test --release --lib simulation
//!     RECALLD_SEEDS=100000 cargo test --release --lib simulation

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::world::{DAY, call, change, json, leg, name, rules, start_command};
use crate::domain::ids::SessionId;
use crate::domain::session::*;
use crate::domain::time::Timestamp;

const SEEDS: u64 = 1_500;
const STEPS: usize = 160;
const CALLS: [&str; 4] = ["a", "b", "c", "d"];
const NAMES: [&str; 4] = ["v", "w", "x", "y"];

/// The generator `SplitMix64`: small, and the same on every machine and in every version.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }
}

/// What survives a crash: bytes, as in the database.
#[derive(Default)]
struct Disk {
    records: BTreeMap<SessionId, Vec<u8>>,
    log: VecDeque<(u64, SessionId, Vec<u8>)>,
    next_sequence: u64,
}

/// What waits for the writer.
struct Item {
    session: SessionId,
    commit: Option<Commit>,
    after: Session,
    with_record: bool,
}

struct Machine {
    chance: Chance,
    rules: Rules,
    now: Timestamp,
    disk: Disk,
    /// Sessions in memory, after everything that was decided.
    live: BTreeMap<SessionId, Session>,
    waiting: VecDeque<Item>,
    /// The state after the last change that was answered: what must never be lost.
    answered: BTreeMap<SessionId, Session>,
    /// The revisions that were answered, in the order of the answers.
    revisions: BTreeMap<SessionId, Vec<u64>>,
    /// What a watcher heard: sequence and revision.
    heard: Vec<(u64, SessionId, u64)>,
    crashes: usize,
}

impl Machine {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let reset = chance.of(&[Reset::NewCall, Reset::NewCall, Reset::EveryCall]);
        Self {
            rules: Rules { reset, ..rules() },
            chance,
            now: Timestamp::from_unix_millis(1_790_000_000_000),
            disk: Disk { next_sequence: 1, ..Disk::default() },
            live: BTreeMap::new(),
            waiting: VecDeque::new(),
            answered: BTreeMap::new(),
            revisions: BTreeMap::new(),
            heard: Vec::new(),
            crashes: 0,
        }
    }

    fn step(&mut self) {
        self.now = self.now.after(match self.chance.below(20) {
            0 => DAY * u32::try_from(self.chance.below(40)).unwrap(),
            1 => Duration::from_secs(self.chance.below(90)),
            _ => Duration::from_millis(self.chance.below(500)),
        });
        match self.chance.below(24) {
            0 => self.crash(),
            1 => self.trim(),
            2 => self.rest(),
            3..=7 => self.write(),
            _ => self.event(),
        }
    }

    fn event(&mut self) {
        let id = SessionId::Caller([u8::try_from(self.chance.below(3)).unwrap(); 32]);
        let command = self.command();
        let (disk, rules, now) = (&self.disk, &self.rules, self.now);
        let session = self.live.entry(id).or_insert_with(|| {
            let stored = disk.records.get(&id).map(|bytes| postcard::from_bytes(bytes).unwrap());
            stored.unwrap_or_else(|| Session::unopened(id, rules.release.instance.clone(), now))
        });
        if session.ordinal == 0 && !matches!(command, Command::Start(_)) {
            return;
        }
        let Ok(Some(commit)) = decide(session, &command, rules, now) else { return };
        session.apply(&commit);
        session.check_invariants();
        let after = session.clone();
        let with_record = after.calls.is_empty() || self.chance.one_in(12);
        self.waiting.push_back(Item { session: id, commit: Some(commit), after, with_record });
    }

    fn command(&mut self) -> Command {
        let id = self.chance.of(&CALLS);
        let from = self.chance.of(&["edge@1", "edge@1", "media@1"]);
        match self.chance.below(12) {
            0..=2 => Command::Start(Box::new(start_command(id, from))),
            3 => Command::Ringing { call: call(id), code: Some(180) },
            4 => Command::Answer { call: call(id) },
            5..=6 => {
                Command::End { call: call(id), leg: Some(leg(from)), cause: EndCause::Switch("bye".into()), code: None }
            }
            7 => Command::Expire,
            _ => {
                let lifetime = self.chance.of(&[None, Some(Lifetime::Session), Some(Lifetime::User)]);
                let on = self.chance.one_in(2).then_some(id);
                let lifetime = if on.is_some() && self.chance.one_in(3) { Some(Lifetime::Call) } else { lifetime };
                let ttl = self.chance.one_in(4).then(|| Duration::from_secs(self.chance.below(100) + 1));
                let set = SetVariable {
                    name: name(self.chance.of(&NAMES)),
                    value: json(&self.chance.below(1_000).to_string()),
                    lifetime,
                    ttl,
                };
                let delete = name(self.chance.of(&NAMES));
                let (set, delete) = if self.chance.one_in(4) { (vec![], vec![delete]) } else { (vec![set], vec![]) };
                Command::Change(Change { set, delete, ..change(on) })
            }
        }
    }

    /// A group becomes durable, then it is answered and published.
    fn write(&mut self) {
        let group = usize::try_from(self.chance.below(8) + 1).unwrap().min(self.waiting.len());
        let group: Vec<Item> = self.waiting.drain(..group).collect();
        let mut sequences = Vec::new();
        for item in &group {
            if let Some(commit) = &item.commit {
                let bytes = postcard::to_stdvec(commit).unwrap();
                self.disk.log.push_back((self.disk.next_sequence, item.session, bytes));
                self.disk.next_sequence += 1;
            }
            if item.with_record {
                self.disk.records.insert(item.session, postcard::to_stdvec(&item.after).unwrap());
            }
            sequences.push(self.disk.next_sequence - 1);
        }
        for (item, sequence) in group.into_iter().zip(sequences) {
            let Some(commit) = item.commit else { continue };
            let before = self.answered.get(&item.session).map_or(0, |session| session.revision);
            if commit.revision > before {
                self.revisions.entry(item.session).or_default().push(commit.revision);
                self.heard.push((sequence, item.session, commit.revision));
            }
            self.answered.insert(item.session, item.after);
        }
    }

    /// Sessions that are idle and durable leave the memory.
    fn rest(&mut self) {
        let waiting = &self.waiting;
        self.live.retain(|id, session| !session.calls.is_empty() || waiting.iter().any(|item| item.session == *id));
    }

    /// The log goes, as far as the records contain it.
    fn trim(&mut self) {
        while let Some((_, session, bytes)) = self.disk.log.front() {
            let commit: Commit = postcard::from_bytes(bytes).unwrap();
            let covered = self
                .disk
                .records
                .get(session)
                .is_some_and(|record| postcard::from_bytes::<Session>(record).unwrap().ordinal >= commit.ordinal);
            if !covered {
                break;
            }
            self.disk.log.pop_front();
        }
    }

    /// What is not durable is gone. The log is replayed over the records.
    fn crash(&mut self) {
        self.crashes += 1;
        self.waiting.clear();
        self.live.clear();
        let mut sessions: BTreeMap<SessionId, Session> = BTreeMap::new();
        for (id, record) in &self.disk.records {
            sessions.insert(*id, postcard::from_bytes(record).unwrap());
        }
        for (_, id, bytes) in &self.disk.log {
            let commit: Commit = postcard::from_bytes(bytes).unwrap();
            let session = sessions
                .entry(*id)
                .or_insert_with(|| Session::unopened(*id, self.rules.release.instance.clone(), commit.at));
            assert!(commit.ordinal <= session.ordinal + 1, "the log has a gap");
            session.apply(&commit);
        }
        for (id, answered) in &self.answered {
            let recovered = sessions.get(id).expect("an answered session is there again");
            recovered.check_invariants();
            assert_eq!(recovered.ordinal, answered.ordinal, "every answered change is there, and none that was not");
            assert_eq!(recovered.revision, answered.revision);
            assert_eq!(recovered.variables, answered.variables);
            assert_eq!(recovered.calls, answered.calls);
            assert_eq!(recovered.contacts, answered.contacts);
            assert_eq!(recovered.last_activity, answered.last_activity);
        }
        let unrecorded = |id: &SessionId, session: &Session| {
            let record = self.disk.records.get(id).map(|record| postcard::from_bytes::<Session>(record).unwrap());
            record.is_none_or(|record| record.ordinal < session.ordinal)
        };
        self.live =
            sessions.into_iter().filter(|(id, session)| !session.calls.is_empty() || unrecorded(id, session)).collect();
        // As at a real start: an idle session whose record is behind the log gets one.
        for (id, session) in self.live.iter().filter(|(_, session)| session.calls.is_empty()) {
            let item = Item { session: *id, commit: None, after: session.clone(), with_record: true };
            self.waiting.push_back(item);
        }
    }

    fn check(&self) {
        for revisions in self.revisions.values() {
            assert!(revisions.is_sorted_by(|one, next| one < next), "a revision was used again: {revisions:?}");
        }
        assert!(self.heard.is_sorted_by(|one, next| one.0 < next.0), "a watcher hears in the order of the log");
    }
}

fn run(seed: u64) -> usize {
    let mut machine = Machine::new(seed);
    for _ in 0..STEPS {
        machine.step();
    }
    machine.crash();
    machine.check();
    machine.crashes
}

#[test]
fn a_simulated_machine_loses_nothing_it_has_answered_whatever_the_seed() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("RECALLD_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("RECALLD_SEEDS").unwrap_or(SEEDS),
    };
    let mut crashes = 0;
    for seed in seeds {
        let ran = std::panic::catch_unwind(|| run(seed));
        crashes += ran.unwrap_or_else(|cause| {
            eprintln!("replay it with RECALLD_SEED={seed}");
            std::panic::resume_unwind(cause)
        });
    }
    assert!(crashes > 0);
}
