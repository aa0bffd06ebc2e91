//! What a reload can change, and what needs a restart.

use super::{Config, Switch};

impl Config {
    /// The keys that differ in `new` and take effect only at the next start. Everything else can change while the
    /// daemon runs.
    #[must_use]
    pub fn restart_needed(&self, new: &Config) -> Vec<&'static str> {
        let sockets = |config: &Config| {
            let mut sockets: Vec<_> = config
                .switches
                .iter()
                .map(|switch| (switch.name.clone(), switch.protocol.as_str(), switch.listen))
                .collect();
            sockets.sort();
            sockets
        };
        let (old_limits, new_limits) = (&self.limits, &new.limits);
        [
            ("data.path", self.data.path != new.data.path),
            ("data.durability", self.data.durability != new.data.durability),
            ("data.log_window", self.data.log_window != new.data.log_window),
            ("data.log_bytes", self.data.log_bytes != new.data.log_bytes),
            ("data.min_free", self.data.min_free != new.data.min_free),
            ("data.cache", self.data.cache != new.data.cache),
            ("keys.root", self.keys.root != new.keys.root),
            ("api.listen", self.api.listen != new.api.listen),
            ("admin.listen", self.admin.listen != new.admin.listen),
            ("admin.socket", self.admin.socket != new.admin.socket),
            ("limits.active_calls", old_limits.active_calls != new_limits.active_calls),
            ("limits.session_memory", old_limits.session_memory != new_limits.session_memory),
            ("limits.connections", old_limits.connections != new_limits.connections),
            ("limits.arbiters", old_limits.arbiters != new_limits.arbiters),
            ("privacy.erase_within", self.privacy.erase_within != new.privacy.erase_within),
            ("switch.name, switch.protocol or switch.listen", sockets(self) != sockets(new)),
        ]
        .into_iter()
        .filter_map(|(key, differs)| differs.then_some(key))
        .collect()
    }

    /// This configuration as far as it can be put in force in the place of `old`: keys that need a restart keep their
    /// old values. A link keeps its address, one that was removed stays, a new one has to wait.
    #[must_use]
    pub fn until_restart(self, old: &Config) -> Config {
        let Config { data: _, keys: _, mut api, admin: _, mut limits, privacy: _, tenants, switches } = self;
        api.listen = old.api.listen;
        limits.active_calls = old.limits.active_calls;
        limits.session_memory = old.limits.session_memory;
        limits.connections = old.limits.connections;
        limits.arbiters = old.limits.arbiters;
        let switches = old.switches.iter().map(|bound| {
            let renewed = switches.iter().find(|switch| switch.name == bound.name).unwrap_or(bound);
            Switch { protocol: bound.protocol, listen: bound.listen, ..renewed.clone() }
        });
        Config {
            data: old.data.clone(),
            keys: old.keys.clone(),
            api,
            admin: old.admin.clone(),
            limits,
            privacy: old.privacy.clone(),
            tenants,
            switches: switches.collect(),
        }
    }
}
