//! Sessions in memory, what waits for the writer, and what was answered.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::chance::Chance;
use super::disk::Disk;
use super::program::{Action, Step};
use super::wheel::{NEAR, Timer, Wheel};
use crate::domain::ids::SessionId;
use crate::domain::session::tests::model::Model;
use crate::domain::session::tests::world::{in_words, rules};
use crate::domain::session::*;
use crate::domain::time::Timestamp;

/// What waits for the writer.
struct Item {
    session: SessionId,
    commit: Option<Commit>,
    after: Session,
    model: Model,
    with_record: bool,
    entry: Option<Timestamp>,
    forget: bool,
    /// A timer that is done when this is durable.
    timer: Option<Timer>,
}

pub(super) struct Machine {
    /// For what a step leaves open.
    chance: Chance,
    rules: Rules,
    now: Timestamp,
    disk: Disk,
    wheel: Wheel,
    /// Sessions in memory, after everything that was decided, with the earliest timer they asked for.
    live: BTreeMap<SessionId, (Session, Option<Timestamp>)>,
    /// The model of every session, likewise.
    models: BTreeMap<SessionId, Model>,
    waiting: VecDeque<Item>,
    /// Items that have to be written before a sweep begins.
    before_sweep: usize,
    /// Timers of withheld sessions that go as soon as nobody needs them any more.
    leaving: BTreeMap<SessionId, Timer>,
    /// The state after the last change that was answered: what must never be lost.
    answered: BTreeMap<SessionId, (Session, Model)>,
    /// The revisions that were answered, in the order of the answers.
    revisions: BTreeMap<SessionId, Vec<u64>>,
    /// What a watcher heard: sequence and revision.
    heard: Vec<(u64, SessionId, u64)>,
    /// Withheld callers so far: none of them comes back.
    withheld: u8,
    pub(super) crashes: usize,
    pub(super) expired: usize,
}

impl Machine {
    pub(super) fn new(reset: Reset, retention: Retention) -> Self {
        let now = Timestamp::from_unix_millis(1_790_000_000_000);
        Self {
            rules: Rules { reset, ..rules() }.with_retention(retention),
            chance: Chance(0),
            now,
            disk: Disk::new(now),
            wheel: Wheel::from(now),
            live: BTreeMap::new(),
            models: BTreeMap::new(),
            waiting: VecDeque::new(),
            before_sweep: 0,
            leaving: BTreeMap::new(),
            answered: BTreeMap::new(),
            revisions: BTreeMap::new(),
            heard: Vec::new(),
            withheld: 0,
            crashes: 0,
            expired: 0,
        }
    }

    pub(super) fn step(&mut self, step: &Step) {
        self.chance = Chance(step.seed);
        self.now = self.now.after(step.wait);
        if step.wait >= Duration::from_secs(1) && step.wait <= NEAR {
            // The writer keeps up, unless the clock jumps.
            self.write_all();
        }
        match &step.action {
            Action::Crash => self.crash(),
            Action::Trim => self.disk.trim(),
            Action::Rest => self.rest(),
            Action::Retention(wanted) => self.change_retention(*wanted),
            Action::Note => self.disk.note(self.wheel.done_to(self.now)),
            Action::Settle => self.settle(),
            Action::Sweep => self.sweep(),
            Action::Look => self.look(),
            Action::Write => self.write(),
            Action::Read => self.read(),
            Action::Event { caller, command } => self.event(*caller, command),
        }
    }

    fn event(&mut self, caller: Option<u8>, command: &Command) {
        let id = caller.map_or(SessionId::Anonymous([self.withheld; 16]), |caller| SessionId::Caller([caller; 32]));
        let before = self.load(id);
        if before.ordinal == 0 && !matches!(command, Command::Start(_)) {
            return;
        }
        self.decide(&before, command, None);
    }

    /// Readers see what is durable, and at this moment nothing that has ended.
    fn read(&self) {
        let durable = self.answered.iter().map(|(id, (session, _))| (*id, session.clone()));
        self.same_as_model(&durable.collect());
    }

