//! The one who changes a session. Each event is decided on a copy of the state by the pure rules of the domain, sealed,
//! and handed to the writer together with the answer that was rendered from the new state; the copy replaces the state
//! only if all of that succeeded, so a panic leaves nothing half done.

mod begin;
mod rest;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, Context, Handler};
use tokio::sync::oneshot;

use super::acknowledge::Ticket;
use super::call_actor::{Caller, Offer, StartCall, unknown_call};
use super::directory::Directory;
use super::first_contact::Contact;
use super::reply::{Outcome, Reply, deliver_now};
use super::settings::Settings;
use super::slot::{CallLease, SessionLease, SessionSlot};
use crate::domain::ids::CallId;
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::session::{Call, Command, Commit, Effect, Rules, Session, decide};
use crate::domain::time::Timestamp;
use crate::store::{AliasKey, Record, Sealed, Write};

/// What a session actor is told.
pub(super) enum Message {
    /// Something happens to the session.
    Event(SessionEvent),
    /// A start with a call ID that this session has or had. The verdict gives it back if it is not one of its call, so
    /// that the session of its caller is found.
    Offer { offer: Offer, session: SessionLease, verdict: oneshot::Sender<Option<Offer>> },
    /// A read that has to follow the events before it.
    Read { reply: Box<dyn Reply>, call: CallLease, session: SessionLease },
    /// Something of the session ends.
    Expire { reply: Box<dyn Reply>, session: SessionLease },
    /// The record is to be written, so that the log can be trimmed.
    Record(SessionLease),
    /// Somebody wants to know whether actors and writer work.
    Probe { reply: Box<dyn Reply>, session: SessionLease },
    /// Nothing is on its way and nobody needs the actor.
    Rest,
}

impl actix::Message for Message {
    type Result = ();
}

/// One event of a call, or a change by a voice app.
pub(super) struct SessionEvent {
    pub(super) command: Command,
    /// Aliases to be written with it.
    pub(super) contact: Option<Contact>,
    pub(super) reply: Box<dyn Reply>,
    pub(super) call: Option<CallLease>,
    pub(super) session: SessionLease,
}

/// What the actor begins with.
pub(super) enum Origin {
    /// The record in the store, if there is one.
    Store,
    /// The record of a session that slept until something of it ends.
    Ending,
    /// What recovery found, and whether its record is older than that.
    Recovered(Arc<Session>, bool),
    /// The durable state of an actor that panicked, once everything it handed over is durable.
    Panicked(Arc<SessionSlot>),
}

/// The actor of one active session.
pub(super) struct SessionActor {
    directory: Arc<Directory>,
    slot: Arc<SessionSlot>,
    origin: Option<Origin>,
    /// The state after everything that was decided; the durable one is in the slot.
    session: Arc<Session>,
    /// Why nothing can be done with it, if so.
    unreadable: Option<Refusal>,
    settings: Arc<Settings>,
    rules: Arc<Rules>,
    /// The ordinal up to which a record was handed to the writer.
    recorded: u64,
    /// Aliases that were handed to the writer.
    aliases: Vec<AliasKey>,
    /// The times for which the wheel has timers of this session, each earlier than the one before it.
    timers: Vec<Timestamp>,
    /// Bytes counted against `session_memory`.
    counted: u64,
    panics: Vec<Instant>,
    /// A withheld session that waits for its call to be reopened is looked at again later.
    waits: bool,
    /// Goes when the session, a withheld one with nothing left to keep, is durably gone.
    leaving: Option<Box<dyn Reply>>,
}

/// What an event leads to.
struct Step {
    next: Arc<Session>,
    commit: Commit,
    log: Sealed,
    record: Option<Record>,
}

/// Panics within [`QUARANTINE`] after which a session is left alone.
const MOST_PANICS: usize = 3;
const QUARANTINE: Duration = Duration::from_secs(60);
/// How long a withheld session waits for an INVITE repeated with credentials (PRODUCT.md 4.3), and a little more.
pub(super) const REOPEN_WAIT: Duration = Duration::from_secs(33);

