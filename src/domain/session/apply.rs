//! From a commit to the next state. Never fails and asks nothing but the state before, which is what
//! recovery after a crash lives on.

use std::sync::Arc;

use super::calls::may_be_reopened;
use super::commit::{Commit, Effect};
use super::state::{Call, CallState, EndCause, Session, Variable};
use crate::domain::caller::CallerDetails;
use crate::domain::ids::{CallId, VariableName};
use crate::domain::time::Timestamp;

/// Most ended calls that are remembered for being reopened.
const MOST_ENDED: usize = 8;

impl Session {
    /// The state after a commit; what it does not change is shared.
    #[must_use]
    pub fn after(&self, commit: &Commit) -> Self {
        let is_new = |effect: &&Effect| match effect {
            Effect::VariableSet { call: None, name, .. } => find(&self.variables, name).is_err(),
            _ => false,
        };
        let new_variables = commit.effects.iter().filter(is_new).count();
        let new_calls = commit.effects.iter().filter(|effect| matches!(effect, Effect::CallStarted { .. })).count();
        let mut next = Self {
            variables: with_room(&self.variables, new_variables),
            calls: with_room(&self.calls, new_calls),
            ended: self.ended.clone(),
            instance: self.instance.clone(),
            ..*self
        };
        next.apply(commit);
        next
    }

    /// Makes a commit part of the state. One that is part of it already changes nothing.
    pub fn apply(&mut self, commit: &Commit) {
        if commit.ordinal <= self.ordinal {
            return;
        }
        for effect in &commit.effects {
            self.apply_effect(effect, commit);
        }
        self.ordinal = commit.ordinal;
        self.revision = commit.revision;
        if commit.activity {
            self.last_activity = self.last_activity.max(commit.at);
        }
        if !self.ended.iter().all(|call| may_be_reopened(call, commit.at)) {
            Arc::make_mut(&mut self.ended).retain(|call| may_be_reopened(call, commit.at));
        }
    }

    /// Gives an active call its number, display name and headers, which no commit holds.
    pub fn attach_details(&mut self, call: &CallId, details: Option<Arc<CallerDetails>>) {
        if let Some(call) = self.call_mut(call) {
            call.details = details;
        }
    }

    /// Takes number, display name and headers from all active calls: the release does not keep them any more.
    pub fn forget_details(&mut self) {
        for call in self.calls.iter_mut().filter(|call| call.details.is_some()) {
            Arc::make_mut(call).details = None;
        }
    }

    fn apply_effect(&mut self, effect: &Effect, commit: &Commit) {
        let at = commit.at;
        match effect {
            Effect::CallStarted { .. } => self.start(effect, at),
            Effect::LegAdded { call, leg } => {
                if let Some(call) = self.call_mut(call) {
                    call.legs = call.legs.iter().chain([leg]).cloned().collect();
                }
            }
            Effect::LegEnded { call, leg } => {
                if let Some(call) = self.call_mut(call) {
                    call.legs = call.legs.iter().filter(|known| *known != leg).cloned().collect();
                }
            }
            Effect::CallRinging { call, code: _ } => {
                if let Some(call) = self.call_mut(call) {
                    call.state = CallState::Ringing;
                    call.ringing_at = Some(at);
                }
            }
            Effect::CallAnswered { call } => {
                if let Some(call) = self.call_mut(call) {
                    call.state = CallState::Answered;
                    call.answered_at = Some(at);
                }
            }
            Effect::CallDtmf { .. } => {}
            Effect::AssuranceSet { call, level } => {
                if let Some(call) = self.call_mut(call) {
                    call.assurance = *level;
                }
            }
            Effect::CallEnded { call, cause, code } => self.end(call, cause, *code, at),
            Effect::VariableSet { call, name, value, lifetime, ttl_end } => {
                let variable = Arc::new(Variable {
                    name: name.clone(),
                    value: value.clone(),
                    lifetime: *lifetime,
                    revision: commit.revision,
                    set_at: at,
                    ttl_end: *ttl_end,
                });
                if let Some(variables) = self.variables_mut(call.as_ref()) {
                    match find(variables, name) {
                        #[expect(clippy::indexing_slicing, reason = "the search has just found it there")]
                        Ok(place) => variables[place] = variable,
                        Err(place) => variables.insert(place, variable),
                    }
                }
            }
            Effect::VariableDeleted { call, name, cause: _ } => {
                if let Some(variables) = self.variables_mut(call.as_ref())
                    && let Ok(place) = find(variables, name)
                {
                    variables.remove(place);
                }
            }
        }
    }

    fn start(&mut self, effect: &Effect, at: Timestamp) {
        let Effect::CallStarted { call, leg, direction, presentation, source, assurance, switch_at, reopened } = effect
        else {
            return;
        };
        let place = self.ended.iter().position(|ended| ended.id == *call);
        let ended = place.map(|place| Arc::make_mut(&mut self.ended).remove(place));
        let (started_at, returning, previous_contact) = match ended {
            Some(before) if *reopened => (before.started_at, before.returning, before.previous_contact),
            _ => {
                let returning = self.contacts > 0 && !self.id.is_anonymous();
                (at, returning, self.last_contact.filter(|_| returning))
            }
        };
        if !*reopened {
            if self.calls.is_empty() {
                self.new_call_at = Some(at);
            }
            self.first_contact.get_or_insert(at);
            self.last_contact = Some(at);
            self.contacts += 1;
        }
        self.calls.push(Arc::new(Call {
            id: call.clone(),
            state: CallState::Started,
            started_at,
            ringing_at: None,
            answered_at: None,
            ended_at: None,
            end_cause: None,
            end_code: None,
            switch_at: *switch_at,
            legs: [leg.clone()].into(),
            direction: *direction,
            presentation: *presentation,
            source: *source,
            assurance: *assurance,
            returning,
            previous_contact,
            reopened: *reopened,
            variables: Vec::new(),
            details: None,
        }));
    }

    fn end(&mut self, call: &CallId, cause: &EndCause, code: Option<u16>, at: Timestamp) {
        let Some(place) = self.calls.iter().position(|active| active.id == *call) else {
            return;
        };
        let mut call = self.calls.remove(place);
        let ended = Arc::make_mut(&mut call);
        ended.state = CallState::Ended;
        ended.ended_at = Some(at);
        ended.end_cause = Some(cause.clone());
        ended.end_code = code;
        ended.variables = Vec::new();
        ended.details = None;
        let remembered = Arc::make_mut(&mut self.ended);
        if remembered.len() >= MOST_ENDED {
            remembered.remove(0);
        }
        remembered.push(call);
    }

    fn call_mut(&mut self, id: &CallId) -> Option<&mut Call> {
        self.calls.iter_mut().find(|call| call.id == *id).map(Arc::make_mut)
    }

    fn variables_mut(&mut self, call: Option<&CallId>) -> Option<&mut Vec<Arc<Variable>>> {
        match call {
            Some(call) => self.call_mut(call).map(|call| &mut call.variables),
            None => Some(&mut self.variables),
        }
    }
}

fn find(variables: &[Arc<Variable>], name: &VariableName) -> Result<usize, usize> {
    variables.binary_search_by(|variable| variable.name.cmp(name))
}

/// A copy with room for so many more and no others: a state that is replaced at each event does not grow in steps.
fn with_room<T: Clone>(list: &[T], more: usize) -> Vec<T> {
    let mut copy = Vec::with_capacity(list.len() + more);
    copy.extend_from_slice(list);
    copy
}
