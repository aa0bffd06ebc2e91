//! What the configuration says about the sessions of one release.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

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

    /// The part of the rules that says how long data stays without activity.
    #[must_use]
    pub const fn retention(&self) -> Retention {
        Retention {
            session_retention: self.session_retention,
            user_idle_limit: self.user_idle_limit,
            anonymous_sessions: self.anonymous_sessions,
        }
    }

    /// The same rules with another retention.
    #[must_use]
    pub fn with_retention(self, retention: Retention) -> Self {
        let Retention { session_retention, user_idle_limit, anonymous_sessions } = retention;
        Self { session_retention, user_idle_limit, anonymous_sessions, ..self }
    }
}

/// How long data of a release stays without activity. What a reload may have to hold (PRODUCT.md 4.1), because making
/// it shorter ends what is stored already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Idle time after which `session` variables end.
    pub session_retention: Duration,
    /// Idle time after which `user` variables end, if there is one.
    pub user_idle_limit: Option<Duration>,
    /// What becomes of a withheld call's session without variables.
    pub anonymous_sessions: AnonymousSessions,
}

impl AnonymousSessions {
    /// The word in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Keep => "keep",
        }
    }
}

impl Retention {
    /// Whether something may end earlier than it would under another retention.
    #[must_use]
    pub fn ends_earlier_than(&self, other: &Retention) -> bool {
        let limit = |retention: &Retention| retention.user_idle_limit.unwrap_or(Duration::MAX);
        self.session_retention < other.session_retention
            || limit(self) < limit(other)
            || (self.anonymous_sessions, other.anonymous_sessions) == (AnonymousSessions::Drop, AnonymousSessions::Keep)
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
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