    /// A session in memory, or what is stored of it.
    fn load(&mut self, id: SessionId) -> Session {
        if let Some((session, _)) = self.live.get(&id) {
            return session.clone();
        }
        let stored = self.disk.record(&id);
        let session = stored.unwrap_or_else(|| Session::unopened(id, self.rules.release.instance.clone(), self.now));
        self.live.insert(id, (session.clone(), None));
        self.arm(&id);
        session
    }

    /// Decides as the model does, and hands what follows to the writer. Whether anything follows.
    fn decide(&mut self, before: &Session, command: &Command, timer: Option<Timer>) -> bool {
        let decided = decide(before, command, &self.rules, self.now).map_err(|refusal| refusal.reason);
        let mut model = self.models.get(&before.id).cloned().unwrap_or_else(|| Model::new(before.id, self.now));
        let mut expected = model.run(command, &self.rules, self.now);
        let mut happened = decided
            .as_ref()
            .map_err(|reason| *reason)
            .map(|commit| commit.iter().flat_map(|commit| &commit.effects).map(in_words).collect::<Vec<_>>());
        for words in [&mut expected, &mut happened].into_iter().flatten() {
            words.sort();
        }
        assert_eq!(happened, expected, "{command:?}");
        let Ok(Some(commit)) = decided else { return false };
        let mut after = before.clone();
        after.apply(&commit);
        after.check_invariants();
        let with_record = after.calls.is_empty() || self.chance.one_in(12);
        let entry = if with_record { self.record(&mut after) } else { None };
        self.models.insert(after.id, model.clone());
        self.put(after.clone());
        self.waiting.push_back(Item {
            session: after.id,
            commit: Some(commit),
            after,
            model,
            with_record,
            entry,
            forget: false,
            timer,
        });
        true
    }

    /// The new entry of the index that goes with a record.
    fn record(&self, session: &mut Session) -> Option<Timestamp> {
        let entry = session.entry_needed(&self.rules, self.now);
        session.expiry_entry = entry.or(session.expiry_entry);
        entry
    }

    fn put(&mut self, session: Session) {
        let id = session.id;
        let timer = self.live.get(&id).and_then(|(_, timer)| *timer);
        self.live.insert(id, (session, timer));
        self.arm(&id);
    }

    fn put_bare(&mut self, mut after: Session, forget: bool, timer: Option<Timer>) {
        let entry = if forget { None } else { self.record(&mut after) };
        let id = after.id;
        let model = self.models.get(&id).cloned().unwrap_or_else(|| Model::new(id, self.now));
        if forget {
            // As if it had never been, already before that is durable.
            let unopened = Session::unopened(id, self.rules.release.instance.clone(), self.now);
            self.live.insert(id, (unopened, None));
            self.models.remove(&id);
            self.withheld += 1;
        } else {
            self.put(after.clone());
        }
        let with_record = !forget;
        self.waiting.push_back(Item { session: id, commit: None, after, model, with_record, entry, forget, timer });
    }

    /// Asks the wheel for a timer, if something ends before the index is read that far, or while a call is up.
    fn arm(&mut self, id: &SessionId) {
        let Some((session, timer)) = self.live.get_mut(id) else { return };
        let Some(end) = session.next_end(&self.rules).map(|end| end.max(self.now)) else { return };
        let is_near = !session.calls.is_empty() || end < self.now.after(NEAR * 2);
        if is_near && timer.is_none_or(|timer| end < timer) {
            *timer = Some(end);
            self.wheel.arm(end, *id);
        }
    }

    /// The wheel looks, and tells sessions.
    fn look(&mut self) {
        if self.wheel.is_far(self.now) {
            self.write_all();
        }
        self.wheel.read_ahead(&self.disk, self.now);
        for timer in self.wheel.due(self.now) {
            assert!(timer.at <= self.now, "never early");
            self.tell(timer.session, Some(timer));
        }
    }

