//! Feeds systemd's watchdog, only while an event passes through actors and writer: a daemon that turns but stores
//! nothing is better started again.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Instant, sleep_until, timeout};

use super::systemd;
use crate::actors::Directory;

/// Feeds the watchdog until it is aborted; ends at once where there is none.
pub(super) async fn feed(directory: Arc<Directory>) {
    let Some(limit) = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero()) else { return };
    let every = limit / 2;
    loop {
        let next = Instant::now() + every;
        if is_working(&directory, every).await {
            systemd::tell(&[NotifyState::Watchdog]);
        }
        sleep_until(next).await;
    }
}

/// Whether an event becomes durable in time. That writes are refused on a full disk is no fault of the daemon.
pub(super) async fn is_working(directory: &Arc<Directory>, within: Duration) -> bool {
    match timeout(within, directory.probe()).await {
        Ok(Ok(())) => true,
        Ok(Err(refusal)) => {
            tracing::error!("the probe is refused: {refusal}");
            false
        }
        Err(_) => {
            tracing::error!("an event was not stored within {} ms", within.as_millis());
            false
        }
    }
}
