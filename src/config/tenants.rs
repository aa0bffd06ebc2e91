//! Tenants with their releases and API keys.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::domain::caller::Assurance;
use crate::domain::ids::{InstanceId, TenantId, VariableName};
use crate::domain::number_plan::NumberPattern;
use crate::domain::session::{AnonymousSessions, Reset};

/// `[[tenant]]`: a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its id, unique.
    pub id: TenantId,
    /// Its voice apps, with the retention of the tenant filled in where they have none of their own.
    pub releases: Vec<Release>,
    /// What voice apps show to be let in.
    pub api_keys: Vec<ApiKey>,
}

impl Tenant {
    /// The release with this name.
    #[must_use]
    pub fn release(&self, instance: &InstanceId) -> Option<&Release> {
        self.releases.iter().find(|release| release.instance == *instance)
    }
}

/// `[[tenant.release]]`: a deployed voice app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Its name, unique in the tenant.
    pub instance: InstanceId,
    /// How its session IDs are made.
    pub generation: Generation,
    /// The called numbers that belong to it: E.164, short codes, prefixes such as `+4930231251*`.
    pub numbers: Vec<NumberPattern>,
    /// Idle time after which `session` variables end. `30d`, or the tenant's.
    pub session_retention: Duration,
    /// Idle time after which `user` variables end, if there is one.
    pub user_idle_limit: Option<Duration>,
    /// When `session` variables are reset. `new-call`.
    pub reset: Reset,
    /// What becomes of a withheld call's empty session. `drop`.
    pub anonymous_sessions: AnonymousSessions,
    /// Whether number, display name and headers are stored, sealed. `false`.
    pub keep_number: bool,
    /// Assurance below which no `user` variable is read or written. `none`.
    pub min_assurance: Assurance,
    /// The same for single names.
    pub min_assurance_for: BTreeMap<VariableName, Assurance>,
}

/// Whether session IDs are derived or random (PRODUCT.md 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// Random, found again by an alias.
    Phone1,
    /// The keyed value of the first contact.
    Phone2,
}

/// `[[tenant.api_key]]`: what a voice app shows to be let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its name in logs and in the audit log, unique in the tenant.
    pub name: String,
    /// SHA-256 of the whole key text, unique in the file.
    pub sha256: [u8; 32],
    /// What it may do.
    pub scopes: Scopes,
    /// The releases it may do it with. None: all of the tenant.
    pub releases: Option<Vec<InstanceId>>,
}

/// One permission of an API key (PRODUCT.md 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Read contexts.
    ContextRead,
    /// Write variables.
    ContextWrite,
    /// Requests that name no call are not bound by `min_assurance`.
    ContextTrusted,
    /// Say that a caller has proved who she is.
    AssuranceAssert,
    /// See plain numbers.
    NumberReveal,
    /// Find a session by a number.
    NumberLookup,
    /// Watch all calls of a release.
    CallsWatch,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Scope; 7] = [
        Scope::ContextRead,
        Scope::ContextWrite,
        Scope::ContextTrusted,
        Scope::AssuranceAssert,
        Scope::NumberReveal,
        Scope::NumberLookup,
        Scope::CallsWatch,
    ];

    /// The word in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Scope::ContextRead => "context:read",
            Scope::ContextWrite => "context:write",
            Scope::ContextTrusted => "context:trusted",
            Scope::AssuranceAssert => "assurance:assert",
            Scope::NumberReveal => "number:reveal",
            Scope::NumberLookup => "number:lookup",
            Scope::CallsWatch => "calls:watch",
        }
    }
}

/// A set of [`Scope`]s.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u8);

impl Scopes {
    /// Whether the scope is among them.
    #[must_use]
    pub const fn has(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |set, scope| set | (1 << scope as u8)))
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(Scope::ALL.into_iter().filter(|scope| self.has(*scope)).map(Scope::as_str)).finish()
    }
}
