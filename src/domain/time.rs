//! Points in time: milliseconds since the Unix epoch, in UTC.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in time with millisecond resolution (PRODUCT.md 2: RFC 3339 in UTC with milliseconds).
///
/// Inside it counts from the first instant that RFC 3339 can write, and from one: sessions and calls hold many times that
/// may be missing, and none then takes no memory of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "i64", into = "i64")]
pub struct Timestamp(NonZeroU64);

/// 0000-01-01T00:00:00.000Z, the first instant RFC 3339 can write.
const FIRST: i64 = -62_167_219_200_000;
/// 9999-12-31T23:59:59.999Z, the last instant RFC 3339 can write.
const LAST: i64 = 253_402_300_799_999;

impl Timestamp {
    /// From milliseconds since the Unix epoch; what RFC 3339 cannot write is brought to its nearest end.
    #[must_use]
    pub fn from_unix_millis(millis: i64) -> Self {
        let since_first = (millis.clamp(FIRST, LAST) - FIRST).cast_unsigned();
        Self(NonZeroU64::MIN.saturating_add(since_first))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn unix_millis(self) -> i64 {
        self.0.get().cast_signed() - 1 + FIRST
    }

    /// This instant and a duration later.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_unix_millis(self.unix_millis().saturating_add(millis))
    }

    /// How long after `earlier` this is; zero if it is before.
    #[must_use]
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.get().saturating_sub(earlier.0.get()))
    }

    /// Appends the RFC 3339 form. Written out by hand because every answer to a switch holds two of them.
    pub fn write_rfc3339(self, out: &mut String) {
        let days = self.unix_millis().div_euclid(86_400_000);
        let millis = self.unix_millis().rem_euclid(86_400_000);
        let (year, month, day) = civil_from_days(days);
        push_padded(out, year, 4);
        out.push('-');
        push_padded(out, month, 2);
        out.push('-');
        push_padded(out, day, 2);
        out.push('T');
        push_padded(out, millis / 3_600_000, 2);
        out.push(':');
        push_padded(out, millis / 60_000 % 60, 2);
        out.push(':');
        push_padded(out, millis / 1_000 % 60, 2);
        out.push('.');
        push_padded(out, millis % 1_000, 3);
        out.push('Z');
    }
}

impl Default for Timestamp {
    /// The Unix epoch.
    fn default() -> Self {
        Self::from_unix_millis(0)
    }
}

impl From<i64> for Timestamp {
    fn from(millis: i64) -> Self {
        Self::from_unix_millis(millis)
    }
}

impl From<Timestamp> for i64 {
    fn from(at: Timestamp) -> Self {
        at.unix_millis()
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({})", self.unix_millis())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(24);
        self.write_rfc3339(&mut text);
        f.write_str(&text)
    }
}

/// The proleptic Gregorian date of a day counted from 1970-01-01, in eras of 400 years.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

fn push_padded(out: &mut String, value: i64, width: u32) {
    for place in (0..width).rev() {
        let digit = value / 10_i64.pow(place) % 10;
        out.push(char::from(b'0' + u8::try_from(digit).unwrap_or(0)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn none_takes_no_memory_of_its_own() {
        assert_eq!(size_of::<Option<Timestamp>>(), size_of::<Timestamp>());
    }

    proptest! {
        #[test]
        fn it_is_told_stored_and_compared_as_milliseconds(one: i64, other: i64) {
            let at = Timestamp::from_unix_millis;
            prop_assert_eq!(at(one).unix_millis(), one.clamp(FIRST, LAST));
            prop_assert_eq!(at(one).cmp(&at(other)), one.clamp(FIRST, LAST).cmp(&other.clamp(FIRST, LAST)));
            let stored = postcard::to_allocvec(&at(one)).expect("plain data");
            prop_assert_eq!(&stored, &postcard::to_allocvec(&one.clamp(FIRST, LAST)).expect("plain data"));
            prop_assert_eq!(postcard::from_bytes::<Timestamp>(&stored), Ok(at(one)));
        }

        #[test]
        fn written_form_agrees_with_the_calendar_of_jiff(millis in FIRST..=LAST) {
            let expected = jiff::Timestamp::from_millisecond(millis).map(|t| format!("{t:.3}"));
            prop_assert_eq!(Ok(Timestamp::from_unix_millis(millis).to_string()), expected.map_err(|_| ()));
        }
    }
}
