//! `POST /v1/lookup`: the session of a number, for an agent's desk (PRODUCT.md 6). Whoever may ask can test numbers, so
//! it has a scope of its own, each question is in the audit log before it is answered, and a key asks 60 times a minute
//! at most.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use actix_web::{HttpRequest, HttpResponse, web};
use parking_lot::Mutex;
use serde::Deserialize;

use super::api_key::Access;
use super::house::{House, answer, unknown_release, unknown_session};
use super::problem::Problem;
use crate::config::Scope;
use crate::domain::caller::Region;
use crate::domain::ids::{ReleaseId, TenantId};
use crate::domain::refusal::{Reason, Refusal};
use crate::privacy::audit::What;
use crate::privacy::inquiry::{self, Reading};
use crate::wire::changes::read_json;

/// How often a key may ask within [`PERIOD`].
const MOST: usize = 60;
const PERIOD: Duration = Duration::from_secs(60);

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

/// When each key asked within the last minute.
#[derive(Debug, Default)]
pub(super) struct Lookups(Mutex<HashMap<(TenantId, String), VecDeque<Instant>>>);

impl Lookups {
    /// Counts a question, or says how long to wait.
    fn take(&self, access: &Access, now: Instant) -> Result<(), Duration> {
        let mut keys = self.0.lock();
        let asked = keys.entry((access.tenant().clone(), access.name().to_owned())).or_default();
        while asked.front().is_some_and(|at| now.duration_since(*at) >= PERIOD) {
            asked.pop_front();
        }
        match asked.front() {
            Some(oldest) if asked.len() >= MOST => Err(PERIOD.saturating_sub(now.duration_since(*oldest))),
            _ => {
                asked.push_back(now);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::api_key::tests::access;

    #[test]
    fn a_key_asks_sixty_times_a_minute_and_others_are_not_hindered() {
        let (lookups, begin) = (Lookups::default(), Instant::now());
        let after = |seconds| begin + Duration::from_secs(seconds);
        for second in 0..60 {
            assert_eq!(lookups.take(&access("one"), after(second / 2)), Ok(()));
        }
        assert_eq!(lookups.take(&access("one"), after(30)), Err(Duration::from_secs(30)));
        assert_eq!(lookups.take(&access("two"), after(30)), Ok(()));
        assert_eq!(lookups.take(&access("three"), after(30)), Ok(()), "another tenant");
        assert_eq!(lookups.take(&access("one"), after(60)), Ok(()));
        assert_eq!(lookups.take(&access("one"), after(60)), Ok(()));
        assert_eq!(lookups.take(&access("one"), after(60)), Err(Duration::from_secs(1)));
    }
}
