//! The shared house: finds or starts actors, and answers what can be answered without them.

mod calls;
mod sessions;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix::{Actor, Addr};
use actix_rt::{Arbiter, ArbiterHandle};
use arc_swap::ArcSwap;
use dashmap::DashMap;
use parking_lot::Mutex;

use super::acknowledge::{Acknowledger, Ticket};
use super::clock::{Clock, WallClock};
use super::first_contact::{CallerKeys, FirstContacts, KnownCaller};
use super::lingering::Lingering;
use super::loader::Loader;
use super::publisher::Publisher;
use super::retention::Keeper;
use super::session_actor::Origin;
use super::settings::Settings;
use super::shards::Shards;
use super::slot::{CallKey, CallSlot, SessionKey, SessionLease, SessionSlot};
use super::timer_wheel::{self, TimerMetrics, TimerWheel};
use crate::config::{Config, Generation};
use crate::domain::caller::CanonicalCallerId;
use crate::domain::ids::{ReleaseId, TenantId};
use crate::domain::refusal::Refusal;
use crate::domain::session::Rules;
use crate::domain::time::Timestamp;
use crate::store::{Doubt, Recovered, Release, Store, StoreError, Write, WriterHandle};

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
    keeper: Keeper,
    store: Store,
    loader: Arc<Loader>,
    writer: WriterHandle<Ticket>,
    publisher: Arc<Publisher>,
    contacts: FirstContacts,
    lingering: Arc<Lingering>,
    calls: DashMap<CallKey, Arc<CallSlot>>,
    sessions: DashMap<SessionKey, Arc<SessionSlot>>,
    arbiters: Mutex<Vec<Arbiter>>,
    shards: Shards,
    wheel: OnceLock<Addr<TimerWheel>>,
    /// The wheel's thread, on which work in the background runs too.
    background: OnceLock<ArbiterHandle>,
    timers: TimerMetrics,
    active_calls: Arc<AtomicUsize>,
    memory: AtomicU64,
    read_only: AtomicBool,
}

/// What is going on, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Active call IDs.
    pub active_calls: usize,
    /// Sessions with an active call.
    pub active_sessions: usize,
    /// Sessions that are in memory, those included that are about to leave it.
    pub session_actors: usize,
    /// Calls that are in memory with an actor, those included that are about to leave it.
    pub call_actors: usize,
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

impl Directory {
    /// Starts the arbiters, the writer and the publisher, and brings back what was going on.
    ///
    /// # Errors
    /// When a thread cannot be had, or a release cannot be registered in the store.
    pub fn open(options: DirectoryOptions) -> Result<Arc<Self>, StoreError> {
        let DirectoryOptions { config, store, recovered, keys, arbiters, clock } = options;
        let (keeper, settings, to_count) = Keeper::open(&store, config)?;
        let no_thread = |error: std::io::Error| StoreError::Io { path: "a thread".to_owned(), what: error.to_string() };
        let publisher = Arc::new(Publisher::start(recovered.last_sequence).map_err(no_thread)?);
        let lingering = Arc::new(Lingering::new(settings.config.limits.call_linger));
        let active_calls = Arc::new(AtomicUsize::new(0));
        let acknowledger = Acknowledger::new(publisher.clone(), lingering.clone(), active_calls.clone());
        let writer = store.spawn_writer(acknowledger)?;
        let arbiters: Vec<_> = (0..arbiters.max(1)).map(|_| Arbiter::new()).collect();
        let clock = clock.unwrap_or_else(|| Clock::system_in_doubt(recovered.clock, recovered.doubt.as_ref()));
        if recovered.clock.is_none_or(|noted| clock.now().since(noted) > timer_wheel::NEAR) {
            // Before anybody is told that something has ended.
            store.put_clock(clock.now())?;
        }
        let directory = Arc::new(Self {
            clock,
            settings: ArcSwap::from_pointee(settings),
            keeper,
            loader: Arc::new(Loader::new(store.clone())),
            store,
            writer,
            publisher,
            contacts: FirstContacts::new(keys),
            lingering,
            calls: DashMap::new(),
            sessions: DashMap::new(),
            shards: Shards::of(&arbiters),
            arbiters: Mutex::new(arbiters),
            wheel: OnceLock::new(),
            background: OnceLock::new(),
            timers: TimerMetrics::default(),
            active_calls,
            memory: AtomicU64::new(0),
            read_only: AtomicBool::new(false),
        });
        directory.register_releases()?;
        if let WallClock::Ahead(by) = directory.clock.wall_clock() {
            tracing::error!(
                seconds = by.as_secs(),
                "the system clock was ahead before the last end and is still: nothing is deleted until `recalld retention \
                 confirm` or until the clock returns"
            );
        }
        directory.start_wheel(recovered.expired_to, recovered.doubt.clone());
        directory.bring_back(recovered)?;
        if let Some(wheel) = directory.wheel.get() {
            wheel.do_send(timer_wheel::Message::Begin);
        }
        directory.resume_retention(to_count)?;
        Ok(directory)
    }

    /// The timer wheel has a thread of its own, so that no call waits for timers nor the other way round.
    fn start_wheel(self: &Arc<Self>, expired_to: Timestamp, doubt: Option<Doubt>) {
        let arbiter = Arbiter::new();
        let directory = self.clone();
        let wheel = move |_: &mut _| TimerWheel::new(directory, expired_to, doubt);
        let wheel = TimerWheel::start_in_arbiter(&arbiter.handle(), wheel);
        let _first_is_kept = self.wheel.set(wheel);
        let _first_is_kept = self.background.set(arbiter.handle());
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

    pub(super) const fn loader(&self) -> &Arc<Loader> {
        &self.loader
    }

    pub(super) const fn lingering(&self) -> &Arc<Lingering> {
        &self.lingering
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

    /// The clock.
    #[must_use]
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Believes a system clock that is ahead, if it is; by how much it was. Blocks on the disk.
    ///
    /// # Errors
    /// When the time cannot be noted.
    pub fn confirm_clock(&self) -> Result<Option<Duration>, StoreError> {
        if !matches!(self.clock.compare(), WallClock::Ahead(_)) {
            return Ok(None);
        }
        // First durable, then believed: what ends by this time stays ended, and no start doubts it again.
        self.store.put_confirmed_clock(Clock::system_time())?;
        Ok(self.clock.confirm())
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

    pub(super) fn put_settings(&self, settings: Settings, keys: Option<CallerKeys>) -> Result<(), StoreError> {
        self.lingering.set_linger(settings.config.limits.call_linger);
        if let Some(keys) = keys {
            self.contacts.set_keys(keys);
        }
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

    pub(super) const fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// Runs what may take long beside the wheel; it ends with the directory.
    pub(super) fn in_background(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(background) = self.background.get() {
            background.spawn(work);
        }
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
        self.shards.handles()
    }

    pub(super) fn shards(&self) -> usize {
        self.shards.len()
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
            active_sessions: self
                .sessions
                .iter()
                .filter(|slot| slot.view().is_some_and(|view| !view.calls.is_empty()))
                .count(),
            session_actors: self.sessions.len(),
            call_actors: self.calls.len(),
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
