//! Versions of the normalisation rules (PRODUCT.md 3.1, 3.3). Other rules give some callers another canonical form, and
//! so another pseudonym. Who raises the version leaves the set of rules before it in [`RULES`]: a caller is then known
//! under the form that each set gives her, the newest first, and moves to the newest at her next contact.
//!
//! The number parser is part of the rules, its data included: which numbers are valid changes with each of its releases,
//! and a number that becomes valid gets another canonical form. Its version is therefore pinned to the digit. An update
//! is a new version of the rules: it needs the former crate under another name beside the new one
//! (`[dependencies.numbers_1] package = "rlibphonenumber"`), as long as the set of rules that uses it is kept.

use super::canonical::{CanonicalCallerId, RULE_VERSION};
use super::evidence::Trunk;
use super::normalise::canonical_form;
use super::uri::Address;

/// One version of the rules.
#[derive(Clone, Copy)]
pub struct RuleSet {
    /// Its number, stored with each alias that was made by it.
    pub version: u16,
    /// The canonical form of an address; none if it names nobody.
    pub of_address: fn(&Address<'_>, &Trunk<'_>) -> Option<CanonicalCallerId>,
    /// The canonical form of a switch's own user ID.
    pub of_user_id: fn(&str) -> CanonicalCallerId,
}

/// The rules in force and those before them.
#[derive(Clone, Copy)]
pub struct RuleSets<'a> {
    /// In force.
    pub newest: RuleSet,
    /// By falling version, as far back as there may be aliases of theirs.
    pub older: &'a [RuleSet],
}

/// The rules of this program.
pub const RULES: RuleSets<'static> = RuleSets {
    newest: RuleSet { version: RULE_VERSION, of_address: canonical_form, of_user_id: CanonicalCallerId::user_id },
    older: &[],
};

impl RuleSets<'_> {
    /// Attaches to the form that the newest rules made of a caller the forms that the older ones make of her.
    pub(super) fn with_former(
        &self,
        newest: CanonicalCallerId,
        by: impl Fn(&RuleSet) -> Option<CanonicalCallerId>,
    ) -> CanonicalCallerId {
        let former = |set: &RuleSet| by(set).map(|form| form.made_by(set.version, Vec::new()));
        newest.made_by(self.newest.version, self.older.iter().filter_map(former).collect())
    }
}
