//! From a request to the actors (PRODUCT.md 5.1). Runs on the connection's arbiter, frame by frame, so events of one
//! call reach its actor in the order in which they came.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::Link;
use super::answer::{Answer, Asker, Content, render_context};
use super::metrics::Tally;
use super::outlet::Outlet;
use super::permits::{ConnectionPermits, Permit};
use super::report::report;
use super::sync::{self, Progress};
use super::tenants::{self, OnItsWay};
use super::trunk::{InForce, TrunkSettings};
use crate::actors::{Directory, Glance, Outcome};
use crate::domain::ids::{CallId, TenantId};
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::session::{Command, EndCause};
use crate::wire::answer::{write_error, write_result};
use crate::wire::calls::Method;
use crate::wire::framing::{Frame, Framing};
use crate::wire::jsonrpc::{self, ReplyTo, Request, RequestId, WrongRequest};
use crate::wire::sync::CallsSync;

/// Bytes of answers that are written and wait for the disk, above which a connection's requests are refused: a context
/// may be large, and permits count events only.
const MOST_RENDERED: usize = 16 << 20;

/// What a connection needs to dispatch its frames.
pub(super) struct Dispatcher {
    pub(super) link: Arc<Link>,
    pub(super) outlet: Arc<Outlet>,
    pub(super) permits: ConnectionPermits,
    pub(super) peer: IpAddr,
    /// The settings in force when the last bytes were read.
    pub(super) trunk: Arc<InForce>,
    pub(super) tally: Tally,
}

/// What comes of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Dispatched {
    /// It is on its way, or answered.
    Done,
    /// It is a notification without a permit: it has to wait, and everything behind it.
    Wait,
    /// Where the next frame begins is not known any more.
    FramingLost,
}

