//! What happens on the writer's thread once a commit is durable: the new state becomes what readers see, watchers are
//! told, the answer leaves.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::first_contact::Contact;
use super::lingering::Lingering;
use super::publisher::{Published, Publisher};
use super::reply::{Reply, Wakes};
use super::slot::{CallLease, SessionLease};
use crate::domain::caller::DtmfDigit;
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::session::{Call, Commit, Session};
use crate::store::{Group, StoreError};

/// What comes back when an item is written. Dropped last, the leases let go of the actors.
pub struct Ticket {
    pub(super) reply: Option<Box<dyn Reply>>,
    /// The commit and the state after it; none for a barrier or a record.
    pub(super) commit: Option<(Commit, Arc<Session>)>,
    /// The key that was pressed: for watchers, never written.
    pub(super) digit: Option<DtmfDigit>,
    /// The call that the commit ended.
    pub(super) ended: Option<Arc<Call>>,
    pub(super) _contact: Option<Contact>,
    pub(super) call: Option<CallLease>,
    pub(super) session: SessionLease,
}

/// Runs on the writer's thread.
pub(super) struct Acknowledger {
    publisher: Arc<Publisher>,
    lingering: Arc<Lingering>,
    active_calls: Arc<AtomicUsize>,
    wakes: Wakes,
}

impl Acknowledger {
    pub(super) fn new(publisher: Arc<Publisher>, lingering: Arc<Lingering>, active_calls: Arc<AtomicUsize>) -> Self {
        Self { publisher, lingering, active_calls, wakes: Wakes::default() }
    }
}

impl Group for Acknowledger {
    type Ticket = Ticket;

    fn written(&mut self, ticket: Ticket, sequence: u64) {
        let Ticket { reply, commit, digit, ended, _contact, call, session } = ticket;
        if let Some((commit, after)) = commit {
            session.publish(after.clone());
            // Whoever hears that a call has ended finds room for another one.
            if let Some(call) = call.as_ref().filter(|call| ended.is_some() || !call.is_counted()) {
                call.count(after.call(&call.key.call).is_some(), &self.active_calls);
            }
            if let Some(ended) = ended {
                self.lingering.insert(session.release.id(), session.id, ended, commit.at);
            }
            self.publisher.tell(sequence, || Published {
                sequence,
                release: session.release.id().clone(),
                session: after,
                commit: Arc::new(commit),
                digit,
            });
        }
        if let Some(reply) = reply {
            reply.deliver(&mut self.wakes);
        }
        drop(call);
        drop(session);
    }

    fn failed(&mut self, ticket: Ticket, _reason: &StoreError) {
        if let Some(mut reply) = ticket.reply {
            let detail = "the change could not be stored: recalld ends, the cause is in its log";
            reply.prepare(Err(Refusal::new(Reason::Internal, detail)));
            reply.deliver(&mut self.wakes);
        }
    }

    fn finished(&mut self) {
        self.wakes.send_or_wake();
        self.publisher.go_on();
    }
}
