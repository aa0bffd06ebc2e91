//! Durations, sizes and counts within their ranges.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::error::Faults;
use crate::config::read::Bytes;
use crate::config::written::Entry;
use crate::domain::duration;

pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3_600);
pub(super) const DAY: Duration = Duration::from_secs(86_400);

fn outside(least: impl Display, most: impl Display) -> String {
    format!("out of range: write a value from {least} to {most}")
}

/// A duration.
pub(super) fn time(key: Entry<Duration>, range: &RangeInclusive<Duration>, faults: &mut Faults) -> Entry<Duration> {
    key.checked(faults, |value| {
        let outside = || outside(duration::format(*range.start()), duration::format(*range.end()));
        range.contains(&value).then_some(value).ok_or_else(outside)
    })
}

/// A number of bytes.
pub(super) fn bytes(key: Entry<Bytes>, range: &RangeInclusive<u64>, faults: &mut Faults) -> Entry<u64> {
    key.checked(faults, |Bytes(value)| {
        let outside = || outside(format_bytes(*range.start()), format_bytes(*range.end()));
        range.contains(&value).then_some(value).ok_or_else(outside)
    })
}

/// A number of bytes that fits into memory.
pub(super) fn size(key: Entry<Bytes>, range: &RangeInclusive<usize>, faults: &mut Faults) -> Entry<usize> {
    key.checked(faults, |Bytes(value)| {
        let outside = || outside(format_bytes(*range.start() as u64), format_bytes(*range.end() as u64));
        usize::try_from(value).ok().filter(|value| range.contains(value)).ok_or_else(outside)
    })
}

/// A number of things.
pub(super) fn count(key: Entry<u64>, range: &RangeInclusive<usize>, faults: &mut Faults) -> Entry<usize> {
    key.checked(faults, |value| {
        let outside = || outside(range.start(), range.end());
        usize::try_from(value).ok().filter(|value| range.contains(value)).ok_or_else(outside)
    })
}

/// Bytes in the largest unit that divides them.
fn format_bytes(bytes: u64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.into_iter().find(|(_, shift)| bytes != 0 && bytes.is_multiple_of(1 << shift)) {
        Some((unit, shift)) => format!("{}{unit}", bytes >> shift),
        None => format!("{bytes}B"),
    }
}
