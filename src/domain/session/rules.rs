//! What the configuration says about the sessions of one release.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::caller::Assurance;
use crate::domain::ids::{ReleaseId, VariableName};

/// The rules of one release, in force at the moment of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Whose rules.
    pub release: ReleaseId,
    /// Idle time after which `session` variables end. Default 30 days.
    pub session_retention: Duration,
    /// Idle time after which `user` variables end, if the release sets one.
    pub user_idle_limit: Option<Duration>,
    /// When `session` variables are reset.
    pub reset: Reset,
    /// What becomes of a withheld call's session without variables.
    pub anonymous_sessions: AnonymousSessions,
    /// Whether number, display name and headers are kept, sealed.
    pub keep_number: bool,
    /// Assurance below which no `user` variable is read or written.
    pub min_assurance: Assurance,
    /// The same for single names; wins over `min_assurance`.
    pub min_assurance_for: BTreeMap<VariableName, Assurance>,
    /// Limits of PRODUCT.md 4.4.
    pub limits: Limits,
}

impl Rules {
    /// The assurance below which the `user` variable of this name is neither read nor written (PRODUCT.md 3.5).
    #[must_use]
    pub fn demanded_for(&self, name: &VariableName) -> Assurance {
        self.min_assurance_for.get(name).copied().unwrap_or(self.min_assurance)
    }
}

/// When `session` variables are reset (PRODUCT.md 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reset {
    /// When the number of active calls goes from 0 to 1.
    #[default]
    NewCall,
    /// At the start of every call, parallel ones too.
    EveryCall,
}

/// What becomes of a withheld call's session when its variables are gone (PRODUCT.md 3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AnonymousSessions {
    /// It goes too: no call can ever find it again.
    #[default]
    Drop,
    /// It stays.
    Keep,
}

/// Limits that are checked before anything is written (PRODUCT.md 4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of one value.
    pub value: usize,
    /// Most variables of one session, those of its calls included.
    pub variables: usize,
    /// Most bytes of names and values of one session, those of its calls included.
    pub session_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { value: 16 * 1024, variables: 256, session_bytes: 256 * 1024 }
    }
}
