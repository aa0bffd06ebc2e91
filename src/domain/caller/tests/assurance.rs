//! How far a caller ID can be trusted.

use std::borrow::Cow;

use super::*;

const FROM: &str = "sip:+12025550143@trunk.example.net";
const PAI: [Cow<'static, str>; 1] = [Cow::Borrowed("<sip:+12025550143@trunk.example.net>")];
const VERSTATS: [(&str, Assurance); 9] = [
    ("TN-Validation-Passed-A", Assurance::AttestedA),
    ("TN-Validation-Passed", Assurance::AttestedB),
    ("TN-Validation-Passed-B", Assurance::AttestedB),
    ("TN-Validation-Passed-C", Assurance::Trunk),
    ("TN-Validation-Failed", Assurance::None),
    ("TN-Validation-Failed-A", Assurance::None),
    ("TN-Validation-Failed-C", Assurance::None),
    (" tn-validation-passed-a ", Assurance::AttestedA),
    ("TN-VALIDATION-FAILED", Assurance::None),
];

fn sources() -> [(Evidence<'static>, Assurance); 4] {
    [
        (from(FROM), Assurance::None),
        (Evidence { pai: &PAI, ..from(FROM) }, Assurance::Trunk),
        (Evidence { rpid: Some("<sip:+12025550143@trunk.example.net>;privacy=off"), ..from(FROM) }, Assurance::Trunk),
        (Evidence { user_id: Some("customer-4711"), ..from(FROM) }, Assurance::Trunk),
    ]
}

#[test]
fn from_alone_is_none_and_an_identity_of_a_trusted_switch_is_trunk() {
    for (evidence, expected) in sources() {
        assert_eq!(identify_at(true, &evidence).assurance, expected);
        assert_eq!(identify_at(false, &evidence).assurance, Assurance::None);
    }
}

#[test]
fn verstat_counts_on_a_trusted_switch_only() {
    for (verstat, expected) in VERSTATS {
        for (evidence, _) in sources() {
            let evidence = Evidence { verstat: Some(verstat), ..evidence };
            assert_eq!(identify_at(true, &evidence).assurance, expected, "{verstat}");
            assert_eq!(identify_at(false, &evidence).assurance, Assurance::None, "{verstat}");
        }
    }
}

#[test]
fn a_verstat_that_says_nothing_changes_nothing() {
    let long = "TN-Validation-Passed-A".repeat(500);
    for verstat in [
        "No-TN-Validation",
        "",
        " ",
        "no-tn-validation",
        "TN-Validation-Passed-D",
        "TN-Validation",
        "TN-Validation-Fäiled",
        "ü",
        &long,
    ] {
        for (evidence, expected) in sources() {
            assert_eq!(
                identify_at(true, &Evidence { verstat: Some(verstat), ..evidence }).assurance,
                expected,
                "{verstat}"
            );
        }
    }
}

#[test]
fn a_withheld_caller_has_no_assurance() {
    let evidence = Evidence { pai: &PAI, privacy: Some("id"), verstat: Some("TN-Validation-Passed-A"), ..from(FROM) };
    assert_eq!(identify_at(true, &evidence).assurance, Assurance::None);
}
