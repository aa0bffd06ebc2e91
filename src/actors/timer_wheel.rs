//! The timer wheel actor: it tells sessions that something of them ends (PRODUCT.md 4.1). The near window is in memory,
//! everything else in the store's expiry index, so memory does not grow with the number of sleeping sessions.
//!
//! A session is told, it is not ended from here: its actor looks at the true deadlines, which activity may have moved,
//! and makes a commit like any other. What is due sooner than twice the near window is brought here by the session
//! itself; what is later lies in the index long before the wheel comes to it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix::{Actor, Addr, AsyncContext, Context, Handler, WrapFuture};

use super::directory::Directory;
use super::pace::Pace;
use super::reply::{Outcome, Reply, Wakes};
use super::wheel::Wheel;
use crate::domain::ids::SessionId;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::store::{Due, DueCursor, Release, StoreError};

/// How far the index is read ahead.
pub(super) const NEAR: Duration = Duration::from_secs(120);
/// How often the wheel is looked at. Often, so that what is due comes as a stream and not in heaps that calls wait for.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// Entries of the index that are in memory at most.
const MOST_READ_AHEAD: usize = 100_000;
/// Entries of one read.
const MOST_OF_A_READ: usize = 20_000;
/// How often overdue calls are looked for, in looks.
const REAP_EVERY: u32 = 80;

/// What the wheel has done.
#[derive(Debug, Default)]
pub struct TimerMetrics {
    /// Sessions that were told that something of them ends.
    pub told: AtomicU64,
    /// Timers in memory.
    pub waiting: AtomicU64,
    /// Milliseconds by which the latest was late.
    pub lateness_millis: AtomicU64,
    /// The greatest lateness since the start, in milliseconds.
    pub most_lateness_millis: AtomicU64,
    /// Whether nothing is deleted because the clock is doubted: 1 or 0.
    pub paused: AtomicU64,
}

/// What the wheel is told.
pub(super) enum Message {
    /// Something of a session ends at a time.
    Arm { at: Timestamp, release: Arc<Release>, session: SessionId },
    /// A session that was told has done what was to be done, durably.
    Done { entry: Option<Timestamp>, began: Instant },
}

impl actix::Message for Message {
    type Result = ();
}

/// A session that is to be told.
struct Timer {
    at: Timestamp,
    release: Arc<Release>,
    session: SessionId,
    is_indexed: bool,
}

/// The actor.
pub(super) struct TimerWheel {
    directory: Arc<Directory>,
    wheel: Wheel<Timer>,
    ready: VecDeque<Timer>,
    /// Where the next read of the index begins.
    cursor: DueCursor,
    read_to: Timestamp,
    is_reading: bool,
    /// Entries of the index that are in memory or being done, by their time.
    open: BTreeMap<Timestamp, usize>,
    opened: usize,
    pace: Pace,
    looks: u32,
}

impl TimerWheel {
    pub(super) fn new(directory: Arc<Directory>, expired_to: Timestamp) -> Self {
        let now = directory.now();
        Self {
            directory,
            wheel: Wheel::new(now),
            ready: VecDeque::new(),
            cursor: DueCursor::at(expired_to),
            read_to: expired_to,
            is_reading: false,
            open: BTreeMap::new(),
            opened: 0,
            pace: Pace::new(),
            looks: 0,
        }
    }

    fn look(&mut self, context: &mut Context<Self>) {
        let clock = self.directory.clock();
        let was_doubted = clock.is_doubted();
        let ahead = clock.compare();
        self.metrics().paused.store(u64::from(ahead.is_some()), Ordering::Relaxed);
        if let Some(ahead) = ahead
            && !was_doubted
        {
            tracing::error!(
                seconds = ahead.as_secs(),
                "the system clock has jumped forward: nothing is deleted until `recalld retention confirm` or until \
                 the clock returns"
            );
        }
        let now = self.directory.now();
        if ahead.is_none() {
            self.read_ahead(context, now);
            let due = self.wheel.advance(now);
            self.ready.extend(due);
            self.tell(context, now);
            if self.looks.is_multiple_of(REAP_EVERY) {
                self.directory.reap(now);
            }
        }
        self.looks = self.looks.wrapping_add(1);
        self.metrics()
            .waiting
            .store(u64::try_from(self.wheel.len() + self.ready.len()).unwrap_or(0), Ordering::Relaxed);
        let done_to = self.open.first_key_value().map_or(self.read_to, |(first, _)| *first);
        self.directory.store().note_times(now, done_to.min(now));
    }

