//! `PUT /v1/calls/{call_id}/assurance`: the voice app vouches for the caller after a PIN or a login (PRODUCT.md 3.5).

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::house::{House, answer};
use super::problem::Problem;
use crate::config::Scope;
use crate::domain::caller::Assurance;
use crate::wire::changes::read_json;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    level: Level,
}

/// What a voice app can say; the other levels are what a switch has seen.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    App,
}

/// Raises the assurance of an active call. Answers its context.
pub(super) async fn put(
    house: web::Data<House>,
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let access = house.access(request.headers())?;
    access.require(Scope::AssuranceAssert)?;
    let body = house.body(payload).await?;
    let Body { level: Level::App } = read_json(&body)?;
    let known = house.call(&access, &id).await?;
    let view = house.directory.assert(access.tenant(), &known.call.id, Assurance::App).await?;
    let context = house.context(&access, &view.release, &view.session, Some(&view.call)).await?;
    Ok(answer(context, Some(view.session.revision)))
}
