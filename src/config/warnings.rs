//! What is allowed, but hardly meant.

use std::net::SocketAddr;

use super::{Config, Durability};

impl Config {
    /// What an operator should know about this configuration, one sentence each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut exposed = |what: String, listen: SocketAddr| {
            if !listen.ip().to_canonical().is_loopback() {
                warnings.push(format!(
                    "{what} listens on {listen} without TLS: what passes there can be read and changed on the way"
                ));
            }
        };
        exposed("api".to_owned(), self.api.listen);
        exposed("admin".to_owned(), self.admin.listen);
        for switch in &self.switches {
            exposed(format!("the switch `{}`", switch.name), switch.listen);
        }
        for switch in &self.switches {
            if switch.allow.iter().any(|network| network.prefix_len() == 0) {
                warnings.push(format!("the switch `{}` allows every address to report calls", switch.name));
            }
            if switch.allow.is_empty() {
                warnings.push(format!("the switch `{}` allows no address: nothing can connect", switch.name));
            }
        }
        if self.data.durability == Durability::Relaxed {
            warnings.push("data.durability is `relaxed`: a power loss can take answered changes along".to_owned());
        }
        for tenant in self.tenants.iter().filter(|tenant| tenant.releases.is_empty()) {
            warnings.push(format!("the tenant `{}` has no release: none of its calls is accepted", tenant.id));
        }
        if self.switches.is_empty() {
            warnings.push("no switch is configured: no call is ever reported".to_owned());
        }
        warnings
    }
}
