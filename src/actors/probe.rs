//! An event through actor and writer, to see whether they work: what the watchdog and `/livez` go by.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::directory::Directory;
use super::reply::{Outcome, Reply, Wakes};
use super::slot::SessionKey;
use crate::domain::ids::SessionId;
use crate::domain::refusal::{Reason, Refusal};

/// Tells when everything before it is durable, or that it never will be.
struct Barrier {
    told: oneshot::Sender<bool>,
    failed: bool,
}

impl Reply for Barrier {
    fn prepare(&mut self, outcome: Result<Outcome<'_>, Refusal>) {
        self.failed = outcome.is_err();
    }

    fn deliver(self: Box<Self>, _wakes: &mut Wakes) {
        let _nobody_waits = self.told.send(!self.failed);
    }
}

/// A barrier and the future that ends when it is passed, or will never be.
pub(super) fn barrier() -> (Box<dyn Reply>, impl Future<Output = bool>) {
    let (told, passed) = oneshot::channel();
    (Box::new(Barrier { told, failed: false }), async { passed.await.unwrap_or(false) })
}

impl Directory {
    /// Sends an event through a session actor on each arbiter and the writer, and waits for its acknowledgement. A
    /// refusal because the disk is nearly full is an answer, too.
    ///
    /// # Errors
    /// When the writer has failed. One that hangs never answers: the caller has a deadline.
    pub async fn probe(self: &Arc<Self>) -> Result<(), Refusal> {
        let Some(release) = self.any_release() else { return Ok(()) };
        for shard in 0..self.shards() {
            let mut id = [0xff; 16];
            if let Some(last) = id.last_mut() {
                *last = u8::try_from(shard).unwrap_or(u8::MAX);
            }
            let key = SessionKey { tenant: release.id().tenant.clone(), session: SessionId::Anonymous(id) };
            let (reply, passed) = barrier();
            let session = self.session(key, &release, shard);
            session.clone().send(super::session_actor::Message::Probe { reply, session });
            if !passed.await {
                return Err(Refusal::new(Reason::Internal, "the writer does not write: see the daemon's log"));
            }
        }
        Ok(())
    }
}
