//! What every request needs: the settings in force, and sessions and calls as far as the key may see them.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{Bytes, Payload};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use super::api_key::{Access, KeyHash, unauthorized};
use super::closing::Drain;
use super::context::{self, Seen};
use super::lookups::Lookups;
use super::watch::cursor::CursorKeys;
use crate::actors::{CallView, Directory, SessionView};
use crate::config::Config;
use crate::domain::ids::{CallId, ReleaseId, SessionId};
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::session::{Call, Session};
use crate::privacy::audit::{Audit, Entry, RevealedBy, What, Who};

/// Most bytes of a body or of a WebSocket message, or twice the limit of a session's variables, if that is more: JSON
/// may escape what a value holds.
const BODY: usize = 512 * 1024;
/// How long a body may take to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(20);

/// Shared by all workers.
pub(super) struct House {
    pub(super) directory: Arc<Directory>,
    pub(super) audit: Arc<Audit>,
    pub(super) cursor_keys: CursorKeys,
    pub(super) drain: Drain,
    pub(super) lookups: Lookups,
    /// Reads of the log for watchers that resume.
    pub(super) resuming: Semaphore,
}

/// Reads of the log at the same time, for watchers that resume.
pub(super) const MOST_RESUMING: usize = 2;

impl House {
    /// The configuration in force.
    pub(super) fn config(&self) -> Arc<Config> {
        self.directory.settings().config.clone()
    }

    /// Who is asking.
    pub(super) fn access(&self, headers: &HeaderMap) -> Result<Access, Refusal> {
        self.let_in(KeyHash::of_request(headers))
    }

    /// Who is asking with this key, or without one; whoever is not let in is counted.
    pub(super) fn let_in(&self, presented: Option<KeyHash>) -> Result<Access, Refusal> {
        self.access_of(presented).inspect_err(|_| self.audit.count_refused_key())
    }

    /// What a key that was presented may do now.
    pub(super) fn access_of(&self, presented: Option<KeyHash>) -> Result<Access, Refusal> {
        presented.and_then(|hash| Access::find(&self.config(), hash)).ok_or_else(unauthorized)
    }

    /// Most bytes of a body.
    pub(super) fn body_limit(&self) -> usize {
        BODY.max(self.config().limits.session.session_bytes.saturating_mul(2))
    }

    /// Most bytes of a value.
    pub(super) fn value_limit(&self) -> usize {
        self.config().limits.session.value
    }

    /// Reads a body, not for longer and not more than it may be.
    pub(super) async fn body(&self, payload: Payload) -> Result<Bytes, Refusal> {
        let limit = self.body_limit();
        let lost = || Refusal::new(Reason::InvalidRequest, "the body did not arrive whole: send it again");
        match tokio::time::timeout(BODY_WITHIN, payload.to_bytes_limited(limit)).await {
            Err(_) | Ok(Ok(Err(_))) => Err(lost()),
            Ok(Err(_)) => Err(Refusal::new(Reason::LimitExceeded, format!("a body is at most {limit} bytes long"))),
            Ok(Ok(Ok(body))) => Ok(body),
        }
    }

    /// The session, if the key may see it. What it may not see is answered like what is not there.
    pub(super) async fn session(&self, access: &Access, id: &str) -> Result<SessionView, Refusal> {
        let id: SessionId = id.parse().map_err(|_| unknown_session())?;
        let found = self.directory.find_session(access.tenant(), &id).await?;
        found.filter(|view| access.sees(&view.release)).ok_or_else(unknown_session)
    }

    /// The active call, or one that ended a short while ago, if the key may see it.
    pub(super) async fn call(&self, access: &Access, id: &str) -> Result<CallView, Refusal> {
        let id: CallId = id.parse().map_err(|_| unknown_call())?;
        let found = self.directory.find_call(access.tenant(), &id).await?;
        found.filter(|view| access.sees(&view.release)).ok_or_else(unknown_call)
    }

    /// The context as the answer to a request. A plain number in it is recorded first.
    pub(super) async fn context(
        &self,
        access: &Access,
        release: &ReleaseId,
        session: &Session,
        call: Option<&Call>,
    ) -> Result<String, Refusal> {
        let sight = access.sight();
        if context::revealed(session, call, sight).is_some() {
            let what = What::NumberRevealed { by: RevealedBy::Answer, sessions: vec![session.id] };
            self.record(access, Some(release), what).await?;
        }
        let rules = self.directory.rules(release);
        let seen = Seen { session, call, rules: &rules, now: self.directory.now(), most_calls: usize::MAX };
        let mut out = String::new();
        context::write(&mut out, seen, sight);
        Ok(out)
    }

    /// Records what the key's holder does (PRODUCT.md 3.6): only then may leave what was asked for.
    pub(super) async fn record(&self, access: &Access, release: Option<&ReleaseId>, what: What) -> Result<(), Refusal> {
        let entry = Entry::new(Who::ApiKey(access.name().to_owned()), what);
        let entry = match release {
            Some(release) => entry.of_release(release),
            None => entry.of_tenant(access.tenant()),
        };
        Ok(self.audit.record(entry).await?)
    }
}

/// The refusal for a session that is not there, or that the key may not see.
pub(super) fn unknown_session() -> Refusal {
    Refusal::new(Reason::UnknownSession, "no session has this session_id")
}

/// The refusal for a call that is not there, or that the key may not see.
pub(super) fn unknown_call() -> Refusal {
    Refusal::new(Reason::UnknownCall, "no active call has this call_id, and none that ended a short while ago")
}

/// The refusal for a release that is not there, or that the key may not see.
pub(super) fn unknown_release() -> Refusal {
    Refusal::new(Reason::UnknownRelease, "no release has this instance_id")
}

/// Reads the query of a request.
pub(super) fn query<T: DeserializeOwned>(request: &HttpRequest) -> Result<T, Refusal> {
    web::Query::from_query(request.query_string()).map(web::Query::into_inner).map_err(|_| {
        Refusal::new(Reason::InvalidParams, "the query holds a parameter that is unknown, given twice or malformed")
    })
}

/// A JSON answer, with the revision as its `ETag` where it has one.
pub(super) fn answer(body: String, revision: Option<u64>) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.insert_header(header::ContentType::json());
    if let Some(revision) = revision {
        response.insert_header((header::ETAG, format!("\"{revision}\"")));
    }
    response.body(body)
}
