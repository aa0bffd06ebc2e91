//! What voice apps and operators ask, as futures. What is durable is read without an actor; what changes something
//! goes through the session's actor and is answered when it is durable.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::directory::Directory;
use super::first_contact::KnownCaller;
use super::reply::{Outcome, Reply, Wakes};
use super::session_actor::{Message, SessionEvent};
use crate::domain::caller::Assurance;
use crate::domain::ids::{CallId, ReleaseId, SessionId, SessionIdStart, TenantId};
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::session::{Call, Change, Command, Session};
use crate::store::{Cached, StoreError};

/// A session as it is durable.
#[derive(Debug, Clone)]
pub struct SessionView {
    /// Whose session.
    pub release: ReleaseId,
    /// Its state.
    pub session: Arc<Session>,
}

/// A call as it is durable, with its session. Its state is `ended` if it only lingers.
#[derive(Debug, Clone)]
pub struct CallView {
    /// Whose call.
    pub release: ReleaseId,
    /// The session it belongs to.
    pub session: Arc<Session>,
    /// The call.
    pub call: Arc<Call>,
}

/// Hands the state over to a future.
struct Handover {
    told: oneshot::Sender<Result<Arc<Session>, Refusal>>,
    prepared: Option<Result<Arc<Session>, Refusal>>,
}

impl Reply for Handover {
    fn prepare(&mut self, outcome: Result<Outcome<'_>, Refusal>) {
        self.prepared = Some(outcome.map(|outcome| outcome.session.clone()));
    }

    fn deliver(self: Box<Self>, _wakes: &mut Wakes) {
        if let Some(prepared) = self.prepared {
            let _nobody_waits = self.told.send(prepared);
        }
    }
}

pub(super) type Told = oneshot::Receiver<Result<Arc<Session>, Refusal>>;

pub(super) fn handover() -> (Box<dyn Reply>, Told) {
    let (told, receiver) = oneshot::channel();
    (Box::new(Handover { told, prepared: None }), receiver)
}

pub(super) async fn durable(told: Told) -> Result<Arc<Session>, Refusal> {
    let failed = |_| Refusal::new(Reason::Internal, "recalld failed at this request: see its log, and repeat it");
    told.await.map_err(failed)?
}

impl Directory {
    /// The durable state of a session: from memory if it is active, else from the store, on a thread that may block.
    ///
    /// # Errors
    /// `internal` when what is stored of it cannot be read.
    pub async fn find_session(
        self: &Arc<Self>,
        tenant: &TenantId,
        session: &SessionId,
    ) -> Result<Option<SessionView>, Refusal> {
        if let Some(active) = self.active_session(tenant, session)
            && let Some(view) = active.view()
        {
            return Ok(Some(SessionView { release: active.release.id().clone(), session: view }));
        }
        let found = match self.store().load_cached(tenant, session).map_err(|error| unreadable(&error))? {
            Cached::Known(found) => found,
            Cached::WouldBlock => {
                let (tenant, session) = (tenant.clone(), *session);
                let loaded = self.loader().read(move |store| store.load(&tenant, &session)).await;
                loaded
                    .unwrap_or_else(|_| Err(StoreError::Incomplete("a record: its reading ended")))
                    .map_err(|error| unreadable(&error))?
            }
        };
        Ok(found.map(|(release, session)| SessionView { release, session: Arc::new(session) }))
    }

    /// The sessions of a tenant whose IDs begin so, active or sleeping, in order: at most `limit`, or a few more.
    ///
    /// # Errors
    /// `internal` when what is stored cannot be read.
    pub async fn sessions_beginning(
        self: &Arc<Self>,
        tenant: &TenantId,
        start: &SessionIdStart,
        limit: usize,
    ) -> Result<BTreeSet<SessionId>, Refusal> {
        // First those in memory: what leaves it meanwhile has a record.
        let mut found = self.present_sessions_beginning(tenant, start);
        let (tenant, start) = (tenant.clone(), start.clone());
        let stored = self.loader().read(move |store| store.sessions_beginning(&tenant, &start, limit)).await;
        let stored = stored.unwrap_or(Err(StoreError::Incomplete("session IDs: their reading ended")));
        found.extend(stored.map_err(|error| unreadable(&error))?);
        Ok(found)
    }

