//! One subscription: first what is (a snapshot) or what was missed (a resume), then `synced`, then what happens.

use std::time::{Duration, Instant};

use super::cursor::{Cursor, Mark};
use super::line::{Line, Stop};
use super::messages::{self, Happening, Told};
use super::target::Target;
use crate::actors::{Delivery, Event, Subscription};
use crate::app::context::{self, FEW_CALLS, Seen};
use crate::domain::session::{Effect, Lifetime, Session, Variable};

/// Most events that are sent before others get their turn.
const BATCH: usize = 256;
/// A subscription that says nothing for this long gets a bookmark.
const IDLE: Duration = Duration::from_secs(10);
/// How long it is remembered what a snapshot held. A commit can be in a snapshot and reach the queue a moment after
/// the place up to which the snapshot is complete.
const REMEMBER_SEEN: Duration = Duration::from_secs(30);

/// One subscription of a client.
pub(super) struct Watched {
    pub(super) id: String,
    pub(super) target: Target,
    /// What its cursors are bound to.
    pub(super) binding: Vec<u8>,
    pub(super) queue: Subscription,
    pub(super) phase: Phase,
    pub(super) sent_at: Instant,
}

/// How far a subscription is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Snapshots were sent; what is queued up to this sequence belongs to them.
    Catching { until: u64 },
    /// Synced, and what the snapshots held is still remembered.
    Settling { since: Instant },
    /// Synced.
    Live,
}

/// Where a subscription begins.
pub(super) enum Beginning {
    /// With a snapshot.
    Now,
    /// Behind the place of a cursor.
    Behind(Mark),
    /// With a snapshot, because the cursor says nothing to us.
    Unreadable,
}

impl Watched {
    /// Registers the subscription and sends what comes before the stream.
    pub(super) async fn begin(line: &mut Line, id: String, target: Target, beginning: Beginning) -> Result<Self, Stop> {
        let queue = register(line, &target);
        let binding = target.binding(line.sight());
        let phase = Phase::Live;
        let mut watched = Self { id, target, binding, queue, phase, sent_at: Instant::now() };
        match beginning {
            Beginning::Now => watched.snapshot(line).await?,
            Beginning::Behind(Mark { cursor: Cursor::At { sequence, index }, .. }) => {
                if !watched.resume(line, sequence, index).await? {
                    watched.resync(line).await?;
                }
            }
            Beginning::Behind(Mark { cursor: Cursor::Snapshot, .. }) | Beginning::Unreadable => {
                watched.resync(line).await?;
            }
        }
        Ok(watched)
    }

    /// Starts anew with fresh snapshots.
    pub(super) async fn resync(&mut self, line: &mut Line) -> Result<(), Stop> {
        self.send(line, messages::end(messages::begin("resync", &self.id))).await?;
        self.queue = register(line, &self.target);
        self.snapshot(line).await
    }

    /// Sends some of what is queued. Tells whether there may be more.
    pub(super) async fn deliver(&mut self, line: &mut Line) -> Result<bool, Stop> {
        // Read first: what is not in the queue after this, up to this place, is not for this subscription.
        let place = self.place(line);
        let taken = self.queue.take(BATCH);
        if taken.is_empty() {
            return self.idle(line, place).await;
        }
        for delivery in taken {
            match delivery {
                Delivery::Lagged => {
                    self.send(line, messages::end(messages::begin("lagged", &self.id))).await?;
                    self.resync(line).await?;
                    return Ok(true);
                }
                Delivery::Event(event) => {
                    if let Phase::Catching { until } = self.phase
                        && event.sequence > until
                    {
                        self.synced(line, until).await?;
                    }
                    self.tell(line, &event).await?;
                }
            }
        }
        Ok(true)
    }

    /// The place up to which the queue holds everything.
    fn place(&self, line: &Line) -> u64 {
        line.house.directory.publisher().processed().max(self.queue.registered_at())
    }

    async fn idle(&mut self, line: &mut Line, place: u64) -> Result<bool, Stop> {
        match self.phase {
            Phase::Catching { until } if place >= until => {
                self.synced(line, until).await?;
                Ok(true)
            }
            Phase::Catching { until } => {
                self.queue.wake_on_progress();
                // The log may have gone on before the wish was noted.
                Ok(self.place(line) >= until)
            }
            Phase::Settling { since } if since.elapsed() >= REMEMBER_SEEN => {
                self.queue.forget_seen();
                self.phase = Phase::Live;
                Ok(false)
            }
            Phase::Settling { .. } | Phase::Live => {
                if self.sent_at.elapsed() >= IDLE {
                    let cursor = line.cursor(&self.binding, &self.target, Cursor::after(place));
                    self.send(line, messages::end(messages::begin_at("bookmark", &self.id, &cursor))).await?;
                }
                Ok(false)
            }
        }
    }

