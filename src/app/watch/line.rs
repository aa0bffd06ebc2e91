//! The way to one client: messages go out one after another, and a client that does not take them is left.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use rand::rngs::SysError;
use tokio::sync::Notify;

use super::cursor::{Cursor, CursorCipher, Mark};
use super::messages;
use super::target::Target;
use crate::app::api_key::Access;
use crate::app::closing::TAKE_WITHIN;
use crate::app::context::Sight;
use crate::app::house::House;
use crate::domain::ids::{CallId, ReleaseId, SessionId};
use crate::domain::refusal::Refusal;
use crate::privacy::audit::{RevealedBy, What};

/// Most sessions that one entry of the audit log names.
const MOST_REVEALED_AT_ONCE: usize = 1_000;
/// Most calls of which it is remembered that their number was told. Beyond it some are recorded again.
const MOST_REMEMBERED: usize = 200_000;

/// The client went, or takes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    Closed,
    TooSlow,
}

/// Why a subscription stops.
#[derive(Debug)]
pub(super) enum Stop {
    /// Its client is gone, and with it all others of the socket.
    Gone(Gone),
    /// It cannot go on; the client is told.
    Refused(Refusal),
}

impl From<Gone> for Stop {
    fn from(gone: Gone) -> Self {
        Self::Gone(gone)
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// One client.
pub(super) struct Line {
    pub(super) house: web::Data<House>,
    pub(super) access: Access,
    /// Woken when a subscription of this client has something.
    pub(super) notify: Arc<Notify>,
    cipher: CursorCipher,
    /// Calls whose plain number this client was told.
    revealed: HashSet<(SessionId, CallId)>,
    session: actix_ws::Session,
}

impl Line {
    pub(super) fn new(house: web::Data<House>, access: Access, session: actix_ws::Session) -> Result<Self, SysError> {
        let cipher = house.cursor_keys.cipher(access.tenant(), house.directory.store().epoch())?;
        Ok(Self { house, access, notify: Arc::new(Notify::new()), cipher, revealed: HashSet::new(), session })
    }

    pub(super) const fn sight(&self) -> Sight {
        self.access.sight()
    }

    /// Hands a message over, as soon as there is room for it. Until then the subscriptions collapse and lag.
    pub(super) async fn send(&mut self, text: String) -> Result<(), Gone> {
        in_time(self.session.text(text)).await
    }

    pub(super) async fn ping(&mut self) -> Result<(), Gone> {
        in_time(self.session.ping(b"")).await
    }

    pub(super) async fn pong(&mut self, payload: &[u8]) -> Result<(), Gone> {
        in_time(self.session.pong(payload)).await
    }

    pub(super) async fn refuse(&mut self, id: Option<&str>, refusal: &Refusal) -> Result<(), Gone> {
        self.send(messages::error(id, refusal, None)).await
    }

    /// Says goodbye, if the client listens.
    pub(super) async fn close(self, reason: Option<actix_ws::CloseReason>) {
        let _too_late = tokio::time::timeout(Duration::from_secs(1), self.session.close(reason)).await;
    }

    /// Records the calls whose plain numbers are about to be told (PRODUCT.md 3.6), each of them once on this connection.
    pub(super) async fn reveal<'c>(
        &mut self,
        release: &ReleaseId,
        calls: impl IntoIterator<Item = (SessionId, &'c CallId)>,
    ) -> Result<(), Refusal> {
        let calls = calls.into_iter().map(|(session, call)| (session, call.clone()));
        let new: Vec<_> = calls.filter(|call| !self.revealed.contains(call)).collect();
        for part in new.chunks(MOST_REVEALED_AT_ONCE) {
            let sessions = part.iter().map(|(session, _)| *session).collect();
            let what = What::NumberRevealed { by: RevealedBy::Watch, sessions };
            self.house.record(&self.access, Some(release), what).await?;
        }
        if self.revealed.len() + new.len() > MOST_REMEMBERED {
            self.revealed.clear();
        }
        self.revealed.extend(new);
        Ok(())
    }

    /// The call is over: whatever is told of it from now on holds no number.
    pub(super) fn forget(&mut self, session: SessionId, call: &CallId) {
        if !self.revealed.is_empty() {
            self.revealed.remove(&(session, call.clone()));
        }
    }

    /// The text of a place in the stream of a subscription.
    pub(super) fn cursor(&mut self, binding: &[u8], target: &Target, cursor: Cursor) -> String {
        let session = match target {
            Target::Call(_, session, _) => Some(*session),
            Target::Release(_) | Target::Session(..) => None,
        };
        self.cipher.seal(binding, Mark { cursor, session })
    }

    pub(super) fn open_cursor(&self, binding: &[u8], text: &str) -> Option<Mark> {
        self.cipher.open(binding, text)
    }
}

async fn in_time(sent: impl Future<Output = Result<(), actix_ws::Closed>>) -> Result<(), Gone> {
    match tokio::time::timeout(TAKE_WITHIN, sent).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(actix_ws::Closed)) => Err(Gone::Closed),
        Err(_) => Err(Gone::TooSlow),
    }
}
