//! How much may be in progress: an actor's mailbox is no bound, so each event has a permit from the read of its frame
//! until it is durable or refused.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Events in progress on one connection: a switch pipelines the requests of thousands of calls.
const OF_CONNECTION: usize = 8_192;
/// Events in progress on all connections.
const OF_ALL: usize = 65_536;

/// The permits of all links.
#[derive(Clone)]
pub(super) struct Permits {
    all: Arc<Semaphore>,
}

impl Default for Permits {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(OF_ALL)) }
    }
}

impl Permits {
    /// The permits of a new connection.
    pub(super) fn of_connection(&self) -> ConnectionPermits {
        ConnectionPermits { all: self.all.clone(), own: Arc::new(Semaphore::new(OF_CONNECTION)) }
    }
}

/// The permits of one connection, which are taken from those of all.
pub(super) struct ConnectionPermits {
    all: Arc<Semaphore>,
    own: Arc<Semaphore>,
}

/// Released when it is dropped.
pub(super) struct Permit {
    _all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
}

impl ConnectionPermits {
    /// A permit, if there is one now.
    pub(super) fn take(&self) -> Option<Permit> {
        let own = self.own.clone().try_acquire_owned().ok()?;
        Some(Permit { _all: self.all.clone().try_acquire_owned().ok()?, _own: own })
    }

    /// Waits until there may be one.
    pub(super) async fn wait(&self) {
        // Semaphores are closed by nobody.
        let _own = self.own.acquire().await;
        let _all = self.all.acquire().await;
    }
}