    /// A session is told that something of it ends.
    fn tell(&mut self, id: SessionId, timer: Option<Timer>) {
        let session = self.load(id);
        if let Some((_, asked)) = self.live.get_mut(&id) {
            *asked = None;
        }
        if session.ordinal == 0 {
            self.wheel.done(timer);
            return;
        }
        if self.decide(&session, &Command::Expire, timer) {
            self.expired += 1;
        } else if session.may_be_forgotten(&self.rules, self.now) {
            if self.waiting.iter().any(|item| item.session == id) {
                // Somebody still needs it. Of several timers the first is kept.
                let kept = timer.filter(|_| !self.leaving.contains_key(&id));
                self.leaving.extend(kept.map(|timer| (id, timer)));
                self.wheel.done(timer.filter(|_| kept.is_none()));
            } else {
                self.put_bare(session, true, timer);
            }
            return;
        } else if session.entry_needed(&self.rules, self.now).is_some() {
            self.put_bare(session, false, timer);
        } else {
            self.wheel.done(timer);
        }
        self.arm(&id);
    }

    /// Another retention comes into force. A shorter one is followed by a sweep.
    fn change_retention(&mut self, wanted: Retention) {
        let is_shorter = wanted.ends_earlier_than(&self.rules.retention());
        self.rules = self.rules.clone().with_retention(wanted);
        if is_shorter {
            (self.disk.sweeps, self.disk.swept) = (true, None);
            self.before_sweep = self.waiting.len();
        }
    }

    /// A sweep goes through some records: near ends are told, later ones get an entry.
    fn sweep(&mut self) {
        let from = self.disk.swept;
        if !self.disk.sweeps || self.before_sweep > 0 {
            return;
        }
        let some = usize::try_from(self.chance.below(3) + 1).unwrap();
        let part: Vec<_> =
            self.disk.records().filter(|(id, _)| from.is_none_or(|from| *id > from)).take(some).collect();
        let Some((last, _)) = part.last() else {
            self.disk.sweeps = false;
            return;
        };
        let last = *last;
        for (id, record) in part {
            let Some(end) = record.entry_needed(&self.rules, self.now) else { continue };
            if end < self.now.after(NEAR * 2) {
                self.tell(id, None);
            } else {
                self.disk.index.insert((end, id));
            }
        }
        // The place is noted when what was told is durable.
        self.write_all();
        self.disk.swept = Some(last);
    }

    /// Everything that can be done at this moment is done: what has ended is gone, and nothing else.
    pub(super) fn settle(&mut self) {
        loop {
            self.write_all();
            self.rest();
            self.sweep();
            self.look();
            if self.waiting.is_empty() && !self.disk.sweeps {
                break;
            }
        }
        let sessions = self.disk.recover(&self.rules.release.instance);
        for session in sessions.values() {
            let ended: Vec<_> = session.ends(&self.rules).into_iter().filter(|end| end.at <= self.now).collect();
            assert!(ended.is_empty(), "still there although it has ended: {ended:?} of {session:?}");
        }
        self.same_as_model(&sessions);
    }

    /// What readers see now and later is what the model says.
    fn same_as_model(&self, sessions: &BTreeMap<SessionId, Session>) {
        for (id, (_, model)) in &self.answered {
            let session = sessions.get(id).expect("an answered session is there");
            for later in [0, 1, 59_999, 60_000, 1_800_000, 86_400_000] {
                let at = self.now.after(Duration::from_millis(later));
                let context = session.context(None, Authority::Trusted, &self.rules, at);
                let seen = context.variables.iter().map(|visible| {
                    let variable = visible.variable;
                    let end = visible.expires_at.map(Timestamp::unix_millis);
                    let value = variable.value.as_str().to_owned();
                    let set_at = variable.set_at.unix_millis();
                    (variable.name.to_string(), (value, variable.lifetime, variable.revision, set_at, end))
                });
                let expected = model.sees(None, Authority::Trusted, &self.rules, at);
                assert_eq!((seen.collect(), Vec::new()), expected, "{later} ms later");
            }
        }
    }

    fn write_all(&mut self) {
        while !self.waiting.is_empty() {
            self.write();
        }
    }