impl Dispatcher {
    /// Looks at the settings in force, before the frames of a read.
    ///
    /// # Errors
    /// When the peer is not in `allow` any more: the connection ends.
    pub(super) fn renew(&mut self) -> io::Result<()> {
        let in_force = self.link.trunk.settings(&self.link.shared.directory.settings());
        if self.trunk.is(&in_force) {
            return Ok(());
        }
        if !in_force.switch().allows(self.peer) {
            tracing::warn!(
                switch = %self.link.name, peer = %self.peer,
                "a connection is closed: its address is not in `allow` any more"
            );
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.trunk = Arc::new(InForce::new(in_force));
        Ok(())
    }

    /// Takes one frame.
    pub(super) fn frame(&self, frame: &Frame, framing: Framing, read_at: Instant) -> Dispatched {
        match jsonrpc::parse_request(&frame.bytes) {
            Ok(request) => self.request(request, framing, read_at),
            Err(WrongRequest { reply_to, refusal }) => {
                self.outlet.metrics.count_refusal(refusal.reason);
                match &reply_to {
                    ReplyTo::Request(id) => self.refuse(Some(id), framing, &refusal),
                    ReplyTo::Unknown => self.refuse(None, framing, &refusal),
                    ReplyTo::Nobody => {}
                }
                if framing.is_lost_after(refusal.reason) { Dispatched::FramingLost } else { Dispatched::Done }
            }
        }
    }

    /// Answers bytes that are no frame.
    pub(super) fn refuse(&self, id: Option<&RequestId>, framing: Framing, refusal: &Refusal) {
        self.outlet.append(|out| write_error(out, framing, id, refusal));
    }

    fn refuse_request(&self, id: Option<&RequestId>, framing: Framing, refusal: &Refusal) -> Dispatched {
        self.outlet.metrics.count_refusal(refusal.reason);
        if id.is_some() {
            self.refuse(id, framing, refusal);
        }
        Dispatched::Done
    }

    fn request(&self, request: Request<'_>, framing: Framing, read_at: Instant) -> Dispatched {
        let Request { id, method } = request;
        let directory = &self.link.shared.directory;
        let trunk = &self.trunk;
        match &method {
            Method::Ping => {
                self.tally.count_method(&method);
                if let Some(id) = &id {
                    self.outlet.append(|out| write_result(out, framing, id, "{\"pong\":true}"));
                }
                return Dispatched::Done;
            }
            Method::ContextGet { call } => {
                if let Some(id) = &id
                    && self.read_at_once(directory, trunk, call, id, framing)
                {
                    self.tally.count_method(&method);
                    return Dispatched::Done;
                }
            }
            _ => {}
        }
        let has_room = id.is_none() || self.outlet.rendered() < MOST_RENDERED;
        let Some(permit) = has_room.then(|| self.permits.take()).flatten() else {
            if id.is_none() {
                return Dispatched::Wait;
            }
            let detail = "too many requests are in progress: try later";
            return self.refuse_request(id.as_ref(), framing, &Refusal::new(Reason::Overloaded, detail));
        };
        self.tally.count_method(&method);
        let deadline = read_at + trunk.config().limits.answer_within;
        if let Method::CallsSync(part) = method {
            return self.sync(part, trunk.clone(), id, framing, deadline, permit);
        }
        let (content, event) = match self.event(directory, trunk, method) {
            Ok(event) => event,
            Err(refusal) => return self.refuse_request(id.as_ref(), framing, &refusal),
        };
        let asker = self.asker(id, framing, deadline);
        let answer = Box::new(Answer::new(self.outlet.clone(), asker, content, trunk.clone(), permit));
        match event {
            Event::Start(call, on_its_way) => directory.start_call(*call, tenants::answer(answer, on_its_way)),
            Event::Happens { tenant, call, command } => directory.call_event(tenant, &call, command, answer),
            Event::Read { tenant, call } => directory.read_call(tenant, &call, answer),
            Event::Unknown => Directory::refuse(answer, unknown_call()),
        }
        Dispatched::Done
    }

    fn asker(&self, id: Option<RequestId>, framing: Framing, deadline: Instant) -> Option<Asker> {
        id.map(|id| Asker { number: self.outlet.open(id.clone(), framing, deadline), id, framing })
    }

    /// Takes a part of the list of calls that the switch still has. What follows from a complete list is durable before
    /// it is answered.
    fn sync(
        &self,
        part: CallsSync,
        trunk: Arc<InForce>,
        id: Option<RequestId>,
        framing: Framing,
        deadline: Instant,
        permit: Permit,
    ) -> Dispatched {
        let directory = &self.link.shared.directory;
        let is_active = |call: &CallId| trunk.all_tenants().any(|tenant| directory.has_call(tenant, call));
        let ended = match self.link.lists.take(self.peer, part, directory.now(), is_active) {
            Err(refusal) => return self.refuse_request(id.as_ref(), framing, &refusal),
            Ok(Progress::Open) => 0,
            Ok(Progress::Repeated(ended)) => ended,
            Ok(Progress::Complete(complete)) => {
                let asker = self.asker(id, framing, deadline);
                let answer = Answer::new(self.outlet.clone(), asker, Content::Empty, trunk.clone(), permit);
                actix_rt::spawn(sync::conclude(self.link.clone(), self.peer, trunk, complete, answer));
                return Dispatched::Done;
            }
        };
        if let Some(id) = &id {
            self.outlet.append(|out| write_result(out, framing, id, &sync::result(ended)));
        }
        Dispatched::Done
    }

    /// Answers a read from the durable state, if nothing of the call is on its way.
    fn read_at_once(
        &self,
        directory: &Arc<Directory>,
        trunk: &TrunkSettings,
        call: &CallId,
        id: &RequestId,
        framing: Framing,
    ) -> bool {
        let Some(tenant) = self.tenant_of(directory, trunk, call) else {
            self.refuse_request(Some(id), framing, &unknown_call());
            return true;
        };
        let render = |outcome: &Outcome<'_>| render_context(outcome, trunk);
        let say = |result: &str| self.outlet.append(|out| write_result(out, framing, id, result));
        match directory.glance(tenant, call, trunk.number(), render, say) {
            Glance::Said => true,
            Glance::Changing => false,
            Glance::Unknown => {
                self.refuse_request(Some(id), framing, &unknown_call());
                true
            }
        }
    }

    fn event<'t>(
        &self,
        directory: &Arc<Directory>,
        trunk: &'t TrunkSettings,
        method: Method<'_>,
    ) -> Result<(Content, Event<'t>), Refusal> {
        let happens = |call: CallId, command: Command| match self.tenant_of(directory, trunk, &call) {
            Some(tenant) => Event::Happens { tenant, call, command },
            None => Event::Unknown,
        };
        Ok(match method {
            Method::CallStart(start) => {
                let start = report(directory, trunk, &self.link.name, self.peer, *start)?;
                let on_its_way = tenants::begin(&self.link, directory, trunk, &start)?;
                (Content::Context, Event::Start(Box::new(start), on_its_way))
            }
            Method::CallRinging { call, code } => {
                (Content::Empty, happens(call.clone(), Command::Ringing { call, code }))
            }
            Method::CallAnswer { call } => (Content::Empty, happens(call.clone(), Command::Answer { call })),
            Method::CallDtmf { call, digit, duration_ms } => {
                (Content::Empty, happens(call.clone(), Command::Dtmf { call, digit, duration_ms }))
            }
            Method::CallEnd { call, cause, code } => {
                let command = self.end(call.clone(), cause, code);
                let event = match self.former_tenant_of(directory, trunk, &call) {
                    Some(tenant) => Event::Happens { tenant, call, command },
                    None => happens(call, command),
                };
                (Content::EmptyEvenIfUnknown, event)
            }
            Method::VariablesSet(change) | Method::VariablesDelete(change) => {
                let missing = || Refusal::new(Reason::InvalidParams, "call_id is missing");
                let call = change.call.clone().ok_or_else(missing)?;
                (Content::Revision, happens(call, Command::Change(change)))
            }
            Method::ContextGet { call } => {
                let tenant = self.tenant_of(directory, trunk, &call);
                (Content::Context, tenant.map_or(Event::Unknown, |tenant| Event::Read { tenant, call }))
            }
            Method::CallsSync(_) | Method::Ping => {
                return Err(Refusal::new(Reason::Internal, "what is no event of a call is answered without an actor"));
            }
        })
    }

