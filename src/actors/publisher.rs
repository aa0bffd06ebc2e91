//! One stream of changes for all watchers, fed by the writer after the fsync in the order of the log. Session actors
//! never publish by themselves: acknowledgements reach several arbiters in any order, a watcher must not see that.
//!
//! The writer notes first how far everything is durable and looks then whether anybody watches; a watcher registers
//! first and looks then how far everything is durable. So each commit is either in what a new watcher may read, or is
//! published to it.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex, RwLock};
use tokio::sync::Notify;

use super::subscription::{Event, Queue, Subscription};
use crate::domain::caller::DtmfDigit;
use crate::domain::ids::{CallId, ReleaseId, SessionId, TenantId};
use crate::domain::session::{Call, Commit, Effect, Session};

/// What a watcher wants to hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// Everything; for operators.
    All,
    /// All releases of a tenant; for operators.
    Tenant(TenantId),
    /// All calls and sessions of a release.
    Release(ReleaseId),
    /// One session with its calls.
    Session(ReleaseId, SessionId),
    /// One call, and the variables of its session.
    Call(ReleaseId, SessionId, CallId),
}

impl Filter {
    fn concerns(&self, release: &ReleaseId, session: &SessionId) -> bool {
        match self {
            Filter::All => true,
            Filter::Tenant(tenant) => *tenant == release.tenant,
            Filter::Release(wanted) => wanted == release,
            Filter::Session(wanted, id) | Filter::Call(wanted, id, _) => id == session && wanted == release,
        }
    }

    /// Whether an effect on a session that concerns the filter is part of it. What no watcher is told of never is.
    #[must_use]
    pub fn shows(&self, effect: &Effect) -> bool {
        let of_call = match effect {
            Effect::LegAdded { .. } | Effect::LegEnded { .. } | Effect::AssuranceSet { .. } => return false,
            Effect::CallStarted { call, .. }
            | Effect::CallRinging { call, .. }
            | Effect::CallAnswered { call }
            | Effect::CallDtmf { call, .. }
            | Effect::CallEnded { call, .. } => Some(call),
            Effect::VariableSet { call, .. } | Effect::VariableDeleted { call, .. } => call.as_ref(),
        };
        match (self, of_call) {
            (Filter::Call(_, _, wanted), Some(call)) => wanted == call,
            _ => true,
        }
    }
}

/// One durable commit on its way to the watchers.
pub(super) struct Published {
    pub(super) sequence: u64,
    pub(super) release: ReleaseId,
    /// The state after it.
    pub(super) session: Arc<Session>,
    pub(super) commit: Arc<Commit>,
    pub(super) digit: Option<DtmfDigit>,
}

