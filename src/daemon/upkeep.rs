//! What is done again and again while the daemon serves.

use std::sync::Arc;
use std::time::Duration;

use actix_rt::task::{JoinHandle, spawn_blocking};
use tokio::time::MissedTickBehavior;

use super::lifecycle::Running;
use super::{free_space, rewriting, systemd, watchdog};
use crate::actors::Directory;
use crate::privacy::audit::Audit;

/// How often sessions of long calls are asked for their record.
const RECORDS_EVERY: Duration = Duration::from_secs(5);
/// How often files of the log that nobody needs are removed.
const TRIMMED_EVERY: Duration = Duration::from_secs(5);
/// How often `systemctl status` is told what is going on.
const STATUS_EVERY: Duration = Duration::from_secs(10);
/// How often requests without a known API key are summed up in the audit log.
const REFUSED_KEYS_EVERY: Duration = Duration::from_secs(60);
/// How often the head of the audit log goes into the daemon's log.
const AUDIT_HEAD_EVERY: Duration = Duration::from_secs(3_600);

/// Goes on until it is dropped.
pub(super) struct Upkeep(Vec<JoinHandle<()>>);

impl Upkeep {
    pub(super) fn begin(running: &Arc<Running>, threshold: free_space::Threshold) -> Self {
        let recording = running.directory.clone();
        let telling = running.clone();
        let (counting, audited) = (running.audit.clone(), running.audit.clone());
        Self(vec![
            actix_rt::spawn(watchdog::feed(running.directory.clone())),
            actix_rt::spawn(free_space::watch(running.clone(), threshold)),
            actix_rt::spawn(every(RECORDS_EVERY, move || recording.write_records())),
            actix_rt::spawn(remove_trimmed(running.directory.clone())),
            actix_rt::spawn(record_refused_keys(counting)),
            actix_rt::spawn(every(AUDIT_HEAD_EVERY, move || audited.log_head())),
            actix_rt::spawn(rewriting::go_on(running.directory.clone(), running.audit.clone())),
            actix_rt::spawn(every(STATUS_EVERY, move || systemd::status(&telling.status_line()))),
        ])
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

async fn remove_trimmed(directory: Arc<Directory>) {
    loop {
        // The data stays open until it is over.
        let kept_open = directory.clone();
        match spawn_blocking(move || kept_open.store().remove_trimmed()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("files of the log stay longer than they are needed: {error}"),
            Err(_) => {
                tracing::error!("removing files of the log failed at a fault in recalld: see the line before this one");
            }
        }
        tokio::time::sleep(TRIMMED_EVERY).await;
    }
}

async fn record_refused_keys(audit: Arc<Audit>) {
    loop {
        tokio::time::sleep(REFUSED_KEYS_EVERY).await;
        if let Err(error) = audit.record_refused_keys().await {
            tracing::error!("refused API keys are not in the audit log: {error}");
        }
    }
}

async fn every(period: Duration, mut act: impl FnMut()) {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        act();
    }
}
