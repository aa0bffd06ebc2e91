//! What goes when and by which rule, without changing anything.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::super::directory::{Directory, Scope};
use super::super::requests::SessionView;
use super::PART;
use crate::config::Config;
use crate::domain::ids::{ReleaseId, SessionId, TenantId};
use crate::domain::session::{End, Rules, Session};
use crate::domain::time::Timestamp;
use crate::store::{ScanCursor, Scanned, StoreError};

/// A look at everything that ends up to a time.
pub struct Review {
    /// The time from which it looks.
    pub now: Timestamp,
    /// The time up to which it looks.
    pub as_of: Timestamp,
    tenant: Option<TenantId>,
    /// Rules other than those in force.
    supposed: HashMap<ReleaseId, Arc<Rules>>,
    /// Sessions with a call when it began: their records are behind.
    active: HashMap<(TenantId, SessionId), SessionView>,
}

/// What a review is told of each session of which something ends. Breaks to stop.
pub trait Visit: FnMut(&ReleaseId, &Session, &[End<'_>]) -> ControlFlow<()> {}

impl<F: FnMut(&ReleaseId, &Session, &[End<'_>]) -> ControlFlow<()>> Visit for F {}

impl Review {
    /// By the rules in force, of one tenant or of all.
    #[must_use]
    pub fn new(directory: &Directory, tenant: Option<TenantId>, as_of: Timestamp) -> Self {
        let scope = tenant.as_ref().map_or(Scope::All, Scope::Tenant);
        let views = directory.active_sessions(&scope);
        let active = views.into_iter().map(|view| ((view.release.tenant.clone(), view.session.id), view)).collect();
        Self { now: directory.now(), as_of, tenant, supposed: HashMap::new(), active }
    }

    /// As if a held change had been confirmed.
    pub fn suppose_held(&mut self, directory: &Directory) {
        for change in directory.retention_status().change.into_iter().flat_map(|change| change.releases) {
            let rules = Rules::clone(&directory.rules(&change.release)).with_retention(change.wanted);
            self.supposed.insert(change.release, Arc::new(rules));
        }
    }

    /// As if another configuration were in force.
    pub fn suppose(&mut self, config: &Config) {
        for tenant in &config.tenants {
            let rules = tenant.releases.iter().filter_map(|release| config.rules(&tenant.id, &release.instance));
            self.supposed.extend(rules.map(|rules| (rules.release.clone(), Arc::new(rules))));
        }
    }

    /// Sessions with a call.
    pub fn active(&self, directory: &Directory, mut visit: impl Visit) {
        for view in self.active.values() {
            if self.look(directory, &view.release, &view.session, &mut visit).is_break() {
                return;
            }
        }
    }

    /// Sleeping sessions from a place on. Blocks on the disk.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn sleeping(
        &self,
        directory: &Directory,
        from: &ScanCursor,
        mut visit: impl Visit,
    ) -> Result<Scanned, StoreError> {
        directory.store().scan(
            from,
            self.tenant.as_ref(),
            PART,
            |_| true,
            |release, session| {
                if self.active.contains_key(&(release.id().tenant.clone(), session.id)) {
                    return ControlFlow::Continue(());
                }
                self.look(directory, release.id(), &session, &mut visit)
            },
        )
    }

    fn look(
        &self,
        directory: &Directory,
        release: &ReleaseId,
        session: &Session,
        visit: &mut impl Visit,
    ) -> ControlFlow<()> {
        let in_force;
        let rules = match self.supposed.get(release) {
            Some(supposed) => supposed,
            None => {
                in_force = directory.rules(release);
                &in_force
            }
        };
        let mut ends = session.ends(rules);
        ends.retain(|end| end.at <= self.as_of);
        if ends.is_empty() {
            return ControlFlow::Continue(());
        }
        ends.sort_unstable_by_key(|end| end.at);
        visit(release, session, &ends)
    }
}
