//! Which sessions have log records that their own record does not contain yet. The oldest of these log
//! records is where a replay has to begin, so nothing from there on may be trimmed.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use crate::domain::ids::SessionId;

/// A session by the number of its tenant.
pub(super) type SessionKey = (u32, SessionId);

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Sequence of its oldest log record that may not be in its record.
    first: u64,
    /// Its count of commits in the log.
    ordinal: u64,
    /// When it was entered; none for one that an earlier run of the daemon left behind.
    since: Option<Instant>,
}

/// The sessions with log records not covered by a record.
#[derive(Debug, Default)]
pub(super) struct Unrecorded {
    sessions: HashMap<SessionKey, Entry>,
    by_sequence: BTreeMap<u64, SessionKey>,
    /// The first log record of a tenant whose data key is missing: the log is kept for the day it is back.
    held: Option<u64>,
}

impl Unrecorded {
    /// Keeps the log from this sequence on, until the next start.
    pub(super) fn hold(&mut self, sequence: u64) {
        self.held = Some(self.held.map_or(sequence, |held| held.min(sequence)));
    }

    /// A log record of the session is durable.
    pub(super) fn logged(&mut self, session: SessionKey, sequence: u64, ordinal: u64, now: Instant) {
        self.enter(session, sequence, ordinal, Some(now));
    }

    /// A start had to replay log records of the session. It has waited long enough: daemons that end soon after their
    /// start, one after the other, would replay more and more.
    pub(super) fn replayed(&mut self, session: SessionKey, first: u64, ordinal: u64) {
        self.enter(session, first, ordinal, None);
    }

    fn enter(&mut self, session: SessionKey, sequence: u64, ordinal: u64, since: Option<Instant>) {
        match self.sessions.get_mut(&session) {
            Some(entry) => entry.ordinal = entry.ordinal.max(ordinal),
            None => {
                self.sessions.insert(session, Entry { first: sequence, ordinal, since });
                self.by_sequence.insert(sequence, session);
            }
        }
    }

    /// A record of the session is durable. One that was sealed before the latest log record covers less
    /// than the log holds: the session stays.
    pub(super) fn recorded(&mut self, session: &SessionKey, ordinal: u64) {
        if self.sessions.get(session).is_some_and(|entry| entry.ordinal <= ordinal) {
            self.forgotten(session);
        }
    }

    /// The session is gone, and the log says so.
    pub(super) fn forgotten(&mut self, session: &SessionKey) {
        if let Some(entry) = self.sessions.remove(session) {
            self.by_sequence.remove(&entry.first);
        }
    }

    /// Everything up to here is in records, if the log is durable up to `last`.
    pub(super) fn watermark(&self, last: u64) -> u64 {
        let oldest = self.by_sequence.first_key_value().map(|(first, _)| *first);
        oldest.into_iter().chain(self.held).map(|first| first.saturating_sub(1)).fold(last, u64::min)
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Sessions that have waited for longer than `older_than`, the oldest first.
    pub(super) fn older_than(&self, older_than: Duration, now: Instant, most: usize) -> Vec<SessionKey> {
        self.by_sequence
            .values()
            .take_while(|session| {
                let since = self.sessions.get(*session).map(|entry| entry.since);
                since.is_some_and(|since| since.is_none_or(|since| now.duration_since(since) >= older_than))
            })
            .take(most)
            .copied()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: SessionKey = (1, SessionId::Caller([1; 32]));
    const B: SessionKey = (1, SessionId::Caller([2; 32]));

    #[test]
    fn the_watermark_stays_before_the_oldest_log_record_that_no_record_contains() {
        let now = Instant::now();
        let mut unrecorded = Unrecorded::default();
        assert_eq!(unrecorded.watermark(9), 9);
        unrecorded.logged(A, 10, 1, now);
        unrecorded.logged(B, 11, 1, now);
        unrecorded.logged(A, 12, 2, now);
        assert_eq!(unrecorded.watermark(12), 9);
        unrecorded.recorded(&A, 1);
        assert_eq!(unrecorded.watermark(12), 9, "the record was sealed before the second commit");
        unrecorded.recorded(&A, 2);
        assert_eq!(unrecorded.watermark(12), 10);
        unrecorded.forgotten(&B);
        assert_eq!((unrecorded.watermark(12), unrecorded.len()), (12, 0));
    }

    #[test]
    fn only_sessions_that_waited_long_enough_are_asked_for_their_record() {
        let start = Instant::now();
        let mut unrecorded = Unrecorded::default();
        unrecorded.logged(A, 10, 1, start);
        unrecorded.logged(B, 11, 1, start + Duration::from_secs(5));
        let at = start + Duration::from_secs(8);
        assert_eq!(unrecorded.older_than(Duration::from_secs(4), at, 9), [A]);
        assert_eq!(unrecorded.older_than(Duration::ZERO, at, 9), [A, B]);
        assert_eq!(unrecorded.older_than(Duration::ZERO, at, 1), [A]);
    }

    #[test]
    fn what_a_start_had_to_replay_is_asked_for_its_record_at_once() {
        let now = Instant::now();
        let mut unrecorded = Unrecorded::default();
        unrecorded.replayed(A, 10, 7);
        unrecorded.logged(A, 12, 8, now);
        unrecorded.logged(B, 13, 1, now);
        assert_eq!(unrecorded.older_than(Duration::from_secs(4), now, 9), [A]);
        unrecorded.recorded(&A, 7);
        assert_eq!(unrecorded.watermark(13), 9, "the record was sealed before the latest commit");
        unrecorded.recorded(&A, 8);
        assert_eq!(unrecorded.watermark(13), 12);
    }
}
