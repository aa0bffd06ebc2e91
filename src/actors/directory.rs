//! The shared house: finds or starts actors, and answers what can be answered without them.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix::{Actor, Addr};
use actix_rt::{Arbiter, ArbiterHandle};
use arc_swap::ArcSwap;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use parking_lot::Mutex;

use super::acknowledge::{Acknowledger, Ticket};
use super::call_actor::{self, CallActor, Caller, StartCall, unknown_call};
use super::clock::Clock;
use super::first_contact::{CallerKeys, FirstContacts, KnownCaller};
use super::lingering::Lingering;
use super::publisher::Publisher;
use super::reply::{Nobody, Outcome, Reply, refuse_now};
use super::requests::{CallView, SessionView};
use super::session_actor::{self, Origin, SessionActor};
use super::settings::Settings;
use super::slot::{CallKey, CallLease, CallSlot, Rendered, SessionKey, SessionLease, SessionSlot, SoughtCall};
use super::timer_wheel::{self, TimerMetrics, TimerWheel};
use crate::config::{Config, Generation};
use crate::domain::caller::CanonicalCallerId;
use crate::domain::ids::{CallId, ReleaseId, SessionId, TenantId};
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::session::{Command, EndCause, Rules};
use crate::domain::time::Timestamp;
use crate::store::{Recovered, Release, Store, StoreError, Write, WriterHandle};

/// What a directory is opened with.
pub struct DirectoryOptions {
    /// The configuration in force.
    pub config: Config,
    /// The open store.
    pub store: Store,
    /// What the store recovered.
    pub recovered: Recovered,
    /// The tenants' pseudonym keys.
    pub keys: CallerKeys,
    /// Threads for actors.
    pub arbiters: usize,
    /// The clock; none: that of the system.
    pub clock: Option<Clock>,
}

/// All sessions and calls, and the way to what is stored of them.
pub struct Directory {
    clock: Clock,
    settings: ArcSwap<Settings>,
    store: Store,
    writer: WriterHandle<Ticket>,
    publisher: Arc<Publisher>,
    contacts: FirstContacts,
    lingering: Arc<Lingering>,
    calls: DashMap<CallKey, Arc<CallSlot>>,
    sessions: DashMap<SessionKey, Arc<SessionSlot>>,
    arbiters: Mutex<Vec<Arbiter>>,
    handles: Vec<ArbiterHandle>,
    wheel: OnceLock<Addr<TimerWheel>>,
    timers: TimerMetrics,
    active_calls: AtomicUsize,
    memory: AtomicU64,
    read_only: AtomicBool,
}

/// What is going on, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Active call IDs.
    pub active_calls: usize,
    /// Sessions with an actor.
    pub active_sessions: usize,
    /// Bytes that active sessions take, coarsely.
    pub session_memory: u64,
}

/// Whose calls or sessions are asked for.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
    /// All tenants'; for operators.
    All,
    /// One tenant's.
    Tenant(&'a TenantId),
    /// One release's.
    Release(&'a ReleaseId),
}

impl Scope<'_> {
    fn holds(&self, release: &ReleaseId) -> bool {
        match self {
            Scope::All => true,
            Scope::Tenant(tenant) => **tenant == release.tenant,
            Scope::Release(wanted) => *wanted == release,
        }
    }
}

/// Whether something could be said of a call at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Glance {
    /// The durable state of its session was told.
    Said,
    /// Events of the call are on their way: an answer has to follow them.
    Changing,
    /// There is no such active call.
    Unknown,
}

/// Most bytes of a rendered text that are kept with its call.
const MOST_RENDERED: usize = 2_048;

/// How long a session's log records may wait for a record, so that a start after a crash has little to replay.
const RECORD_AFTER: Duration = Duration::from_secs(30);

