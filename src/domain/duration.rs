//! Durations as people write them: `1500ms`, `2s`, `15m`, `1h`, `30d` (PRODUCT.md 2).

use std::time::Duration;

/// A duration that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a duration: write a whole number and a unit, one of ms, s, m, h, d, as in 1500ms, 15m or 30d")]
pub struct InvalidDuration;

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Reads a duration.
///
/// # Errors
/// [`InvalidDuration`] for anything but a whole number directly followed by one unit, and for values
/// above 10,000 years.
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or(InvalidDuration)?;
    let (digits, unit) = text.split_at(split);
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(InvalidDuration)?;
    let count: u64 = digits.parse().map_err(|_| InvalidDuration)?;
    let millis = count.checked_mul(*factor).ok_or(InvalidDuration)?;
    if millis > 10_000 * 366 * 86_400_000 {
        return Err(InvalidDuration);
    }
    Ok(Duration::from_millis(millis))
}

/// Writes a duration in the largest unit that divides it.
#[must_use]
pub fn format(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let (name, factor) =
        UNITS.iter().rev().find(|(_, factor)| millis >= *factor && millis.is_multiple_of(*factor)).unwrap_or(&UNITS[0]);
    format!("{}{name}", millis / factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_examples_of_the_contract_are_read() {
        for (text, millis) in
            [("1500ms", 1_500), ("2s", 2_000), ("15m", 900_000), ("1h", 3_600_000), ("30d", 2_592_000_000)]
        {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "5", "m", "-1s", "1 s", "1.5s", "1S", "99999999999999999999s", "18446744073709551615d", "٣s"]
        {
            assert_eq!(parse(text), Err(InvalidDuration), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(millis in 0_u64..1_000_000_000_000) {
            prop_assert_eq!(parse(&format(Duration::from_millis(millis))), Ok(Duration::from_millis(millis)));
        }
    }
}
