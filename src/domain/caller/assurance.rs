//! How far a caller ID can be trusted (PRODUCT.md 3.5). It is context, never authentication.

use serde::{Deserialize, Serialize};

use super::evidence::CallerSource;

/// How far a caller ID can be trusted, in rising order (PRODUCT.md 3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum Assurance {
    /// From alone.
    #[default]
    None,
    /// Identity from a trusted switch.
    Trunk,
    /// STIR/SHAKEN passed with attestation B.
    AttestedB,
    /// STIR/SHAKEN passed with attestation A.
    AttestedA,
    /// The voice app said so after a PIN or login.
    App,
}

impl Assurance {
    /// The word on the wire and in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Assurance::None => "none",
            Assurance::Trunk => "trunk",
            Assurance::AttestedB => "attested-b",
            Assurance::AttestedA => "attested-a",
            Assurance::App => "app",
        }
    }
}

/// What the verification of a call's STIR/SHAKEN passport says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verification {
    PassedA,
    PassedB,
    PassedC,
    Failed,
    Silent,
}

impl Verification {
    /// The values of the common carriers. `TN-Validation-Passed` alone does not say how the originating
    /// carrier knew the caller, so it counts as B; C says only through which gateway the call came.
    fn read(verstat: &str) -> Self {
        let verstat = verstat.trim();
        let is = |word: &str| verstat.eq_ignore_ascii_case(word);
        if is("TN-Validation-Passed-A") {
            Self::PassedA
        } else if is("TN-Validation-Passed") || is("TN-Validation-Passed-B") {
            Self::PassedB
        } else if is("TN-Validation-Passed-C") {
            Self::PassedC
        } else if verstat.get(..FAILED.len()).is_some_and(|start| start.eq_ignore_ascii_case(FAILED)) {
            Self::Failed
        } else {
            Self::Silent
        }
    }
}

/// Some carriers add the attestation that failed (`-A`, `-B`, `-C`).
const FAILED: &str = "TN-Validation-Failed";

/// The assurance of a call that starts. What an untrusted switch says raises nothing.
pub(super) fn at_start(source: CallerSource, trust_identity: bool, verstat: Option<&str>) -> Assurance {
    if !trust_identity || source == CallerSource::None {
        return Assurance::None;
    }
    match verstat.map_or(Verification::Silent, Verification::read) {
        Verification::PassedA => Assurance::AttestedA,
        Verification::PassedB => Assurance::AttestedB,
        Verification::PassedC => Assurance::Trunk,
        Verification::Failed => Assurance::None,
        Verification::Silent => match source {
            CallerSource::UserId | CallerSource::PAssertedIdentity | CallerSource::RemotePartyId => Assurance::Trunk,
            CallerSource::From | CallerSource::None => Assurance::None,
        },
    }
}