impl SessionActor {
    pub(super) fn new(directory: Arc<Directory>, slot: Arc<SessionSlot>, origin: Origin) -> Self {
        let settings = directory.settings();
        let rules = settings.rules(slot.release.id());
        let unopened = Session::unopened(slot.id, slot.release.id().instance.clone(), directory.now());
        Self {
            directory,
            slot,
            origin: Some(origin),
            session: Arc::new(unopened),
            unreadable: None,
            settings,
            rules,
            recorded: 0,
            aliases: Vec::new(),
            timers: Vec::new(),
            counted: 0,
            panics: Vec::new(),
            waits: false,
            leaving: None,
        }
    }

    fn count(&mut self, session: &Session) {
        let size = size_in_memory(session);
        self.directory.count_memory(self.counted, size);
        self.counted = size;
    }

    fn refresh_rules(&mut self) {
        if !self.directory.has_settings(&self.settings) {
            self.settings = self.directory.settings();
            self.rules = self.settings.rules(self.slot.release.id());
        }
    }

    /// Whether something that was decided is not durable yet: then even a refusal has to wait for it, because it tells
    /// of it.
    fn is_ahead(&self) -> bool {
        self.slot.durable_ordinal() < self.session.ordinal
    }

    fn event(&mut self, event: SessionEvent) {
        self.refresh_rules();
        let SessionEvent { command, contact, mut reply, call, session } = event;
        let now = self.directory.now();
        let call_id = call.as_ref().map(|lease| &lease.key.call);
        let step = catch_unwind(AssertUnwindSafe(|| self.step(&command, call_id, now, &mut *reply)));
        let step = match step {
            Ok(step) => step,
            Err(_) => {
                self.panics.push(Instant::now());
                tracing::error!(tenant = %self.slot.release.id().tenant, session = %self.slot.id, "an event panicked: nothing of it is kept");
                Err(Refusal::new(Reason::Internal, "recalld failed at this event, nothing was changed: report it"))
            }
        };
        if let Some(lease) = &call {
            let session = step.as_ref().map_or(&self.session, |step| step.as_ref().map_or(&self.session, |s| &s.next));
            lease.slot().set_over(session.call(&lease.key.call).is_none());
        }
        match step {
            Err(refusal) => {
                if catch_unwind(AssertUnwindSafe(|| reply.prepare(Err(refusal)))).is_ok() {
                    self.answer_unchanged(session, call, reply);
                }
            }
            Ok(None) => self.answer_unchanged(session, call, reply),
            Ok(Some(step)) => self.submit(step, &command, contact, reply, call, session),
        }
    }

    /// Decides and renders, without changing anything.
    fn step(
        &self,
        command: &Command,
        call: Option<&CallId>,
        now: Timestamp,
        reply: &mut dyn Reply,
    ) -> Result<Option<Step>, Refusal> {
        self.check_usable(command)?;
        let Some(commit) = decide(&self.session, command, &self.rules, now)? else {
            reply.prepare(Ok(self.outcome(&self.session, call, now)));
            return Ok(None);
        };
        self.check_room(command)?;
        let mut next = self.session.after(&commit);
        if let Command::Start(start) = command
            && next.call(&start.call).is_some_and(|call| call.details.is_none())
        {
            next.attach_details(&start.call, start.details.clone());
        }
        // A session that falls idle gets its record: its log records are not needed for the next start any more. Kept
        // numbers come and go with the record alone, because the log holds none.
        let numbers_change = self.rules.keep_number && known_numbers(&next) != known_numbers(&self.session);
        let record = (next.calls.is_empty() || numbers_change).then(|| self.record(&mut next, now));
        let next = Arc::new(next);
        reply.prepare(Ok(self.outcome(&next, call, now)));
        let log = self.slot.release.seal_commit(&self.slot.id, &commit);
        Ok(Some(Step { next, commit, log, record }))
    }

    fn outcome<'a>(&'a self, session: &'a Arc<Session>, call: Option<&CallId>, now: Timestamp) -> Outcome<'a> {
        let call = call.and_then(|call| session.call(call));
        Outcome { session, call, rules: &self.rules, now }
    }

