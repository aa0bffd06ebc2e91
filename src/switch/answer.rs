//! Answers to a switch: rendered by the session's actor while it has the state in hand, sent by the writer once that
//! state is durable.

use std::sync::Arc;

use bytes::BytesMut;

use super::outlet::Outlet;
use super::permits::Permit;
use super::trunk::{InForce, TrunkSettings};
use crate::actors::{Outcome, Reply, Wake, Wakes};
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::session::Authority;
use crate::wire::answer::{write_error, write_result, write_revision};
use crate::wire::context::write_context;
use crate::wire::framing::Framing;
use crate::wire::jsonrpc::RequestId;

/// A result that says nothing but that it is done.
const EMPTY: &str = "{}";
/// Bytes that most contexts have.
const EXPECTED_CONTEXT: usize = 768;

/// What the result of a method holds (PRODUCT.md 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// The context.
    Context,
    /// The session's revision.
    Revision,
    /// Nothing: `{}`.
    Empty,
    /// Nothing, also for a call that is unknown or over.
    EmptyEvenIfUnknown,
}

/// Who waits on a connection.
pub(super) struct Asker {
    /// The request's number in the outlet and its id.
    pub(super) number: u64,
    pub(super) id: RequestId,
    pub(super) framing: Framing,
}

/// The answer to one event. Without an asker it is that of a notification: nobody hears it.
pub(super) struct Answer {
    outlet: Arc<Outlet>,
    asker: Option<Asker>,
    content: Content,
    trunk: Arc<InForce>,
    frame: BytesMut,
    /// Bytes of it that are counted in the outlet.
    counted: usize,
    _permit: Permit,
}

impl Answer {
    pub(super) fn new(
        outlet: Arc<Outlet>,
        asker: Option<Asker>,
        content: Content,
        trunk: Arc<InForce>,
        permit: Permit,
    ) -> Self {
        Self { outlet, asker, content, trunk, frame: BytesMut::new(), counted: 0, _permit: permit }
    }

    /// Answers with a result that is no outcome of a single event, or with a refusal. Tells the connection.
    pub(super) fn settle(mut self, result: Result<String, Refusal>) {
        match (&self.asker, &result) {
            (Some(asker), Ok(result)) => write_result(&mut self.frame, asker.framing, &asker.id, result),
            (asker, Err(refusal)) => {
                self.outlet.metrics.count_refusal(refusal.reason);
                if let Some(asker) = asker {
                    write_error(&mut self.frame, asker.framing, Some(&asker.id), refusal);
                }
            }
            (None, Ok(_)) => {}
        }
        if self.send() {
            self.outlet.wake();
        }
    }

    fn send(&mut self) -> bool {
        self.asker.take().is_some_and(|asker| {
            self.outlet.count_rendered(self.counted, 0);
            self.outlet.answer(asker.number, &self.frame)
        })
    }
}

/// The result of a method that answers with the context.
pub(super) fn render_context(outcome: &Outcome<'_>, trunk: &TrunkSettings) -> String {
    let mut result = String::with_capacity(EXPECTED_CONTEXT);
    let call = outcome.call.map(AsRef::as_ref);
    let context = outcome.session.context(call, Authority::OfCall, outcome.rules, outcome.now);
    write_context(&mut result, &context, outcome.rules, &trunk.expose, trunk.switch().max_answer);
    result
}

impl Reply for Answer {
    fn prepare(&mut self, outcome: Result<Outcome<'_>, Refusal>) {
        let refused = match &outcome {
            Err(refusal) => {
                let is_fine = refusal.reason == Reason::UnknownCall && self.content == Content::EmptyEvenIfUnknown;
                (!is_fine).then_some(refusal)
            }
            Ok(_) => None,
        };
        if let Some(refusal) = refused {
            self.outlet.metrics.count_refusal(refusal.reason);
        }
        let Some(asker) = &self.asker else { return };
        self.frame.clear();
        match (refused, &outcome) {
            (Some(refusal), _) => write_error(&mut self.frame, asker.framing, Some(&asker.id), refusal),
            (None, Ok(outcome)) => match self.content {
                Content::Context => {
                    write_result(&mut self.frame, asker.framing, &asker.id, &render_context(outcome, &self.trunk));
                }
                Content::Revision => {
                    write_revision(&mut self.frame, asker.framing, &asker.id, outcome.session.revision);
                }
                Content::Empty | Content::EmptyEvenIfUnknown => {
                    write_result(&mut self.frame, asker.framing, &asker.id, EMPTY);
                }
            },
            (None, Err(_)) => write_result(&mut self.frame, asker.framing, &asker.id, EMPTY),
        }
        self.outlet.count_rendered(std::mem::replace(&mut self.counted, self.frame.len()), self.frame.len());
    }

    fn deliver(mut self: Box<Self>, wakes: &mut Wakes) {
        if self.send() {
            wakes.note(self.outlet.clone());
        }
    }
}

/// Nobody is left without an answer, even if recalld failed at the event.
impl Drop for Answer {
    fn drop(&mut self) {
        if self.asker.is_none() {
            return;
        }
        let detail = "recalld failed at this request, the outcome is unknown: repeat it";
        self.prepare(Err(Refusal::new(Reason::Internal, detail)));
        if self.send() {
            self.outlet.wake();
        }
    }
}
