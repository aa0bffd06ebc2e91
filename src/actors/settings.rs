//! The configuration in force, arranged for the question that every event asks: the rules of a release.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Config, Generation};
use crate::domain::caller::Assurance;
use crate::domain::ids::ReleaseId;
use crate::domain::session::{AnonymousSessions, Reset, Retention, Rules};

/// What is configured of one release.
#[derive(Debug, Clone)]
pub struct ReleaseSettings {
    /// Lifetimes, limits, assurance.
    pub rules: Arc<Rules>,
    /// Whether session IDs are derived or random.
    pub generation: Generation,
}

/// The configuration in force. A reload makes a new one.
#[derive(Debug)]
pub struct Settings {
    /// The checked file.
    pub config: Arc<Config>,
    releases: HashMap<ReleaseId, ReleaseSettings>,
    /// Rules of releases that were configured once: their sessions keep their last retention.
    removed: HashMap<ReleaseId, Arc<Rules>>,
}

impl Settings {
    /// The settings of a configuration, after those that were in force `before`, with the retention that is in force for
    /// each release. That may be another one than the file says (PRODUCT.md 4.1).
    #[must_use]
    pub fn new(config: Config, before: Option<&Settings>, in_force: &HashMap<ReleaseId, Retention>) -> Self {
        let mut releases = HashMap::new();
        for tenant in &config.tenants {
            for release in &tenant.releases {
                if let Some(rules) = config.rules(&tenant.id, &release.instance) {
                    let id = rules.release.clone();
                    let retention = in_force.get(&id).copied().unwrap_or_else(|| rules.retention());
                    let rules = Arc::new(rules.with_retention(retention));
                    releases.insert(id, ReleaseSettings { rules, generation: release.generation });
                }
            }
        }
        let mut settings = Self { config: Arc::new(config), releases, removed: HashMap::new() };
        for (id, retention) in in_force {
            if !settings.releases.contains_key(id) {
                let known = before.map_or_else(|| settings.rules(id), |before| before.rules(id));
                let rules = Rules::clone(&known).with_retention(*retention);
                settings.removed.insert(id.clone(), Arc::new(rules));
            }
        }
        settings
    }

    /// Releases that have a retention and are not configured any more, sorted.
    #[must_use]
    pub fn unconfigured(&self) -> Vec<&ReleaseId> {
        let mut removed: Vec<_> = self.removed.keys().collect();
        removed.sort_unstable();
        removed
    }

    /// What is configured of a release, if it is configured.
    #[must_use]
    pub fn release(&self, id: &ReleaseId) -> Option<&ReleaseSettings> {
        self.releases.get(id)
    }

    /// All configured releases.
    pub fn releases(&self) -> impl Iterator<Item = (&ReleaseId, &ReleaseSettings)> {
        self.releases.iter()
    }

    /// The rules of a release. One that is not configured keeps the last rules known of it; one that never was, since
    /// the start, keeps everything: what is stored must not end because a file was edited.
    #[must_use]
    pub fn rules(&self, id: &ReleaseId) -> Arc<Rules> {
        if let Some(release) = self.releases.get(id) {
            return release.rules.clone();
        }
        if let Some(rules) = self.removed.get(id) {
            return rules.clone();
        }
        Arc::new(Rules {
            release: id.clone(),
            session_retention: LONGEST_RETENTION,
            user_idle_limit: None,
            reset: Reset::NewCall,
            anonymous_sessions: AnonymousSessions::Keep,
            keep_number: false,
            min_assurance: Assurance::None,
            min_assurance_for: BTreeMap::new(),
            limits: self.config.limits.session,
        })
    }
}

/// 10 years, the longest retention that can be configured (PRODUCT.md 4.1).
const LONGEST_RETENTION: Duration = Duration::from_secs(3_650 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    fn config(tenants: &str) -> Config {
        Config::parse(tenants).expect("a configuration")
    }

    const ACME: &str = "[[tenant]]\nid = \"acme\"\nsession_retention = \"90d\"\n[[tenant.release]]\n\
                        instance_id = \"desk\"\ngeneration = \"phone2\"\nuser_idle_limit = \"400d\"\n";
    const GLOBEX: &str = "[[tenant]]\nid = \"globex\"\n";

    #[test]
    fn a_tenant_that_is_removed_keeps_its_last_retention() {
        let desk = ReleaseId { tenant: "acme".parse().expect("a name"), instance: "desk".parse().expect("a name") };
        let day = Duration::from_secs(86_400);
        let nothing = HashMap::new();
        let with = Settings::new(config(&format!("{ACME}{GLOBEX}")), None, &nothing);
        let last = HashMap::from([(desk.clone(), with.rules(&desk).retention())]);
        let without = Settings::new(config(GLOBEX), Some(&with), &last);
        let after_a_restart = Settings::new(config(GLOBEX), None, &last);
        for settings in [&with, &without, &after_a_restart] {
            let rules = settings.rules(&desk);
            assert_eq!((rules.session_retention, rules.user_idle_limit), (90 * day, Some(400 * day)));
        }
        assert!(after_a_restart.release(&desk).is_none());
        let shorter = Settings::new(config(&ACME.replace("90d", "1d")), Some(&without), &nothing);
        assert_eq!(shorter.rules(&desk).session_retention, day, "configured again");
        let unknown = Settings::new(config(GLOBEX), None, &nothing).rules(&desk);
        assert_eq!(
            (unknown.session_retention, unknown.user_idle_limit),
            (LONGEST_RETENTION, None),
            "nothing is known of it"
        );
    }
}
