//! Addresses: what is read holds no control character and no `@` in the host, lists are cut without losing anything, and
//! what was read is read as itself again.

use recalld::domain::caller::uri::{Address, MAX_USER, entries};

/// Looks at one input: a text.
pub fn run(input: &[u8]) {
    let text = super::text(input);
    for entry in entries(text) {
        assert!(text.contains(entry) && !entry.is_empty());
        let _ = Address::parse(entry);
    }
    let Some(address) = Address::parse(text) else { return };
    assert!(!address.user.is_empty() && address.user.len() <= MAX_USER && !address.user.chars().any(char::is_control));
    assert!(
        address.display.as_ref().is_none_or(|display| !display.is_empty() && !display.chars().any(char::is_control))
    );
    if let Some(host) = &address.host {
        assert!(
            !host.is_empty()
                && !host.contains(['@', ' ', ';', ','])
                && !host.bytes().any(|byte| byte.is_ascii_uppercase())
        );
        let escaped = address.user.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
        let again = format!("sip:{escaped}@{host}");
        let again = Address::parse(&again).expect("it was one before");
        assert_eq!((again.user, again.host), (address.user, address.host));
    }
}
