//! What survives a crash: bytes, as in the database.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::domain::ids::{InstanceId, SessionId};
use crate::domain::session::tests::world::read_session;
use crate::domain::session::*;
use crate::domain::time::Timestamp;

pub(super) struct Disk {
    records: BTreeMap<SessionId, Vec<u8>>,
    /// Sequence, session, commit; an empty commit says that the session was forgotten.
    log: VecDeque<(u64, SessionId, Vec<u8>)>,
    pub(super) next_sequence: u64,
    /// The expiry index.
    pub(super) index: BTreeSet<(Timestamp, SessionId)>,
    /// Everything in the index before this time has been done.
    pub(super) expired_to: Timestamp,
    /// Whether a sweep is not finished, and the last session it has gone through.
    pub(super) sweeps: bool,
    pub(super) swept: Option<SessionId>,
}

impl Disk {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            records: BTreeMap::new(),
            log: VecDeque::new(),
            next_sequence: 1,
            index: BTreeSet::new(),
            expired_to: now,
            sweeps: false,
            swept: None,
        }
    }

    pub(super) fn record(&self, id: &SessionId) -> Option<Session> {
        self.records.get(id).map(|bytes| read_session(*id, bytes))
    }

    pub(super) fn records(&self) -> impl Iterator<Item = (SessionId, Session)> + '_ {
        self.records.keys().map(|id| (*id, self.record(id).unwrap()))
    }

    pub(super) fn put_record(&mut self, session: &Session) {
        self.records.insert(session.id, postcard::to_stdvec(session).unwrap());
    }

    pub(super) fn put_commit(&mut self, id: SessionId, commit: &Commit) {
        self.log.push_back((self.next_sequence, id, postcard::to_stdvec(commit).unwrap()));
        self.next_sequence += 1;
    }

    pub(super) fn forget(&mut self, id: SessionId) {
        self.log.push_back((self.next_sequence, id, Vec::new()));
        self.next_sequence += 1;
        self.records.remove(&id);
    }

    /// Notes what the wheel has done, and lets go of that part of the index.
    pub(super) fn note(&mut self, expired_to: Timestamp) {
        self.expired_to = self.expired_to.max(expired_to);
        self.index.retain(|(at, _)| *at >= self.expired_to);
    }

    /// The log goes, as far as the records contain it.
    pub(super) fn trim(&mut self) {
        while let Some((_, session, bytes)) = self.log.front() {
            if !bytes.is_empty() {
                let commit: Commit = postcard::from_bytes(bytes).unwrap();
                let is_covered = self.record(session).is_some_and(|record| record.ordinal >= commit.ordinal);
                let is_forgotten = self.log.iter().any(|(_, id, bytes)| id == session && bytes.is_empty());
                if !is_covered && !is_forgotten {
                    break;
                }
            }
            self.log.pop_front();
        }
    }

    /// The log replayed over the records.
    pub(super) fn recover(&self, instance: &InstanceId) -> BTreeMap<SessionId, Session> {
        let mut sessions: BTreeMap<SessionId, Session> = self.records().collect();
        for (_, id, bytes) in &self.log {
            if bytes.is_empty() {
                sessions.remove(id);
                continue;
            }
            let commit: Commit = postcard::from_bytes(bytes).unwrap();
            let unopened = || Session::unopened(*id, instance.clone(), commit.at);
            let session = sessions.entry(*id).or_insert_with(unopened);
            if self.log.iter().any(|(_, other, bytes)| other == id && bytes.is_empty()) {
                // What is left of a forgotten session may begin anywhere.
                continue;
            }
            assert!(commit.ordinal <= session.ordinal + 1, "the log has a gap");
            session.apply(&commit);
        }
        sessions
    }
}
