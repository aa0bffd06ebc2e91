//! Refusals as `application/problem+json` (RFC 9457) with the stable word in `reason` (PRODUCT.md 6).

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};

use crate::domain::refusal::{Reason, Refusal};
use crate::wire::json;

/// The answer to a request that was refused.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    refusal: Refusal,
    /// The current context as JSON and the session's revision, where a condition did not hold.
    current: Option<(String, u64)>,
    /// When to try again.
    retry_after: Option<Duration>,
}

impl Problem {
    /// A problem with another status than its reason has.
    pub(super) fn with_status(status: StatusCode, reason: Reason, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, refusal: Refusal::new(reason, detail), current: None, retry_after: None }
    }

    /// With what a client needs to try again without another request.
    pub(super) fn with_current(mut self, context: String, revision: u64) -> Self {
        self.current = Some((context, revision));
        self
    }

    /// With the time after which it may be tried again.
    pub(super) fn with_retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self { status: status(refusal.reason), refusal, current: None, retry_after: None }
    }
}

/// The status of a reason.
pub(super) const fn status(reason: Reason) -> StatusCode {
    match reason {
        Reason::ParseError | Reason::InvalidRequest | Reason::InvalidParams => StatusCode::BAD_REQUEST,
        Reason::Unauthorized => StatusCode::UNAUTHORIZED,
        Reason::NotAllowed | Reason::AssuranceTooLow => StatusCode::FORBIDDEN,
        Reason::MethodNotFound | Reason::UnknownCall | Reason::UnknownRelease | Reason::UnknownSession => {
            StatusCode::NOT_FOUND
        }
        Reason::CallIdInUse => StatusCode::CONFLICT,
        Reason::RevisionConflict => StatusCode::PRECONDITION_FAILED,
        Reason::LimitExceeded | Reason::UserLifetimeUnavailable => StatusCode::UNPROCESSABLE_ENTITY,
        Reason::Overloaded | Reason::Late | Reason::ReadOnly => StatusCode::SERVICE_UNAVAILABLE,
        Reason::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.refusal.fmt(f)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut response = HttpResponse::build(self.status);
        response.insert_header((header::CONTENT_TYPE, "application/problem+json"));
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        match self.status {
            StatusCode::UNAUTHORIZED => {
                response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"recalld\""));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                response.insert_header((header::RETRY_AFTER, "1"));
            }
            StatusCode::UPGRADE_REQUIRED => {
                response.insert_header((header::UPGRADE, "websocket"));
            }
            _ => {}
        }
        if let Some(wait) = self.retry_after {
            // Whole seconds, and not too early.
            response.insert_header((header::RETRY_AFTER, (wait.as_secs() + 1).to_string()));
        }
        if let Some((_, revision)) = &self.current {
            response.insert_header((header::ETAG, format!("\"{revision}\"")));
        }
        response.body(self.body())
    }
}

impl Problem {
    fn body(&self) -> String {
        let reason = self.refusal.reason.as_str();
        let mut body = format!("{{\"type\":\"urn:recalld:{reason}\",\"title\":");
        json::push_string(&mut body, self.status.canonical_reason().unwrap_or_default());
        let _ = write!(body, ",\"status\":{},\"reason\":\"{reason}\",\"detail\":", self.status.as_u16());
        json::push_string(&mut body, &self.refusal.detail);
        if let Some((context, _)) = &self.current {
            body.push_str(",\"context\":");
            body.push_str(context);
        }
        body.push('}');
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_the_status_of_the_contract() {
        for (reason, expected) in [
            (Reason::InvalidParams, 400),
            (Reason::Unauthorized, 401),
            (Reason::NotAllowed, 403),
            (Reason::AssuranceTooLow, 403),
            (Reason::UnknownCall, 404),
            (Reason::UnknownRelease, 404),
            (Reason::UnknownSession, 404),
            (Reason::CallIdInUse, 409),
            (Reason::RevisionConflict, 412),
            (Reason::LimitExceeded, 422),
            (Reason::UserLifetimeUnavailable, 422),
            (Reason::Overloaded, 503),
            (Reason::ReadOnly, 503),
        ] {
            assert_eq!(status(reason).as_u16(), expected, "{reason}");
        }
    }

    #[test]
    fn a_problem_is_json_with_its_reason_and_with_the_context_after_a_conflict() {
        let problem = Problem::from(Refusal::new(Reason::RevisionConflict, "say \"why\"\n"))
            .with_current("{\"revision\":7}".to_owned(), 7);
        let body: serde_json::Value = serde_json::from_str(&problem.body()).unwrap();
        assert_eq!(
            body,
            serde_json::json!({"type": "urn:recalld:revision_conflict", "title": "Precondition Failed", "status": 412,
                "reason": "revision_conflict", "detail": "say \"why\"\n", "context": {"revision": 7}})
        );
        let response = problem.error_response();
        assert_eq!(response.headers().get(header::ETAG).unwrap(), "\"7\"");
        assert_eq!(response.headers().get(header::CONTENT_TYPE).unwrap(), "application/problem+json");
    }
}
