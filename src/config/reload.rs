//! What a reload can change, and what needs a restart.

use super::Config;

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
}
