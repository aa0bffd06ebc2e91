//! How an answer is made in two steps: rendered with the state in hand, sent when that state is durable.

use std::sync::Arc;

use crate::domain::refusal::Refusal;
use crate::domain::session::{Call, Rules, Session};
use crate::domain::time::Timestamp;

/// What a session says to an event.
#[derive(Debug, Clone, Copy)]
pub struct Outcome<'a> {
    /// The session after the event.
    pub session: &'a Arc<Session>,
    /// The call the event was about, if it is active after it.
    pub call: Option<&'a Arc<Call>>,
    /// The rules in force.
    pub rules: &'a Rules,
    /// When it was decided.
    pub now: Timestamp,
}

/// Somebody who waits for an answer. Dropped without [`Reply::deliver`] when recalld has failed at the event.
///
/// Permits that bound the work in progress belong into the reply: they are released with it.
pub trait Reply: Send + 'static {
    /// Renders the answer; nothing may leave yet. Called once, on the actor's thread.
    fn prepare(&mut self, outcome: Result<Outcome<'_>, Refusal>);

    /// Sends what was rendered. Must be quick and never block: it may run on the writer's thread. A connection that has
    /// to be woken is noted in `wakes`, so that it is woken once for all answers of a group.
    fn deliver(self: Box<Self>, wakes: &mut Wakes);
}

/// A connection that can be told that there is something to send.
pub trait Wake: Send + Sync {
    /// Tells it.
    fn wake(&self);

    /// Sends what there is on the calling thread, without waiting; tells the connection what is left to it.
    fn send_now(&self) {
        self.wake();
    }
}

/// Who has to be woken after a group of answers.
#[derive(Default)]
pub struct Wakes(Vec<Arc<dyn Wake>>);

impl Wakes {
    /// Notes a connection.
    pub fn note(&mut self, connection: Arc<dyn Wake>) {
        self.0.push(connection);
    }

    /// Wakes all that were noted. A single one is spared the wait for its thread: alone, an event spends more time on
    /// waking threads than on anything but the disk.
    pub fn send_or_wake(&mut self) {
        if let [only] = self.0.as_slice() {
            only.send_now();
            self.0.clear();
        } else {
            self.wake();
        }
    }

    /// Wakes all that were noted.
    pub fn wake(&mut self) {
        for connection in self.0.drain(..) {
            connection.wake();
        }
    }
}

/// The reply to something that nobody has asked for.
pub(super) struct Nobody;

impl Reply for Nobody {
    fn prepare(&mut self, _outcome: Result<Outcome<'_>, Refusal>) {}

    fn deliver(self: Box<Self>, _wakes: &mut Wakes) {}
}

/// Refuses at once: nothing that is not durable has been looked at.
pub(super) fn refuse_now(mut reply: Box<dyn Reply>, refusal: Refusal) {
    reply.prepare(Err(refusal));
    deliver_now(reply);
}

/// Sends an answer outside of the writer's groups.
pub(super) fn deliver_now(reply: Box<dyn Reply>) {
    let mut wakes = Wakes::default();
    reply.deliver(&mut wakes);
    wakes.wake();
}
