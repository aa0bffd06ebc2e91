//! Called numbers: exact first, then the longest prefix.

use super::*;

fn plan(numbers: &[(&str, &'static str)]) -> Result<NumberPlan<&'static str>, DuplicateNumber> {
    NumberPlan::new(numbers.iter().map(|(number, release)| (number.parse().expect("a pattern"), *release)))
}

fn found(plan: &NumberPlan<&'static str>, uri: &str) -> Option<&'static str> {
    plan.find(&called_party(uri, &"DE".parse().expect("a region"))).copied()
}

#[test]
fn a_called_party_finds_the_exact_number_then_the_longest_prefix() {
    let plan = plan(&[
        ("+493023125000", "exact"),
        ("+4930231251*", "hundred"),
        ("+49302312512*", "ten"),
        ("+493023125123", "inside"),
        ("+44*", "britain"),
        ("115", "short"),
        ("1001", "extension"),
    ])
    .expect("a plan");
    for (uri, release) in [
        ("sip:+493023125000@127.0.0.1:5060;user=phone", Some("exact")),
        ("\"Support\" <sip:03023125000@pbx.example.com>", Some("exact")),
        ("tel:+49-30-23125-000", Some("exact")),
        ("sip:00493023125000@pbx.example.com", Some("exact")),
        ("+493023125100", Some("hundred")),
        ("+493023125120", Some("ten")),
        ("+493023125123", Some("inside")),
        ("sip:+442079460123@example.com", Some("britain")),
        ("sip:115@127.0.0.1", Some("short")),
        ("tel:1001;phone-context=pbx.example.com", Some("extension")),
        ("sip:+493023125200@127.0.0.1", None),
        ("sip:+4930231250001@127.0.0.1", None),
        ("sip:1002@127.0.0.1", None),
        ("sip:+115@127.0.0.1", None),
        ("sip:support@127.0.0.1", None),
        ("", None),
        ("sip:", None),
    ] {
        assert_eq!(found(&plan, uri), release, "{uri}");
    }
}

#[test]
fn a_configured_number_the_parser_does_not_know_is_found_by_its_digits() {
    let plan = plan(&[("+999123456", "test"), ("+88812*", "prefix")]).expect("a plan");
    assert_eq!(found(&plan, "sip:+999-123.456@example.com"), Some("test"));
    assert_eq!(found(&plan, "sip:+888123@example.com"), Some("prefix"));
    assert_eq!(found(&plan, "sip:+999+123456@example.com"), None);
    assert_eq!(found(&plan, "sip:999123456@example.com"), None);
}

#[test]
fn a_short_code_that_reads_as_a_number_is_found_as_both() {
    // Eight digits are a valid number in Germany too.
    let short = plan(&[("23125001", "short")]).expect("a plan");
    assert_eq!(found(&short, "sip:23125001@pbx.example.com"), Some("short"));
    let number = plan(&[("+4923125001", "number"), ("2312*", "none")].map(|(n, r)| (n.trim_end_matches('*'), r)))
        .expect("a plan");
    assert_eq!(found(&number, "sip:23125001@pbx.example.com"), Some("number"));
}

#[test]
fn a_number_belongs_to_one_release() {
    for (numbers, index) in
        [([("+493023125000", "a"), ("+493023125000", "b")], 1), ([("+4930*", "a"), ("+4930*", "a")], 1)]
    {
        assert_eq!(plan(&numbers).map(|_| ()), Err(DuplicateNumber { index }));
    }
    assert!(plan(&[("+4930", "a"), ("+4930*", "b"), ("4930", "c")]).is_ok());
}

#[test]
fn a_pattern_is_a_number_a_short_code_or_a_prefix() {
    for text in ["+493023125000", "115", "1", "+4*", "+4930231251*", "123456789012345"] {
        assert!(text.parse::<NumberPattern>().is_ok(), "{text}");
    }
    for text in [
        "",
        "+",
        "*",
        "+*",
        "115*",
        "+49 30",
        "030/23125",
        "sip:115",
        "+49*1",
        "++49",
        "1234567890123456",
        "+١",
        "+49**",
    ] {
        assert_eq!(text.parse::<NumberPattern>(), Err(InvalidNumberPattern), "{text}");
    }
}

#[test]
fn debug_tells_no_number() {
    let pattern: NumberPattern = "+493023125000".parse().expect("a pattern");
    let called = called_party("sip:+493023125000@example.com", &"DE".parse().expect("a region"));
    let plan = NumberPlan::new([(pattern.clone(), 1)]).expect("a plan");
    assert!(!format!("{pattern:?} {called:?} {plan:?}").contains("23125"));
}
