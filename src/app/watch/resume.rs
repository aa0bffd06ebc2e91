//! Resuming behind a cursor: what was missed is told from the log, over a restart of the daemon too (PRODUCT.md 6.1).
//!
//! The log says what happened, not what is: a value is told only if it is still current and unexpired, so that nothing
//! deleted comes back, and the context of a started call is the one of now.

use std::collections::HashMap;
use std::sync::Arc;

use super::cursor::Cursor;
use super::line::{Line, Stop};
use super::messages::{self, Happening, Told};
use super::watched::{Watched, still_current};
use crate::app::context::{self, FEW_CALLS, Seen, Sight};
use crate::domain::ids::{CallId, SessionId};
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::session::{Commit, Effect, Lifetime, Rules, Session};
use crate::store::{LogPart, LogRecord, StoreError};

/// Beyond this many records of what is watched fresh snapshots are quicker.
const MOST_RECORDS: usize = 100_000;
/// Records that are read at a time.
const CHUNK: usize = 500;

impl Watched {
    /// Sends what happened behind the cursor up to the registration, then `synced`. False if the log does not tell
    /// everything any more, or the cursor is from the future: then only fresh snapshots help.
    pub(super) async fn resume(&mut self, line: &mut Line, sequence: u64, index: u32) -> Result<bool, Stop> {
        let until = self.queue.registered_at();
        if sequence > until {
            return Ok(false);
        }
        let filter = self.target.filter();
        // The cursor's own commit is read again, if it was not sent to its end.
        let mut after = if index == u32::MAX { sequence } else { sequence.saturating_sub(1) };
        let mut read = 0;
        while after < until {
            let Some(part) = self.read_log(line, after).await? else { return Ok(false) };
            read += part.records.len();
            if read > MOST_RECORDS {
                return Ok(false);
            }
            let mut current = Current::default();
            for record in part.records.iter().take_while(|record| record.sequence <= until) {
                for (effect, at) in record.commit.effects.iter().zip(0_u32..) {
                    if (record.sequence, at) > (sequence, index) && filter.shows(effect) {
                        self.retell(line, record, effect, at, &mut current).await?;
                    }
                }
            }
            match part.read_to {
                Some(read_to) => after = read_to,
                None => break,
            }
        }
        self.synced(line, until).await?;
        Ok(true)
    }

    /// The next part of the log; none if it is trimmed or damaged there.
    async fn read_log(&self, line: &Line, after: u64) -> Result<Option<LogPart>, Stop> {
        // After a restart all watchers come at once.
        let _turn = line.house.resuming.acquire().await;
        let store = line.house.directory.store().clone();
        let (release, session) = (self.target.release().clone(), self.target.session().copied());
        let read = move || {
            let release = store.release(&release)?;
            store.read_log(&release, session.as_ref(), after, CHUNK)
        };
        match tokio::task::spawn_blocking(read).await {
            Ok(Ok(part)) => Ok(Some(part)),
            Ok(Err(StoreError::Trimmed { .. })) => Ok(None),
            Ok(Err(error)) => {
                tracing::warn!("a watcher cannot resume from the log and gets snapshots: {error}");
                Ok(None)
            }
            Err(_) => Err(Refusal::new(Reason::Internal, "reading the log failed: subscribe again").into()),
        }
    }

