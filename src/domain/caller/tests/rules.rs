//! A raised version of the rules knows what the rules before it made of the same caller.

use super::super::uri::Address;
use super::*;

/// Rules that never asked the number parser.
fn verbatim(address: &Address<'_>, _: &Trunk<'_>) -> Option<CanonicalCallerId> {
    address.host.as_ref().map(|host| CanonicalCallerId::sip(&address.user, host))
}

/// Rules that took a user ID without regard to its case.
fn lower_case(id: &str) -> CanonicalCallerId {
    CanonicalCallerId::user_id(&id.to_ascii_lowercase())
}

const OLDER: &[RuleSet] = &[
    RuleSet { version: 2, of_address: canonical_form, of_user_id: lower_case },
    RuleSet { version: 1, of_address: verbatim, of_user_id: lower_case },
];

const RAISED: RuleSets<'static> =
    RuleSets { newest: RuleSet { version: 3, of_user_id: CanonicalCallerId::user_id, ..RULES.newest }, older: OLDER };

fn forms(evidence: &Evidence<'_>) -> Vec<(u16, String)> {
    let code = region("DE");
    let trunk = Trunk { trust_identity: false, region: &code, domain: "edge-1" };
    let caller = identify_by(&RAISED, evidence, &trunk).canonical.expect("a caller");
    caller.forms().map(|form| (form.rule_version(), form.reveal().to_owned())).collect()
}

#[test]
fn a_caller_is_known_under_the_form_of_every_version_the_newest_first() {
    let expected = [(3, "tel:+493023125001"), (2, "tel:+493023125001"), (1, "sip:03023125001@example.com")];
    assert_eq!(forms(&from("sip:03023125001@example.com")), expected.map(|(version, form)| (version, form.to_owned())));
    let expected = [(3, "id:Alice"), (2, "id:alice"), (1, "id:alice")];
    let evidence = Evidence { user_id: Some("Alice"), ..from("") };
    assert_eq!(forms(&evidence), expected.map(|(version, form)| (version, form.to_owned())));
}

#[test]
fn a_version_that_knew_nobody_here_leads_nowhere() {
    let expected = [(3, "tel:+493023125001".to_owned()), (2, "tel:+493023125001".to_owned())];
    assert_eq!(forms(&from("tel:+493023125001")), expected);
}

#[test]
fn the_versions_of_this_program_fall_from_the_one_that_is_stored_with_new_aliases() {
    let versions: Vec<_> = [&RULES.newest].into_iter().chain(RULES.older).map(|set| set.version).collect();
    assert_eq!(versions.first(), Some(&RULE_VERSION));
    assert!(versions.is_sorted_by(|newer, older| newer > older), "{versions:?}");
}
