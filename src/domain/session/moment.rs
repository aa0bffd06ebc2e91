//! A session at the time of a decision: what of it still lives, and the commit that follows.

use std::sync::Arc;

use super::commit::{ChangeCause, Commit, Effect};
use super::expiry::IdleEnds;
use super::rules::Rules;
use super::state::{Session, Variable};
use crate::domain::ids::{CallId, VariableName};
use crate::domain::time::Timestamp;

/// A session at the time of a decision.
pub(super) struct Moment<'a> {
    pub(super) session: &'a Session,
    pub(super) rules: &'a Rules,
    pub(super) now: Timestamp,
    ends: IdleEnds,
}

impl<'a> Moment<'a> {
    pub(super) fn of(session: &'a Session, rules: &'a Rules, now: Timestamp) -> Self {
        Self { session, rules, now, ends: IdleEnds::of(session, rules) }
    }
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
    pub(super) fn expired(&self) -> impl Iterator<Item = Effect> {
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

    pub(super) fn commit(&self, effects: Vec<Effect>, activity: bool) -> Option<Commit> {
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
