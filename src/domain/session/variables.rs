//! Setting and deleting variables (PRODUCT.md 4.2): names, lifetimes, conditions, the assurance a
//! release demands (3.5) and the limits (4.4).

use super::calls::active;
use super::command::{Authority, Change, Condition};
use super::commit::{ChangeCause, Effect};
use super::moment::{Moment, deleted};
use super::rules::Rules;
use super::state::{Call, Lifetime, Variable};
use crate::domain::caller::Assurance;
use crate::domain::ids::VariableName;
use crate::domain::refusal::{Reason, Refusal};

/// Whether the `user` variable of this name may be read or written.
pub(super) fn may_touch(rules: &Rules, authority: Authority, call: Option<&Call>, name: &VariableName) -> bool {
    match authority {
        Authority::Trusted => true,
        Authority::OfCall => {
            let held = call.map_or(Assurance::None, |call| call.assurance);
            held >= rules.demanded_for(name)
        }
    }
}

pub(super) fn change(moment: &Moment<'_>, change: &Change) -> Result<Vec<Effect>, Refusal> {
    check_form(change)?;
    let session = moment.session;
    let call = match &change.call {
        Some(id) => Some(active(session, id)?.as_ref()),
        None => None,
    };
    check_condition(moment, change, call)?;

    let gate = |name: &VariableName| {
        if may_touch(moment.rules, change.authority, call, name) {
            return Ok(());
        }
        Err(Refusal::new(
            Reason::AssuranceTooLow,
            "the release demands more assurance of the caller for this user variable: name a call that has it",
        ))
    };
    let before = Usage::of(moment);
    let mut after = before;
    let mut effects = Vec::with_capacity(change.set.len() + change.delete.len());

    let mut deletes: Vec<&VariableName> = change.delete.iter().collect();
    deletes.sort_unstable();
    deletes.dedup();
    for name in deletes {
        if let Some((call, variable)) = call.and_then(|call| Some((call, moment.find(&call.variables, name)?))) {
            after.remove(variable);
            effects.push(deleted(Some(&call.id), variable, ChangeCause::Deleted));
        } else if let Some(variable) = moment.find(&session.variables, name) {
            if variable.lifetime == Lifetime::User {
                gate(name)?;
            }
            after.remove(variable);
            effects.push(deleted(None, variable, ChangeCause::Deleted));
        }
    }

    for set in &change.set {
        let in_call = call.and_then(|call| moment.find(&call.variables, &set.name));
        let in_session = moment.find(&session.variables, &set.name);
        let existing = in_call.or(in_session).map(|variable| variable.lifetime);
        let lifetime = set.lifetime.or(existing).unwrap_or(Lifetime::Session);
        if lifetime == Lifetime::User && session.id.is_anonymous() {
            return Err(Refusal::new(
                Reason::UserLifetimeUnavailable,
                "a withheld caller has no user variables: use the lifetime session",
            ));
        }
        let replaced = if lifetime == Lifetime::Call { in_call } else { in_session };
        let was = replaced.map(|variable| variable.lifetime);
        if lifetime == Lifetime::User || was == Some(Lifetime::User) {
            gate(&set.name)?;
        }
        if let Some(variable) = replaced {
            after.remove(variable);
        }
        after.add(set.name.as_str().len() + set.value.len());
        effects.push(Effect::VariableSet {
            call: call.filter(|_| lifetime == Lifetime::Call).map(|call| call.id.clone()),
            name: set.name.clone(),
            value: set.value.clone(),
            lifetime,
            ttl_end: set.ttl.map(|ttl| moment.now.after(ttl)),
        });
    }
    check_limits(moment.rules, change, before, after)?;
    Ok(effects)
}

fn check_form(change: &Change) -> Result<(), Refusal> {
    let invalid = |detail| Err(Refusal::new(Reason::InvalidParams, detail));
    if change.call.is_none() && change.set.iter().any(|set| set.lifetime == Some(Lifetime::Call)) {
        return invalid("the lifetime call needs a call_id");
    }
    if change.set.iter().any(|set| set.ttl.is_some_and(|ttl| ttl.as_millis() == 0)) {
        return invalid("a ttl is at least 1ms long: delete the variable instead");
    }
    if change.set.len() + change.delete.len() < 2 {
        return Ok(());
    }
    let mut names: Vec<&VariableName> = change.set.iter().map(|set| &set.name).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| matches!(pair, [one, next] if one == next)) {
        return invalid("a name is set more than once: set each name once");
    }
    if change.delete.iter().any(|name| names.binary_search(&name).is_ok()) {
        return invalid("a name is both set and deleted: do one of them");
    }
    Ok(())
}

fn check_condition(moment: &Moment<'_>, change: &Change, call: Option<&Call>) -> Result<(), Refusal> {
    let is_set = |name: &VariableName| {
        call.is_some_and(|call| moment.find(&call.variables, name).is_some())
            || moment.find(&moment.session.variables, name).is_some()
    };
    match change.condition {
        Some(Condition::Revision(revision)) if revision != moment.session.revision => Err(Refusal::new(
            Reason::RevisionConflict,
            "the session's revision is another one: read the context and try again",
        )),
        Some(Condition::Unset) if change.set.iter().any(|set| is_set(&set.name)) => {
            Err(Refusal::new(Reason::RevisionConflict, "the variable is set already: read the context"))
        }
        _ => Ok(()),
    }
}

/// What counts towards the limits of a session: its unexpired variables and those of its calls.
#[derive(Debug, Clone, Copy)]
struct Usage {
    variables: usize,
    bytes: usize,
}

impl Usage {
    fn of(moment: &Moment<'_>) -> Self {
        let of_calls = moment.session.calls.iter().flat_map(|call| &call.variables);
        let mut usage = Self { variables: 0, bytes: 0 };
        for variable in moment.session.variables.iter().chain(of_calls).filter(|variable| moment.is_live(variable)) {
            usage.add(size(variable));
        }
        usage
    }

    fn add(&mut self, bytes: usize) {
        self.variables += 1;
        self.bytes += bytes;
    }

    fn remove(&mut self, variable: &Variable) {
        self.variables -= 1;
        self.bytes -= size(variable);
    }
}

fn size(variable: &Variable) -> usize {
    variable.name.as_str().len() + variable.value.len()
}

/// A session that is above a limit because the limit was lowered may still shrink.
fn check_limits(rules: &Rules, change: &Change, before: Usage, after: Usage) -> Result<(), Refusal> {
    let limits = &rules.limits;
    let exceeded = |detail: String| Err(Refusal::new(Reason::LimitExceeded, detail));
    if change.set.iter().any(|set| set.value.len() > limits.value) {
        return exceeded(format!("a value is at most {} bytes of JSON", limits.value));
    }
    if after.variables > limits.variables.max(before.variables) {
        return exceeded(format!(
            "a session has at most {} variables, those of its calls included: delete some first",
            limits.variables
        ));
    }
    if after.bytes > limits.session_bytes.max(before.bytes) {
        return exceeded(format!(
            "names and values of a session have at most {} bytes, those of its calls included: delete some first",
            limits.session_bytes
        ));
    }
    Ok(())
}