    /// Reads the next part of the index, if the wheel is near its end.
    fn read_ahead(&mut self, context: &mut Context<Self>, now: Timestamp) {
        if self.is_reading || self.opened >= MOST_READ_AHEAD || self.read_to > now.after(NEAR / 2) {
            return;
        }
        self.is_reading = true;
        let until = now.after(NEAR);
        let (directory, cursor) = (self.directory.clone(), self.cursor.clone());
        let read = actix_rt::task::spawn_blocking(move || directory.store().due(&cursor, until, MOST_OF_A_READ));
        let then = actix::fut::ActorFutureExt::map(read.into_actor(self), move |read, actor: &mut Self, context| {
            actor.is_reading = false;
            match read.unwrap_or_else(|_| Err(StoreError::Incomplete("the expiry index: its reading panicked"))) {
                Ok((due, next)) => {
                    let is_whole = due.len() < MOST_OF_A_READ;
                    actor.read_to = if is_whole { until } else { due.last().map_or(until, |last| last.at) };
                    actor.cursor = if is_whole { DueCursor::at(until) } else { next };
                    for entry in due {
                        actor.enter(entry);
                    }
                    let now = actor.directory.now();
                    if !is_whole {
                        actor.read_ahead(context, now);
                    }
                }
                Err(error) => tracing::error!("sessions that end cannot be looked up: {error}"),
            }
        });
        context.spawn(then);
    }

    fn enter(&mut self, entry: Due) {
        *self.open.entry(entry.at).or_default() += 1;
        self.opened += 1;
        let Due { at, release, session } = entry;
        self.wheel.insert(at, Timer { at, release, session, is_indexed: true });
    }

    /// Tells sessions, as many at once as the daemon can take beside its calls.
    fn tell(&mut self, context: &mut Context<Self>, now: Timestamp) {
        let wheel = context.address();
        while self.pace.has_room()
            && let Some(timer) = self.ready.pop_front()
        {
            let late = u64::try_from(now.since(timer.at).as_millis()).unwrap_or(u64::MAX);
            let metrics = self.metrics();
            metrics.told.fetch_add(1, Ordering::Relaxed);
            metrics.lateness_millis.store(late, Ordering::Relaxed);
            metrics.most_lateness_millis.fetch_max(late, Ordering::Relaxed);
            self.pace.tell();
            let entry = timer.is_indexed.then_some(timer.at);
            let done = Done { wheel: wheel.clone(), entry, began: Instant::now() };
            self.directory.expire(&timer.release, timer.session, Box::new(done));
        }
    }

    fn done(&mut self, entry: Option<Timestamp>, began: Instant, now: Timestamp) {
        let late = self.ready.front().map_or(Duration::ZERO, |next| now.since(next.at));
        self.pace.done(began, Instant::now(), late);
        let Some(at) = entry else { return };
        self.opened = self.opened.saturating_sub(1);
        if let Some(open) = self.open.get_mut(&at) {
            *open -= 1;
            if *open == 0 {
                self.open.remove(&at);
            }
        }
    }

    fn metrics(&self) -> &TimerMetrics {
        self.directory.timer_metrics()
    }
}

/// Tells the wheel that a session has done what was to be done; also if it failed at it, since trying again at once
/// would fail again.
struct Done {
    wheel: Addr<TimerWheel>,
    entry: Option<Timestamp>,
    began: Instant,
}

impl Reply for Done {
    fn prepare(&mut self, _outcome: Result<Outcome<'_>, Refusal>) {}

    fn deliver(self: Box<Self>, _wakes: &mut Wakes) {}
}

impl Drop for Done {
    fn drop(&mut self) {
        self.wheel.do_send(Message::Done { entry: self.entry, began: self.began });
    }
}

impl Actor for TimerWheel {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        context.run_interval(LOOK_EVERY, Self::look);
    }
}

impl Handler<Message> for TimerWheel {
    type Result = ();

    fn handle(&mut self, message: Message, context: &mut Context<Self>) {
        match message {
            Message::Arm { at, release, session } => {
                self.wheel.insert(at, Timer { at, release, session, is_indexed: false });
            }
            Message::Done { entry, began } => {
                let now = self.directory.now();
                self.done(entry, began, now);
                if !self.ready.is_empty() && !self.directory.clock().is_doubted() {
                    self.tell(context, now);
                }
            }
        }
    }
}
