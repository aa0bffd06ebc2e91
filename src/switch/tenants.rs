//! Whose call it is that a switch of several tenants speaks of. It says so when the call starts, by the called number;
//! later it names the call ID alone, and another tenant may have a call with the same one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Link;
use super::answer::Answer;
use super::trunk::TrunkSettings;
use crate::actors::{Directory, Outcome, Reply, StartCall, Wakes};
use crate::domain::ids::{CallId, TenantId};
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::session::Leg;

/// Starts on their way from a link: until one is durable nothing else tells whose the call is. Also those of a link with
/// one tenant, because it may have several at any moment.
#[derive(Default)]
pub(super) struct Starts(Mutex<HashMap<CallId, (TenantId, usize)>>);

impl Starts {
    fn tenant(&self, call: &CallId) -> Option<TenantId> {
        self.0.lock().get(call).map(|(tenant, _)| tenant.clone())
    }

    /// None while the same call ID is on its way to another tenant.
    fn begin(self: &Arc<Self>, call: &CallId, tenant: &TenantId) -> Option<OnItsWay> {
        match self.0.lock().entry(call.clone()) {
            Entry::Vacant(entry) => {
                entry.insert((tenant.clone(), 1));
            }
            Entry::Occupied(mut entry) if entry.get().0 == *tenant => entry.get_mut().1 += 1,
            Entry::Occupied(_) => return None,
        }
        Some(OnItsWay { starts: self.clone(), call: call.clone() })
    }
}

/// One start on its way; gone when it is durable or refused.
pub(super) struct OnItsWay {
    starts: Arc<Starts>,
    call: CallId,
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        if let Entry::Occupied(mut entry) = self.starts.0.lock().entry(self.call.clone()) {
            entry.get_mut().1 -= 1;
            if entry.get().1 == 0 {
                entry.remove();
            }
        }
    }
}

/// Whose call a link with several tenants speaks of: the tenant's to which this switch has reported the call, this peer of
/// it before its other peers. None if there is no such call.
pub(super) fn tenant_of<'t>(
    link: &Link,
    directory: &Directory,
    several: &'t [TenantId],
    peer: IpAddr,
    call: &CallId,
) -> Option<&'t TenantId> {
    if let Some(known) = link.starts.tenant(call) {
        return several.iter().find(|tenant| **tenant == known);
    }
    let leg = Leg { switch: link.name.clone(), peer };
    let reported = several.iter().filter_map(|tenant| Some((directory.reporter(tenant, call, &leg)?, tenant)));
    reported.max_by_key(|(reporter, _)| *reporter).map(|(_, tenant)| tenant)
}

/// Notes a start on its way.
///
/// # Errors
/// `call_id_in_use` if this switch has a call with this ID at another of its tenants: of its later events nobody could
/// say whose call they mean.
pub(super) fn begin(
    link: &Link,
    directory: &Directory,
    trunk: &TrunkSettings,
    start: &StartCall,
) -> Result<OnItsWay, Refusal> {
    let several = trunk.tenants();
    let (tenant, call) = (&start.release.id().tenant, &start.start.call);
    let in_use = || {
        let detail = "this switch has an active call with this call_id at another of its tenants";
        Refusal::new(Reason::CallIdInUse, detail)
    };
    // In this order: a start that is not on its way any more can be seen in the directory.
    let on_its_way = link.starts.begin(call, tenant).ok_or_else(in_use)?;
    let leg = &start.start.leg;
    let is_in_use = several.iter().any(|other| other != tenant && directory.reporter(other, call, leg).is_some());
    if is_in_use { Err(in_use()) } else { Ok(on_its_way) }
}

/// The answer to a start, until which that is on its way.
pub(super) fn answer(answer: Box<Answer>, on_its_way: OnItsWay) -> Box<dyn Reply> {
    Box::new(AnswerToStart { answer, _on_its_way: on_its_way })
}

struct AnswerToStart {
    answer: Box<Answer>,
    _on_its_way: OnItsWay,
}

impl Reply for AnswerToStart {
    fn prepare(&mut self, outcome: Result<Outcome<'_>, Refusal>) {
        self.answer.prepare(outcome);
    }

    fn deliver(self: Box<Self>, wakes: &mut Wakes) {
        let Self { answer, _on_its_way } = *self;
        answer.deliver(wakes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_on_its_way_to_one_tenant_until_the_last_report_of_it_is_answered() {
        let starts = Arc::new(Starts::default());
        let (acme, other): (TenantId, TenantId) = ("acme".parse().expect("a name"), "other".parse().expect("a name"));
        let call: CallId = "a".parse().expect("a call ID");
        let first = starts.begin(&call, &acme);
        let second = starts.begin(&call, &acme);
        assert!(first.is_some() && second.is_some() && starts.begin(&call, &other).is_none());
        drop(first);
        assert_eq!(starts.tenant(&call), Some(acme));
        drop(second);
        assert_eq!(starts.tenant(&call), None);
        assert!(starts.begin(&call, &other).is_some());
        assert!(starts.0.lock().is_empty());
    }
}
