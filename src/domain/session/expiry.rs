//! When a variable ends (PRODUCT.md 4.1): by its own `ttl`, or because the session was idle for too
//! long; the earlier end wins.

use super::rules::Rules;
use super::state::{Lifetime, Session, Variable};
use crate::domain::time::Timestamp;

impl Session {
    /// When the first of its variables ends as things stand; a call's variables included.
    #[must_use]
    pub fn next_end(&self, rules: &Rules) -> Option<Timestamp> {
        let ends = IdleEnds::of(self, rules);
        let of_calls = self.calls.iter().flat_map(|call| &call.variables);
        self.variables.iter().chain(of_calls).filter_map(|variable| ends.end_of(variable)).min()
    }
}

/// The ends that all variables of a session share. There are none while a call is up: a session with
/// an active call is active.
#[derive(Debug, Clone, Copy)]
pub(super) struct IdleEnds {
    session: Option<Timestamp>,
    user: Option<Timestamp>,
}

impl IdleEnds {
    pub(super) fn of(session: &Session, rules: &Rules) -> Self {
        if !session.calls.is_empty() {
            return Self { session: None, user: None };
        }
        Self {
            session: Some(session.last_activity.after(rules.session_retention)),
            user: rules.user_idle_limit.map(|limit| session.last_activity.after(limit)),
        }
    }

    /// When the variable ends as things stand.
    pub(super) fn end_of(&self, variable: &Variable) -> Option<Timestamp> {
        let idle_end = match variable.lifetime {
            Lifetime::Call => None,
            Lifetime::Session => self.session,
            Lifetime::User => self.user,
        };
        match (variable.ttl_end, idle_end) {
            (Some(own), Some(idle)) => Some(own.min(idle)),
            (own, idle) => own.or(idle),
        }
    }

    /// Whether the variable's end is still to come.
    pub(super) fn is_live(&self, variable: &Variable, now: Timestamp) -> bool {
        self.end_of(variable).is_none_or(|end| end > now)
    }
}
