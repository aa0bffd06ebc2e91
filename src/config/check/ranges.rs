//! Durations, sizes and counts within their ranges.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;

use crate::config::error::Fault;
use crate::config::read::{Bytes, Text};
use crate::domain::duration;

pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3_600);
pub(super) const DAY: Duration = Duration::from_secs(86_400);

fn outside<T>(key: &Spanned<T>, least: impl Display, most: impl Display) -> Fault {
    Fault::new(key.span(), format!("out of range: write a value from {least} to {most}"))
}

/// A duration, if there is one.
pub(super) fn time(
    key: Option<&Spanned<Text<Duration>>>,
    range: &RangeInclusive<Duration>,
) -> Result<Option<Duration>, Fault> {
    let Some(key) = key else { return Ok(None) };
    let value = key.get_ref().0;
    if range.contains(&value) {
        Ok(Some(value))
    } else {
        Err(outside(key, duration::format(*range.start()), duration::format(*range.end())))
    }
}

/// A number of bytes.
pub(super) fn bytes(key: Option<&Spanned<Bytes>>, default: u64, range: &RangeInclusive<u64>) -> Result<u64, Fault> {
    let Some(key) = key else { return Ok(default) };
    let value = key.get_ref().0;
    if range.contains(&value) {
        Ok(value)
    } else {
        Err(outside(key, format_bytes(*range.start()), format_bytes(*range.end())))
    }
}

/// A number of bytes that fits into memory.
pub(super) fn size(
    key: Option<&Spanned<Bytes>>,
    default: usize,
    range: &RangeInclusive<usize>,
) -> Result<usize, Fault> {
    let Some(key) = key else { return Ok(default) };
    match usize::try_from(key.get_ref().0) {
        Ok(value) if range.contains(&value) => Ok(value),
        _ => Err(outside(key, format_bytes(*range.start() as u64), format_bytes(*range.end() as u64))),
    }
}

/// A number of things.
pub(super) fn count(key: Option<&Spanned<u64>>, default: usize, range: &RangeInclusive<usize>) -> Result<usize, Fault> {
    let Some(key) = key else { return Ok(default) };
    match usize::try_from(*key.get_ref()) {
        Ok(value) if range.contains(&value) => Ok(value),
        _ => Err(outside(key, range.start(), range.end())),
    }
}

/// Bytes in the largest unit that divides them.
fn format_bytes(bytes: u64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.into_iter().find(|(_, shift)| bytes != 0 && bytes.is_multiple_of(1 << shift)) {
        Some((unit, shift)) => format!("{}{unit}", bytes >> shift),
        None => format!("{bytes}B"),
    }
}
