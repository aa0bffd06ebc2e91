//! What is configured of a link, arranged for use, and which release a call is for (PRODUCT.md 3.1, 5.1).

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use crate::actors::Settings;
use crate::config;
use crate::domain::caller;
use crate::domain::ids::{InstanceId, ReleaseId, TenantId};
use crate::domain::number_plan::{NumberPlan, called_party};
use crate::domain::refusal::{Reason, Refusal};
use crate::wire::context::Expose;

/// A link's settings; always those of the configuration in force.
pub(super) struct Trunk {
    current: ArcSwap<TrunkSettings>,
}

/// The settings of a link under one configuration.
pub(super) struct TrunkSettings {
    /// Tells them from all others since the start.
    number: u64,
    settings: Arc<Settings>,
    switch: config::Switch,
    /// Tenants whose calls the link reported under an earlier configuration: what is up of them still ends.
    former: Vec<TenantId>,
    plan: NumberPlan<ReleaseId>,
    /// What of a context the switch sees.
    pub(super) expose: Expose,
}

impl Trunk {
    /// `former` are tenants whose calls the link reported before the start and reports no more.
    pub(super) fn new(switch: &config::Switch, former: Vec<TenantId>, settings: Arc<Settings>) -> Self {
        Self { current: ArcSwap::from_pointee(TrunkSettings::new(switch.clone(), former, settings)) }
    }

    /// The settings under the configuration in force. A link that is no longer in it keeps those it had until the next
    /// start, when it goes.
    pub(super) fn settings(&self, in_force: &Arc<Settings>) -> Arc<TrunkSettings> {
        let current = self.current.load_full();
        if Arc::ptr_eq(&current.settings, in_force) {
            return current;
        }
        let switches = &in_force.config.switches;
        let switch = switches.iter().find(|switch| switch.name == current.switch.name).unwrap_or(&current.switch);
        let mut former: Vec<_> = current.all_tenants().filter(|id| !switch.tenants.contains(id)).cloned().collect();
        former.dedup();
        let renewed = Arc::new(TrunkSettings::new(switch.clone(), former, in_force.clone()));
        self.current.store(renewed.clone());
        renewed
    }
}

/// The settings as one connection holds them: its events share its own count of references instead of fighting for that
/// of all connections.
pub(super) struct InForce(Arc<TrunkSettings>);

impl InForce {
    pub(super) const fn new(settings: Arc<TrunkSettings>) -> Self {
        Self(settings)
    }

    pub(super) fn is(&self, settings: &Arc<TrunkSettings>) -> bool {
        Arc::ptr_eq(&self.0, settings)
    }
}

impl Deref for InForce {
    type Target = TrunkSettings;

    fn deref(&self) -> &TrunkSettings {
        &self.0
    }
}

static NUMBER: AtomicU64 = AtomicU64::new(0);

impl TrunkSettings {
    fn new(switch: config::Switch, former: Vec<TenantId>, settings: Arc<Settings>) -> Self {
        let numbers = switch.tenants.iter().filter_map(|id| settings.config.tenant(id)).flat_map(|tenant| {
            tenant.releases.iter().flat_map(|release| {
                let id = ReleaseId { tenant: tenant.id.clone(), instance: release.instance.clone() };
                release.numbers.iter().map(move |number| (number.clone(), id.clone()))
            })
        });
        // The check of the configuration has refused numbers that are there twice.
        let plan = NumberPlan::new(numbers).unwrap_or_else(|error| {
            tracing::error!(switch = %switch.name, "the numbers of its tenants cannot be used: {error}");
            NumberPlan::default()
        });
        let expose = switch.expose.clone().map_or(Expose::All, Expose::Only);
        Self { number: NUMBER.fetch_add(1, Ordering::Relaxed), settings, switch, former, plan, expose }
    }

    /// Tells whether something was rendered under these settings.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn config(&self) -> &config::Config {
        &self.settings.config
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) const fn switch(&self) -> &config::Switch {
        &self.switch
    }

    /// How the caller IDs of this link are read.
    pub(super) fn reading(&self) -> caller::Trunk<'_> {
        caller::Trunk {
            trust_identity: self.switch.trust_identity,
            region: &self.switch.region,
            domain: &self.switch.domain,
        }
    }

    /// The tenants whose calls this link reports.
    pub(super) fn tenants(&self) -> &[TenantId] {
        &self.switch.tenants
    }

    /// The tenants whose calls this link reported before and reports no more.
    pub(super) fn former_tenants(&self) -> &[TenantId] {
        &self.former
    }

    /// Both: those of whom a call of this link may be up.
    pub(super) fn all_tenants(&self) -> impl Iterator<Item = &TenantId> {
        self.tenants().iter().chain(&self.former)
    }

    /// The release a call is for: the one that is named, else the one whose number was called.
    pub(super) fn release(&self, named: Option<&InstanceId>, called: &str) -> Result<ReleaseId, Refusal> {
        let Some(instance) = named else {
            return self.plan.find(&called_party(called, &self.switch.region)).cloned().ok_or_else(|| {
                Refusal::new(Reason::UnknownRelease, "no release has the called number: name the instance_id")
            });
        };
        let mut releases = self
            .tenants()
            .iter()
            .map(|tenant| ReleaseId { tenant: tenant.clone(), instance: instance.clone() })
            .filter(|id| self.settings.release(id).is_some());
        match (releases.next(), releases.next()) {
            (Some(only), None) => Ok(only),
            // Two tenants use the same name: the called number tells them apart.
            (Some(_), Some(_)) => self
                .plan
                .find(&called_party(called, &self.switch.region))
                .filter(|release| release.instance == *instance)
                .cloned()
                .ok_or_else(|| {
                    Refusal::new(
                        Reason::UnknownRelease,
                        "several tenants of this switch have a release with this instance_id: give each its numbers",
                    )
                }),
            (None, _) => Err(Refusal::new(
                Reason::UnknownRelease,
                "no tenant of this switch has a release with this instance_id: see the configuration",
            )),
        }
    }
}
