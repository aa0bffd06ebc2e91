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
use parking_lot::Mutex;

use super::clock::WallClock;
use super::directory::Directory;
use super::pace::Pace;
use super::reply::{Outcome, Reply, Wake, Wakes};
use super::wheel::Wheel;
use crate::domain::ids::SessionId;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::store::{Doubt, Due, DueCursor, Release, StoreError};

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
    /// The sessions that were active are in the directory again. Told of an end before that, a session would begin with
    /// its record, which may be older than what the log holds.
    Begin,
    /// Something of a session ends at a time.
    Arm { at: Timestamp, release: Arc<Release>, session: SessionId },
    /// Sessions that were told have done what was to be done, durably.
    Done,
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
    /// What is due.
    ready: VecDeque<Timer>,
    /// Where the next read of the index begins.
    cursor: DueCursor,
    read_to: Timestamp,
    is_reading: bool,
    /// Timers in memory or being done, by their time: what lies in the index from the first of them on is kept.
    open: BTreeMap<Timestamp, usize>,
    /// How many of them come from the index.
    opened: usize,
    pace: Pace,
    finished: Option<Arc<Finished>>,
    looks: u32,
    /// What is on the disk of a doubted clock.
    noted_doubt: Option<Doubt>,
    is_noting: bool,
}

