//! Calls that ended a short while ago (PRODUCT.md 4.3): they can still be fetched for `call_linger`, in memory, at most
//! 100,000 of them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use parking_lot::Mutex;

use super::session_actor::REOPEN_WAIT;
use super::slot::CallKey;
use crate::domain::ids::{CallId, ReleaseId, SessionId, TenantId};
use crate::domain::session::Call;
use crate::domain::time::Timestamp;

const MOST: usize = 100_000;
/// Calls that are forgotten together.
const AT_ONCE: usize = 64;

/// A call that has ended.
#[derive(Debug, Clone)]
pub(super) struct Lingers {
    pub(super) release: ReleaseId,
    pub(super) session: SessionId,
    pub(super) call: Arc<Call>,
    ended_at: Timestamp,
}

/// The ended calls of all tenants.
pub(super) struct Lingering {
    calls: DashMap<CallKey, Lingers>,
    /// In the order of their end.
    order: Mutex<VecDeque<(CallKey, Timestamp)>>,
    linger_millis: AtomicU64,
}

impl Lingering {
    pub(super) fn new(linger: Duration) -> Self {
        let lingering =
            Self { calls: DashMap::new(), order: Mutex::new(VecDeque::new()), linger_millis: AtomicU64::new(0) };
        lingering.set_linger(linger);
        lingering
    }

    pub(super) fn set_linger(&self, linger: Duration) {
        self.linger_millis.store(u64::try_from(linger.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn linger(&self) -> Duration {
        Duration::from_millis(self.linger_millis.load(Ordering::Relaxed))
    }

    pub(super) fn insert(&self, release: &ReleaseId, session: SessionId, call: Arc<Call>, ended_at: Timestamp) {
        let key = CallKey { tenant: release.tenant.clone(), call: call.id.clone() };
        self.calls.insert(key.clone(), Lingers { release: release.clone(), session, call, ended_at });
        self.order.lock().push_back((key, ended_at));
        self.trim_some(ended_at);
    }

    /// Forgets calls whose time is over.
    pub(super) fn trim(&self, now: Timestamp) {
        while self.trim_some(now) == AT_ONCE {}
    }

    /// The same for some of them, so that nobody waits long for the others. How many there were.
    fn trim_some(&self, now: Timestamp) -> usize {
        let kept = self.linger().max(REOPEN_WAIT);
        let mut order = self.order.lock();
        for trimmed in 0..AT_ONCE {
            let is_over = |(_, at): &(CallKey, Timestamp)| now.since(*at) > kept;
            if order.len() <= MOST && !order.front().is_some_and(is_over) {
                return trimmed;
            }
            let Some((oldest, at)) = order.pop_front() else { return trimmed };
            // The same call ID may have been reopened and have ended again since.
            self.calls.remove_if(&oldest, |_, lingers| lingers.ended_at == at);
        }
        AT_ONCE
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.calls.len(), self.order.lock().len(), "each has its place in the order");
        self.calls.len()
    }

    /// A call that can still be fetched.
    pub(super) fn find(&self, tenant: &TenantId, call: &CallId, now: Timestamp) -> Option<Lingers> {
        self.within(self.linger(), &CallKey { tenant: tenant.clone(), call: call.clone() }, now)
    }

    /// A call that can still be reopened, whatever `call_linger` is.
    pub(super) fn reopenable(&self, key: &CallKey, now: Timestamp) -> Option<Lingers> {
        self.within(REOPEN_WAIT, key, now)
    }

    fn within(&self, time: Duration, key: &CallKey, now: Timestamp) -> Option<Lingers> {
        let found = self.calls.get(key)?;
        (now.since(found.ended_at) <= time).then(|| found.clone())
    }
}
