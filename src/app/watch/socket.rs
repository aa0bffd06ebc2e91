//! One WebSocket: reads operations, sends what its subscriptions have, and sees to it that the client is still there
//! and still allowed.

use std::time::Duration;

use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseCode, CloseReason};
use tokio::time::{MissedTickBehavior, interval};

use super::line::{Gone, Line, Stop};
use super::messages;
use super::target::{Target, call_binding};
use super::watched::{Beginning, Watched};
use crate::app::api_key::KeyHash;
use crate::app::house::{unknown_call, unknown_release};
use crate::app::variables;
use crate::config::Scope;
use crate::domain::ids::{CallId, ReleaseId};
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::session::Change;
use crate::wire::watch::{self, One, Operation, Refused, Wanted};

/// Most subscriptions of one socket.
const MOST_SUBSCRIPTIONS: usize = 64;
/// How often key, silence and idle subscriptions are looked at.
const TICK: Duration = Duration::from_secs(5);
/// Ticks between two pings.
const TICKS_PER_PING: u32 = 4;
/// Pings without any sign of life after which the client is given up.
const MOST_UNANSWERED: u32 = 3;

/// Why a socket ends.
enum End {
    /// The client went; with the reason it gave, to be echoed.
    Left(Option<CloseReason>),
    /// We close it, and say why.
    Closed(CloseCode, &'static str),
    /// Nothing can be said any more.
    Silent,
}

impl From<Gone> for End {
    fn from(gone: Gone) -> Self {
        if gone == Gone::TooSlow {
            tracing::info!("a watcher that takes nothing is closed");
        }
        Self::Silent
    }
}

/// A client with its subscriptions.
pub(super) struct Socket {
    line: Line,
    presented: KeyHash,
    watched: Vec<Watched>,
    unanswered: u32,
    ticks: u32,
}

impl Socket {
    pub(super) const fn new(line: Line, presented: KeyHash) -> Self {
        Self { line, presented, watched: Vec::new(), unanswered: 0, ticks: 0 }
    }

    /// Serves the client until one of both ends it.
    pub(super) async fn run(mut self, mut incoming: AggregatedMessageStream) {
        let end = self.serve(&mut incoming).await;
        // The queues go first: nothing is published to a socket that says goodbye.
        drop(self.watched);
        match end {
            End::Left(reason) => self.line.close(reason).await,
            End::Closed(code, text) => self.line.close(Some((code, text).into())).await,
            End::Silent => {}
        }
    }

    async fn serve(&mut self, incoming: &mut AggregatedMessageStream) -> End {
        let (notify, drain) = (self.line.notify.clone(), self.line.house.drain.clone());
        let drained = drain.begun();
        tokio::pin!(drained);
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut more = false;
        loop {
            let step = tokio::select! {
                message = incoming.recv() => self.receive(message).await,
                () = notify.notified(), if !more => Ok(()),
                () = tokio::task::yield_now(), if more => Ok(()),
                _ = tick.tick() => self.tick().await,
                () = &mut drained => Err(End::Closed(CloseCode::Away, "recalld stops: connect again")),
            };
            let delivered = match step {
                Ok(()) => self.deliver().await,
                Err(end) => return end,
            };
            more = match delivered {
                Ok(more) => more,
                Err(gone) => return gone.into(),
            };
        }
    }

    /// Sends some of what each subscription has. Tells whether there may be more.
    async fn deliver(&mut self) -> Result<bool, Gone> {
        let mut more = false;
        let mut at = 0;
        while let Some(watched) = self.watched.get_mut(at) {
            match watched.deliver(&mut self.line).await {
                Ok(has_more) => {
                    more |= has_more;
                    at += 1;
                }
                Err(Stop::Gone(gone)) => return Err(gone),
                Err(Stop::Refused(refusal)) => {
                    let stopped = self.watched.remove(at);
                    self.line.refuse(Some(&stopped.id), &refusal).await?;
                }
            }
        }
        Ok(more)
    }

