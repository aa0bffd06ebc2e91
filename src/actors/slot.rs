//! The entry of a session or a call in the directory. An entry leaves the directory only when nobody holds a lease of
//! it, so no message is ever sent to an actor that has gone: whoever sends takes a lease first, under the same lock
//! that the removal takes.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use actix::Addr;
use parking_lot::{RwLock, RwLockReadGuard};

use super::call_actor::{self, CallActor};
use super::session_actor::{self, SessionActor};
use super::shards::Place;
use crate::domain::ids::{CallId, SessionId, TenantId};
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::store::Release;

/// A call ID within its tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CallKey {
    pub(super) tenant: TenantId,
    pub(super) call: CallId,
}

impl Hash for CallKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self as &dyn SoughtCall).hash(state);
    }
}

/// A call ID within its tenant, to look for: the same as a [`CallKey`], without a part in the count of references to
/// the tenant, which all threads would fight for.
pub(super) trait SoughtCall {
    fn tenant(&self) -> &TenantId;
    fn call(&self) -> &CallId;
}

impl SoughtCall for CallKey {
    fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    fn call(&self) -> &CallId {
        &self.call
    }
}

impl SoughtCall for (&TenantId, &CallId) {
    fn tenant(&self) -> &TenantId {
        self.0
    }

    fn call(&self) -> &CallId {
        self.1
    }
}

impl<'a> Borrow<dyn SoughtCall + 'a> for CallKey {
    fn borrow(&self) -> &(dyn SoughtCall + 'a) {
        self
    }
}

impl Hash for dyn SoughtCall + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.tenant().hash(state);
        self.call().hash(state);
    }
}

impl PartialEq for dyn SoughtCall + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.call() == other.call() && self.tenant() == other.tenant()
    }
}

impl Eq for dyn SoughtCall + '_ {}

/// A session ID within its tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SessionKey {
    pub(super) tenant: TenantId,
    pub(super) session: SessionId,
}

/// An active session.
pub(super) struct SessionSlot {
    pub(super) release: Arc<Release>,
    pub(super) id: SessionId,
    /// The arbiter of its actor, unless it was woken for an end. Its calls live there too, as far as can be told at their
    /// start.
    pub(super) shard: usize,
    address: OnceLock<Addr<SessionActor>>,
    /// The durable state: what readers see. It is replaced at each event and read seldom, and by few at a time: then a lock
    /// costs less than what needs none.
    view: RwLock<Option<Arc<Session>>>,
    leases: AtomicUsize,
}

impl SessionSlot {
    pub(super) fn new(release: Arc<Release>, id: SessionId, shard: usize) -> Self {
        Self { release, id, shard, address: OnceLock::new(), view: RwLock::default(), leases: AtomicUsize::new(0) }
    }

    pub(super) fn key(&self) -> SessionKey {
        SessionKey { tenant: self.release.id().tenant.clone(), session: self.id }
    }

    pub(super) fn set_address(&self, address: Addr<SessionActor>) {
        let _first_is_kept = self.address.set(address);
    }

    /// Whether the actor takes messages; one that panicked does not.
    pub(super) fn is_alive(&self) -> bool {
        self.address.get().is_some_and(Addr::connected)
    }

    pub(super) fn send(&self, message: session_actor::Message) {
        if let Some(address) = self.address.get() {
            address.do_send(message);
        }
    }

    /// The durable state; none while it is loaded, or of a session that is not durable yet.
    pub(super) fn view(&self) -> Option<Arc<Session>> {
        self.view.read().clone()
    }

    /// The same for a moment, without a part in its count of references. The next state waits for it.
    pub(super) fn glance(&self) -> RwLockReadGuard<'_, Option<Arc<Session>>> {
        self.view.read()
    }

    /// Whether there is nothing to see yet: it is loaded, or about to be durable for the first time.
    pub(super) fn is_loading(&self) -> bool {
        self.view.read().is_none()
    }

    pub(super) fn publish(&self, session: Arc<Session>) {
        self.show(Some(session));
    }

    /// Nothing is left to read: the session was forgotten.
    pub(super) fn withdraw(&self) {
        self.show(None);
    }

    fn show(&self, session: Option<Arc<Session>>) {
        let before = std::mem::replace(&mut *self.view.write(), session);
        // Nobody waits while it is taken apart.
        drop(before);
    }

    /// How many commits of the session are durable.
    pub(super) fn durable_ordinal(&self) -> u64 {
        self.view.read().as_ref().map_or(0, |session| session.ordinal)
    }

    pub(super) fn is_leased(&self) -> bool {
        self.leases.load(Ordering::SeqCst) > 0
    }
}

/// Keeps a session in the directory. When the last lease goes, the actor is told that it may rest.
pub(super) struct SessionLease(Arc<SessionSlot>);

impl SessionLease {
    /// Only under the lock of the directory's entry, from another lease, or by the actor itself, which is the one who
    /// removes the entry.
    pub(super) fn new(slot: &Arc<SessionSlot>) -> Self {
        slot.leases.fetch_add(1, Ordering::SeqCst);
        Self(slot.clone())
    }

    pub(super) fn slot(&self) -> &Arc<SessionSlot> {
        &self.0
    }
}

impl Clone for SessionLease {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl std::ops::Deref for SessionLease {
    type Target = SessionSlot;

