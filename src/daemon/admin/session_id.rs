//! The session ID of a number (PRODUCT.md 3.2), for an operator who has the number: recorded in the audit log before it
//! is told.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

use super::lines::line;
use crate::daemon::lifecycle::Running;
use crate::domain::caller::{CallerNumber, Region};
use crate::domain::ids::{ReleaseId, SwitchName};
use crate::domain::refusal::{Reason, Refusal};
use crate::privacy::audit::{Entry, What, Who};
use crate::privacy::inquiry::{self, Reading};

/// Whose session ID.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    tenant: String,
    instance_id: String,
    #[serde(deserialize_with = "number")]
    number: CallerNumber,
    /// The country whose way of writing numbers is meant; none: the switch's.
    region: Option<String>,
    /// The switch that would report it; none: the tenant's first.
    switch: Option<String>,
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<CallerNumber, D::Error> {
    String::deserialize(deserializer).map(CallerNumber::new)
}

#[derive(Serialize)]
struct Answer {
    session_id: String,
    /// Whether there is such a session, or this is what the caller's first contact would make.
    known: bool,
}

/// The answer to `session_id`.
pub(super) async fn answer(running: &Arc<Running>, asked: Asked, uid: u32) -> Result<String, Refusal> {
    let directory = &running.directory;
    let release = ReleaseId { tenant: asked.tenant.parse()?, instance: asked.instance_id.parse()? };
    let invalid = |error: &dyn std::fmt::Display| Refusal::new(Reason::InvalidParams, error.to_string());
    let region = asked.region.as_deref().map(str::parse::<Region>).transpose().map_err(|error| invalid(&error))?;
    let switch = asked.switch.as_deref().map(str::parse::<SwitchName>).transpose()?;
    let settings = directory.settings();
    let generation = settings
        .release(&release)
        .map(|release| release.generation)
        .ok_or_else(|| Refusal::new(Reason::UnknownRelease, "this tenant has no such release in the configuration"))?;
    let reading = Reading { tenant: &release.tenant, switch: switch.as_ref(), region };
    let caller = inquiry::caller(&settings.config, reading, asked.number.reveal())?.ok_or_else(|| {
        Refusal::new(Reason::InvalidParams, "this is what withheld callers show: their session IDs are random")
    })?;
    let known = directory.know(&release, generation, &caller)?;
    let first = known.first_session_id();
    let found = directory.find_caller(&release.tenant, known).await?.map(|view| view.session.id);
    let session = found.or(first);
    let entry = Entry::new(Who::Operator { uid }, What::SessionIdAsked { session }).of_release(&release);
    running.audit.record(entry).await?;
    match session {
        Some(session) => line(&Answer { session_id: session.to_string(), known: found.is_some() }),
        None => Err(Refusal::new(
            Reason::UnknownSession,
            "this number has not called yet, and the session IDs of a `phone1` release are random",
        )),
    }
}