    async fn tick(&mut self) -> Result<(), End> {
        self.check_key()?;
        self.ticks += 1;
        if self.ticks.is_multiple_of(TICKS_PER_PING) {
            if self.unanswered >= MOST_UNANSWERED {
                return Err(End::Silent);
            }
            self.unanswered += 1;
            self.line.ping().await?;
        }
        Ok(())
    }

    /// A key that is gone, or may do something else than when the client connected, ends the socket: what it subscribed
    /// to was granted then.
    fn check_key(&self) -> Result<(), End> {
        match self.line.house.access_of(Some(self.presented)) {
            Ok(access) if access == self.line.access => Ok(()),
            Ok(_) => Err(End::Closed(CloseCode::Policy, "the API key has changed: connect again")),
            Err(_) => Err(End::Closed(CloseCode::Policy, "the API key is no longer valid")),
        }
    }

    async fn receive(
        &mut self,
        message: Option<Result<AggregatedMessage, actix_ws::ProtocolError>>,
    ) -> Result<(), End> {
        self.unanswered = 0;
        match message {
            None => Err(End::Silent),
            Some(Err(actix_ws::ProtocolError::Overflow)) => {
                Err(End::Closed(CloseCode::Size, "the message is too long"))
            }
            Some(Err(_)) => Err(End::Closed(CloseCode::Protocol, "this is not the WebSocket protocol")),
            Some(Ok(AggregatedMessage::Close(reason))) => Err(End::Left(reason)),
            Some(Ok(AggregatedMessage::Binary(_))) => {
                Err(End::Closed(CloseCode::Unsupported, "messages are JSON text"))
            }
            Some(Ok(AggregatedMessage::Ping(payload))) => Ok(self.line.pong(&payload).await?),
            Some(Ok(AggregatedMessage::Pong(_))) => Ok(()),
            Some(Ok(AggregatedMessage::Text(text))) => {
                self.check_key()?;
                Ok(self.operate(&text).await?)
            }
        }
    }

    async fn operate(&mut self, text: &str) -> Result<(), Gone> {
        let (id, operation) = match watch::read(text, self.line.house.value_limit()) {
            Ok(read) => read,
            Err(Refused { id, refusal }) => return self.line.refuse(id.as_deref(), &refusal).await,
        };
        let done = match operation {
            Operation::Subscribe { to, from } => self.subscribe(&id, to, from.as_deref()).await,
            Operation::Unsubscribe => self.unsubscribe(&id).await,
            Operation::Get(one) => self.get(&id, one).await,
            Operation::Set { of, change } => self.set(&id, of, change).await,
        };
        match done {
            Ok(()) => Ok(()),
            Err(Stop::Gone(gone)) => Err(gone),
            Err(Stop::Refused(refusal)) => self.line.refuse(Some(&id), &refusal).await,
        }
    }

    async fn subscribe(&mut self, id: &str, to: Wanted<'_>, from: Option<&str>) -> Result<(), Stop> {
        if self.watched.iter().any(|watched| watched.id == id) {
            let detail = "a subscription with this id is there: unsubscribe it, or choose another id";
            return Err(Refusal::new(Reason::InvalidParams, detail).into());
        }
        if self.watched.len() >= MOST_SUBSCRIPTIONS {
            let detail = format!("a connection has at most {MOST_SUBSCRIPTIONS} subscriptions: open another one");
            return Err(Refusal::new(Reason::LimitExceeded, detail).into());
        }
        let target = self.target(to, from).await?;
        let beginning = match from {
            None => Beginning::Now,
            Some(text) => match self.line.open_cursor(&target.binding(self.line.sight()), text) {
                Some(mark) => Beginning::Behind(mark),
                None => Beginning::Unreadable,
            },
        };
        let watched = Watched::begin(&mut self.line, id.to_owned(), target, beginning).await?;
        self.watched.push(watched);
        Ok(())
    }