    fn deref(&self) -> &SessionSlot {
        &self.0
    }
}

impl Drop for SessionLease {
    fn drop(&mut self) {
        if self.0.leases.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.send(session_actor::Message::Rest);
        }
    }
}

/// What was rendered of a call, to be said again as long as nothing changes.
pub(super) struct Rendered {
    /// Of which session: a call ID that comes back may be somebody else's.
    pub(super) session: SessionId,
    /// The session's count of commits.
    pub(super) ordinal: u64,
    /// Who is told it; others are told something else.
    pub(super) reader: u64,
    /// When a variable in it ends.
    pub(super) until: Option<Timestamp>,
    pub(super) text: Box<str>,
}

/// An active call ID.
pub(super) struct CallSlot {
    pub(super) key: CallKey,
    place: Place,
    address: OnceLock<Addr<CallActor>>,
    session: RwLock<Option<Arc<SessionSlot>>>,
    /// What was rendered for the last reader.
    rendered: RwLock<Option<Box<Rendered>>>,
    /// Events on their way, those not durable yet included: permits keep them far from what this can count.
    leases: AtomicU32,
    /// Whether it is one of the active calls that are counted.
    counted: AtomicBool,
    retired: AtomicBool,
    /// Whether the call seems to be over, so that the last lease asks the actor to look. Spares a message per event.
    over: AtomicBool,
}

impl CallSlot {
    pub(super) fn new(key: CallKey, place: Place) -> Self {
        Self {
            key,
            place,
            address: OnceLock::new(),
            session: RwLock::default(),
            rendered: RwLock::default(),
            leases: AtomicU32::new(0),
            counted: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            over: AtomicBool::new(false),
        }
    }

    /// The arbiter it lives on, where its session is started too.
    pub(super) fn shard(&self) -> usize {
        self.place.shard()
    }

    /// Counts it among the active calls, or not any more. A call that has ended stays a moment longer than it counts.
    pub(super) fn count(&self, is_active: bool, active_calls: &AtomicUsize) {
        if self.retired.load(Ordering::SeqCst) {
            return;
        }
        if self.counted.swap(is_active, Ordering::SeqCst) != is_active {
            if is_active {
                active_calls.fetch_add(1, Ordering::Relaxed);
            } else {
                active_calls.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Another entry takes its place: it is never counted again. Whether it was.
    pub(super) fn retire(&self, active_calls: &AtomicUsize) -> bool {
        let was_counted = self.is_counted();
        self.count(false, active_calls);
        self.retired.store(true, Ordering::SeqCst);
        was_counted
    }

    pub(super) fn is_counted(&self) -> bool {
        self.counted.load(Ordering::Relaxed)
    }

    pub(super) fn set_over(&self, over: bool) {
        self.over.store(over, Ordering::SeqCst);
    }

    pub(super) fn set_address(&self, address: Addr<CallActor>) {
        let _first_is_kept = self.address.set(address);
    }

    pub(super) fn is_alive(&self) -> bool {
        self.address.get().is_some_and(Addr::connected)
    }

    pub(super) fn send(&self, message: call_actor::Message) {
        if let Some(address) = self.address.get() {
            address.do_send(message);
        }
    }

    /// The session the call belongs to, once that is known.
    pub(super) fn session(&self) -> Option<Arc<SessionSlot>> {
        self.session.read().clone()
    }

    /// The same for a moment, without a part in its count of references.
    pub(super) fn glance(&self) -> RwLockReadGuard<'_, Option<Arc<SessionSlot>>> {
        self.session.read()
    }

    pub(super) fn rendered(&self) -> RwLockReadGuard<'_, Option<Box<Rendered>>> {
        self.rendered.read()
    }

    pub(super) fn set_rendered(&self, rendered: Rendered) {
        *self.rendered.write() = Some(Box::new(rendered));
    }

    pub(super) fn set_session(&self, session: Option<Arc<SessionSlot>>) {
        *self.session.write() = session;
    }

    /// Whether events of the call are on their way: then a read has to follow them.
    pub(super) fn is_leased(&self) -> bool {
        self.leases.load(Ordering::SeqCst) > 0
    }
}

/// One event of a call on its way; gone when the event is durable or refused.
pub(super) struct CallLease(Arc<CallSlot>);

impl CallLease {
    /// Only under the lock of the directory's entry.
    pub(super) fn new(slot: &Arc<CallSlot>) -> Self {
        slot.leases.fetch_add(1, Ordering::SeqCst);
        Self(slot.clone())
    }

    pub(super) fn slot(&self) -> &Arc<CallSlot> {
        &self.0
    }

    /// The session, if nothing else of the call is on its way: there is no order to keep then, and the event need not
    /// go through the call's actor. That actor cannot change the session or leave while this lease is there, and has a
    /// lease of the session itself.
    pub(super) fn straight_to_session(&self) -> Option<SessionLease> {
        if self.0.leases.load(Ordering::SeqCst) != 1 {
            return None;
        }
        let session = self.0.session.read();
        session.as_ref().filter(|session| session.is_alive()).map(SessionLease::new)
    }
}

impl std::ops::Deref for CallLease {
    type Target = CallSlot;

    fn deref(&self) -> &CallSlot {
        &self.0
    }
}

impl Drop for CallLease {
    fn drop(&mut self) {
        if self.0.leases.fetch_sub(1, Ordering::SeqCst) == 1 && self.0.over.load(Ordering::SeqCst) {
            self.0.send(call_actor::Message::Rest);
        }
    }
}
