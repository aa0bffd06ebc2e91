//! What waits for one watcher. A slow watcher never slows the daemon (PRODUCT.md 6.1): its queue is bounded, changes
//! collapse to the latest of each variable, and if that is not enough the queue is emptied and the watcher is told that
//! it lagged.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::publisher::{Filter, Shared};
use crate::domain::caller::DtmfDigit;
use crate::domain::ids::{CallId, ReleaseId, SessionId, VariableName};
use crate::domain::session::{Call, Commit, Effect, Session};

/// Most events that wait for one subscription.
const MOST_WAITING: usize = 4_096;

/// One visible effect of one durable commit.
#[derive(Debug, Clone)]
pub struct Event {
    /// The commit's place in the log.
    pub sequence: u64,
    /// The effect's place in the commit.
    pub index: u32,
    /// Whose session.
    pub release: ReleaseId,
    /// The state after the commit.
    pub session: Arc<Session>,
    /// What happened.
    pub commit: Arc<Commit>,
    /// For events of a call: the call as it is after the commit, the ended one for its end.
    pub call: Option<Arc<Call>>,
    /// The key that was pressed.
    pub digit: Option<DtmfDigit>,
}

impl Event {
    /// The effect.
    #[must_use]
    pub fn effect(&self) -> Option<&Effect> {
        self.commit.effects.get(usize::try_from(self.index).ok()?)
    }

    /// What a later change of the same variable makes needless.
    fn variable(&self) -> Option<(SessionId, Option<CallId>, VariableName)> {
        match self.effect()? {
            Effect::VariableSet { call, name, .. } | Effect::VariableDeleted { call, name, .. } => {
                Some((self.session.id, call.clone(), name.clone()))
            }
            _ => None,
        }
    }
}

/// What a subscription gives.
#[derive(Debug, Clone)]
pub enum Delivery {
    /// Something happened.
    Event(Event),
    /// The watcher was too slow: events are missing, only fresh snapshots tell everything.
    Lagged,
}

/// The queue between the publisher and one watcher.
pub(super) struct Queue {
    filter: Filter,
    notify: Arc<Notify>,
    /// Set by a watcher that found nothing and waits for the log to go on.
    waiting: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    events: VecDeque<Event>,
    lagged: bool,
    /// Commits that a snapshot contains already.
    seen: HashMap<SessionId, u64>,
}

impl Queue {
    pub(super) fn new(filter: Filter, notify: Arc<Notify>) -> Self {
        Self { filter, notify, waiting: AtomicBool::new(false), state: Mutex::default() }
    }

    pub(super) const fn filter(&self) -> &Filter {
        &self.filter
    }

    pub(super) fn push(&self, ordinal: u64, events: impl Iterator<Item = Event>) {
        let mut state = self.state.lock();
        if state.lagged {
            return;
        }
        for event in events {
            if state.seen.get(&event.session.id).is_some_and(|seen| ordinal <= *seen) {
                continue;
            }
            state.events.push_back(event);
        }
        if state.events.len() > MOST_WAITING {
            collapse(&mut state.events);
            if state.events.len() > MOST_WAITING / 2 {
                state.events = VecDeque::new();
                state.lagged = true;
            }
        }
        drop(state);
        self.notify.notify_one();
    }

    /// Something for the watcher is missing.
    pub(super) fn lag(&self) {
        let mut state = self.state.lock();
        state.events = VecDeque::new();
        state.lagged = true;
        drop(state);
        self.notify.notify_one();
    }

    pub(super) fn wake_if_waiting(&self) {
        if self.waiting.swap(false, Ordering::SeqCst) {
            self.notify.notify_one();
        }
    }
}

/// Leaves the latest change of each variable, in order.
fn collapse(events: &mut VecDeque<Event>) {
    let mut later = HashSet::new();
    let mut kept: VecDeque<Event> = VecDeque::with_capacity(events.len());
    for event in events.drain(..).rev() {
        if event.variable().is_none_or(|variable| later.insert(variable)) {
            kept.push_front(event);
        }
    }
    *events = kept;
}

/// A place in the stream. Ends when it is dropped.
pub struct Subscription {
    queue: Arc<Queue>,
    number: u64,
    filter: Filter,
    publisher: Arc<Shared>,
    registered_at: u64,
}

impl Subscription {
    pub(super) fn new(
        queue: Arc<Queue>,
        number: u64,
        filter: Filter,
        publisher: Arc<Shared>,
        registered_at: u64,
    ) -> Self {
        Self { queue, number, filter, publisher, registered_at }
    }

    /// What is watched.
    #[must_use]
    pub const fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Everything up to here may be taken from durable views or the log; everything behind it will be queued.
    #[must_use]
    pub const fn registered_at(&self) -> u64 {
        self.registered_at
    }

    /// The views of a snapshot hold these sessions up to these ordinals: queued events they contain are dropped, also
    /// those still to come.
    pub fn seen(&self, ordinals: impl IntoIterator<Item = (SessionId, u64)>) {
        let mut state = self.queue.state.lock();
        let registered_at = self.registered_at;
        state.seen.extend(ordinals);
        let State { events, seen, .. } = &mut *state;
        events.retain(|event| {
            event.sequence > registered_at
                && seen.get(&event.session.id).is_none_or(|ordinal| event.commit.ordinal > *ordinal)
        });
    }

    /// The snapshot is behind everything that is published from now on: what it contained need not be remembered.
    pub fn forget_seen(&self) {
        self.queue.state.lock().seen = HashMap::new();
    }

    /// Takes what is queued, at most `most`.
    #[must_use]
    pub fn take(&self, most: usize) -> Vec<Delivery> {
        let mut state = self.queue.state.lock();
        if std::mem::take(&mut state.lagged) {
            state.events.clear();
            return vec![Delivery::Lagged];
        }
        let taken = state.events.len().min(most);
        state.events.drain(..taken).filter(|event| event.sequence > self.registered_at).map(Delivery::Event).collect()
    }

    /// Asks to be notified when the log has gone on, even if nothing of it is for this subscription.
    pub fn wake_on_progress(&self) {
        self.queue.waiting.store(true, Ordering::SeqCst);
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.publisher.unregister(self.number, &self.filter);
    }
}