    /// None if the call is unknown.
    fn tenant_of<'t>(&self, directory: &Directory, trunk: &'t TrunkSettings, call: &CallId) -> Option<&'t TenantId> {
        match trunk.tenants() {
            [only] => Some(only),
            several => tenants::tenant_of(&self.link, directory, several, self.peer, call),
        }
    }

    /// A tenant whose calls the link reports no more, if the call is one that is still up of it and of nobody else.
    fn former_tenant_of<'t>(
        &self,
        directory: &Directory,
        trunk: &'t TrunkSettings,
        call: &CallId,
    ) -> Option<&'t TenantId> {
        let former = trunk.former_tenants();
        if former.is_empty() || trunk.tenants().iter().any(|tenant| directory.has_call(tenant, call)) {
            return None;
        }
        tenants::tenant_of(&self.link, directory, former, self.peer, call)
    }

    fn end(&self, call: CallId, cause: EndCause, code: Option<u16>) -> Command {
        let leg = crate::domain::session::Leg { switch: self.link.name.clone(), peer: self.peer };
        Command::End { call, leg: Some(leg), cause, code }
    }
}

/// What is to be done by the actors.
enum Event<'t> {
    Start(Box<crate::actors::StartCall>, OnItsWay),
    Happens { tenant: &'t TenantId, call: CallId, command: Command },
    Read { tenant: &'t TenantId, call: CallId },
    Unknown,
}

fn unknown_call() -> Refusal {
    Refusal::new(Reason::UnknownCall, "no active call has this call_id: report it with call.start first")
}
