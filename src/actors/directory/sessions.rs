//! Sessions in the directory: their actors, reads of those that are active, and what the timer wheel tells them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use actix::Actor;
use dashmap::mapref::entry::Entry;

use super::{Directory, Scope};
use crate::actors::reply::Reply;
use crate::actors::requests::SessionView;
use crate::actors::session_actor::{self, Origin, SessionActor};
use crate::actors::slot::{SessionKey, SessionLease, SessionSlot};
use crate::actors::timer_wheel;
use crate::domain::ids::{SessionId, SessionIdStart, TenantId};
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::store::Release;

/// How long a session's log records may wait for a record, so that a start after a crash has little to replay.
const RECORD_AFTER: Duration = Duration::from_secs(30);

impl Directory {
    pub(super) fn shard_of(&self, session: &SessionId) -> usize {
        session.as_bytes().first().map_or(0, |byte| usize::from(*byte)) % self.shards.len()
    }

    pub(super) fn start_session(self: &Arc<Self>, slot: &Arc<SessionSlot>, origin: Origin) {
        let (directory, for_actor) = (self.clone(), slot.clone());
        let started = match (&origin, self.background.get()) {
            // No call waits behind the sessions that end.
            (Origin::Ending, Some(background)) => {
                let start = move |_: &mut _| SessionActor::new(directory, for_actor, origin);
                Some(SessionActor::start_in_arbiter(background, start))
            }
            _ => self.shards.start(slot.shard, move || SessionActor::new(directory, for_actor, origin)),
        };
        if let Some(address) = started {
            slot.set_address(address);
        }
    }

    /// A session's entry, its actor started if there is none.
    pub(in crate::actors) fn session(
        self: &Arc<Self>,
        key: SessionKey,
        release: &Arc<Release>,
        shard: usize,
    ) -> SessionLease {
        self.session_from(key, release, shard, Origin::Store)
    }

    /// A session's entry; `origin` is what its actor begins with if there is none.
    fn session_from(
        self: &Arc<Self>,
        key: SessionKey,
        release: &Arc<Release>,
        shard: usize,
        origin: Origin,
    ) -> SessionLease {
        let id = key.session;
        match self.sessions.entry(key) {
            Entry::Occupied(mut entry) => {
                if !entry.get().is_alive() {
                    let before = entry.get().clone();
                    let slot = Arc::new(SessionSlot::new(release.clone(), id, before.shard));
                    self.start_session(&slot, Origin::Panicked(before));
                    entry.insert(slot);
                } else if !matches!(origin, Origin::Ending) && entry.get().is_loading() {
                    self.loader().promote(&id);
                }
                SessionLease::new(entry.get())
            }
            Entry::Vacant(entry) => {
                let slot = Arc::new(SessionSlot::new(release.clone(), id, shard));
                self.start_session(&slot, origin);
                SessionLease::new(entry.insert(slot).value())
            }
        }
    }

    /// A lease of a session that has an actor already.
    pub(in crate::actors) fn active_session(&self, tenant: &TenantId, session: &SessionId) -> Option<SessionLease> {
        let entry = self.sessions.get(&SessionKey { tenant: tenant.clone(), session: *session })?;
        entry.is_alive().then(|| SessionLease::new(entry.value()))
    }

    /// A lease of a session for a write, its actor started if there is none.
    pub(in crate::actors) fn session_for_write(
        self: &Arc<Self>,
        release: &Arc<Release>,
        session: SessionId,
    ) -> SessionLease {
        let key = SessionKey { tenant: release.id().tenant.clone(), session };
        self.session(key, release, self.shard_of(&session))
    }

    /// Takes a session that rests out of the directory, unless somebody needs it. Whether it is out.
    pub(in crate::actors) fn forget_session(&self, slot: &Arc<SessionSlot>) -> bool {
        let key = slot.key();
        let is_it = |entry: &Arc<SessionSlot>| Arc::ptr_eq(entry, slot);
        // A lease that is given back in this moment tells the actor to rest once more.
        self.sessions.remove_if(&key, |_, entry| is_it(entry) && !slot.is_leased()).is_some()
            || !self.sessions.get(&key).is_some_and(|entry| is_it(&entry))
    }

    /// Durable views of sessions with active calls, in no order.
    #[must_use]
    pub fn active_sessions(&self, scope: &Scope<'_>) -> Vec<SessionView> {
        self.sessions
            .iter()
            .filter(|entry| scope.holds(entry.value().release.id()))
            .filter_map(|entry| {
                let session = entry.value().view().filter(|view| !view.calls.is_empty())?;
                Some(SessionView { release: entry.value().release.id().clone(), session })
            })
            .collect()
    }

    /// The sessions of a tenant that are in memory and whose IDs begin so.
    pub(in crate::actors) fn present_sessions_beginning(
        &self,
        tenant: &TenantId,
        start: &SessionIdStart,
    ) -> BTreeSet<SessionId> {
        let of_tenant = self.sessions.iter().filter(|entry| entry.key().tenant == *tenant);
        let begun = of_tenant.filter(|entry| start.begins(&entry.key().session) && entry.value().view().is_some());
        begun.map(|entry| entry.key().session).collect()
    }

    /// Something of a session ends at a time: the wheel tells the session then.
    pub(in crate::actors) fn arm(&self, at: Timestamp, release: &Arc<Release>, session: SessionId) {
        if let Some(wheel) = self.wheel.get() {
            wheel.do_send(timer_wheel::Message::Arm { at, release: release.clone(), session });
        }
    }

    /// Tells a session, active or sleeping, that something of it ends.
    pub(in crate::actors) fn expire(
        self: &Arc<Self>,
        release: &Arc<Release>,
        session: SessionId,
        reply: Box<dyn Reply>,
    ) {
        let key = SessionKey { tenant: release.id().tenant.clone(), session };
        let session = self.session_from(key, release, self.shard_of(&session), Origin::Ending);
        session.clone().send(session_actor::Message::Expire { reply, session });
    }

    /// The durable state of a session that is in memory.
    pub(in crate::actors) fn durable_view(&self, tenant: &TenantId, session: &SessionId) -> Option<Arc<Session>> {
        self.sessions.get(&SessionKey { tenant: tenant.clone(), session: *session })?.view()
    }

    /// Lets sessions of long calls write their record, so that the log can be trimmed and a start has little to replay.
    pub fn write_records(&self) {
        for (tenant, session) in self.store.oldest_unrecorded(RECORD_AFTER) {
            if let Some(session) = self.active_session(&tenant, &session) {
                session.clone().send(session_actor::Message::Record(session));
            }
        }
    }
}
