//! What a subscription watches, and what of it its holder may see.

use crate::actors::Filter;
use crate::app::context::Sight;
use crate::domain::caller::Assurance;
use crate::domain::ids::{CallId, ReleaseId, SessionId, TenantId, VariableName};
use crate::domain::session::{Rules, Session};

/// What a subscription watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// All calls of a release.
    Release(ReleaseId),
    /// A session with its calls.
    Session(ReleaseId, SessionId),
    /// A call, and the variables of its session.
    Call(ReleaseId, SessionId, CallId),
}

impl Target {
    pub(super) const fn release(&self) -> &ReleaseId {
        match self {
            Target::Release(release) | Target::Session(release, _) | Target::Call(release, _, _) => release,
        }
    }

    /// The session that is watched; none for a release.
    pub(super) const fn session(&self) -> Option<&SessionId> {
        match self {
            Target::Release(_) => None,
            Target::Session(_, session) | Target::Call(_, session, _) => Some(session),
        }
    }

    pub(super) fn filter(&self) -> Filter {
        match self.clone() {
            Target::Release(release) => Filter::Release(release),
            Target::Session(release, session) => Filter::Session(release, session),
            Target::Call(release, session, call) => Filter::Call(release, session, call),
        }
    }

    /// What the cursors of the subscription are bound to.
    pub(super) fn binding(&self, sight: Sight) -> Vec<u8> {
        let tenant = &self.release().tenant;
        match self {
            Target::Release(release) => binding(tenant, b'r', release.instance.as_str().as_bytes(), sight),
            Target::Session(_, session) => binding(tenant, b's', session.as_bytes(), sight),
            Target::Call(_, _, call) => call_binding(tenant, call, sight),
        }
    }

    /// Whether the value of a `user` variable may be told: the holder could read it in a context that the subscription
    /// shows (PRODUCT.md 3.5).
    pub(super) fn may_tell(&self, name: &VariableName, session: &Session, rules: &Rules, sight: Sight) -> bool {
        let held = match self {
            Target::Release(_) | Target::Session(..) if sight.trusted => return true,
            Target::Release(_) => session.calls.iter().map(|call| call.assurance).max().unwrap_or_default(),
            Target::Session(..) => Assurance::None,
            Target::Call(_, _, id) => {
                let mut calls = session.calls.iter().chain(session.ended.iter().rev());
                calls.find(|call| call.id == *id).map_or(Assurance::None, |call| call.assurance)
            }
        };
        held >= rules.demanded_for(name)
    }
}

/// What the cursors of a call are bound to. The session is not part of it, since a call that is over is found by its
/// cursor only.
pub(super) fn call_binding(tenant: &TenantId, call: &CallId, sight: Sight) -> Vec<u8> {
    binding(tenant, b'c', call.as_str().as_bytes(), sight)
}

fn binding(tenant: &TenantId, kind: u8, name: &[u8], sight: Sight) -> Vec<u8> {
    let sight = u8::from(sight.variables) | u8::from(sight.trusted) << 1 | u8::from(sight.number) << 2;
    [&[sight, kind], tenant.as_str().as_bytes(), b"/", name].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::samples::{call, parsed, release, rules, session};

    const PLAIN: Sight = Sight { variables: true, trusted: false, number: false };

    #[test]
    fn a_user_variable_is_told_to_whoever_could_read_it() {
        let name = parsed("account");
        let mut rules = rules();
        rules.min_assurance = Assurance::Trunk;
        let mut with_call = session();
        with_call.calls = vec![call("a").into()];
        let (quiet, id) = (session(), session().id);
        let of_release = Target::Release(release());
        let of_session = Target::Session(release(), id);
        let of_call = Target::Call(release(), id, parsed("a"));
        let other_call = Target::Call(release(), id, parsed("b"));
        assert!(of_release.may_tell(&name, &with_call, &rules, PLAIN), "the call has the assurance");
        assert!(!of_release.may_tell(&name, &quiet, &rules, PLAIN));
        assert!(!of_session.may_tell(&name, &with_call, &rules, PLAIN), "no call is named");
        assert!(of_call.may_tell(&name, &with_call, &rules, PLAIN));
        assert!(!other_call.may_tell(&name, &with_call, &rules, PLAIN));
        let trusted = Sight { trusted: true, ..PLAIN };
        assert!(of_release.may_tell(&name, &quiet, &rules, trusted));
        assert!(of_session.may_tell(&name, &quiet, &rules, trusted));
        assert!(!of_call.may_tell(&name, &quiet, &rules, trusted), "a named call counts");
        rules.min_assurance = Assurance::None;
        assert!(of_session.may_tell(&name, &quiet, &rules, PLAIN));
    }

    #[test]
    fn each_target_and_each_sight_has_cursors_of_its_own() {
        let id = session().id;
        let mut bindings: Vec<_> = [
            Target::Release(release()),
            Target::Release(ReleaseId { tenant: parsed("acme"), instance: parsed("sales") }),
            Target::Session(release(), id),
            Target::Call(release(), id, parsed("support")),
        ]
        .iter()
        .flat_map(|target| [target.binding(PLAIN), target.binding(PLAIN.without_variables())])
        .collect();
        bindings.sort();
        bindings.dedup();
        assert_eq!(bindings.len(), 8);
    }
}
