//! How far the daemon is, and what runs once it serves: what health, metrics and the admin socket look at.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::keys::Keys;
use crate::actors::{Directory, MOST_ENDED_AT_ONCE, WallClock};
use crate::domain::ids::{ReleaseId, TenantId};
use crate::domain::time::Timestamp;
use crate::privacy::audit::Audit;
use crate::store::StoreError;
use crate::switch::Links;

/// How far the daemon is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The data is being opened.
    Starting,
    /// Everything works.
    Serving,
    /// It ends: what is on its way is finished, nothing new is taken.
    Draining,
}

/// The phase, and what runs.
pub(super) struct Lifecycle {
    phase: watch::Sender<Phase>,
    running: ArcSwapOption<Running>,
}

/// What runs while the daemon serves.
pub(super) struct Running {
    pub(super) directory: Arc<Directory>,
    pub(super) links: Links,
    pub(super) audit: Arc<Audit>,
    pub(super) keys: Keys,
    pub(super) started_at: Timestamp,
    free_bytes: AtomicU64,
    /// Keys that a reload found changed and that need a restart.
    restart_needed: Mutex<Vec<&'static str>>,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self { phase: watch::Sender::new(Phase::Starting), running: ArcSwapOption::empty() }
    }
}

impl Lifecycle {
    pub(super) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// What runs; none while the daemon starts, and at the very end.
    pub(super) fn running(&self) -> Option<Arc<Running>> {
        self.running.load_full()
    }

    pub(super) fn serve(&self, running: Arc<Running>) {
        self.running.store(Some(running));
        self.phase.send_replace(Phase::Serving);
    }

    pub(super) fn drain(&self) {
        self.phase.send_replace(Phase::Draining);
    }

    /// Ends when the drain has begun.
    pub(super) async fn drained(&self) {
        let mut phase = self.phase.subscribe();
        let _gone = phase.wait_for(|phase| *phase == Phase::Draining).await;
    }

    /// Lets go of what ran, so that the data can be closed.
    pub(super) fn end(&self) {
        self.running.store(None);
    }
}

impl Running {
    pub(super) fn new(directory: Arc<Directory>, links: Links, audit: Arc<Audit>, keys: Keys) -> Self {
        let started_at = directory.now();
        Self {
            directory,
            links,
            audit,
            keys,
            started_at,
            free_bytes: AtomicU64::new(0),
            restart_needed: Mutex::default(),
        }
    }

    /// Free space as it was last seen.
    pub(super) fn free_bytes(&self) -> u64 {
        self.free_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn set_free_bytes(&self, free: u64) {
        self.free_bytes.store(free, Ordering::Relaxed);
    }

    pub(super) fn set_restart_needed(&self, keys: Vec<&'static str>) {
        *self.restart_needed.lock() = keys;
    }

    /// Tenants of whom something is stored although they are not in the configuration.
    fn unconfigured(&self) -> Vec<TenantId> {
        let config = self.directory.settings().config.clone();
        let mut tenants = self.directory.store().tenants();
        tenants.retain(|tenant| config.tenant(tenant).is_none());
        tenants
    }

    /// Configured tenants whose data cannot be used.
    fn tenants_without_key(&self) -> BTreeSet<TenantId> {
        let settings = self.directory.settings();
        let is_missing = |id: &ReleaseId| matches!(self.directory.store().release(id), Err(StoreError::KeyMissing(_)));
        settings.releases().filter(|(id, _)| is_missing(id)).map(|(id, _)| id.tenant.clone()).collect()
    }

    /// What an operator should know.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = self.directory.settings().config.warnings();
        for key in self.restart_needed.lock().iter() {
            warnings.push(format!("{key} was changed in the file: it takes effect at the next start"));
        }
        warnings.extend(self.tenants_without_key().into_iter().map(|tenant| {
            format!(
                "the data key of the tenant `{tenant}` is not there: its calls are refused and nothing of it can be \
                 read; bring back its file under keys/ from a backup and start again"
            )
        }));
        for tenant in self.unconfigured() {
            warnings.push(format!(
                "the tenant `{tenant}` is not configured any more: what is stored of it keeps its last \
                 retention"
            ));
        }
        if self.directory.is_read_only() {
            warnings.push("the disk is nearly full: writes are refused".to_owned());
        }
        warnings.extend(self.doubts());
        for release in self.directory.retention_status().unconfigured {
            warnings.push(format!(
                "the release `{}` of `{}` is not configured any more: its sessions keep their last retention",
                release.instance, release.tenant
            ));
        }
        warnings
    }

    /// What waits for an operator before anything more is deleted.
    fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        match self.directory.clock().wall_clock() {
            WallClock::Agrees => {}
            WallClock::Ahead(by) => doubts.push(format!(
                "the system clock has jumped forward by {} s: nothing is deleted until `recalld retention confirm clock`",
                by.as_secs()
            )),
            WallClock::Behind(by) => {
                doubts.push(format!("the system clock is {} s behind the time that has passed: set it right", by.as_secs()));
            }
        }
        match self.directory.retention_status().change {
            Some(change) if change.held => doubts.push(format!(
                "a shorter retention is held, it would end more than {MOST_ENDED_AT_ONCE} sessions at once: see `recalld \
                 retention review --held`, then `recalld retention confirm retention` or correct the file"
            )),
            _ => {}
        }
        doubts
    }

    /// What `systemctl status` shows.
    pub(super) fn status_line(&self) -> String {
        let connections: usize = self.links.status().iter().map(|link| link.connections).sum();
        let calls = self.directory.counts().active_calls;
        let read_only =
            if self.directory.is_read_only() { ", the disk is nearly full: writes are refused" } else { "" };
        let plural = |number: usize| if number == 1 { "" } else { "s" };
        let going_on = format!(
            "{calls} active call{}, {connections} connection{} of switches{read_only}",
            plural(calls),
            plural(connections)
        );
        [vec![going_on], self.doubts()].concat().join("; ")
    }
}
