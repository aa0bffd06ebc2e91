//! Calls that a switch does not have any more (`calls.sync`, PRODUCT.md 5.1): which calls it has reported, and the end
//! of those it has lost.

use std::sync::Arc;

use super::directory::{Directory, Scope};
use super::requests::{durable, handover};
use crate::domain::ids::{CallId, TenantId};
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::session::{Command, EndCause, Leg, Session};
use crate::domain::time::Timestamp;

/// An active call that a switch has reported. A later call with the same call ID is another one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reported {
    /// Whose call.
    pub tenant: TenantId,
    /// The switch's identifier.
    pub call: CallId,
    /// When recalld heard of it first.
    pub started_at: Timestamp,
    /// Whether it had ended and was started again.
    pub reopened: bool,
}

/// Calls that are ended at the same time: a switch that comes back empty must not crowd out the others.
const AT_ONCE: usize = 512;

impl Directory {
    /// The active calls with this leg that were not started after a time. Walks over all active sessions.
    #[must_use]
    pub fn calls_of(&self, leg: &Leg, at: Timestamp) -> Vec<Reported> {
        self.active_calls(&Scope::All)
            .into_iter()
            .filter(|view| view.call.started_at <= at && view.call.legs.contains(leg))
            .map(|view| Reported {
                tenant: view.release.tenant,
                call: view.call.id.clone(),
                started_at: view.call.started_at,
                reopened: view.call.reopened,
            })
            .collect()
    }

    /// Ends this leg of calls, cause `lost`. How many calls have ended with it, when that is durable: a call with
    /// another leg goes on.
    ///
    /// # Errors
    /// What kept the last of them that could not be ended from being ended.
    pub async fn lose(self: &Arc<Self>, leg: &Leg, calls: Vec<Reported>) -> Result<u64, Refusal> {
        let mut ended = 0;
        let mut failed = None;
        for group in calls.chunks(AT_ONCE) {
            let mut answers = Vec::with_capacity(group.len());
            for lost in group {
                let (reply, told) = handover();
                let call = lost.call.clone();
                let command = Command::End { call, leg: Some(leg.clone()), cause: EndCause::Lost, code: None };
                self.call_event(&lost.tenant, &lost.call, command, reply);
                answers.push((lost, told));
            }
            for (lost, told) in answers {
                match durable(told).await {
                    Ok(session) => ended += u64::from(was_lost(&session, lost)),
                    // It has ended in the meantime.
                    Err(refusal) if refusal.reason == Reason::UnknownCall => {}
                    Err(refusal) => failed = Some(refusal),
                }
            }
        }
        failed.map_or(Ok(ended), Err)
    }
}

fn was_lost(session: &Session, lost: &Reported) -> bool {
    session.ended.iter().any(|call| {
        call.id == lost.call && call.started_at == lost.started_at && call.end_cause == Some(EndCause::Lost)
    })
}