    /// A group becomes durable, then it is answered and published.
    fn write(&mut self) {
        let group = usize::try_from(self.chance.below(8) + 1).unwrap().min(self.waiting.len());
        let group: Vec<Item> = self.waiting.drain(..group).collect();
        self.before_sweep = self.before_sweep.saturating_sub(group.len());
        let mut sequences = Vec::new();
        for item in &group {
            if let Some(commit) = &item.commit {
                self.disk.put_commit(item.session, commit);
            }
            if item.with_record {
                self.disk.put_record(&item.after);
                self.disk.index.extend(item.entry.map(|at| (at, item.session)));
            }
            if item.forget {
                self.disk.forget(item.session);
            }
            sequences.push(self.disk.next_sequence - 1);
        }
        for (item, sequence) in group.into_iter().zip(sequences) {
            self.wheel.done(item.timer);
            if item.forget {
                self.answered.remove(&item.session);
                continue;
            }
            let Some(commit) = item.commit else { continue };
            let before = self.answered.get(&item.session).map_or(0, |(session, _)| session.revision);
            if commit.revision > before {
                self.revisions.entry(item.session).or_default().push(commit.revision);
                self.heard.push((sequence, item.session, commit.revision));
            }
            self.answered.insert(item.session, (item.after, item.model));
        }
    }

    /// Sessions that are idle and durable leave the memory; a withheld one with nothing left to keep goes for good.
    fn rest(&mut self) {
        let waiting = &self.waiting;
        let idle: Vec<SessionId> = self
            .live
            .iter()
            .filter(|(id, (session, _))| session.calls.is_empty() && !waiting.iter().any(|item| item.session == **id))
            .map(|(id, _)| *id)
            .collect();
        for id in idle {
            let (session, _) = &self.live[&id];
            let leaving = self.leaving.remove(&id);
            if session.ordinal > 0 && session.may_be_forgotten(&self.rules, self.now) {
                self.put_bare(session.clone(), true, leaving);
            } else {
                self.wheel.done(leaving);
                self.live.remove(&id);
            }
        }
    }

    /// What is not durable is gone. The log is replayed over the records.
    pub(super) fn crash(&mut self) {
        self.crashes += 1;
        self.waiting.clear();
        self.before_sweep = 0;
        self.live.clear();
        self.leaving.clear();
        self.wheel = Wheel::from(self.disk.expired_to);
        let sessions = self.disk.recover(&self.rules.release.instance);
        for (id, (answered, _)) in &self.answered {
            let recovered = sessions.get(id).expect("an answered session is there again");
            recovered.check_invariants();
            assert_eq!(recovered.ordinal, answered.ordinal, "every answered change is there, and none that was not");
            assert_eq!(recovered.revision, answered.revision);
            assert_eq!(recovered.variables, answered.variables);
            assert_eq!(recovered.calls, answered.calls);
            assert_eq!(recovered.contacts, answered.contacts);
            assert_eq!(recovered.last_activity, answered.last_activity);
        }
        assert_eq!(sessions.len(), self.answered.len(), "what was forgotten does not come back");
        self.same_as_model(&sessions);
        self.models = self.answered.iter().map(|(id, (_, model))| (*id, model.clone())).collect();
        for (id, session) in sessions {
            let is_unrecorded = self.disk.record(&id).is_none_or(|record| record.ordinal < session.ordinal);
            if session.calls.is_empty() && !is_unrecorded {
                continue;
            }
            self.live.insert(id, (session.clone(), None));
            self.arm(&id);
            // As at a real start: an idle session whose record is behind the log gets one, or goes.
            if session.calls.is_empty() {
                let forget = session.may_be_forgotten(&self.rules, self.now);
                self.put_bare(session, forget, None);
            }
        }
    }

    pub(super) fn check(&self) {
        for revisions in self.revisions.values() {
            assert!(revisions.is_sorted_by(|one, next| one < next), "a revision was used again: {revisions:?}");
        }
        assert!(self.heard.is_sorted_by(|one, next| one.0 < next.0), "a watcher hears in the order of the log");
    }
}