    /// The durable state of a caller's session, if she has one: nothing is begun or changed.
    ///
    /// # Errors
    /// `internal` when what is stored cannot be read.
    pub async fn find_caller(
        self: &Arc<Self>,
        tenant: &TenantId,
        caller: KnownCaller,
    ) -> Result<Option<SessionView>, Refusal> {
        let (directory, of_tenant) = (self.clone(), tenant.clone());
        let found = self.loader().read(move |store| directory.contacts().look_up(store, &of_tenant, &caller));
        let found = found.await.unwrap_or(Err(StoreError::Incomplete("an alias: its reading ended")));
        match found.map_err(|error| unreadable(&error))? {
            Some(session) => self.find_session(tenant, &session).await,
            None => Ok(None),
        }
    }

    /// The durable state of an active call, or of one that ended within `call_linger`.
    ///
    /// # Errors
    /// `internal` when what is stored of its session cannot be read.
    pub async fn find_call(self: &Arc<Self>, tenant: &TenantId, call: &CallId) -> Result<Option<CallView>, Refusal> {
        if let Some(session) = self.call_slot(tenant, call).and_then(|slot| slot.session())
            && let Some(view) = session.view()
            && let Some(call) = view.call(call).cloned()
        {
            return Ok(Some(CallView { release: session.release.id().clone(), session: view, call }));
        }
        let Some(lingers) = self.lingering().find(tenant, call, self.now()) else { return Ok(None) };
        let session = match self.find_session(tenant, &lingers.session).await? {
            Some(view) => view.session,
            // A withheld caller's session goes with its data; the call is still told.
            None => Arc::new(Session::unopened(lingers.session, lingers.release.instance.clone(), self.now())),
        };
        Ok(Some(CallView { release: lingers.release, session, call: lingers.call }))
    }

    /// Sets and deletes variables of a session; answers when that is durable.
    ///
    /// # Errors
    /// `unknown_session`, and what the session refuses.
    pub async fn change(
        self: &Arc<Self>,
        tenant: &TenantId,
        session: &SessionId,
        change: Change,
    ) -> Result<SessionView, Refusal> {
        let view = self.find_session(tenant, session).await?.ok_or_else(unknown_session)?;
        let release = self.store().release(&view.release).map_err(|error| unreadable(&error))?;
        let lease = self.session_for_write(&release, *session);
        let (reply, told) = handover();
        lease.clone().send(Message::Event(SessionEvent {
            command: Command::Change(change),
            contact: None,
            reply,
            call: None,
            session: lease,
        }));
        Ok(SessionView { release: view.release, session: durable(told).await? })
    }

    /// The voice app vouches for the caller of an active call; answers when that is durable.
    ///
    /// # Errors
    /// `unknown_call`, and what the session refuses.
    pub async fn assert(
        self: &Arc<Self>,
        tenant: &TenantId,
        call: &CallId,
        level: Assurance,
    ) -> Result<CallView, Refusal> {
        let (reply, told) = handover();
        self.call_event(tenant, call, Command::Assert { call: call.clone(), level }, reply);
        let session = durable(told).await?;
        let unknown = || Refusal::new(Reason::UnknownCall, "the call has ended");
        let call = session.call(call).cloned().ok_or_else(unknown)?;
        let release = ReleaseId { tenant: tenant.clone(), instance: session.instance.clone() };
        Ok(CallView { release, session, call })
    }
}

fn unknown_session() -> Refusal {
    Refusal::new(Reason::UnknownSession, "there is no such session")
}

fn unreadable(error: &StoreError) -> Refusal {
    tracing::error!("{error}");
    Refusal::new(Reason::Internal, "what is stored of this session cannot be read: see the daemon's log")
}
