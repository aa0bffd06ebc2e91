//! Texts of others, made fit for a terminal, and shortened where the whole is of no use to an eye.

use std::fmt::Write;

/// Characters of a session ID or call ID that are shown in tables and streams.
const SHORT: usize = 12;

/// A text of strangers (call IDs, values) without what a terminal would obey: control characters and changes of the
/// writing direction are written as escapes.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control()
            || matches!(character, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        {
            // Writing to a string does not fail.
            let _ = write!(out, "\\u{:04x}", u32::from(character));
        } else {
            out.push(character);
        }
    }
    out
}

/// The beginning of an ID. The kind of an anonymous session ID stays visible.
pub(super) fn short(id: &str) -> String {
    let prefix = if id.starts_with("anon-") { "anon-".len() } else { 0 };
    cut(id, prefix + SHORT)
}

/// At most this many characters, and an ellipsis for the rest.
pub(super) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", printable(text.get(..at).unwrap_or_default())),
        None => printable(text),
    }
}

/// A point in time for the eye: `2026-10-01 08:12:44`. All times are UTC.
pub(super) fn moment(rfc3339: &str) -> String {
    match (rfc3339.get(..10), rfc3339.get(11..19)) {
        (Some(date), Some(time)) => printable(&format!("{date} {time}")),
        _ => printable(rfc3339),
    }
}

/// The time of day of a point in time: `08:12:44.120`.
pub(super) fn time_of_day(rfc3339: &str) -> String {
    printable(rfc3339.get(11..23).unwrap_or(rfc3339))
}

/// A whole number with its thousands apart: `12,345`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// How many there are of something: `1 session`, `12,345 sessions`.
pub(super) fn counted(number: u64, one: &str, several: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { several })
}

/// Bytes in the largest unit that leaves at least one: `3.4 GiB`.
pub(super) fn bytes(number: u64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.into_iter().find(|(_, shift)| number >> shift > 0) {
        Some((unit, shift)) => format!("{:.1} {unit}", number as f64 / (1_u64 << shift) as f64),
        None => format!("{number} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(printable("a\u{1b}[2Jb\u{9b}\u{202e}é"), "a\\u001b[2Jb\\u009b\\u202eé");
    }

    #[test]
    fn an_id_is_cut_between_characters_and_keeps_its_kind() {
        assert_eq!(short("0123456789abcdef"), "0123456789ab…");
        assert_eq!(short("anon-0123456789abcdef"), "anon-0123456789ab…");
        assert_eq!(short("ééééééééééééé"), "éééééééééééé…");
        assert_eq!(short("1@lab"), "1@lab");
    }

    #[test]
    fn times_and_numbers_are_written_for_the_eye() {
        assert_eq!(moment("2026-10-01T08:12:44.120Z"), "2026-10-01 08:12:44");
        assert_eq!(time_of_day("2026-10-01T08:12:44.120Z"), "08:12:44.120");
        assert_eq!(moment("é"), "é");
        assert_eq!((count(0), count(999), count(1_234_567)), ("0".into(), "999".into(), "1,234,567".into()));
        assert_eq!(counted(0, "entry", "entries"), "0 entries");
        assert_eq!(counted(1, "entry", "entries"), "1 entry");
        assert_eq!(counted(1_234, "entry", "entries"), "1,234 entries");
        assert_eq!((bytes(512), bytes(3 << 30)), ("512 B".into(), "3.0 GiB".into()));
    }
}
