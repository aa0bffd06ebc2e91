//! Who is calling (PRODUCT.md 3.1, 3.4, 3.5): from what a switch reports to a canonical caller ID.
//!
//! | module | what is decided there |
//! |---|---|
//! | [`uri`] | what user and host a header or a URI names |
//! | `evidence` | what a switch reports of a caller, and what is configured of the switch |
//! | `normalise` | which canonical form a user part has |
//! | `rules` | which version of the rules is in force, and what older ones make of a caller |
//! | `sources` | which header counts, and what of it is used and shown |
//! | [`withheld`] | whether the caller wants to stay unknown |
//! | `assurance` | how far the caller ID can be trusted |
//! | `canonical`, `details`, `mask` | the secret types, and what is shown of them |

mod assurance;
mod canonical;
mod details;
mod evidence;
mod mask;
mod normalise;
mod region;
mod rules;
mod sources;
#[cfg(test)]
mod tests;
pub mod uri;
pub mod withheld;

pub use assurance::Assurance;
pub use canonical::{CallerClass, CanonicalCallerId, RULE_VERSION};
pub use details::{CallerDetails, CallerNumber, DtmfDigit, Presentation};
pub use evidence::{CallerSource, Evidence, Trunk};
pub use mask::mask;
pub use normalise::canonical_form;
pub(super) use normalise::{is_number_text, valid_number};
pub use region::{InvalidRegion, Region};
pub use rules::{RULES, RuleSet, RuleSets};
pub use sources::{Caller, identify, identify_by};
