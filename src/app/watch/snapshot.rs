//! Snapshots: the state of what is watched, from which the stream goes on (DESIGN.md 1).
//!
//! The subscription is registered before the views are taken, so nothing falls between them; queued events that the
//! views contain already are dropped. `synced` comes when what was queued while the views were taken is sent too.

use std::sync::Arc;

use super::cursor::Cursor;
use super::line::{Line, Stop};
use super::target::Target;
use super::watched::{Phase, Watched};
use crate::actors::Scope;
use crate::app::context::{self, FEW_CALLS, Seen};
use crate::app::house::{unknown_call, unknown_session};
use crate::domain::ids::ReleaseId;
use crate::domain::session::{Call, Session};

impl Watched {
    /// Sends the snapshots of what is watched; `synced` follows from the stream.
    pub(super) async fn snapshot(&mut self, line: &mut Line) -> Result<(), Stop> {
        let directory = line.house.directory.clone();
        let target = self.target.clone();
        match target {
            Target::Release(release) => {
                let views = directory.active_sessions(&Scope::Release(&release));
                let sessions: Vec<Arc<Session>> = views.into_iter().map(|view| view.session).collect();
                self.note_views(line, &sessions);
                let sight = line.sight();
                let each = || sessions.iter().flat_map(|session| session.calls.iter().map(move |call| (session, call)));
                let revealed = each().filter_map(|(session, call)| {
                    context::revealed(session, Some(call), sight).map(|call| (session.id, &call.id))
                });
                line.reveal(&release, revealed).await?;
                for (session, call) in each() {
                    self.show(line, &release, session, Some(call)).await?;
                }
            }
            Target::Session(release, id) => {
                let found = directory.find_session(&release.tenant, &id).await?;
                let session = found.ok_or_else(unknown_session)?.session;
                self.note_views(line, std::slice::from_ref(&session));
                let revealed = context::revealed(&session, None, line.sight());
                line.reveal(&release, revealed.map(|call| (session.id, &call.id))).await?;
                self.show(line, &release, &session, None).await?;
            }
            Target::Call(release, id, call) => {
                let found = directory.find_call(&release.tenant, &call).await?;
                let view = found.filter(|view| view.session.id == id).ok_or_else(unknown_call)?;
                self.note_views(line, std::slice::from_ref(&view.session));
                let revealed = context::revealed(&view.session, Some(&view.call), line.sight());
                line.reveal(&release, revealed.map(|call| (id, &call.id))).await?;
                self.show(line, &release, &view.session, Some(&view.call)).await?;
            }
        }
        Ok(())
    }

    /// Called right after the views were taken and before anything is sent.
    fn note_views(&mut self, line: &Line, sessions: &[Arc<Session>]) {
        let until = line.house.directory.publisher().durable();
        self.queue.seen(sessions.iter().map(|session| (session.id, session.ordinal)));
        self.phase = Phase::Catching { until };
    }

    async fn show(
        &mut self,
        line: &mut Line,
        release: &ReleaseId,
        session: &Session,
        call: Option<&Call>,
    ) -> Result<(), Stop> {
        let directory = line.house.directory.clone();
        let (rules, now) = (directory.rules(release), directory.now());
        let mut message = self.head(line, "snapshot", Cursor::Snapshot);
        message.push_str(",\"context\":");
        let most_calls = if call.is_some() { FEW_CALLS } else { usize::MAX };
        let seen = Seen { session, call, rules: &rules, now, most_calls };
        context::write(&mut message, seen, line.sight());
        message.push('}');
        self.send(line, message).await
    }
}