impl TimerWheel {
    pub(super) fn new(directory: Arc<Directory>, expired_to: Timestamp, noted_doubt: Option<Doubt>) -> Self {
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
            finished: None,
            looks: 0,
            noted_doubt,
            is_noting: false,
        }
    }

    fn look(&mut self, context: &mut Context<Self>) {
        let clock = self.directory.clock();
        let was = clock.wall_clock();
        let wall_clock = clock.compare();
        let is_doubted = clock.is_doubted();
        self.metrics().paused.store(u64::from(is_doubted), Ordering::Relaxed);
        match (was, wall_clock) {
            (WallClock::Agrees | WallClock::Behind(_), WallClock::Ahead(by)) => tracing::error!(
                seconds = by.as_secs(),
                "the system clock has jumped forward: nothing is deleted until `recalld retention confirm` or until \
                 the clock returns"
            ),
            (WallClock::Agrees | WallClock::Ahead(_), WallClock::Behind(by)) => tracing::error!(
                seconds = by.as_secs(),
                "the system clock is behind the time that is known to have passed: it is not followed, set it right"
            ),
            (WallClock::Ahead(_) | WallClock::Behind(_), WallClock::Agrees) => {
                tracing::info!("the system clock is believed again");
            }
            _ => {}
        }
        self.note_doubt(context);
        let now = self.directory.now();
        if !is_doubted {
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
        let done_to = self.open.first_key_value().map_or(self.read_to, |(first, _)| self.read_to.min(*first));
        self.directory.store().note_times(now, done_to.min(now));
    }

    /// Brings to the disk whether the clock is doubted, so that the end of the daemon is no confirmation.
    fn note_doubt(&mut self, context: &mut Context<Self>) {
        let doubt = self.directory.clock().doubt();
        if self.is_noting || doubt == self.noted_doubt {
            return;
        }
        self.is_noting = true;
        let directory = self.directory.clone();
        let note = doubt.clone();
        let noting = actix_rt::task::spawn_blocking(move || directory.store().put_doubt(note.as_ref()));
        let then = actix::fut::ActorFutureExt::map(noting.into_actor(self), move |noted, actor: &mut Self, _| {
            actor.is_noting = false;
            match noted.unwrap_or(Err(StoreError::Incomplete("a note of the clock: its writing panicked"))) {
                Ok(()) => actor.noted_doubt = doubt,
                Err(error) => tracing::error!("it cannot be noted whether the clock is doubted: {error}"),
            }
        });
        context.spawn(then);
    }

    /// Reads the next part of the index, if the wheel is near its end.
    fn read_ahead(&mut self, context: &mut Context<Self>, now: Timestamp) {
        if self.is_reading || self.opened >= MOST_READ_AHEAD || self.read_to > now.after(NEAR / 2) {
            return;
        }
        self.is_reading = true;
        let until = now.after(NEAR);
        let (directory, cursor) = (self.directory.clone(), self.cursor.clone());
        let is_far = until > self.read_to.after(NEAR);
        let read = async move {
            if is_far {
                // The machine was suspended, or a jump of the clock was confirmed: entries on their way to the disk may
                // lie before `until` although their sessions took them for later.
                let _failed = directory.probe().await;
            }
            let read = move || {
                if is_far {
                    directory.store().put_clock(now)?;
                }
                directory.store().due(&cursor, until, MOST_OF_A_READ)
            };
            actix_rt::task::spawn_blocking(read).await
        };
        let then = actix::fut::ActorFutureExt::map(read.into_actor(self), move |read, actor: &mut Self, context| {
            actor.is_reading = false;
            match read.unwrap_or_else(|_| Err(StoreError::Incomplete("the expiry index: its reading panicked"))) {
                Ok((due, next)) => {
                    let is_whole = due.len() < MOST_OF_A_READ;
                    actor.read_to = if is_whole { until } else { due.last().map_or(until, |last| last.at) };
                    actor.cursor = if is_whole { DueCursor::at(until) } else { next };
                    for Due { at, release, session } in due {
                        actor.enter(Timer { at, release, session, is_indexed: true });
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

    fn enter(&mut self, timer: Timer) {
        *self.open.entry(timer.at).or_default() += 1;
        self.opened += usize::from(timer.is_indexed);
        self.wheel.insert(timer.at, timer);
    }

    /// Goes on with what is due, if the clock is believed.
    fn go_on(&mut self, context: &mut Context<Self>) {
        if !self.directory.clock().is_doubted() {
            let now = self.directory.now();
            self.tell(context, now);
        }
    }

    /// Tells sessions, as many at once as the daemon can take beside its calls.
    fn tell(&mut self, context: &mut Context<Self>, now: Timestamp) {
        let finished = self.finished.get_or_insert_with(|| Arc::new(Finished::new(context.address()))).clone();
        while self.ready.front().is_some_and(|next| self.pace.has_room(now.since(next.at)))
            && let Some(timer) = self.ready.pop_front()
        {
            let late = u64::try_from(now.since(timer.at).as_millis()).unwrap_or(u64::MAX);
            let metrics = self.metrics();
            metrics.told.fetch_add(1, Ordering::Relaxed);
            metrics.lateness_millis.store(late, Ordering::Relaxed);
            metrics.most_lateness_millis.fetch_max(late, Ordering::Relaxed);
            self.pace.tell();
            let Timer { at, release, session, is_indexed } = timer;
            let told = Told { at, is_indexed, began: Instant::now() };
            let done = Done { told: Some(told), finished: finished.clone() };
            self.directory.expire(&release, session, Box::new(done));
        }
    }

    /// Notes what sessions have done that were told.
    fn done(&mut self, now: Timestamp) {
        let Some(finished) = &self.finished else { return };
        let done = finished.take();
        let late = self.ready.front().map_or(Duration::ZERO, |next| now.since(next.at));
        let at_once = Instant::now();
        for Told { at, is_indexed, began } in done {
            self.pace.done(began, at_once, late);
            self.opened = self.opened.saturating_sub(usize::from(is_indexed));
            if let Some(open) = self.open.get_mut(&at) {
                *open -= 1;
                if *open == 0 {
                    self.open.remove(&at);
                }
            }
        }
    }

    fn metrics(&self) -> &TimerMetrics {
        self.directory.timer_metrics()
    }
}

/// What a session was told, and when.
struct Told {
    at: Timestamp,
    is_indexed: bool,
    began: Instant,
}

/// What has been done and the wheel has not heard of yet: it is woken once for a whole group of the writer.
struct Finished {
    wheel: Addr<TimerWheel>,
    done: Mutex<Vec<Told>>,
}

impl Finished {
    const fn new(wheel: Addr<TimerWheel>) -> Self {
        Self { wheel, done: Mutex::new(Vec::new()) }
    }

    /// Whether it is the first since the wheel was told: then the wheel has to be woken.
    fn add(&self, told: Told) -> bool {
        let mut done = self.done.lock();
        done.push(told);
        done.len() == 1
    }

    fn take(&self) -> Vec<Told> {
        std::mem::take(&mut *self.done.lock())
    }
}

impl Wake for Finished {
    fn wake(&self) {
        self.wheel.do_send(Message::Done);
    }
}

/// Tells the wheel that a session has done what was to be done; also if it failed at it, since trying again at once
/// would fail again.
struct Done {
    told: Option<Told>,
    finished: Arc<Finished>,
}

impl Reply for Done {
    fn prepare(&mut self, _outcome: Result<Outcome<'_>, Refusal>) {}

    fn deliver(mut self: Box<Self>, wakes: &mut Wakes) {
        if let Some(told) = self.told.take()
            && self.finished.add(told)
        {
            wakes.note(self.finished.clone());
        }
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        if let Some(told) = self.told.take()
            && self.finished.add(told)
        {
            self.finished.wake();
        }
    }
}

impl Actor for TimerWheel {
    type Context = Context<Self>;
}

impl Handler<Message> for TimerWheel {
    type Result = ();

    fn handle(&mut self, message: Message, context: &mut Context<Self>) {
        match message {
            Message::Begin => {
                context.run_interval(LOOK_EVERY, Self::look);
            }
            Message::Arm { at, release, session } => {
                self.enter(Timer { at, release, session, is_indexed: false });
            }
            Message::Done => {
                self.done(self.directory.now());
                self.go_on(context);
            }
        }
    }
}
