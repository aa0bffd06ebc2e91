//! What of a number is seen by those who may not see it (PRODUCT.md 3.6).

use rlibphonenumber::PHONE_NUMBER_UTIL;

use super::details::CallerNumber;

const HIDDEN: &str = "••••";

/// The country code and the last two digits of a number; nothing of an extension, an address or a name,
/// not even its length.
#[must_use]
pub fn mask(number: &CallerNumber) -> String {
    let Some(digits) = number.reveal().strip_prefix('+') else { return HIDDEN.to_owned() };
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return HIDDEN.to_owned();
    }
    let Some((country, national)) = split_country(digits) else { return HIDDEN.to_owned() };
    let Some(hidden) = national.len().checked_sub(2).filter(|hidden| *hidden >= 2) else { return HIDDEN.to_owned() };
    let last = national.get(hidden..).unwrap_or_default();
    format!("+{country}{}{last}", "•".repeat(hidden))
}

/// Country codes are prefix-free, so the first that fits is the one.
fn split_country(digits: &str) -> Option<(&str, &str)> {
    (1..=3).filter_map(|length| digits.split_at_checked(length)).find(|(country, _)| {
        country.parse().is_ok_and(|code| PHONE_NUMBER_UTIL.get_region_for_country_code(code).is_some())
    })
}