    fn check_usable(&self, command: &Command) -> Result<(), Refusal> {
        if let Some(refusal) = &self.unreadable {
            return Err(refusal.clone());
        }
        if self.panics.iter().filter(|at| at.elapsed() < QUARANTINE).count() >= MOST_PANICS {
            let detail = "recalld failed at this session several times, it is left alone for a minute: report it";
            return Err(Refusal::new(Reason::Internal, detail));
        }
        if self.session.ordinal == 0 {
            return match command {
                Command::Start(_) | Command::End { .. } | Command::Expire => Ok(()),
                Command::Change(change) if change.call.is_none() => {
                    Err(Refusal::new(Reason::UnknownSession, "there is no such session"))
                }
                _ => Err(unknown_call()),
            };
        }
        Ok(())
    }

    /// Whether there is room for what a command adds. What ends or expires is always done.
    fn check_room(&self, command: &Command) -> Result<(), Refusal> {
        if matches!(command, Command::End { .. } | Command::Expire) {
            return Ok(());
        }
        if self.directory.is_read_only() {
            return Err(Refusal::new(
                Reason::ReadOnly,
                "the disk is nearly full: nothing is written until there is room again",
            ));
        }
        let adds = match command {
            Command::Start(_) => true,
            Command::Change(change) => !change.set.is_empty(),
            _ => false,
        };
        if adds && self.directory.is_memory_full() {
            let most = self.settings.config.limits.session_memory;
            let detail = format!("active sessions take all the memory they may, {most} bytes: try later");
            return Err(Refusal::new(Reason::Overloaded, detail));
        }
        Ok(())
    }

    fn submit(
        &mut self,
        step: Step,
        command: &Command,
        contact: Option<Contact>,
        reply: Box<dyn Reply>,
        call: Option<CallLease>,
        session: SessionLease,
    ) {
        let Step { next, commit, log, record } = step;
        let aliases = contact.as_ref().map(|contact| contact.changes(&mut self.aliases)).unwrap_or_default();
        if record.is_some() {
            self.recorded = next.ordinal;
        }
        self.count(&next);
        let decided_at = commit.at;
        self.session = next.clone();
        self.arm(decided_at);
        let digit = match command {
            Command::Dtmf { digit, .. } => Some(*digit),
            _ => None,
        };
        let ended = ended_call(&commit, &next);
        let ticket =
            Ticket { reply: Some(reply), commit: Some((commit, next)), digit, ended, _contact: contact, call, session };
        self.directory.write(Write {
            release: self.slot.release.numbers(),
            session: self.slot.id,
            log: Some(log),
            record,
            forget: false,
            aliases,
            ticket,
        });
    }

    /// Sends an answer that changes nothing, after what it may tell of is durable.
    fn answer_unchanged(&mut self, session: SessionLease, call: Option<CallLease>, reply: Box<dyn Reply>) {
        if self.is_ahead() {
            self.submit_barrier(session, call, Some(reply));
        } else {
            deliver_now(reply);
        }
    }

    fn submit_barrier(&self, session: SessionLease, call: Option<CallLease>, reply: Option<Box<dyn Reply>>) {
        self.submit_bare(None, false, session, call, reply);
    }

    fn submit_bare(
        &self,
        record: Option<Record>,
        forget: bool,
        session: SessionLease,
        call: Option<CallLease>,
        reply: Option<Box<dyn Reply>>,
    ) {
        let ticket = Ticket { reply, commit: None, digit: None, ended: None, _contact: None, call, session };
        self.directory.write(Write {
            release: self.slot.release.numbers(),
            session: self.slot.id,
            log: None,
            record,
            forget,
            aliases: Vec::new(),
            ticket,
        });
    }

    fn read(&mut self, mut reply: Box<dyn Reply>, call: CallLease, session: SessionLease) {
        self.refresh_rules();
        let now = self.directory.now();
        let active = self.session.call(&call.key.call);
        call.slot().set_over(active.is_none());
        let outcome = match (&self.unreadable, active) {
            (Some(refusal), _) => Err(refusal.clone()),
            (None, None) => Err(unknown_call()),
            (None, Some(active)) => Ok(Outcome { session: &self.session, call: Some(active), rules: &self.rules, now }),
        };
        if catch_unwind(AssertUnwindSafe(|| reply.prepare(outcome))).is_ok() {
            self.answer_unchanged(session, Some(call), reply);
        }
    }

