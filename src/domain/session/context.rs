//! What a reader sees of a session: unexpired variables only, `call` over `session` and `user`
//! (PRODUCT.md 4.2), without those that its assurance does not reach (3.5).

use std::cmp::Ordering;
use std::sync::Arc;

use super::calls::may_be_reopened;
use super::command::Authority;
use super::expiry::IdleEnds;
use super::rules::{AnonymousSessions, Reset, Rules};
use super::state::{Call, CallState, Lifetime, Session, Variable};
use super::variables::may_touch;
use crate::domain::ids::VariableName;
use crate::domain::time::Timestamp;

/// A session as one call, or nobody in particular, sees it at one instant.
#[derive(Debug, Clone)]
pub struct Context<'a> {
    /// The session.
    pub session: &'a Session,
    /// The call from which it is seen.
    pub call: Option<&'a Call>,
    /// What is visible, sorted by name.
    pub variables: Vec<VisibleVariable<'a>>,
    /// Names of `user` variables that exist but need more assurance, sorted.
    pub withheld: Vec<&'a VariableName>,
    /// Number of active calls of the session.
    pub active_calls: usize,
}

/// A variable and its end as things stand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VisibleVariable<'a> {
    /// The variable.
    pub variable: &'a Variable,
    /// The earlier of the end by its `ttl` and the end by idle time; none for a `session` variable
    /// without `ttl` while a call is up.
    pub expires_at: Option<Timestamp>,
}

impl Session {
    /// What is visible at `now`, from an active call, from an ended one, or from none.
    ///
    /// An ended call shows the session's variables until the next new call (PRODUCT.md 4.3): after it
    /// they are another conversation's.
    #[must_use]
    pub fn context<'a>(
        &'a self,
        call: Option<&'a Call>,
        authority: Authority,
        rules: &'a Rules,
        now: Timestamp,
    ) -> Context<'a> {
        let mut context = Context {
            session: self,
            call,
            variables: Vec::new(),
            withheld: Vec::new(),
            active_calls: self.calls.len(),
        };
        if call.is_some_and(|call| self.is_followed(call, rules)) {
            return context;
        }
        let ends = IdleEnds::of(self, rules);
        let live = |variable: &&'a Arc<Variable>| ends.is_live(variable, now);
        let mut own = call.map_or(&[][..], |call| &call.variables).iter().filter(live).peekable();
        let mut shared = self.variables.iter().filter(live).peekable();
        context.variables.reserve_exact(self.variables.len() + call.map_or(0, |call| call.variables.len()));
        // Both lists are sorted, so this is a merge in which the call's variable wins.
        loop {
            let order = match (own.peek(), shared.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(one), Some(other)) => one.name.cmp(&other.name),
            };
            let from_call = if order == Ordering::Greater { None } else { own.next() };
            let from_session = if order == Ordering::Less { None } else { shared.next() };
            let Some(variable) = from_call.or(from_session) else { break };
            if variable.lifetime == Lifetime::User && !may_touch(rules, authority, call, &variable.name) {
                context.withheld.push(&variable.name);
            } else {
                context.variables.push(VisibleVariable { variable, expires_at: ends.end_of(variable) });
            }
        }
        context
    }

    /// When a variable of this session ends as things stand (PRODUCT.md 4.1).
    #[must_use]
    pub fn end_of(&self, variable: &Variable, rules: &Rules) -> Option<Timestamp> {
        IdleEnds::of(self, rules).end_of(variable)
    }

    /// Whether a withheld caller's session has nothing left to keep (PRODUCT.md 3.4): no call can ever
    /// find it again.
    #[must_use]
    pub fn may_be_forgotten(&self, rules: &Rules, now: Timestamp) -> bool {
        let ends = IdleEnds::of(self, rules);
        self.id.is_anonymous()
            && rules.anonymous_sessions == AnonymousSessions::Drop
            && self.calls.is_empty()
            && !self.ended.iter().any(|call| may_be_reopened(call, now))
            && !self.variables.iter().any(|variable| ends.is_live(variable, now))
    }

    fn is_followed(&self, call: &Call, rules: &Rules) -> bool {
        let new_call_at = match rules.reset {
            Reset::NewCall => self.new_call_at,
            Reset::EveryCall => self.last_contact,
        };
        call.state == CallState::Ended
            && matches!((call.ended_at, new_call_at), (Some(ended_at), Some(new_call_at)) if new_call_at > ended_at)
    }
}
