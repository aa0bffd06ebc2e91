//! The numbers simulated callers have: reserved ones that belong to nobody, so that none needs to be written on a
//! command line.

use crate::domain::caller::{CallerNumber, mask};

/// The first simulated caller.
pub(in crate::cli) const FIRST: u64 = 1;
/// The last one that can be chosen on the command line.
pub(in crate::cli) const LAST: u64 = 99;
/// The last one with a number of its own.
pub(in crate::cli) const LAST_NUMBER: u64 = 999;

/// What is called if nothing else is said: a number of the release `support-de` of the example configuration.
pub(in crate::cli) const CALLED: &str = "+493023125000";

/// The number of a caller, from 1 to [`LAST_NUMBER`]: +49 30 23125 followed by three digits.
pub(in crate::cli) fn number(caller: u64) -> String {
    format!("+493023125{:03}", caller.clamp(FIRST, LAST_NUMBER))
}

/// The address a switch reports for a number.
pub(in crate::cli) fn sip_uri(number: &str) -> String {
    format!("sip:{number}@switch.example")
}

/// A number as it may be printed.
pub(in crate::cli) fn masked(number: &str) -> String {
    mask(&CallerNumber::new(number.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_caller_has_a_valid_number_of_the_reserved_range_and_shows_two_digits_of_it() {
        assert_eq!(number(1), "+493023125001");
        assert_eq!(number(99), "+493023125099");
        assert_eq!(masked(&number(1)), "+49••••••••01");
        assert_ne!(number(LAST_NUMBER), CALLED);
    }
}
