//! Everything about one call ID. The actor finds the session of the call, which may wait for the disk, and keeps the
//! order of the events behind that: a `call.end` that overtook its `call.start` would leave a call nobody ends.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, WrapFuture};
use tokio::sync::oneshot;

use super::directory::Directory;
use super::first_contact::{Contact, Found, KnownCaller, anonymous_session_id};
use super::reply::{Reply, refuse_now};
use super::session_actor::{self, SessionEvent};
use super::slot::{CallLease, CallSlot, SessionKey, SessionLease};
use crate::domain::ids::SessionId;
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::session::{Command, Start};
use crate::store::{Cached, Release, StoreError};

/// A call that starts, its caller recognised as far as that is possible without the disk.
pub struct StartCall {
    /// The release it is for.
    pub release: Arc<Release>,
    /// Who is calling.
    pub caller: Caller,
    /// The start itself.
    pub start: Box<Start>,
}

/// Who is calling.
pub enum Caller {
    /// Somebody who can be recognised.
    Known(KnownCaller),
    /// Somebody who wants to stay unknown, or is (PRODUCT.md 3.4).
    Withheld,
}

/// A start with a call ID that a session has or had, by a caller who may be another one.
pub(super) struct Offer {
    pub(super) call: Box<StartCall>,
    pub(super) reply: Box<dyn Reply>,
    pub(super) lease: CallLease,
}

/// What a call actor is told.
pub(super) enum Message {
    /// The call starts, or is reported again.
    Start { call: Box<StartCall>, reply: Box<dyn Reply>, lease: CallLease },
    /// Anything else that happens to it.
    Event { command: Command, reply: Box<dyn Reply>, lease: CallLease },
    /// A read that has to follow the events before it.
    Read { reply: Box<dyn Reply>, lease: CallLease },
    /// Nothing is on its way any more.
    Rest,
    /// What is on its way will not tell: to be looked at after a while.
    RestLater,
}

impl actix::Message for Message {
    type Result = ();
}

/// When an actor that took the place of one that panicked looks whether the call is over. What was on its way is durable by
/// then.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// The actor of one active call ID.
pub(super) struct CallActor {
    directory: Arc<Directory>,
    slot: Arc<CallSlot>,
    session: Option<SessionLease>,
}

impl CallActor {
    pub(super) fn new(directory: Arc<Directory>, slot: Arc<CallSlot>, session: Option<SessionLease>) -> Self {
        slot.set_session(session.as_ref().map(|lease| lease.slot().clone()));
        Self { directory, slot, session }
    }

    fn join(&mut self, session: SessionLease) -> SessionLease {
        self.slot.set_session(Some(session.slot().clone()));
        self.session = Some(session.clone());
        session
    }

    /// The session of the call. One whose actor panicked is rebuilt.
    fn session(&mut self) -> Option<SessionLease> {
        let session = self.session.as_ref()?;
        if session.is_alive() {
            return Some(session.clone());
        }
        let rebuilt = self.directory.session(session.key(), &session.release, session.shard);
        Some(self.join(rebuilt))
    }

    fn start(&mut self, context: &mut Context<Self>, call: Box<StartCall>, reply: Box<dyn Reply>, lease: CallLease) {
        match &call.caller {
            Caller::Withheld => {
                // A withheld caller is told apart by the call ID alone: the session that has it knows whether this is
                // the same call.
                if self.session.is_none()
                    && let Some(before) = self.directory.withheld_session(&self.slot.key)
                {
                    self.join(before);
                }
                match self.session() {
                    Some(before) => self.offer(context, &before, Offer { call, reply, lease }),
                    None => self.start_withheld(*call, reply, lease),
                }
            }
            Caller::Known(known) => {
                let tenant = &self.slot.key.tenant;
                match self.directory.contacts().find_cached(self.directory.store(), tenant, known) {
                    Ok(Cached::Known(found)) => self.found(context, found, Offer { call, reply, lease }),
                    Ok(Cached::WouldBlock) => self.find_on_disk(context, known.clone(), call, reply, lease),
                    Err(error) => self.unreadable(&error, reply),
                }
            }
        }
    }

    fn start_withheld(&mut self, call: StartCall, reply: Box<dyn Reply>, lease: CallLease) {
        match anonymous_session_id() {
            Ok(id) => self.begin(id, None, call, reply, lease),
            Err(error) => self.unreadable(&error, reply),
        }
    }

    /// Reads the alias on a thread that may block, and the record it leads to along with it: one wait less. Until then
    /// nothing else is taken from the mailbox.
    fn find_on_disk(
        &mut self,
        context: &mut Context<Self>,
        known: KnownCaller,
        call: Box<StartCall>,
        reply: Box<dyn Reply>,
        lease: CallLease,
    ) {
        let directory = self.directory.clone();
        let tenant = self.slot.key.tenant.clone();
        let release = call.release.clone();
        let found = self.directory.loader().read(move |store| {
            let found = directory.contacts().find_on_disk(store, &tenant, &known)?;
            if found.contact.is_none() && directory.durable_view(&tenant, &found.session).is_none() {
                // Its session's actor finds out what is wrong, if anything is.
                let _read_again_then = store.warm(&release, &found.session);
            }
            Ok(found)
        });
        let then =
            actix::fut::ActorFutureExt::map(
                found.into_actor(self),
                move |found, actor: &mut Self, context| match found
                    .unwrap_or_else(|_| Err(StoreError::Incomplete("an alias: its reading ended")))
                {
                    Ok(found) => actor.found(context, found, Offer { call, reply, lease }),
                    Err(error) => actor.unreadable(&error, reply),
                },
            );
        context.wait(then);
    }

