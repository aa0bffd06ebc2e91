//! Writing variables: `PUT` and `DELETE /v1/sessions/{session_id}/variables/{name}`, and `PATCH` for several at once.

use actix_web::http::header::{HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::api_key::Access;
use super::house::{House, answer, query};
use super::problem::Problem;
use crate::actors::SessionView;
use crate::config::Scope;
use crate::domain::ids::CallId;
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::session::{Change, Condition};
use crate::wire::changes::{self, PatchBody, PutBody, deletion, read_call, read_json};

/// Sets one variable.
pub(super) async fn put(
    house: web::Data<House>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let access = writer(&house, &request)?;
    let condition = condition(request.headers())?;
    let body = house.body(payload).await?;
    let (session, name) = path.into_inner();
    let change = read_json::<PutBody<'_>>(&body)?.into_change(&name, house.value_limit(), condition)?;
    write(&house, &access, &session, change).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteQuery {
    call_id: Option<String>,
}

/// Deletes one variable; one that is not there is no error.
pub(super) async fn delete(
    house: web::Data<House>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let access = writer(&house, &request)?;
    let condition = condition(request.headers())?;
    if condition == Some(Condition::Unset) {
        let detail = "If-None-Match is for setting a variable: use If-Match";
        return Err(Refusal::new(Reason::InvalidParams, detail).into());
    }
    let query: DeleteQuery = query(&request)?;
    let (session, name) = path.into_inner();
    let change = deletion(name.parse()?, read_call(query.call_id.as_deref())?, condition);
    write(&house, &access, &session, change).await
}

/// Sets and deletes several variables in one revision, all or nothing.
pub(super) async fn patch(
    house: web::Data<House>,
    request: HttpRequest,
    session: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let access = writer(&house, &request)?;
    let condition = condition(request.headers())?;
    let body = house.body(payload).await?;
    let change = read_json::<PatchBody<'_>>(&body)?.into_change(house.value_limit(), condition)?;
    write(&house, &access, &session, change).await
}

fn condition(headers: &HeaderMap) -> Result<Option<Condition>, Refusal> {
    changes::condition(single(headers, &IF_MATCH)?, single(headers, &IF_NONE_MATCH)?)
}

fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Refusal> {
    let mut values = headers.get_all(name);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match value.to_str() {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(Refusal::new(Reason::InvalidParams, format!("{name} holds more than ASCII"))),
        },
        (Some(_), Some(_)) => Err(Refusal::new(Reason::InvalidParams, format!("{name} comes twice: send one"))),
    }
}

fn writer(house: &House, request: &HttpRequest) -> Result<Access, Refusal> {
    let access = house.access(request.headers())?;
    access.require(Scope::ContextWrite)?;
    Ok(access)
}

async fn write(house: &House, access: &Access, session: &str, change: Change) -> Result<HttpResponse, Problem> {
    let call = change.call.clone();
    let known = house.session(access, session).await?;
    match apply(house, access, &known, change).await {
        Ok(revision) => Ok(answer(format!("{{\"revision\":{revision}}}"), Some(revision))),
        Err(refusal) if refusal.reason == Reason::RevisionConflict => {
            let (context, revision) = current(house, access, known, call.as_ref()).await?;
            Err(Problem::from(refusal).with_current(context, revision))
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// Makes a change on behalf of the key's holder. Gives the revision once it is durable.
pub(super) async fn apply(
    house: &House,
    access: &Access,
    known: &SessionView,
    mut change: Change,
) -> Result<u64, Refusal> {
    change.authority = access.sight().authority(change.call.is_some());
    let after = house.directory.change(access.tenant(), &known.session.id, change).await?;
    Ok(after.session.revision)
}

/// The context and the revision that a condition did not meet.
pub(super) async fn current(
    house: &House,
    access: &Access,
    known: SessionView,
    call: Option<&CallId>,
) -> Result<(String, u64), Refusal> {
    let view = house.directory.find_session(access.tenant(), &known.session.id).await?.unwrap_or(known);
    let call = call.and_then(|call| view.session.call(call));
    let context = house.context(access, &view.release, &view.session, call.map(AsRef::as_ref)).await?;
    Ok((context, view.session.revision))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn a_condition_comes_once() {
        let mut headers = HeaderMap::new();
        assert_eq!(condition(&headers), Ok(None));
        headers.append(IF_MATCH, HeaderValue::from_static("\"17\""));
        assert_eq!(condition(&headers), Ok(Some(Condition::Revision(17))));
        headers.append(IF_MATCH, HeaderValue::from_static("\"18\""));
        assert_eq!(condition(&headers).map_err(|refusal| refusal.reason), Err(Reason::InvalidParams));
    }
}
