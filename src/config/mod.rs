//! The configuration file (PRODUCT.md 8): strict TOML into checked values, without binding anything.
//!
//! [`Config::parse`] takes a text and gives values that the rest of the daemon uses without looking twice: ranges hold,
//! names are unique, every tenant a switch names exists. `file` names the keys of each table, `written` takes them out of
//! the text, `read` reads single values, `check` holds what must be true across keys. None of them stops at a fault:
//! each is noted, and nothing is said of what depends on it. Whether files and addresses can be opened is the daemon's business.

mod check;
mod error;
mod file;
mod read;
mod reload;
mod switches;
mod tables;
mod tenants;
#[cfg(test)]
mod tests;
mod warnings;
mod written;

pub use error::{ConfigError, ConfigErrors};
pub use switches::{Protocol, Switch};
pub use tables::{Admin, Api, Data, Durability, Keys, Limits, Privacy};
pub use tenants::{ApiKey, Generation, Release, Scope, Scopes, Tenant};

use toml::Spanned;
use toml::de::DeTable;

use self::error::Faults;
use crate::domain::ids::{InstanceId, ReleaseId, TenantId};
use crate::domain::session::Rules;

/// A checked configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What lies on the disk.
    pub data: Data,
    /// Where the root key is.
    pub keys: Keys,
    /// Where voice apps connect.
    pub api: Api,
    /// Where operators and monitoring connect.
    pub admin: Admin,
    /// What is refused, and when.
    pub limits: Limits,
    /// Promises about deletion.
    pub privacy: Privacy,
    /// The customers.
    pub tenants: Vec<Tenant>,
    /// The links to SIP switches.
    pub switches: Vec<Switch>,
}

impl Config {
    /// Reads and checks the text of a configuration file.
    ///
    /// # Errors
    /// All faults that can be told independently, each with its place and what to write instead. One that makes the
    /// text no TOML is told alone.
    pub fn parse(text: &str) -> Result<Self, ConfigErrors> {
        let mut faults = Faults::default();
        let file = DeTable::parse(text).unwrap_or_else(|error| {
            faults.add_from_toml(&error, 0..0);
            Spanned::new(0..0, DeTable::new())
        });
        let file = written::read_file(file, &mut faults);
        let config = check::check(file, &mut faults);
        match faults.locate(text) {
            None => Ok(config),
            Some(errors) => Err(errors),
        }
    }

    /// The tenant with this id.
    #[must_use]
    pub fn tenant(&self, id: &TenantId) -> Option<&Tenant> {
        self.tenants.iter().find(|tenant| tenant.id == *id)
    }

    /// The rules of one release, if it is configured.
    #[must_use]
    pub fn rules(&self, tenant: &TenantId, instance: &InstanceId) -> Option<Rules> {
        let release = self.tenant(tenant)?.release(instance)?;
        Some(Rules {
            release: ReleaseId { tenant: tenant.clone(), instance: instance.clone() },
            session_retention: release.session_retention,
            user_idle_limit: release.user_idle_limit,
            reset: release.reset,
            anonymous_sessions: release.anonymous_sessions,
            keep_number: release.keep_number,
            min_assurance: release.min_assurance,
            min_assurance_for: release.min_assurance_for.clone(),
            limits: self.limits.session,
        })
    }
}
