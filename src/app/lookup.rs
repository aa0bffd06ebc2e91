//! `POST /v1/lookup`: the session of a number, for an agent's desk (PRODUCT.md 6). Whoever may ask can test numbers, so
//! it has a scope of its own, each question is in the audit log before it is answered, and a key asks 60 times a minute
//! at most.

use std::time::{Duration, Instant};

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::house::{House, answer, unknown_release, unknown_session};
use super::lookups::MOST;
use super::problem::Problem;
use crate::config::Scope;
use crate::domain::caller::Region;
use crate::domain::ids::ReleaseId;
use crate::domain::refusal::{Reason, Refusal};
use crate::privacy::audit::What;
use crate::privacy::inquiry::{self, Reading};
use crate::wire::changes::read_json;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    number: String,
    instance_id: String,
    /// The country whose way of writing numbers is meant; without it that of the tenant's first switch.
    #[serde(default)]
    region: Option<String>,
}

/// The context of the session, as `GET /v1/sessions/{session_id}` would give it.
pub(super) async fn post(
    house: web::Data<House>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let access = house.access(request.headers())?;
    access.require(Scope::NumberLookup)?;
    house.lookups.take(&access, Instant::now()).map_err(too_many)?;
    let body = house.body(payload).await?;
    let Body { number, instance_id, region } = read_json(&body)?;
    let instance = instance_id.parse()?;
    let release = ReleaseId { tenant: access.tenant().clone(), instance };
    let settings = house.directory.settings();
    let configured = settings.release(&release).filter(|_| access.sees(&release)).ok_or_else(unknown_release)?;
    let region = region.as_deref().map(str::parse::<Region>).transpose();
    let region = region.map_err(|error| Refusal::new(Reason::InvalidParams, format!("region is {error}")))?;
    let reading = Reading { tenant: &release.tenant, switch: None, region };
    let caller = inquiry::caller(&settings.config, reading, &number)?;
    let found = match caller {
        Some(caller) => {
            let known = house.directory.know(&release, configured.generation, &caller)?;
            house.directory.find_caller(&release.tenant, known).await?
        }
        None => None,
    };
    let session = found.as_ref().map(|view| view.session.id);
    house.record(&access, Some(&release), What::NumberLookedUp { session }).await?;
    let view = found.ok_or_else(unknown_session)?;
    let context = house.context(&access, &view.release, &view.session, None).await?;
    Ok(answer(context, Some(view.session.revision)))
}

fn too_many(wait: Duration) -> Problem {
    let detail = format!("an API key looks up {MOST} numbers a minute at most: try later");
    Problem::from(Refusal::new(Reason::LimitExceeded, detail)).with_retry_after(wait)
}
