//! From a command to a commit, without changing anything: the one place where it is decided what happens.

use std::sync::Arc;

use super::calls;
use super::command::Command;
use super::commit::{ChangeCause, Commit, Effect, EndCause};
use super::expiry::IdleEnds;
use super::rules::Rules;
use super::state::{Session, Variable};
use super::variables;
use crate::domain::ids::{CallId, VariableName};
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;

/// Decides what a command does to a session. `None` means that nothing changes: a repeated event, or
/// the deletion of what is not there; it is answered as if it were the first.
///
/// What has expired at `now` is deleted by the same commit before anything else, so that activity
/// never revives it. A command that changes nothing does not write expiry either.
///
/// # Errors
/// A refusal writes nothing. `unknown_call`, `call_id_in_use`, `invalid_params`, `revision_conflict`,
/// `user_lifetime_unavailable`, `assurance_too_low` and `limit_exceeded`, in that order of precedence
/// where several apply to a change of variables.
pub fn decide(session: &Session, command: &Command, rules: &Rules, now: Timestamp) -> Result<Option<Commit>, Refusal> {
    let moment = Moment { session, rules, now, ends: IdleEnds::of(session, rules) };
    let (effects, activity) = match command {
        Command::Start(start) => (calls::start(&moment, start)?, true),
        Command::Ringing { call, code } => (calls::ringing(&moment, call, *code)?, true),
        Command::Answer { call } => (calls::answer(&moment, call)?, true),
        Command::Dtmf { call, digit: _, duration_ms } => (calls::dtmf(&moment, call, *duration_ms)?, true),
        Command::End { call, leg, cause, code } => {
            // A call that is reaped or lost had its last real event before (PRODUCT.md 4.1).
            let activity = matches!(cause, EndCause::Switch(_));
            (calls::end(&moment, call, leg.as_ref(), cause, *code), activity)
        }
        Command::Change(change) => (variables::change(&moment, change)?, true),
        Command::Assert { call, level } => (calls::assert(&moment, call, *level)?, false),
        Command::Expire => return Ok(moment.commit(moment.expired().collect(), false)),
    };
    if effects.is_empty() {
        return Ok(None);
    }
    let mut with_expired: Vec<Effect> = moment.expired().collect();
    if with_expired.is_empty() {
        return Ok(moment.commit(effects, activity));
    }
    with_expired.extend(effects);
    Ok(moment.commit(with_expired, activity))
}

/// A session at the time of a decision.
pub(super) struct Moment<'a> {
    pub(super) session: &'a Session,
    pub(super) rules: &'a Rules,
    pub(super) now: Timestamp,
    ends: IdleEnds,
}

impl Moment<'_> {
    pub(super) fn is_live(&self, variable: &Variable) -> bool {
        self.ends.is_live(variable, self.now)
    }

    /// The unexpired variable of this name in a sorted list.
    pub(super) fn find<'v>(&self, variables: &'v [Arc<Variable>], name: &VariableName) -> Option<&'v Variable> {
        let at = variables.binary_search_by(|variable| variable.name.cmp(name)).ok()?;
        variables.get(at).map(Arc::as_ref).filter(|variable| self.is_live(variable))
    }

    /// The deletions of what has expired: the session's, then each call's.
    fn expired(&self) -> impl Iterator<Item = Effect> {
        let of_session = self.session.variables.iter().map(|variable| (None, variable));
        let of_calls = self
            .session
            .calls
            .iter()
            .flat_map(|call| call.variables.iter().map(move |variable| (Some(call), variable)));
        of_session
            .chain(of_calls)
            .filter(|(_, variable)| !self.is_live(variable))
            .map(|(call, variable)| deleted(call.map(|call| &call.id), variable, ChangeCause::Expired))
    }

    fn commit(&self, effects: Vec<Effect>, activity: bool) -> Option<Commit> {
        if effects.is_empty() {
            return None;
        }
        let changes_variables =
            effects.iter().any(|effect| matches!(effect, Effect::VariableSet { .. } | Effect::VariableDeleted { .. }));
        Some(Commit {
            ordinal: self.session.ordinal + 1,
            revision: self.session.revision + u64::from(changes_variables),
            at: self.now,
            activity,
            effects,
        })
    }
}

pub(super) fn deleted(call: Option<&CallId>, variable: &Variable, cause: ChangeCause) -> Effect {
    Effect::VariableDeleted { call: call.cloned(), name: variable.name.clone(), cause }
}