    /// A start with a call ID of this session by somebody who may be another caller.
    fn offer(&mut self, offer: Offer, session: SessionLease, verdict: oneshot::Sender<Option<Offer>>) {
        let active = self.session.call(&offer.lease.key.call).is_some();
        let is_withheld_as_before = matches!(offer.call.caller, Caller::Withheld) && self.slot.id.is_anonymous();
        let is_kept = is_withheld_as_before && (active || self.may_reopen(&offer.call, &offer.lease.key.call));
        if !is_kept && !active {
            let _actor_has_gone = verdict.send(Some(offer));
            return;
        }
        let Offer { call, mut reply, lease } = offer;
        if is_kept {
            self.event(SessionEvent {
                command: Command::Start(call.start),
                contact: None,
                reply,
                call: Some(lease),
                session,
            });
        } else {
            reply.prepare(Err(Refusal::new(
                Reason::CallIdInUse,
                "another caller's active call has this call_id: use a call_id that is unique among active calls",
            )));
            self.answer_unchanged(session, Some(lease), reply);
        }
        let _actor_has_gone = verdict.send(None);
    }

    /// Whether a withheld start is the INVITE of an ended call repeated with credentials: the domain decides so for
    /// the switch that reported the call.
    fn may_reopen(&self, call: &StartCall, id: &CallId) -> bool {
        let now = self.directory.now();
        self.session.ended.iter().any(|ended| {
            ended.id == *id
                && ended.legs.iter().any(|leg| leg.switch == call.start.leg.switch)
                && ended.ended_at.is_some_and(|at| now.since(at) < REOPEN_WAIT)
        })
    }
}

impl Drop for SessionActor {
    fn drop(&mut self) {
        self.directory.count_memory(self.counted, 0);
    }
}

/// Active calls whose number, display name or headers are known.
fn known_numbers(session: &Session) -> usize {
    session.calls.iter().filter(|call| call.details.is_some()).count()
}

/// The call that a commit ends.
fn ended_call(commit: &Commit, after: &Session) -> Option<Arc<Call>> {
    let id = commit.effects.iter().find_map(|effect| match effect {
        Effect::CallEnded { call, .. } => Some(call),
        _ => None,
    })?;
    after.ended.iter().rev().find(|ended| ended.id == *id).cloned()
}

/// A coarse figure, for the bound on the memory of active sessions.
fn size_in_memory(session: &Session) -> u64 {
    const SESSION: usize = 1_536;
    const CALL: usize = 1_024;
    const VARIABLE: usize = 192;
    let of_calls = session.calls.iter().flat_map(|call| &call.variables);
    let variables = session.variables.iter().chain(of_calls);
    let bytes = variables.map(|variable| VARIABLE + variable.name.as_str().len() + variable.value.len()).sum::<usize>();
    let details =
        session.calls.iter().filter_map(|call| call.details.as_ref()).map(|known| known.size()).sum::<usize>();
    u64::try_from(SESSION + CALL * (session.calls.len() + session.ended.len()) + bytes + details).unwrap_or(u64::MAX)
}

impl Actor for SessionActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        self.begin(context);
    }
}

impl Handler<Message> for SessionActor {
    type Result = ();

    fn handle(&mut self, message: Message, context: &mut Context<Self>) {
        match message {
            Message::Event(event) => self.event(event),
            Message::Offer { offer, session, verdict } => self.offer(offer, session, verdict),
            Message::Read { reply, call, session } => self.read(reply, call, session),
            Message::Expire { reply, session } => self.expire(reply, session),
            Message::Record(session) => self.write_record(session),
            Message::Probe { reply, session } => self.submit_barrier(session, None, Some(reply)),
            Message::Rest => self.rest(context),
        }
    }
}