impl Directory {
    /// Starts the arbiters, the writer and the publisher, and brings back what was going on.
    ///
    /// # Errors
    /// When a thread cannot be had, or a release cannot be registered in the store.
    pub fn open(options: DirectoryOptions) -> Result<Arc<Self>, StoreError> {
        let DirectoryOptions { config, store, recovered, keys, arbiters, clock } = options;
        let settings = Settings::new(config, None);
        let no_thread = |error: std::io::Error| StoreError::Io { path: "a thread".to_owned(), what: error.to_string() };
        let publisher = Arc::new(Publisher::start(recovered.last_sequence).map_err(no_thread)?);
        let lingering = Arc::new(Lingering::new(settings.config.limits.call_linger));
        let writer = store.spawn_writer(Acknowledger::new(publisher.clone(), lingering.clone()))?;
        let arbiters: Vec<_> = (0..arbiters.max(1)).map(|_| Arbiter::new()).collect();
        let directory = Arc::new(Self {
            clock: clock.unwrap_or_else(|| Clock::system(recovered.clock)),
            settings: ArcSwap::from_pointee(settings),
            store,
            writer,
            publisher,
            contacts: FirstContacts::new(keys),
            lingering,
            calls: DashMap::new(),
            sessions: DashMap::new(),
            handles: arbiters.iter().map(Arbiter::handle).collect(),
            arbiters: Mutex::new(arbiters),
            wheel: OnceLock::new(),
            timers: TimerMetrics::default(),
            active_calls: AtomicUsize::new(0),
            memory: AtomicU64::new(0),
            read_only: AtomicBool::new(false),
        });
        directory.register_releases()?;
        directory.start_wheel(recovered.expired_to);
        directory.bring_back(recovered)?;
        Ok(directory)
    }

    /// The timer wheel has a thread of its own, so that no call waits for timers nor the other way round.
    fn start_wheel(self: &Arc<Self>, expired_to: Timestamp) {
        let arbiter = Arbiter::new();
        let directory = self.clone();
        let wheel = TimerWheel::start_in_arbiter(&arbiter.handle(), move |_| TimerWheel::new(directory, expired_to));
        let _first_is_kept = self.wheel.set(wheel);
        self.arbiters.lock().push(arbiter);
    }

    /// Gives each configured release its numbers in the store, which may block on the disk, so that no call has to.
    fn register_releases(&self) -> Result<(), StoreError> {
        let settings = self.settings();
        settings.releases().try_for_each(|(id, _)| match self.store.release(id) {
            // One tenant without its key must not keep the others from working.
            Ok(_) | Err(StoreError::KeyMissing(_)) => Ok(()),
            Err(error) => Err(error),
        })
    }

    fn bring_back(self: &Arc<Self>, recovered: Recovered) -> Result<(), StoreError> {
        for found in recovered.sessions {
            let release = self.store.release(&found.release)?;
            let shard = self.shard_of(&found.session.id);
            let slot = Arc::new(SessionSlot::new(release, found.session.id, shard));
            let mut session = found.session;
            if !self.rules(&found.release).keep_number {
                session.forget_details();
            }
            let session = Arc::new(session);
            // Readers may ask before the actor has begun.
            slot.publish(session.clone());
            self.start_session(&slot, Origin::Recovered(session.clone(), found.unrecorded));
            self.sessions.insert(slot.key(), slot.clone());
            for call in &session.calls {
                self.adopt_call(&slot, &call.id);
            }
            drop(SessionLease::new(&slot));
        }
        Ok(())
    }

    fn shard_of(&self, session: &SessionId) -> usize {
        session.as_bytes().first().map_or(0, |byte| usize::from(*byte)) % self.handles.len()
    }

    fn start_session(self: &Arc<Self>, slot: &Arc<SessionSlot>, origin: Origin) {
        let (directory, for_actor) = (self.clone(), slot.clone());
        if let Some(arbiter) = self.handles.get(slot.shard % self.handles.len()) {
            let start = move |_: &mut _| SessionActor::new(directory, for_actor, origin);
            slot.set_address(SessionActor::start_in_arbiter(arbiter, start));
        }
    }

