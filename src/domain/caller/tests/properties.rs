//! Laws that hold for every text.

use std::borrow::Cow;
use std::collections::HashMap;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

use super::*;
use crate::domain::ids::InstanceId;
use crate::domain::number_plan::called_party;
use crate::domain::pseudonym::RootKey;

const REGIONS: [&str; 10] = ["DE", "AT", "CH", "GB", "US", "FR", "IT", "AR", "BR", "MX"];

/// Texts near enough to the grammar to get far into the parsers.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[+0-9().\\-/ ]{0,24}",
        "(\"[^\"]{0,6}\"? ?<?)?(sips?:|tel:|SIP:|)[+%0-9a-zA-Z.;:@\\-]{0,24}@?[a-zA-Z0-9.:\\[\\]]{0,12}>?[;=,\"a-z]{0,12}",
        "(<?sip:)?\\+[1-9][0-9]{4,15}(@example.com>?)?",
        "\\+(49|43|41|44|1|33|39|54|55|52)[0-9]{6,12}",
        "(00|011|0|01|015|021|044|1|9|90)?[1-9][0-9]{5,12}",
        "[\"<>@;:,%\\\\=a1 ]{0,40}",
    ]
}

/// What the canonical form looks like on the wire of a switch.
fn written_again(canonical: &CanonicalCallerId) -> String {
    let text = canonical.reveal();
    match canonical.class() {
        CallerClass::Tel => text.to_owned(),
        CallerClass::Extension => text.rsplit(':').next().expect("digits").to_owned(),
        CallerClass::Sip => {
            let (user, host) = text.strip_prefix("sip:").and_then(|rest| rest.rsplit_once('@')).expect("user and host");
            format!("sip:{}@{host}", utf8_percent_encode(user, NON_ALPHANUMERIC))
        }
        CallerClass::UserId => unreachable!("no user ID was given"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics_and_every_caller_is_consistent(
        texts in prop::collection::vec(texts(), 7),
        trust_identity: bool,
        hidden_by_switch in prop::bool::weighted(0.1),
        given in prop::array::uniform4(prop::bool::weighted(0.3)),
        at in 0..REGIONS.len(),
    ) {
        let pai: Vec<_> = texts[5..].iter().map(|text| Cow::Borrowed(text.as_str())).collect();
        let optional = |index: usize| given[index].then_some(texts[index + 1].as_str());
        let evidence = Evidence {
            user_id: None,
            party: &texts[0],
            display: optional(0),
            pai: &pai,
            rpid: optional(1),
            privacy: optional(2),
            verstat: optional(3),
            hidden_by_switch,
        };
        let code = region(REGIONS[at]);
        let caller = identify(&evidence, &Trunk { trust_identity, region: &code, domain: "edge-1" });
        let anonymous = caller.canonical.is_none();
        prop_assert_eq!(anonymous, caller.source == CallerSource::None);
        prop_assert_eq!(anonymous, caller.presentation != Presentation::Allowed);
        prop_assert_eq!(anonymous, caller.number.is_none());
        if anonymous {
            prop_assert!(caller.display.is_none() && caller.assurance == Assurance::None);
        }
        if let Some(number) = &caller.number {
            prop_assert_ne!(mask(number), number.reveal());
        }
        let _ = called_party(&texts[0], &code);
    }

    #[test]
    fn normalisation_is_idempotent(text in texts(), at in 0..REGIONS.len()) {
        let code = region(REGIONS[at]);
        let trunk = Trunk { trust_identity: false, region: &code, domain: "edge-1" };
        if let Some(canonical) = identify(&from(&text), &trunk).canonical {
            let again = identify(&from(&written_again(&canonical)), &trunk);
            prop_assert_eq!(form(&again), canonical.reveal(), "{}", text);
        }
    }

    #[test]
    fn a_number_is_the_same_caller_from_every_region(text in "\\+([1-9]|49|43|44|39|54|55)[0-9]{4,13}", one in 0..REGIONS.len(), other in 0..REGIONS.len()) {
        let at = |index: usize| {
            let code = region(REGIONS[index]);
            identify(&from(&text), &Trunk { trust_identity: false, region: &code, domain: "edge-1" }).canonical
        };
        prop_assert_eq!(at(one), at(other), "{}", text);
    }

    #[test]
    fn two_canonical_forms_never_share_a_keyed_value(texts in prop::collection::vec(texts(), 1..40)) {
        let key = RootKey::from_file(&[7; 32]).expect("a key").pseudonym_key(&"acme".parse().expect("a tenant"), 1);
        let instances: [InstanceId; 2] = ["support-de", "support-d"].map(|text| text.parse().expect("an instance"));
        let mut seen = HashMap::new();
        for text in &texts {
            for canonical in [
                identify_at(false, &from(text)).canonical,
                identify_at(false, &Evidence { user_id: Some(text), ..from("") }).canonical,
            ]
            .into_iter()
            .flatten()
            {
                for instance in &instances {
                    let who = (canonical.reveal().to_owned(), instance.clone());
                    let first = seen.entry(key.keyed_value(&canonical, instance)).or_insert_with(|| who.clone());
                    prop_assert_eq!(first, &who);
                }
            }
        }
    }

    #[test]
    fn debug_never_shows_what_a_secret_type_holds(digits in "[1-9][0-9]{7}", name in "[A-Z][a-z]{7}") {
        let party = format!("\"{name}\" <sip:+49302312{digits}@{name}.example.com>");
        let caller = identify_at(true, &from(&party));
        let root = RootKey::from_file(digits.repeat(4).as_bytes()).expect("32 bytes");
        let key = root.pseudonym_key(&"acme".parse().expect("a tenant"), 1);
        let called = called_party(&party, &region("DE"));
        let printed = format!("{caller:?} {called:?} {root:?} {key:?}");
        for secret in [digits.as_str(), name.as_str(), &root.file_text()[..16]] {
            prop_assert!(!printed.contains(secret), "{}", printed);
        }
    }
}
