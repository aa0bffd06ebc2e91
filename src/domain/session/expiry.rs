//! When a variable ends (PRODUCT.md 4.1): by its own `ttl`, or because the session was idle for too
//! long; the earlier end wins. And when a withheld caller's session goes (3.4).

use std::time::Duration;

use super::rules::{AnonymousSessions, Rules};
use super::state::{Lifetime, REOPEN_WITHIN, Session, Variable};
use crate::domain::ids::CallId;
use crate::domain::time::Timestamp;

/// The rule by which something ends without anybody's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndRule {
    /// The variable's own `ttl`.
    Ttl,
    /// The session was idle for its retention.
    SessionRetention,
    /// The session was idle for the limit of `user` variables.
    UserIdleLimit,
    /// A withheld caller's session has nothing left to keep.
    Anonymous,
}

impl EndRule {
    /// Its name for operators.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ttl => "ttl",
            Self::SessionRetention => "session_retention",
            Self::UserIdleLimit => "user_idle_limit",
            Self::Anonymous => "anonymous",
        }
    }
}

/// Something that ends if nothing happens until then.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct End<'a> {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub rule: EndRule,
    /// The variable that ends; none: the session itself, as if it had never been.
    pub variable: Option<&'a Variable>,
    /// For a `call` variable: whose.
    pub call: Option<&'a CallId>,
}

impl Session {
    /// When something of it ends first as things stand: a variable, those of its calls included, or a withheld
    /// caller's session without variables.
    #[must_use]
    pub fn next_end(&self, rules: &Rules) -> Option<Timestamp> {
        let ends = IdleEnds::of(self, rules);
        let of_calls = self.calls.iter().flat_map(|call| &call.variables);
        let first = self.variables.iter().chain(of_calls).filter_map(|variable| ends.end_of(variable)).min();
        first.or_else(|| self.gone_at(rules))
    }

    /// Everything that ends as things stand, in no order.
    #[must_use]
    pub fn ends<'a>(&'a self, rules: &Rules) -> Vec<End<'a>> {
        let idle = IdleEnds::of(self, rules);
        let own = self.variables.iter().map(|variable| (None, variable));
        let of_calls = self.calls.iter().flat_map(|call| call.variables.iter().map(move |v| (Some(&call.id), v)));
        let mut ends: Vec<End<'a>> = own
            .chain(of_calls)
            .filter_map(|(call, variable)| {
                let at = idle.end_of(variable)?;
                let rule = match variable.lifetime {
                    _ if variable.ttl_end == Some(at) => EndRule::Ttl,
                    Lifetime::User => EndRule::UserIdleLimit,
                    Lifetime::Session | Lifetime::Call => EndRule::SessionRetention,
                };
                Some(End { at, rule, variable: Some(&**variable), call })
            })
            .collect();
        let gone = self.gone_at(rules);
        ends.extend(gone.map(|at| End { at, rule: EndRule::Anonymous, variable: None, call: None }));
        ends
    }

    /// When a withheld caller's session goes if nothing happens until then: its variables are gone, and no call of it
    /// can be reopened any more.
    fn gone_at(&self, rules: &Rules) -> Option<Timestamp> {
        let goes = self.id.is_anonymous() && rules.anonymous_sessions == AnonymousSessions::Drop;
        if !goes || !self.calls.is_empty() {
            return None;
        }
        let ends = IdleEnds::of(self, rules);
        let reopenable = self.ended.iter().filter_map(|call| call.ended_at).max();
        let mut at = reopenable.map_or(self.last_activity, |at| at.after(REOPEN_WITHIN + Duration::from_millis(1)));
        for variable in &self.variables {
            at = at.max(ends.end_of(variable)?);
        }
        Some(at)
    }

    /// Whether other rules than those in force would end something at this moment that has not ended yet.
    #[must_use]
    pub fn loses(&self, in_force: &Rules, other: &Rules, now: Timestamp) -> bool {
        let (before, after) = (IdleEnds::of(self, in_force), IdleEnds::of(self, other));
        self.variables.iter().any(|variable| before.is_live(variable, now) && !after.is_live(variable, now))
            || (self.may_be_forgotten(other, now) && !self.may_be_forgotten(in_force, now))
    }

    /// The time at which a sleeping session needs a new entry in the store's expiry index: its next end, unless an
    /// entry lies early enough. One whose time is over may have been used up already.
    #[must_use]
    pub fn entry_needed(&self, rules: &Rules, now: Timestamp) -> Option<Timestamp> {
        if !self.calls.is_empty() {
            return None;
        }
        // What is overdue gets an entry that the index has not been read beyond.
        let end = self.next_end(rules)?.max(now);
        self.expiry_entry.is_none_or(|entry| entry <= now || end < entry).then_some(end)
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