    fn start_call_actor(self: &Arc<Self>, slot: &Arc<CallSlot>, shard: usize, session: Option<SessionLease>) {
        let (directory, for_actor) = (self.clone(), slot.clone());
        if let Some(arbiter) = self.handles.get(shard % self.handles.len()) {
            let start = move |_: &mut _| CallActor::new(directory, for_actor, shard, session);
            slot.set_address(CallActor::start_in_arbiter(arbiter, start));
        }
    }

    /// A session's entry, its actor started if there is none.
    pub(super) fn session(self: &Arc<Self>, key: SessionKey, release: &Arc<Release>, shard: usize) -> SessionLease {
        let id = key.session;
        match self.sessions.entry(key) {
            Entry::Occupied(mut entry) => {
                if !entry.get().is_alive() {
                    let before = entry.get().clone();
                    let slot = Arc::new(SessionSlot::new(release.clone(), id, before.shard));
                    self.start_session(&slot, Origin::Panicked(before));
                    entry.insert(slot);
                }
                SessionLease::new(entry.get())
            }
            Entry::Vacant(entry) => {
                let slot = Arc::new(SessionSlot::new(release.clone(), id, shard));
                self.start_session(&slot, Origin::Store);
                SessionLease::new(entry.insert(slot).value())
            }
        }
    }

    /// A lease of a session that has an actor already.
    pub(super) fn active_session(&self, tenant: &TenantId, session: &SessionId) -> Option<SessionLease> {
        let entry = self.sessions.get(&SessionKey { tenant: tenant.clone(), session: *session })?;
        entry.is_alive().then(|| SessionLease::new(entry.value()))
    }

    /// A lease of a session for a write, its actor started if there is none.
    pub(super) fn session_for_write(self: &Arc<Self>, release: &Arc<Release>, session: SessionId) -> SessionLease {
        let key = SessionKey { tenant: release.id().tenant.clone(), session };
        self.session(key, release, self.shard_of(&session))
    }

    /// The session of a withheld call that ended a moment ago and may be reopened.
    pub(super) fn withheld_session(&self, key: &CallKey) -> Option<SessionLease> {
        let lingers = self.lingering.find(&key.tenant, &key.call, self.now())?;
        if !lingers.session.is_anonymous() {
            return None;
        }
        self.active_session(&key.tenant, &lingers.session)
    }

