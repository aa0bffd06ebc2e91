//! Writes are refused before the disk is full, and taken again when there is room (PRODUCT.md 4.5).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::lifecycle::Running;
use super::systemd;
use crate::store;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// When writes are refused.
#[derive(Debug)]
pub(super) struct Threshold {
    min_free: u64,
    read_only: bool,
}

impl Threshold {
    /// Writes are taken until somebody has looked.
    pub(super) const fn new(min_free: u64) -> Self {
        Self { min_free, read_only: false }
    }

    /// Whether writes are to be refused with this much room. They are taken again when there is a little more than
    /// needed, so that the daemon does not change its mind with each file that RocksDB writes and deletes.
    pub(super) const fn is_read_only(&mut self, free: u64) -> bool {
        let wanted = if self.read_only { self.min_free.saturating_add(self.min_free / 16) } else { self.min_free };
        self.read_only = free < wanted;
        self.read_only
    }
}

/// Looks until it is aborted.
pub(super) async fn watch(running: Arc<Running>, mut threshold: Threshold) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let store = running.directory.store().clone();
        // On a disk that hangs this hangs, too: not on this thread.
        if let Ok(looked) = actix_rt::task::spawn_blocking(move || store::free_bytes(store.path())).await {
            look(&running, &mut threshold, looked);
        }
    }
}

/// Acts on what was found.
pub(super) fn look(running: &Running, threshold: &mut Threshold, looked: Result<u64, store::StoreError>) {
    let free = match looked {
        Ok(free) => free,
        Err(error) => return tracing::error!("the free space is unknown: {error}"),
    };
    running.set_free_bytes(free);
    let read_only = threshold.is_read_only(free);
    if read_only == running.directory.is_read_only() {
        return;
    }
    running.directory.set_read_only(read_only);
    let (free, wanted) = (free >> 20, threshold.min_free >> 20);
    if read_only {
        tracing::error!("only {free} MiB are free, data.min_free wants {wanted} MiB: writes are refused");
    } else {
        tracing::warn!("{free} MiB are free again: writes are taken");
    }
    systemd::status(&running.status_line());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_taken_again_when_there_is_a_little_more_room_than_needed() {
        let mut threshold = Threshold::new(1_600);
        let looked = [1_600, 1_599, 1_600, 1_699, 1_700, 1_601, 0].map(|free| threshold.is_read_only(free));
        assert_eq!(looked, [false, true, true, true, false, false, true]);
    }
}
