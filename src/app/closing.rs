//! When connections are closed that would not end by themselves.

use std::sync::Arc;
use std::time::Duration;

/// A peer that takes nothing of what it was sent for this long is cut off: nothing else ends a connection whose peer
/// never reads.
pub(super) const TAKE_WITHIN: Duration = Duration::from_secs(60);

/// Closes every WebSocket of a server: they would never end by themselves. The daemon begins it before it stops the
/// server.
#[derive(Debug, Clone)]
pub struct Drain(Arc<tokio::sync::watch::Sender<bool>>);

impl Default for Drain {
    fn default() -> Self {
        Self(Arc::new(tokio::sync::watch::Sender::new(false)))
    }
}

impl Drain {
    /// Each says goodbye and closes; new ones are refused.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }

    pub(super) fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it begins.
    pub(super) async fn begun(&self) {
        let mut changes = self.0.subscribe();
        let _sender_is_here = changes.wait_for(|begun| *begun).await;
    }
}