    /// Gives a call of a session its actor, if it has none.
    pub(super) fn adopt_call(self: &Arc<Self>, session: &Arc<SessionSlot>, call: &CallId) {
        let key = CallKey { tenant: session.release.id().tenant.clone(), call: call.clone() };
        if let Entry::Vacant(entry) = self.calls.entry(key.clone()) {
            let slot = Arc::new(CallSlot::new(key));
            slot.set_session(Some(session.clone()));
            self.start_call_actor(&slot, session.shard, Some(SessionLease::new(session)));
            entry.insert(slot);
            self.active_calls.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A call starts, or is reported again (PRODUCT.md 5.1).
    pub fn start_call(self: &Arc<Self>, call: StartCall, reply: Box<dyn Reply>) {
        let key = CallKey { tenant: call.release.id().tenant.clone(), call: call.start.call.clone() };
        let lease = match self.calls.entry(key.clone()) {
            Entry::Occupied(mut entry) => {
                if !entry.get().is_alive() {
                    let slot = self.revive_call(entry.get(), key);
                    entry.insert(slot);
                }
                CallLease::new(entry.get())
            }
            Entry::Vacant(entry) => {
                if self.active_calls.load(Ordering::Relaxed) >= self.settings.load().config.limits.active_calls {
                    drop(entry);
                    let detail = "there are as many active calls as limits.active_calls allows: try later";
                    return refuse_now(reply, Refusal::new(Reason::Overloaded, detail));
                }
                let spread = match &call.caller {
                    Caller::Known(caller) => caller.spread(),
                    Caller::Withheld => call.start.call.as_str().bytes().map(usize::from).sum(),
                };
                let slot = Arc::new(CallSlot::new(key));
                self.start_call_actor(&slot, spread % self.handles.len(), None);
                self.active_calls.fetch_add(1, Ordering::Relaxed);
                CallLease::new(entry.insert(slot).value())
            }
        };
        let slot = lease.slot().clone();
        slot.send(call_actor::Message::Start { call: Box::new(call), reply, lease });
    }

    /// An actor in the place of one that panicked.
    fn revive_call(self: &Arc<Self>, before: &Arc<CallSlot>, key: CallKey) -> Arc<CallSlot> {
        tracing::error!(tenant = %key.tenant, "a call's actor panicked: it is rebuilt");
        let slot = Arc::new(CallSlot::new(key));
        let session = before.session();
        let session = session.map(|session| self.session(session.key(), &session.release, session.shard));
        let shard = session.as_ref().map_or(0, |session| session.shard);
        self.start_call_actor(&slot, shard, session);
        slot
    }

    fn call(self: &Arc<Self>, tenant: &TenantId, call: &CallId) -> Option<CallLease> {
        let found = self.calls.get(&(tenant, call) as &dyn SoughtCall)?;
        if found.is_alive() {
            return Some(CallLease::new(found.value()));
        }
        drop(found);
        let key = CallKey { tenant: tenant.clone(), call: call.clone() };
        match self.calls.entry(key.clone()) {
            Entry::Occupied(mut entry) => {
                if !entry.get().is_alive() {
                    let slot = self.revive_call(entry.get(), key);
                    entry.insert(slot);
                }
                Some(CallLease::new(entry.get()))
            }
            Entry::Vacant(_) => None,
        }
    }

    /// Something happens to an active call, or its variables change on its behalf.
    pub fn call_event(self: &Arc<Self>, tenant: &TenantId, call: &CallId, command: Command, reply: Box<dyn Reply>) {
        match self.call(tenant, call) {
            Some(lease) => {
                let slot = lease.slot().clone();
                slot.send(call_actor::Message::Event { command, reply, lease });
            }
            None => refuse_now(reply, unknown_call()),
        }
    }

    /// A read of an active call that follows the events before it.
    pub fn read_call(self: &Arc<Self>, tenant: &TenantId, call: &CallId, reply: Box<dyn Reply>) {
        match self.call(tenant, call) {
            Some(lease) => {
                let slot = lease.slot().clone();
                slot.send(call_actor::Message::Read { reply, lease });
            }
            None => refuse_now(reply, unknown_call()),
        }
    }

    /// Says at once what there is to say of an active call, without asking an actor. What was rendered for the same
    /// `reader` is said again as long as nothing has changed: who renders otherwise is another reader.
    pub fn glance(
        &self,
        tenant: &TenantId,
        call: &CallId,
        reader: u64,
        render: impl FnOnce(&Outcome<'_>) -> String,
        say: impl FnOnce(&str),
    ) -> Glance {
        let Some(slot) = self.call_slot(tenant, call) else { return Glance::Unknown };
        if slot.is_leased() {
            return Glance::Changing;
        }
        let session = slot.glance();
        let Some(session) = session.as_ref() else { return Glance::Changing };
        let view = session.glance();
        let Some(view) = view.as_ref() else { return Glance::Changing };
        let now = self.now();
        if let Some(known) = slot.rendered().as_ref()
            && (known.ordinal, known.reader) == (view.ordinal, reader)
            && known.until.is_none_or(|until| now < until)
        {
            say(&known.text);
            return Glance::Said;
        }
        let Some(active) = view.call(call) else { return Glance::Unknown };
        let rules = self.rules(session.release.id());
        let text = render(&Outcome { session: view, call: Some(active), rules: &rules, now });
        say(&text);
        // Nobody counts the memory of what is kept here, so it has to be little.
        if text.len() <= MOST_RENDERED {
            let until = view.next_end(&rules);
            slot.set_rendered(Rendered { ordinal: view.ordinal, reader, until, text: text.into() });
        }
        Glance::Said
    }

    /// Whether there is an active call of a tenant with this ID.
    #[must_use]
    pub fn has_call(&self, tenant: &TenantId, call: &CallId) -> bool {
        self.calls.contains_key(&(tenant, call) as &dyn SoughtCall)
    }

    /// Refuses at once what needs no actor to be refused.
    pub fn refuse(reply: Box<dyn Reply>, refusal: Refusal) {
        refuse_now(reply, refusal);
    }

    pub(super) fn call_slot(&self, tenant: &TenantId, call: &CallId) -> Option<Arc<CallSlot>> {
        self.calls.get(&(tenant, call) as &dyn SoughtCall).map(|slot| slot.value().clone())
    }

    pub(super) const fn lingering(&self) -> &Arc<Lingering> {
        &self.lingering
    }

    /// Takes a call that is over out of the directory, unless something of it is on its way.
    pub(super) fn forget_call(&self, slot: &Arc<CallSlot>) -> bool {
        if self.calls.remove_if(&slot.key, |_, entry| Arc::ptr_eq(entry, slot) && !slot.is_leased()).is_some() {
            self.active_calls.fetch_sub(1, Ordering::Relaxed);
            return true;
        }
        !slot.is_leased()
    }

    /// Takes a session that rests out of the directory, unless somebody needs it.
    pub(super) fn forget_session(&self, slot: &Arc<SessionSlot>) -> bool {
        let gone = |entry: &Arc<SessionSlot>| Arc::ptr_eq(entry, slot) && !slot.is_leased();
        self.sessions.remove_if(&slot.key(), |_, entry| gone(entry)).is_some() || !slot.is_leased()
    }

    /// Durable views of active calls, in no order.
    #[must_use]
    pub fn active_calls(&self, scope: &Scope<'_>) -> Vec<CallView> {
        let views = self.active_sessions(scope);
        views
            .into_iter()
            .flat_map(|SessionView { release, session }| {
                let calls = session.calls.clone();
                calls.into_iter().map(move |call| CallView { release: release.clone(), session: session.clone(), call })
            })
            .collect()
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

    /// What leads to a caller's session.
    ///
    /// # Errors
    /// `unknown_release` if the tenant has no key, which only a faulty configuration can bring about.
    pub fn know(
        &self,
        release: &ReleaseId,
        generation: Generation,
        caller: &CanonicalCallerId,
    ) -> Result<KnownCaller, Refusal> {
        self.contacts.know(release, generation, caller)
    }

    pub(super) const fn contacts(&self) -> &FirstContacts {
        &self.contacts
    }

    /// Something of a session ends at a time: the wheel tells the session then.
    pub(super) fn arm(&self, at: Timestamp, release: &Arc<Release>, session: SessionId) {
        if let Some(wheel) = self.wheel.get() {
            wheel.do_send(timer_wheel::Message::Arm { at, release: release.clone(), session });
        }
    }

    /// Tells a session, active or sleeping, that something of it ends.
    pub(super) fn expire(self: &Arc<Self>, release: &Arc<Release>, session: SessionId, reply: Box<dyn Reply>) {
        let session = self.session_for_write(release, session);
        session.clone().send(session_actor::Message::Expire { reply, session });
    }

    /// Ends calls whose end never came (PRODUCT.md 4.3).
    pub(super) fn reap(self: &Arc<Self>, now: Timestamp) {
        let oldest = self.settings().config.limits.max_call_age;
        for CallView { release, call, .. } in self.active_calls(&Scope::All) {
            if now.since(call.started_at) >= oldest {
                let command = Command::End { call: call.id.clone(), leg: None, cause: EndCause::Reaped, code: None };
                self.call_event(&release.tenant, &call.id, command, Box::new(Nobody));
            }
        }
    }

    /// The clock, to be compared and confirmed.
    #[must_use]
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What the timer wheel has done.
    #[must_use]
    pub const fn timer_metrics(&self) -> &TimerMetrics {
        &self.timers
    }

    /// The time of all decisions.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The configuration in force.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    pub(super) fn has_settings(&self, settings: &Arc<Settings>) -> bool {
        Arc::ptr_eq(&self.settings.load(), settings)
    }

    /// Puts another configuration in force. May block on the disk, for new releases.
    ///
    /// # Errors
    /// When a new release cannot be registered in the store.
    pub fn reload(&self, config: Config, keys: CallerKeys) -> Result<(), StoreError> {
        let settings = Settings::new(config, Some(&self.settings.load()));
        self.lingering.set_linger(settings.config.limits.call_linger);
        self.contacts.set_keys(keys);
        self.settings.store(Arc::new(settings));
        self.register_releases()
    }

    /// Puts other pseudonym keys in force, at once and for calls that are recognised already.
    pub fn set_keys(&self, keys: CallerKeys) {
        self.contacts.set_keys(keys);
    }

    /// Whether a call is on its way to write an alias under this version of a tenant's pseudonym key. Of a version that
    /// is not the newest there will be no more of them.
    #[must_use]
    pub fn awaits_alias(&self, tenant: &TenantId, key_version: u32) -> bool {
        self.contacts.is_awaited(tenant, key_version)
    }

    /// The rules of a release, configured or not.
    #[must_use]
    pub fn rules(&self, release: &ReleaseId) -> Arc<Rules> {
        self.settings.load().rules(release)
    }

    /// The store behind it.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The stream of changes.
    #[must_use]
    pub const fn publisher(&self) -> &Arc<Publisher> {
        &self.publisher
    }

    /// The arbiters, on which connections run too.
    #[must_use]
    pub fn arbiters(&self) -> &[ArbiterHandle] {
        &self.handles
    }

    pub(super) fn shards(&self) -> usize {
        self.handles.len()
    }

    pub(super) fn any_release(&self) -> Option<Arc<Release>> {
        self.settings.load().releases().find_map(|(id, _)| self.store.release(id).ok())
    }

    pub(super) fn write(&self, write: Write<Ticket>) {
        self.writer.submit(write);
    }

    /// Items that wait for the writer.
    #[must_use]
    pub fn writer_queue(&self) -> u64 {
        self.writer.queue_depth()
    }

    pub(super) fn count_memory(&self, before: u64, after: u64) {
        if after >= before {
            self.memory.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.memory.fetch_sub(before - after, Ordering::Relaxed);
        }
    }

    pub(super) fn is_memory_full(&self) -> bool {
        self.memory.load(Ordering::Relaxed) >= self.settings.load().config.limits.session_memory
    }

    /// What is going on.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            active_calls: self.active_calls.load(Ordering::Relaxed),
            active_sessions: self.sessions.len(),
            session_memory: self.memory.load(Ordering::Relaxed),
        }
    }

    /// Whether writes are refused because the disk is nearly full.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.read_only.load(Ordering::Relaxed)
    }

    /// Told by the watchdog of the free space.
    pub fn set_read_only(&self, read_only: bool) {
        self.read_only.store(read_only, Ordering::Relaxed);
    }

    /// Lets sessions of long calls write their record, so that the log can be trimmed and a start has little to replay.
    pub fn write_records(&self) {
        for (tenant, session) in self.store.oldest_unrecorded(RECORD_AFTER) {
            if let Some(session) = self.active_session(&tenant, &session) {
                session.clone().send(session_actor::Message::Record(session));
            }
        }
    }

    /// Ends everything: what was handed to the writer is written, then the threads end, and with them every actor. Blocks
    /// until then; must not be called on an arbiter. When the directory is dropped after it, the store is closed.
    pub fn shutdown(&self) {
        self.writer.shutdown();
        self.publisher.shutdown();
        let arbiters = std::mem::take(&mut *self.arbiters.lock());
        for arbiter in &arbiters {
            arbiter.stop();
        }
        for arbiter in arbiters {
            if arbiter.join().is_err() {
                tracing::error!("an arbiter ended by a panic");
            }
        }
    }
}