    /// Everything up to this sequence was sent.
    pub(super) async fn synced(&mut self, line: &mut Line, sequence: u64) -> Result<(), Stop> {
        let cursor = line.cursor(&self.binding, &self.target, Cursor::after(sequence));
        self.phase = Phase::Settling { since: Instant::now() };
        self.send(line, messages::end(messages::begin_at("synced", &self.id, &cursor))).await
    }

    pub(super) async fn send(&mut self, line: &mut Line, message: String) -> Result<(), Stop> {
        line.send(message).await?;
        self.sent_at = Instant::now();
        Ok(())
    }

    /// Tells what happened just now.
    async fn tell(&mut self, line: &mut Line, event: &Event) -> Result<(), Stop> {
        let Some(effect) = event.effect() else { return Ok(()) };
        let directory = line.house.directory.clone();
        let (rules, now) = (directory.rules(&event.release), directory.now());
        let sight = line.sight();
        let session = event.session.as_ref();
        let happening = Happening { session: &session.id, commit: &event.commit, effect, digit: event.digit };
        let cursor = Cursor::At { sequence: event.sequence, index: event.index };
        let message = if let Effect::VariableSet { call, name, value, lifetime, ttl_end } = effect {
            let variable = Variable {
                name: name.clone(),
                value: value.clone(),
                lifetime: *lifetime,
                revision: event.commit.revision,
                set_at: event.commit.at,
                ttl_end: *ttl_end,
            };
            let end = session.end_of(&variable, &rules);
            let told =
                if call.is_none() && *lifetime == Lifetime::User && !self.target.may_tell(name, session, &rules, sight)
                {
                    Told::Withheld
                } else if end.is_some_and(|end| end <= now) {
                    Told::Gone
                } else {
                    Told::Value(&variable, end)
                };
            self.change(line, happening, cursor, told)
        } else if let Effect::VariableDeleted { .. } = effect {
            self.change(line, happening, cursor, Told::Gone)
        } else {
            match effect {
                // The only one of these messages that holds a context.
                Effect::CallStarted { .. } => {
                    let revealed = context::revealed(session, event.call.as_deref(), sight);
                    line.reveal(&event.release, revealed.map(|call| (session.id, &call.id))).await?;
                }
                Effect::CallEnded { call, .. } => line.forget(session.id, call),
                _ => {}
            }
            let head = self.head(line, "call", cursor);
            messages::call(head, happening, |out| {
                let seen = Seen { session, call: event.call.as_deref(), rules: &rules, now, most_calls: FEW_CALLS };
                context::write(out, seen, sight);
            })
        };
        match message {
            Some(message) => self.send(line, message).await,
            None => Ok(()),
        }
    }

    /// The message of a change, for those who may see variables.
    pub(super) fn change(
        &self,
        line: &mut Line,
        happening: Happening<'_>,
        cursor: Cursor,
        told: Told<'_>,
    ) -> Option<String> {
        if !line.sight().variables {
            return None;
        }
        let head = self.head(line, "change", cursor);
        messages::change(head, happening, told)
    }

    pub(super) fn head(&self, line: &mut Line, kind: &str, cursor: Cursor) -> String {
        let cursor = line.cursor(&self.binding, &self.target, cursor);
        messages::begin_at(kind, &self.id, &cursor)
    }
}

fn register(line: &Line, target: &Target) -> Subscription {
    line.house.directory.publisher().subscribe(target.filter(), line.notify.clone())
}

/// What is current of a variable that a commit set: the same revision, and not expired.
pub(super) fn still_current<'s>(session: &'s Session, effect: &Effect, revision: u64) -> Option<&'s Variable> {
    let Effect::VariableSet { call, name, .. } = effect else { return None };
    let variables = match call {
        Some(call) => &session.call(call)?.variables,
        None => &session.variables,
    };
    let at = variables.binary_search_by(|variable| variable.name.cmp(name)).ok()?;
    variables.get(at).map(AsRef::as_ref).filter(|variable| variable.revision == revision)
}
