//! Addresses: what is read from them, field by field. The corpus holds many more.

use super::super::uri::{Address, MAX_TEXT, Scheme, entries};

#[test]
fn an_address_is_read_into_its_parts() {
    let read = |text| {
        let address = Address::parse(text)?;
        Some((
            address.scheme,
            address.display.map(String::from),
            address.user.into_owned(),
            address.host.map(String::from),
        ))
    };
    let parts = |scheme, display: &str, user: &str, host: &str| {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Some((scheme, some(display), user.to_owned(), some(host)))
    };
    for (text, expected) in [
        ("sip:alice@example.com", parts(Scheme::Sip, "", "alice", "example.com")),
        ("SIPS:Al%69ce;x=1:pw@Example.COM:5061;lr?a=b", parts(Scheme::Sip, "", "Alice", "example.com")),
        ("\"A \\\"B\\\" \\\\\" <sip:c@example.com>;tag=\"<>\"", parts(Scheme::Sip, "A \"B\" \\", "c", "example.com")),
        ("A B <tel:+49-30;x=y>;p", parts(Scheme::Tel, "A B", "+49-30", "")),
        ("tel:+4930@example.com", parts(Scheme::Tel, "", "+4930", "")),
        ("1001", parts(Scheme::Bare, "", "1001", "")),
        ("1001@[2001:DB8::1]:5060", parts(Scheme::Bare, "", "1001", "[2001:db8::1]")),
        ("sip:1001@", parts(Scheme::Sip, "", "1001", "")),
        ("\"a\u{7}b\" <sip:c@example.com>", parts(Scheme::Sip, "", "c", "example.com")),
        ("\"a\\", None),
        ("\"a\\\" <sip:c@example.com>", None),
        ("sip:a@b@c", None),
        ("sip:a%4@example.com", None),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
}

#[test]
fn a_list_is_split_outside_of_quotes_and_brackets() {
    let list = |text| entries(text).collect::<Vec<_>>();
    assert_eq!(list("<sip:a@x>, <tel:+1>"), ["<sip:a@x>", "<tel:+1>"]);
    assert_eq!(list("\"a, \\\", b\" <sip:a,b@x>,,  tel:+1 ,"), ["\"a, \\\", b\" <sip:a,b@x>", "tel:+1"]);
    assert_eq!(list("\"open, <sip:a@x>, b"), ["\"open, <sip:a@x>, b"]);
    assert!(list(" , ,").is_empty());
}

#[test]
fn a_text_above_the_limit_is_no_address() {
    let text =
        |length: usize| format!("<sip:alice@example.com>{}", ";".repeat(length - "<sip:alice@example.com>".len()));
    assert!(Address::parse(&text(MAX_TEXT)).is_some());
    assert!(Address::parse(&text(MAX_TEXT + 1)).is_none());
}