    async fn retell(
        &mut self,
        line: &mut Line,
        record: &LogRecord,
        effect: &Effect,
        index: u32,
        current: &mut Current,
    ) -> Result<(), Stop> {
        let directory = line.house.directory.clone();
        let (rules, now) = (directory.rules(self.target.release()), directory.now());
        let sight = line.sight();
        let happening = Happening { session: &record.session, commit: &record.commit, effect, digit: None };
        let cursor = Cursor::At { sequence: record.sequence, index };
        let message = match effect {
            Effect::VariableSet { name, lifetime, .. } => {
                let session = current.session(line, &rules, &record.session).await?;
                let variable =
                    session.as_deref().and_then(|session| still_current(session, effect, record.commit.revision));
                let told = match (session.as_deref(), variable) {
                    (Some(session), Some(variable)) => {
                        let end = session.end_of(variable, &rules);
                        if end.is_some_and(|end| end <= now) {
                            Told::Gone
                        } else if *lifetime == Lifetime::User && !self.target.may_tell(name, session, &rules, sight) {
                            Told::Withheld
                        } else {
                            Told::Value(variable, end)
                        }
                    }
                    _ => Told::Gone,
                };
                self.change(line, happening, cursor, told)
            }
            Effect::VariableDeleted { .. } => self.change(line, happening, cursor, Told::Gone),
            Effect::CallStarted { call, .. } => {
                let mut context = String::new();
                self.started(line, &mut context, record, call, current).await?;
                let head = self.head(line, "call", cursor);
                messages::call(head, happening, |out| out.push_str(&context))
            }
            _ => {
                let head = self.head(line, "call", cursor);
                messages::call(head, happening, |_| {})
            }
        };
        match message {
            Some(message) => self.send(line, message).await,
            None => Ok(()),
        }
    }

    /// The context of a call that started: the one of now, else what the log says of it.
    async fn started(
        &self,
        line: &mut Line,
        out: &mut String,
        record: &LogRecord,
        call: &CallId,
        current: &mut Current,
    ) -> Result<(), Stop> {
        let directory = line.house.directory.clone();
        let (rules, now) = (directory.rules(self.target.release()), directory.now());
        let sight = line.sight();
        let found = directory.find_call(&rules.release.tenant, call).await?;
        if let Some(view) = found.filter(|view| {
            view.session.id == record.session && (view.call.started_at == record.commit.at || view.call.reopened)
        }) {
            let seen =
                Seen { session: &view.session, call: Some(&view.call), rules: &rules, now, most_calls: FEW_CALLS };
            let revealed = context::revealed(&view.session, Some(&view.call), sight);
            line.reveal(&view.release, revealed.map(|call| (view.session.id, &call.id))).await?;
            context::write(out, seen, sight);
            return Ok(());
        }
        let known = current.session(line, &rules, &record.session).await?;
        write_past(out, record, call, known.as_deref(), &rules, sight);
        Ok(())
    }
}

/// The context of a call that is over, from its start in the log: without variables and number.
fn write_past(
    out: &mut String,
    record: &LogRecord,
    call: &CallId,
    known: Option<&Session>,
    rules: &Rules,
    sight: Sight,
) {
    let commit: &Commit = &record.commit;
    let mut past = Session::unopened(record.session, rules.release.instance.clone(), commit.at);
    past.first_contact = known.and_then(|known| known.first_contact).filter(|first| *first < commit.at);
    past.contacts = u64::from(past.first_contact.is_some());
    past.ordinal = commit.ordinal.saturating_sub(1);
    past.apply(commit);
    past.variables.clear();
    let started = past.calls.iter().find(|started| started.id == *call).cloned();
    let seen = Seen { session: &past, call: started.as_deref(), rules, now: commit.at, most_calls: FEW_CALLS };
    context::write(out, seen, sight);
}

/// The sessions of a chunk as they are now.
#[derive(Default)]
struct Current(HashMap<SessionId, Option<Arc<Session>>>);

impl Current {
    async fn session(&mut self, line: &Line, rules: &Rules, id: &SessionId) -> Result<Option<Arc<Session>>, Refusal> {
        if let Some(known) = self.0.get(id) {
            return Ok(known.clone());
        }
        let found = line.house.directory.find_session(&rules.release.tenant, id).await?;
        let session = found.map(|view| view.session);
        self.0.insert(*id, session.clone());
        Ok(session)
    }
}

#[cfg(test)]
#[path = "resume_tests.rs"]
mod tests;