    fn found(&mut self, context: &mut Context<Self>, found: Found, offer: Offer) {
        if let Some(current) = self.session()
            && current.id != found.session
        {
            // Another caller's call has this call ID, or had it a moment ago.
            return self.offer(context, &current, offer);
        }
        let Offer { call, reply, lease } = offer;
        self.begin(found.session, found.contact, *call, reply, lease);
    }

    /// Asks the session that has the call ID, or had it, whether the start is one of its own call. Until it has said so
    /// nothing else is taken from the mailbox: what follows is for the session that the call belongs to then.
    fn offer(&mut self, context: &mut Context<Self>, session: &SessionLease, offer: Offer) {
        let (verdict, told) = oneshot::channel();
        let not = session.id;
        session.send(session_actor::Message::Offer { offer, session: session.clone(), verdict });
        let then = actix::fut::ActorFutureExt::map(told.into_actor(self), move |told, actor: &mut Self, context| {
            // Without a verdict the session has panicked, and the start was answered.
            if let Ok(Some(offer)) = told {
                actor.start_afresh(context, not, offer);
            }
        });
        context.wait(then);
    }

    /// The session it was offered to has no such call any more.
    fn start_afresh(&mut self, context: &mut Context<Self>, not: SessionId, offer: Offer) {
        if self.session.as_ref().is_some_and(|session| session.id == not) {
            self.session = None;
            self.slot.set_session(None);
        }
        let Offer { call, reply, lease } = offer;
        match (&self.session, &call.caller) {
            (None, Caller::Withheld) => self.start_withheld(*call, reply, lease),
            _ => self.start(context, call, reply, lease),
        }
    }

    fn begin(
        &mut self,
        id: SessionId,
        contact: Option<Contact>,
        call: StartCall,
        reply: Box<dyn Reply>,
        lease: CallLease,
    ) {
        let session = match self.session() {
            Some(session) if session.id == id => session,
            _ => {
                let key = SessionKey { tenant: self.slot.key.tenant.clone(), session: id };
                self.join(self.directory.session(key, &call.release, self.slot.shard()))
            }
        };
        let StartCall { start, .. } = call;
        session.clone().send(session_actor::Message::Event(SessionEvent {
            command: Command::Start(start),
            contact,
            reply,
            call: Some(lease),
            session,
        }));
    }

    fn unreadable(&self, error: &StoreError, reply: Box<dyn Reply>) {
        tracing::error!(tenant = %self.slot.key.tenant, "a caller cannot be looked up: {error}");
        self.slot.set_over(true);
        refuse_now(reply, Refusal::new(Reason::Internal, "the caller cannot be looked up: see the daemon's log"));
    }

    fn event(&mut self, command: Command, reply: Box<dyn Reply>, lease: CallLease) {
        let Some(session) = self.session() else { return self.refuse_unknown(reply) };
        session.clone().send(session_actor::Message::Event(SessionEvent {
            command,
            contact: None,
            reply,
            call: Some(lease),
            session,
        }));
    }

    fn read(&mut self, reply: Box<dyn Reply>, call: CallLease) {
        let Some(session) = self.session() else { return self.refuse_unknown(reply) };
        session.clone().send(session_actor::Message::Read { reply, call, session });
    }

    /// The start before it was refused.
    fn refuse_unknown(&self, reply: Box<dyn Reply>) {
        self.slot.set_over(true);
        refuse_now(reply, unknown_call());
    }

    /// Leaves the directory if the call is over and nothing of it is on its way.
    fn rest(&mut self, context: &mut Context<Self>) {
        if self.slot.is_leased() {
            return;
        }
        // Before the look: an event that ends the call behind it says so again.
        self.slot.set_over(false);
        if self.slot.is_leased() {
            // An event has come in between, and may have said already that it ends the call: it asks once more when it is
            // durable, unless it has just become so without asking.
            self.slot.set_over(true);
            if self.slot.is_leased() {
                return;
            }
        }
        let view = self.session.as_ref().and_then(|session| session.view());
        if view.is_some_and(|view| view.call(&self.slot.key.call).is_some()) {
            return;
        }
        self.slot.set_over(true);
        if self.directory.forget_call(&self.slot) {
            self.session = None;
            context.stop();
        }
    }
}

/// The answer to an event of a call that nobody knows.
pub(super) fn unknown_call() -> Refusal {
    Refusal::new(Reason::UnknownCall, "no active call has this call_id: report it with call.start first")
}

impl Actor for CallActor {
    type Context = Context<Self>;
}

impl Handler<Message> for CallActor {
    type Result = ();

    fn handle(&mut self, message: Message, context: &mut Context<Self>) {
        match message {
            Message::Start { call, reply, lease } => self.start(context, call, reply, lease),
            Message::Event { command, reply, lease } => self.event(command, reply, lease),
            Message::Read { reply, lease } => self.read(reply, lease),
            Message::Rest => self.rest(context),
            Message::RestLater => {
                context.run_later(LOOK_AGAIN, Self::rest);
            }
        }
    }
}
