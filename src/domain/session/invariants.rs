//! What is true of every session after every commit. For tests and debug builds.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::state::{Call, CallState, Lifetime, Session, Variable};

impl Session {
    /// Checks what must always hold.
    ///
    /// # Panics
    /// If something does not hold: a fault of recalld.
    pub fn check_invariants(&self) {
        assert!(self.revision <= self.ordinal, "each revision takes a commit");
        assert!(self.contacts <= self.ordinal, "each contact takes a commit");
        assert_eq!(self.contacts == 0, self.first_contact.is_none(), "a counted call is a contact");
        assert_eq!(self.first_contact.is_none(), self.last_contact.is_none(), "first and last contact go together");
        assert_eq!(self.first_contact.is_none(), self.new_call_at.is_none(), "the first contact is a new call");
        assert!(self.ended.len() <= 8, "at most 8 ended calls are remembered");

        self.check_variables(&self.variables);
        for variable in &self.variables {
            assert_ne!(variable.lifetime, Lifetime::Call, "a call variable belongs to a call");
            assert!(
                variable.lifetime == Lifetime::Session || !self.id.is_anonymous(),
                "withheld callers have no user variables"
            );
        }
        let mut ids = BTreeSet::new();
        for call in self.calls.iter().chain(self.ended.iter()) {
            assert!(ids.insert(&call.id), "a call is listed once");
            assert!(!call.legs.is_empty(), "a call has a leg");
            let legs: BTreeSet<_> = call.legs.iter().map(|leg| (&leg.switch, leg.peer)).collect();
            assert_eq!(legs.len(), call.legs.len(), "a leg is listed once");
            assert_eq!(call.returning, call.previous_contact.is_some(), "who returns was here before");
            assert!(!(call.returning && self.id.is_anonymous()), "a withheld caller never returns");
        }
        for call in &self.calls {
            self.check_active(call);
        }
        for call in self.ended.iter() {
            assert_eq!(call.state, CallState::Ended, "an ended call has ended");
            assert!(call.ended_at.is_some() && call.end_cause.is_some(), "an end has a time and a cause");
            assert!(call.variables.is_empty(), "call variables go with their call");
            assert!(call.details.is_none(), "number and display name go with their call");
        }
    }

    fn check_active(&self, call: &Call) {
        assert_ne!(call.state, CallState::Ended, "an active call has not ended");
        assert!(call.ended_at.is_none() && call.end_cause.is_none(), "an active call has no end");
        assert_eq!(call.answered_at.is_some(), call.state == CallState::Answered, "an answer has a time");
        assert!(call.state != CallState::Ringing || call.ringing_at.is_some(), "ringing has a time");
        self.check_variables(&call.variables);
        for variable in &call.variables {
            assert_eq!(variable.lifetime, Lifetime::Call, "only call variables belong to a call");
        }
    }

    fn check_variables(&self, variables: &[Arc<Variable>]) {
        assert!(variables.is_sorted_by(|one, next| one.name < next.name), "variables are sorted and unique by name");
        assert!(variables.iter().all(|variable| variable.revision <= self.revision), "no variable is from the future");
    }
}
