//! Why something was refused: a stable word for programs and a sentence for people.

use std::fmt;

/// The stable words of PRODUCT.md 5.1 and 6. They never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The bytes are not what the protocol says.
    ParseError,
    /// Well-formed, but not a request.
    InvalidRequest,
    /// No such method.
    MethodNotFound,
    /// A parameter is missing, of the wrong type or not allowed in its place.
    InvalidParams,
    /// A fault of recalld.
    Internal,
    /// No active call has this call ID.
    UnknownCall,
    /// No release has this number or instance ID.
    UnknownRelease,
    /// The peer or the API key may not do this.
    NotAllowed,
    /// No capacity at the moment: repeat later.
    Overloaded,
    /// A limit of PRODUCT.md 4.4.
    LimitExceeded,
    /// A withheld caller has no `user` variables.
    UserLifetimeUnavailable,
    /// `if_revision`, `If-Match` or `If-None-Match` does not hold.
    RevisionConflict,
    /// The call ID belongs to an active call of another caller.
    CallIdInUse,
    /// The call's assurance is below what the release demands.
    AssuranceTooLow,
    /// Not answered within `answer_within`: the outcome is unknown, repeat it.
    Late,
    /// The disk is nearly full: nothing is accepted that grows.
    ReadOnly,
    /// The API key is missing or wrong (HTTP only).
    Unauthorized,
    /// No such session (HTTP only).
    UnknownSession,
}

impl Reason {
    /// All reasons, in the order of the contract. Metrics pre-create one series for each.
    pub const ALL: [Reason; 18] = [
        Reason::ParseError,
        Reason::InvalidRequest,
        Reason::MethodNotFound,
        Reason::InvalidParams,
        Reason::Internal,
        Reason::UnknownCall,
        Reason::UnknownRelease,
        Reason::NotAllowed,
        Reason::Overloaded,
        Reason::LimitExceeded,
        Reason::UserLifetimeUnavailable,
        Reason::RevisionConflict,
        Reason::CallIdInUse,
        Reason::AssuranceTooLow,
        Reason::Late,
        Reason::ReadOnly,
        Reason::Unauthorized,
        Reason::UnknownSession,
    ];

    /// The word on the wire, in metrics and in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::ParseError => "parse_error",
            Reason::InvalidRequest => "invalid_request",
            Reason::MethodNotFound => "method_not_found",
            Reason::InvalidParams => "invalid_params",
            Reason::Internal => "internal",
            Reason::UnknownCall => "unknown_call",
            Reason::UnknownRelease => "unknown_release",
            Reason::NotAllowed => "not_allowed",
            Reason::Overloaded => "overloaded",
            Reason::LimitExceeded => "limit_exceeded",
            Reason::UserLifetimeUnavailable => "user_lifetime_unavailable",
            Reason::RevisionConflict => "revision_conflict",
            Reason::CallIdInUse => "call_id_in_use",
            Reason::AssuranceTooLow => "assurance_too_low",
            Reason::Late => "late",
            Reason::ReadOnly => "read_only",
            Reason::Unauthorized => "unauthorized",
            Reason::UnknownSession => "unknown_session",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refused request. The detail says what to do next and never holds a number or a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Refusal {
    /// The stable word.
    pub reason: Reason,
    /// One lower-case sentence for people.
    pub detail: std::borrow::Cow<'static, str>,
}

impl Refusal {
    /// A refusal with a reason and a sentence.
    pub fn new(reason: Reason, detail: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self { reason, detail: detail.into() }
    }
}
