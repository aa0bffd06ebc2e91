//! Bare numbers in every kind of region: the same text gives the same caller, only E.164 becomes a number, and a number
//! that was read is read as itself again, from wherever.

use recalld::domain::caller::{CallerClass, Region};
use recalld::domain::number_plan::called_party;

use super::caller;

const REGIONS: [&str; 10] = ["DE", "AT", "CH", "GB", "US", "FR", "IT", "AR", "BR", "MX"];

/// Looks at one input: a byte that chooses the region, then the number.
pub fn run(input: &[u8]) {
    let Some((at, text)) = input.split_first() else { return };
    let text = super::text(text);
    let region: Region = REGIONS[usize::from(*at) % REGIONS.len()].parse().expect("a region");
    let _ = called_party(text, &region);
    let Some(canonical) = caller::identify_in(region, &caller::from(text)).canonical else { return };
    if canonical.class() == CallerClass::Tel {
        let number = canonical.reveal().strip_prefix("tel:").expect("its class says so");
        let digits = number.strip_prefix('+').expect("E.164");
        // Some real numbers are longer than the 15 digits of E.164.
        assert!((3..=20).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()), "{number}");
        for other in REGIONS {
            let region = other.parse().expect("a region");
            let again = caller::identify_in(region, &caller::from(number)).canonical.expect("a caller");
            assert_eq!(again.reveal(), canonical.reveal());
        }
    }
}
