//! What happens from now on, for operators: after the fsync and in the order of the log, without values unless they are
//! asked for.

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::Notify;

use super::lines::line;
use super::request::Wanted;
use crate::actors::{Delivery, Event, Filter, Publisher, Subscription};
use crate::domain::ids::{CallId, InstanceId, ReleaseId};
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::session::{ChangeCause, Effect, EndCause, Lifetime};

/// Most events that are written at a time.
const AT_A_TIME: usize = 256;

/// One client's subscription.
pub(super) struct Watch {
    subscription: Subscription,
    notify: Arc<Notify>,
    /// Of all tenants that have a release of this name; none: of all releases.
    instance: Option<InstanceId>,
    values: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    at: String,
    tenant: &'a str,
    instance_id: &'a str,
    session_id: String,
    call_id: Option<&'a str>,
    #[serde(flatten)]
    what: What<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum What<'a> {
    Call {
        event: &'static str,
        returning: bool,
        anonymous: bool,
        active_calls: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        cause: Option<&'a str>,
    },
    Change {
        revision: u64,
        cause: &'static str,
        name: &'a str,
        lifetime: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        value: Option<&'a RawValue>,
    },
}

/// The first line: nothing is missed from here on.
#[derive(Serialize)]
struct Synced {
    #[serde(rename = "type")]
    kind: &'static str,
}

impl Watch {
    /// Registers, and gives the first line.
    pub(super) fn begin(publisher: &Publisher, wanted: &Wanted) -> Result<(Self, String), Refusal> {
        let (filter, instance) = match wanted.release()? {
            (Some(tenant), Some(instance)) => (Filter::Release(ReleaseId { tenant, instance }), None),
            (Some(tenant), None) => (Filter::Tenant(tenant), None),
            (None, instance) => (Filter::All, instance),
        };
        let notify = Arc::new(Notify::new());
        let subscription = publisher.subscribe(filter, notify.clone());
        Ok((Self { subscription, notify, instance, values: wanted.values }, line(&Synced { kind: "synced" })?))
    }

    /// Waits until there is something, and gives its lines. May be dropped and called again at any time.
    pub(super) async fn next(&self) -> Result<String, Refusal> {
        loop {
            let mut lines = String::new();
            for delivery in self.subscription.take(AT_A_TIME) {
                let Delivery::Event(event) = delivery else {
                    let detail = "you read too slowly, and events are missing: watch again";
                    return Err(Refusal::new(Reason::Overloaded, detail));
                };
                if self.instance.as_ref().is_none_or(|wanted| *wanted == event.release.instance) {
                    lines.push_str(&self.told(&event)?);
                }
            }
            if !lines.is_empty() {
                return Ok(lines);
            }
            self.notify.notified().await;
        }
    }

    fn told(&self, event: &Event) -> Result<String, Refusal> {
        let Some(effect) = event.effect() else { return Ok(String::new()) };
        let Some((kind, call, what)) = self.what(event, effect) else { return Ok(String::new()) };
        line(&Line {
            kind,
            at: event.commit.at.to_string(),
            tenant: event.release.tenant.as_str(),
            instance_id: event.release.instance.as_str(),
            session_id: event.session.id.to_string(),
            call_id: call.map(CallId::as_str),
            what,
        })
    }

    fn what<'a>(&self, event: &'a Event, effect: &'a Effect) -> Option<(&'static str, Option<&'a CallId>, What<'a>)> {
        let of_call = |call: &'a CallId, word: &'static str, cause: Option<&'a EndCause>| {
            let what = What::Call {
                event: word,
                returning: event.call.as_ref().is_some_and(|call| call.returning),
                anonymous: event.session.id.is_anonymous(),
                active_calls: event.session.calls.len(),
                cause: cause.map(EndCause::as_str),
            };
            Some(("call", Some(call), what))
        };
        let revision = event.commit.revision;
        match effect {
            Effect::CallStarted { call, .. } => of_call(call, "started", None),
            Effect::CallRinging { call, .. } => of_call(call, "ringing", None),
            Effect::CallAnswered { call } => of_call(call, "answered", None),
            Effect::CallDtmf { call, .. } => of_call(call, "dtmf", None),
            Effect::CallEnded { call, cause, .. } => of_call(call, "ended", Some(cause)),
            Effect::VariableSet { call, name, value, lifetime, .. } => {
                let value = if self.values { serde_json::from_str(value.as_str()).ok() } else { None };
                let lifetime = Some(lifetime.as_str());
                let what = What::Change { revision, cause: "set", name: name.as_str(), lifetime, value };
                Some(("change", call.as_ref(), what))
            }
            Effect::VariableDeleted { call, name, cause } => {
                // Of one that was deleted or expired nothing tells any more whether it was `session` or `user`.
                let lifetime = match (call, cause) {
                    (Some(_), _) => Some(Lifetime::Call.as_str()),
                    (None, ChangeCause::NewCall) => Some(Lifetime::Session.as_str()),
                    _ => None,
                };
                let (cause, name) = (cause.as_str(), name.as_str());
                Some(("change", call.as_ref(), What::Change { revision, cause, name, lifetime, value: None }))
            }
            Effect::LegAdded { .. } | Effect::LegEnded { .. } | Effect::AssuranceSet { .. } => None,
        }
    }
}
