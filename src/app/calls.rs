//! `GET /v1/calls` and `GET /v1/calls/{call_id}`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::api_key::Access;
use super::context::{self, FEW_CALLS, Seen};
use super::house::{House, answer, query, unknown_release};
use super::problem::Problem;
use crate::actors::{self, CallView};
use crate::config::Scope;
use crate::domain::ids::{InstanceId, ReleaseId};
use crate::domain::refusal::{Reason, Refusal};
use crate::privacy::audit::{RevealedBy, What};
use crate::wire::json;

/// Most calls of one answer.
const PAGE: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    instance_id: Option<String>,
    call_id: Option<String>,
    from: Option<String>,
}

/// The active calls in the order of their call IDs, without variables; or with `call_id` the one that the path form
/// would give, for call IDs that a path cannot carry.
pub(super) async fn list(house: web::Data<House>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let access = house.access(request.headers())?;
    let ListQuery { instance_id, call_id, from } = query(&request)?;
    // `instance_id=` is how a form says that nothing was chosen.
    let instance = instance_id.filter(|text| !text.is_empty()).map(|text| text.parse::<InstanceId>()).transpose()?;
    if let Some(call_id) = call_id.filter(|text| !text.is_empty()) {
        access.require(Scope::ContextRead)?;
        return one(&house, &access, &call_id, instance.as_ref()).await;
    }
    access.require(Scope::CallsWatch)?;
    let release = instance.map(|instance| ReleaseId { tenant: access.tenant().clone(), instance });
    let views = match &release {
        Some(release) => {
            if !access.sees(release) || house.directory.settings().release(release).is_none() {
                return Err(unknown_release().into());
            }
            house.directory.active_calls(&actors::Scope::Release(release))
        }
        None => house.directory.active_calls(&actors::Scope::Tenant(access.tenant())),
    };
    let (page, next) = page(views, from.as_deref(), |view| access.sees(&view.release));
    let sight = access.sight().without_variables();
    let revealed = page.iter().filter(|view| context::revealed(&view.session, Some(&view.call), sight).is_some());
    let sessions: Vec<_> = revealed.map(|view| view.session.id).collect();
    if !sessions.is_empty() {
        let what = What::NumberRevealed { by: RevealedBy::Answer, sessions };
        house.record(&access, release.as_ref(), what).await?;
    }
    let mut out = String::from("{\"calls\":[");
    for (at, view) in page.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        let rules = house.directory.rules(&view.release);
        let (session, call) = (&view.session, Some(view.call.as_ref()));
        let seen = Seen { session, call, rules: &rules, now: house.directory.now(), most_calls: FEW_CALLS };
        context::write(&mut out, seen, sight);
    }
    out.push_str("],\"next\":");
    match next {
        Some(next) => json::push_string(&mut out, &next),
        None => out.push_str("null"),
    }
    out.push('}');
    Ok(answer(out, None))
}

async fn one(
    house: &House,
    access: &Access,
    call_id: &str,
    instance: Option<&InstanceId>,
) -> Result<HttpResponse, Problem> {
    let found = match house.call(access, call_id).await {
        Ok(view) => Some(view).filter(|view| instance.is_none_or(|instance| view.release.instance == *instance)),
        Err(Refusal { reason: Reason::UnknownCall, .. }) => None,
        Err(refusal) => return Err(refusal.into()),
    };
    let context = match found {
        Some(view) => house.context(access, &view.release, &view.session, Some(&view.call)).await?,
        None => String::new(),
    };
    Ok(answer(format!("{{\"calls\":[{context}],\"next\":null}}"), None))
}

/// The next calls behind `from` in the order of their call IDs, and where the page after them begins.
fn page(
    mut views: Vec<CallView>,
    from: Option<&str>,
    sees: impl Fn(&CallView) -> bool,
) -> (Vec<CallView>, Option<String>) {
    views.retain(|view| from.is_none_or(|from| view.call.id.as_str() > from) && sees(view));
    let more = views.len() > PAGE;
    if more {
        // Only the page itself is worth sorting.
        views.select_nth_unstable_by(PAGE, |one, other| one.call.id.cmp(&other.call.id));
        views.truncate(PAGE);
    }
    views.sort_unstable_by(|one, other| one.call.id.cmp(&other.call.id));
    let next = views.last().filter(|_| more).map(|view| view.call.id.as_str().to_owned());
    (views, next)
}

/// The context of an active call, or of one that ended a short while ago.
pub(super) async fn get(
    house: web::Data<House>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let access = house.access(request.headers())?;
    access.require(Scope::ContextRead)?;
    let view = house.call(&access, &id).await?;
    let context = house.context(&access, &view.release, &view.session, Some(&view.call)).await?;
    Ok(answer(context, Some(view.session.revision)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::app::samples::{call, release, session};

    #[test]
    fn pages_follow_each_other_without_gap_or_repetition() {
        let session = Arc::new(session());
        let view = |at: usize| CallView {
            release: release(),
            session: session.clone(),
            call: Arc::new(call(&format!("call-{:05}", at * 7_919 % 2_500))),
        };
        let all: Vec<CallView> = (0..2_500).map(view).collect();
        let (mut from, mut ids) = (None, Vec::new());
        loop {
            let (page, next) = page(all.clone(), from.as_deref(), |view| view.call.id.as_str() != "call-00042");
            assert!(page.len() <= PAGE);
            ids.extend(page.iter().map(|view| view.call.id.as_str().to_owned()));
            match next {
                Some(next) => from = Some(next),
                None => break,
            }
        }
        let expected: Vec<String> = (0..2_500).filter(|at| *at != 42).map(|at| format!("call-{at:05}")).collect();
        assert_eq!(ids, expected);
    }
}