    /// What is meant, if the key may watch it.
    async fn target(&self, to: Wanted<'_>, from: Option<&str>) -> Result<Target, Refusal> {
        let (house, access) = (&self.line.house, &self.line.access);
        match to {
            Wanted::Release(instance) => {
                access.require(Scope::CallsWatch)?;
                let release = ReleaseId { tenant: access.tenant().clone(), instance };
                if access.sees(&release) && house.directory.settings().release(&release).is_some() {
                    Ok(Target::Release(release))
                } else {
                    Err(unknown_release())
                }
            }
            Wanted::One(One::Session(id)) => {
                access.require(Scope::ContextRead)?;
                let view = house.session(access, &id).await?;
                Ok(Target::Session(view.release, view.session.id))
            }
            Wanted::One(One::Call(id)) => {
                access.require(Scope::ContextRead)?;
                match house.call(access, &id).await {
                    Ok(view) => Ok(Target::Call(view.release, view.session.id, view.call.id.clone())),
                    Err(refusal) if refusal.reason == Reason::UnknownCall => self.past_call(&id, from).await,
                    Err(refusal) => Err(refusal),
                }
            }
        }
    }

    /// A call that is over is known to a client that watched it: its cursor tells the session.
    async fn past_call(&self, id: &str, from: Option<&str>) -> Result<Target, Refusal> {
        let call: CallId = id.parse().map_err(|_| unknown_call())?;
        let access = &self.line.access;
        let binding = call_binding(access.tenant(), &call, access.sight());
        let mark = from.and_then(|text| self.line.open_cursor(&binding, text)).ok_or_else(unknown_call)?;
        let session = mark.session.ok_or_else(unknown_call)?;
        let found = self.line.house.directory.find_session(access.tenant(), &session).await?;
        let view = found.filter(|view| access.sees(&view.release)).ok_or_else(unknown_call)?;
        Ok(Target::Call(view.release, session, call))
    }

    async fn unsubscribe(&mut self, id: &str) -> Result<(), Stop> {
        let Some(at) = self.watched.iter().position(|watched| watched.id == id) else {
            return Err(Refusal::new(Reason::InvalidParams, "there is no subscription with this id").into());
        };
        self.watched.remove(at);
        Ok(self.line.send(messages::end(messages::begin("result", id))).await?)
    }

    async fn get(&mut self, id: &str, one: One<'_>) -> Result<(), Stop> {
        let (house, access) = (&self.line.house, &self.line.access);
        access.require(Scope::ContextRead)?;
        let (revision, context) = match one {
            One::Session(session) => {
                let view = house.session(access, &session).await?;
                (view.session.revision, house.context(access, &view.release, &view.session, None).await?)
            }
            One::Call(call) => {
                let view = house.call(access, &call).await?;
                let context = house.context(access, &view.release, &view.session, Some(&view.call)).await?;
                (view.session.revision, context)
            }
        };
        Ok(self.line.send(messages::context(id, revision, &context)).await?)
    }

    async fn set(&mut self, id: &str, of: One<'_>, change: Change) -> Result<(), Stop> {
        let (house, access) = (&self.line.house, &self.line.access);
        access.require(Scope::ContextWrite)?;
        let known = match of {
            One::Session(session) => house.session(access, &session).await?,
            One::Call(call) => {
                let view = house.call(access, &call).await?;
                crate::actors::SessionView { release: view.release, session: view.session }
            }
        };
        let call = change.call.clone();
        match variables::apply(house, access, &known, change).await {
            Ok(revision) => Ok(self.line.send(messages::revision(id, revision)).await?),
            Err(refusal) if refusal.reason == Reason::RevisionConflict => {
                let (context, _) = variables::current(house, access, known, call.as_ref()).await?;
                Ok(self.line.send(messages::error(Some(id), &refusal, Some(&context))).await?)
            }
            Err(refusal) => Err(refusal.into()),
        }
    }
}
