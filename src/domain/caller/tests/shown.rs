//! What of a number is shown, and to whom nothing is.

use super::*;

fn masked(text: &str) -> String {
    mask(&CallerNumber::new(text.to_owned()))
}

#[test]
fn a_masked_number_keeps_country_code_and_last_two_digits() {
    for (number, shown) in [
        ("+493023125001", "+49••••••••01"),
        ("+12025550143", "+1••••••••43"),
        ("+442079460123", "+44••••••••23"),
        ("+390212345678", "+39••••••••78"),
        ("+80012345678", "+800••••••78"),
        ("+5491123456789", "+54•••••••••89"),
    ] {
        assert_eq!(masked(number), shown);
    }
}

#[test]
fn other_classes_are_masked_wholly() {
    for text in [
        "",
        "1",
        "1001",
        "sip:alice@example.com",
        "Alice Example",
        "+",
        "+49",
        "+4901",
        "+49012",
        "+999123456",
        "+49x3023125001",
        "+ü",
        "＋493023125001",
    ] {
        assert_eq!(masked(text), "••••", "{text}");
    }
}

#[test]
fn debug_tells_no_number_name_or_digit() {
    let caller = identify_at(true, &from("\"Erika Mustermann\" <sip:+493023125042@trunk.example.net>"));
    assert_eq!((number(&caller), display(&caller)), ("+493023125042", "Erika Mustermann"));
    let details = CallerDetails { number: caller.number.clone(), display: caller.display.clone(), headers: None };
    let address = super::super::uri::Address::parse("sip:+493023125042@trunk.example.net").expect("an address");
    let digit = DtmfDigit::new('7').expect("a key");
    let printed = format!("{caller:?} {caller:#?} {details:?} {address:?} {digit:?}");
    for secret in ["3023125042", "Erika", "trunk.example.net", "7"] {
        assert!(!printed.contains(secret), "{printed}");
    }
    assert!(printed.contains("hidden"));
}
