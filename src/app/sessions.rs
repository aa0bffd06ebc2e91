//! `GET /v1/sessions/{session_id}`.

use actix_web::{HttpRequest, HttpResponse, web};

use super::house::{House, answer};
use super::problem::Problem;
use crate::config::Scope;

/// The context of a session, active or sleeping.
pub(super) async fn get(
    house: web::Data<House>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let access = house.access(request.headers())?;
    access.require(Scope::ContextRead)?;
    let view = house.session(&access, &id).await?;
    let context = house.context(&access, &view.release, &view.session, None).await?;
    Ok(answer(context, Some(view.session.revision)))
}
