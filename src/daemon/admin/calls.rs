//! The active calls.

use serde::Serialize;

use super::lines::line;
use super::request::{Part, key_of};
use crate::actors::{CallView, Directory, Scope};
use crate::domain::refusal::Refusal;
use crate::domain::session::Call;
use crate::domain::time::Timestamp;

#[derive(Serialize)]
struct Answer {
    calls: Vec<Entry>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Entry {
    tenant: String,
    instance_id: String,
    call_id: String,
    session_id: String,
    #[serde(flatten)]
    call: CallFigures,
    anonymous: bool,
}

/// What is told of one call, wherever it is told.
#[derive(Serialize)]
pub(super) struct CallFigures {
    state: &'static str,
    started_at: String,
    answered_at: Option<String>,
    legs: Vec<Leg>,
    returning: bool,
    assurance: &'static str,
}

#[derive(Serialize)]
struct Leg {
    switch: String,
    peer: String,
}

impl CallFigures {
    pub(super) fn of(call: &Call) -> Self {
        let leg =
            |leg: &crate::domain::session::Leg| Leg { switch: leg.switch.to_string(), peer: leg.peer.to_string() };
        Self {
            state: call.state.as_str(),
            started_at: call.started_at.to_string(),
            answered_at: call.answered_at.as_ref().map(Timestamp::to_string),
            legs: call.legs.iter().map(leg).collect(),
            returning: call.returning,
            assurance: call.assurance.as_str(),
        }
    }
}

/// The answer to `calls`. Takes a while where there are many.
pub(super) fn answer(directory: &Directory, part: &Part) -> Result<String, Refusal> {
    let tenant = part.tenant()?;
    let views = directory.active_calls(&tenant.as_ref().map_or(Scope::All, Scope::Tenant));
    let keyed = views.into_iter().map(|view| (key_of(&view.release, &view.call.id), view)).collect();
    let (calls, next) = part.take(keyed);
    line(&Answer { calls: calls.iter().map(entry).collect(), next })
}

fn entry(view: &CallView) -> Entry {
    Entry {
        tenant: view.release.tenant.to_string(),
        instance_id: view.release.instance.to_string(),
        call_id: view.call.id.to_string(),
        session_id: view.session.id.to_string(),
        call: CallFigures::of(&view.call),
        anonymous: view.session.id.is_anonymous(),
    }
}