/// Feeds all subscriptions.
pub struct Publisher {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

pub(super) struct Shared {
    /// Everything up to this sequence is durable and in the views.
    durable: AtomicU64,
    /// Everything up to this sequence is in the queues of the subscriptions.
    processed: AtomicU64,
    /// How many watch: without any the writer leaves the publisher alone.
    watchers: AtomicUsize,
    inbox: Mutex<Inbox>,
    arrived: Condvar,
    subscriptions: RwLock<Subscriptions>,
}

#[derive(Default)]
struct Inbox {
    waiting: VecDeque<Published>,
    /// Too much was waiting, and was given up: each watcher has missed something.
    overflowed: bool,
    closed: bool,
}

/// Most commits that wait to be queued to subscriptions: so many watchers that the publisher falls behind the writer must
/// not take the memory of all.
const MOST_WAITING: usize = 16_384;

/// The subscriptions by what they concern, so that a commit finds those it is for.
#[derive(Default)]
struct Subscriptions {
    next: u64,
    broad: HashMap<u64, Weak<Queue>>,
    releases: HashMap<ReleaseId, HashMap<u64, Weak<Queue>>>,
    sessions: HashMap<(ReleaseId, SessionId), HashMap<u64, Weak<Queue>>>,
}

impl Publisher {
    /// Starts the publisher of a log that is durable up to a sequence.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start(durable: u64) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            durable: AtomicU64::new(durable),
            processed: AtomicU64::new(durable),
            watchers: AtomicUsize::new(0),
            inbox: Mutex::default(),
            arrived: Condvar::new(),
            subscriptions: RwLock::default(),
        });
        let feeding = shared.clone();
        let thread = std::thread::Builder::new().name("publisher".to_owned()).spawn(move || feeding.run())?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Registers first, so that nothing is missed from then on. `notify` is woken when something is queued.
    #[must_use]
    pub fn subscribe(&self, filter: Filter, notify: Arc<Notify>) -> Subscription {
        let number = self.shared.register(&filter, |queue_filter| Queue::new(queue_filter, notify));
        let (number, queue) = number;
        Subscription::new(queue, number, filter, self.shared.clone(), self.shared.durable.load(Ordering::SeqCst))
    }

    /// Everything up to this sequence has been queued to all subscriptions it concerns.
    #[must_use]
    pub fn processed(&self) -> u64 {
        self.shared.processed.load(Ordering::SeqCst)
    }

    /// Everything up to this sequence is durable and in the views.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.shared.durable.load(Ordering::SeqCst)
    }

    /// How many subscriptions there are.
    #[must_use]
    pub fn watchers(&self) -> usize {
        self.shared.watchers.load(Ordering::SeqCst)
    }

    /// Commits that wait to be queued to subscriptions.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.shared.inbox.lock().waiting.len()
    }

    /// Told by the writer of each durable commit, in order. The publisher sleeps on until [`Self::go_on`].
    pub(super) fn tell(&self, sequence: u64, published: impl FnOnce() -> Published) {
        self.shared.durable.store(sequence, Ordering::SeqCst);
        if self.shared.watchers.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut given_up = VecDeque::new();
        let mut inbox = self.shared.inbox.lock();
        if inbox.waiting.len() >= MOST_WAITING {
            given_up = std::mem::take(&mut inbox.waiting);
            inbox.overflowed = true;
        }
        inbox.waiting.push_back(published());
        drop(inbox);
        drop(given_up);
    }

    /// Wakes the publisher: once for each group of the writer, because waking a thread takes longer than telling it of a
    /// commit.
    pub(super) fn go_on(&self) {
        let is_told = !self.shared.inbox.lock().waiting.is_empty();
        if is_told {
            self.shared.arrived.notify_one();
        }
    }

    /// Queues what is left and ends.
    pub fn shutdown(&self) {
        self.shared.inbox.lock().closed = true;
        self.shared.arrived.notify_one();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the publisher ended by a panic");
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl Shared {
    fn register(&self, filter: &Filter, queue: impl FnOnce(Filter) -> Queue) -> (u64, Arc<Queue>) {
        let queue = Arc::new(queue(filter.clone()));
        let mut subscriptions = self.subscriptions.write();
        let number = subscriptions.next;
        subscriptions.next += 1;
        let weak = Arc::downgrade(&queue);
        match filter {
            Filter::All | Filter::Tenant(_) => subscriptions.broad.insert(number, weak),
            Filter::Release(release) => subscriptions.releases.entry(release.clone()).or_default().insert(number, weak),
            Filter::Session(release, session) | Filter::Call(release, session, _) => {
                subscriptions.sessions.entry((release.clone(), *session)).or_default().insert(number, weak)
            }
        };
        self.watchers.fetch_add(1, Ordering::SeqCst);
        (number, queue)
    }

    pub(super) fn unregister(&self, number: u64, filter: &Filter) {
        let mut subscriptions = self.subscriptions.write();
        match filter {
            Filter::All | Filter::Tenant(_) => {
                subscriptions.broad.remove(&number);
            }
            Filter::Release(release) => {
                if let Some(of_release) = subscriptions.releases.get_mut(release) {
                    of_release.remove(&number);
                    if of_release.is_empty() {
                        subscriptions.releases.remove(release);
                    }
                }
            }
            Filter::Session(release, session) | Filter::Call(release, session, _) => {
                let key = (release.clone(), *session);
                if let Some(of_session) = subscriptions.sessions.get_mut(&key) {
                    of_session.remove(&number);
                    if of_session.is_empty() {
                        subscriptions.sessions.remove(&key);
                    }
                }
            }
        }
        self.watchers.fetch_sub(1, Ordering::SeqCst);
    }

    fn run(&self) {
        let mut taken = VecDeque::new();
        loop {
            let mut inbox = self.inbox.lock();
            while inbox.waiting.is_empty() && !inbox.closed {
                self.arrived.wait(&mut inbox);
            }
            std::mem::swap(&mut taken, &mut inbox.waiting);
            let (overflowed, closed) = (std::mem::take(&mut inbox.overflowed), inbox.closed);
            drop(inbox);
            if taken.is_empty() && closed {
                return;
            }
            if overflowed {
                tracing::warn!("there are more watchers than can be told in time: all of them start afresh");
                self.each_queue(None, Queue::lag);
            }
            for published in taken.drain(..) {
                self.queue(&published);
                self.processed.store(published.sequence, Ordering::SeqCst);
            }
            // Those who wait for a place in the log rather than for an event.
            self.each_queue(None, Queue::wake_if_waiting);
        }
    }

    fn queue(&self, published: &Published) {
        let Published { sequence, release, session, commit, digit } = published;
        self.each_queue(Some((release, &session.id)), |queue| {
            if !queue.filter().concerns(release, &session.id) {
                return;
            }
            let shown = commit.effects.iter().enumerate().filter(|(_, effect)| queue.filter().shows(effect));
            let events = shown.map(|(index, effect)| Event {
                sequence: *sequence,
                index: u32::try_from(index).unwrap_or(u32::MAX),
                release: release.clone(),
                session: session.clone(),
                commit: commit.clone(),
                call: call_of(session, effect),
                digit: digit.filter(|_| matches!(effect, Effect::CallDtmf { .. })),
            });
            queue.push(commit.ordinal, events);
        });
    }

    fn each_queue(&self, of: Option<(&ReleaseId, &SessionId)>, mut each: impl FnMut(&Queue)) {
        let subscriptions = self.subscriptions.read();
        let mut all =
            |queues: &HashMap<u64, Weak<Queue>>| queues.values().filter_map(Weak::upgrade).for_each(|q| each(&q));
        all(&subscriptions.broad);
        match of {
            Some((release, session)) => {
                subscriptions.releases.get(release).into_iter().for_each(&mut all);
                subscriptions.sessions.get(&(release.clone(), *session)).into_iter().for_each(&mut all);
            }
            None => {
                subscriptions.releases.values().for_each(&mut all);
                subscriptions.sessions.values().for_each(&mut all);
            }
        }
    }
}

/// The call an effect is about, as it is after the commit.
fn call_of(session: &Session, effect: &Effect) -> Option<Arc<Call>> {
    match effect {
        Effect::CallStarted { call, .. }
        | Effect::CallRinging { call, .. }
        | Effect::CallAnswered { call }
        | Effect::CallDtmf { call, .. } => session.call(call).cloned(),
        Effect::CallEnded { call, .. } => session.ended.iter().rev().find(|ended| ended.id == *call).cloned(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::actors::subscription::Delivery;
    use crate::domain::time::Timestamp;

    fn published(sequence: u64) -> Published {
        let at = Timestamp::from_unix_millis(0);
        let instance = "support-de".parse().expect("a name");
        let release = ReleaseId { tenant: "acme".parse().expect("a name"), instance };
        let session = Session::unopened(SessionId::Caller([1; 32]), release.instance.clone(), at);
        let call = "1".parse().expect("a call ID");
        let effects = vec![Effect::CallAnswered { call }];
        let commit = Commit { ordinal: sequence, revision: sequence, at, activity: true, effects };
        Published { sequence, release, session: Arc::new(session), commit: Arc::new(commit), digit: None }
    }

    #[test]
    fn what_waits_for_the_publisher_is_bounded_and_a_watcher_that_missed_something_is_told() {
        let publisher = Publisher::start(0).expect("a thread");
        let notify = Arc::new(Notify::new());
        let subscription = publisher.subscribe(Filter::All, notify.clone());
        let last = 2 * u64::try_from(MOST_WAITING).expect("small") + 10;
        {
            // The publisher cannot go on while somebody subscribes.
            let _held = publisher.shared.subscriptions.write();
            for sequence in 1..=last {
                publisher.tell(sequence, || published(sequence));
                publisher.go_on();
                assert!(publisher.backlog() <= MOST_WAITING);
            }
        }
        let until = Instant::now() + Duration::from_secs(20);
        while publisher.processed() < last {
            assert!(Instant::now() < until, "the publisher goes on");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(matches!(subscription.take(1).as_slice(), [Delivery::Lagged]));
        publisher.tell(last + 1, || published(last + 1));
        publisher.go_on();
        while publisher.processed() <= last {
            assert!(Instant::now() < until, "the publisher goes on");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(matches!(subscription.take(9).as_slice(), [Delivery::Event(event)] if event.sequence == last + 1));
    }
}
