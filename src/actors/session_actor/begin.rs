//! How a session's actor comes to its state: from the store, from recovery, or after a panic.

use std::sync::Arc;
use std::time::Instant;

use actix::{AsyncContext, Context, WrapFuture};

use super::{Origin, SessionActor};
use crate::actors::loader::Reader;
use crate::actors::probe;
use crate::actors::slot::{SessionLease, SessionSlot};
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::session::Session;
use crate::store::{Cached, StoreError};

impl SessionActor {
    pub(super) fn begin(&mut self, context: &mut Context<Self>) {
        match self.origin.take() {
            None => {}
            Some(Origin::Recovered(session, unrecorded)) => {
                let recorded = if unrecorded { 0 } else { session.ordinal };
                self.loaded(session, recorded);
                self.arm(self.directory.now());
            }
            Some(Origin::Store) => {
                let tenant = &self.slot.release.id().tenant;
                match self.directory.store().load_cached(tenant, &self.slot.id) {
                    Ok(Cached::Known(found)) => {
                        self.found(Ok(found.map(|(_, session)| session)));
                        self.arm(self.directory.now());
                    }
                    Ok(Cached::WouldBlock) => self.load(context, Reader::Call),
                    Err(error) => self.found(Err(error)),
                }
            }
            Some(Origin::Ending) => self.load(context, Reader::End),
            Some(Origin::Panicked(before)) => self.rebuild(context, before),
        }
    }

    /// Reads the record on a thread that may block. Until then nothing is taken from the mailbox.
    pub(super) fn load(&mut self, context: &mut Context<Self>, reader: Reader) {
        let loaded = self.directory.loader().load(&self.slot.release, self.slot.id, reader);
        let then = actix::fut::ActorFutureExt::map(loaded.into_actor(self), move |loaded, actor: &mut Self, _| {
            actor.found(loaded.unwrap_or(Err(StoreError::Incomplete("a record: its reading ended"))));
            // What has brought a session that ends here asks for the next timer when it has ended what is due.
            if reader == Reader::Call {
                actor.arm(actor.directory.now());
            }
        });
        context.wait(then);
    }

    /// Waits until everything the panicked actor handed to the writer is durable, and takes that state.
    pub(super) fn rebuild(&mut self, context: &mut Context<Self>, before: Arc<SessionSlot>) {
        tracing::error!(tenant = %self.slot.release.id().tenant, session = %self.slot.id, "a session's actor panicked: it is rebuilt");
        self.panics.push(Instant::now());
        let (barrier, passed) = probe::barrier();
        self.submit_barrier(SessionLease::new(&self.slot), None, Some(barrier));
        let then =
            actix::fut::ActorFutureExt::map(passed.into_actor(self), move |_, actor: &mut Self, context| match before
                .view()
            {
                Some(session) => {
                    actor.loaded(session, 0);
                    actor.arm(actor.directory.now());
                }
                None => actor.load(context, Reader::Call),
            });
        context.wait(then);
    }

    pub(super) fn found(&mut self, found: Result<Option<Session>, StoreError>) {
        match found {
            Ok(Some(session)) => {
                let recorded = session.ordinal;
                self.loaded(Arc::new(session), recorded);
            }
            Ok(None) => {}
            Err(error) => {
                tracing::error!("{error}");
                self.unreadable = Some(Refusal::new(
                    Reason::Internal,
                    "what is stored of this session cannot be read: see the daemon's log",
                ));
            }
        }
    }

    pub(super) fn loaded(&mut self, session: Arc<Session>, recorded: u64) {
        self.recorded = recorded;
        self.slot.publish(session.clone());
        self.count(&session);
        self.session = session;
    }
}
