//! From a user part to its canonical form (PRODUCT.md 3.1). The golden corpus in
//! `tests/data/caller-ids.tsv` fixes what comes out.

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat};
use zeroize::Zeroizing;

use super::canonical::CanonicalCallerId;
use super::evidence::Trunk;
use super::region::Region;
use super::uri::Address;

/// Longest text that is tried as a number: 17 digits, however they are grouped.
const MAX_NUMBER_TEXT: usize = 64;

/// The canonical form of an address, none if it names nobody: a word without a host is no address.
#[must_use]
pub fn canonical_form(address: &Address<'_>, trunk: &Trunk<'_>) -> Option<CanonicalCallerId> {
    let user: &str = &address.user;
    let is_number_text = is_number_text(user);
    if is_number_text && let Some(e164) = valid_number(user, *trunk.region) {
        return Some(CanonicalCallerId::tel(&e164));
    }
    if user.bytes().all(|b| b.is_ascii_digit()) {
        return Some(CanonicalCallerId::extension(trunk.domain, user));
    }
    match &address.host {
        Some(host) => Some(CanonicalCallerId::sip(user, host)),
        // A number that is not valid is still what its switch calls somebody.
        None => is_number_text.then(|| CanonicalCallerId::sip(user, &trunk.domain.to_ascii_lowercase())),
    }
}

/// Whether a user part may go to the number parser. The parser itself reads letters as digits of a
/// keypad, digits of other scripts and extensions; none of that is a caller ID.
pub(in crate::domain) fn is_number_text(user: &str) -> bool {
    user.len() <= MAX_NUMBER_TEXT
        && user.bytes().all(|b| matches!(b, b'+' | b'0'..=b'9' | b'(' | b')' | b'-' | b'.' | b'/' | b' '))
        && user.bytes().any(|b| b.is_ascii_digit())
}

/// The E.164 form (`+…`) of a text that [`is_number_text`], if it is a valid number.
pub(in crate::domain) fn valid_number(text: &str, region: Region) -> Option<Zeroizing<String>> {
    let number = PHONE_NUMBER_UTIL.parse(text, Some(region.code())).ok()?;
    if !PHONE_NUMBER_UTIL.is_valid_number(&number) {
        return None;
    }
    Some(Zeroizing::new(PHONE_NUMBER_UTIL.format(&number, PhoneNumberFormat::E164).into_owned()))
}
