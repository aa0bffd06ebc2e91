//! The few things about JSON text that are done by hand because every answer needs them.

use crate::domain::value::MAX_DEPTH;

/// What JSON allows between its tokens.
pub(super) const fn is_whitespace(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Appends a string literal, quotes included.
pub fn push_string(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        let (plain, from) = rest.split_at(at);
        out.push_str(plain);
        let mut chars = from.chars();
        match chars.next() {
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some(quoted @ ('"' | '\\')) => {
                out.push('\\');
                out.push(quoted);
            }
            Some(control) => {
                let code = u32::from(control);
                out.push_str(if code < 0x10 { "\\u000" } else { "\\u001" });
                out.extend(char::from_digit(code % 16, 16));
            }
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

/// An integer in decimal digits, without a heap allocation.
#[derive(Clone, Copy)]
pub(super) struct Integer {
    digits: [u8; 20],
    start: usize,
}

impl Integer {
    pub(super) fn signed(value: i64) -> Self {
        Self::new(value.unsigned_abs(), value < 0)
    }

    pub(super) fn unsigned(value: u64) -> Self {
        Self::new(value, false)
    }

    pub(super) fn length(value: usize) -> Self {
        Self::new(u64::try_from(value).unwrap_or(u64::MAX), false)
    }

    fn new(mut left: u64, negative: bool) -> Self {
        let mut integer = Self { digits: [b'0'; 20], start: 20 };
        for (at, digit) in integer.digits.iter_mut().enumerate().rev() {
            if left == 0 && at < 19 {
                if negative {
                    *digit = b'-';
                    integer.start = at;
                }
                break;
            }
            *digit = b'0' + u8::try_from(left % 10).unwrap_or_default();
            left /= 10;
            integer.start = at;
        }
        integer
    }

    pub(super) fn as_str(&self) -> &str {
        self.digits.get(self.start..).and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or("0")
    }
}

/// Whether arrays and objects are nested deeper than [`MAX_DEPTH`].
pub(super) fn is_too_deep(text: &str) -> bool {
    // Nearly all texts have too few brackets to be deep: counting them is quicker than following them.
    if text.bytes().filter(|byte| matches!(byte, b'{' | b'[')).count() <= MAX_DEPTH {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn depth_is_counted_outside_strings_only() {
        assert!(!is_too_deep(&("[".repeat(32) + &"]".repeat(32))));
        assert!(is_too_deep(&("[".repeat(33) + &"]".repeat(33))));
        assert!(!is_too_deep(&format!("[\"\\\"{}\"]", "[".repeat(40))));
        assert!(!is_too_deep(&format!("[{}]", "[],".repeat(40))));
    }

    proptest! {
        #[test]
        fn a_written_string_is_read_again(text in "(\\PC|[\\x00-\\x1f\"\\\\\\x7f]){0,40}") {
            let mut out = String::new();
            push_string(&mut out, &text);
            let read: String = serde_json::from_str(&out).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(read, text);
        }

        #[test]
        fn an_integer_is_written_as_everybody_writes_it(value in any::<i64>(), unsigned in any::<u64>(), small in -20_i64..20) {
            prop_assert_eq!(Integer::signed(value).as_str().to_owned(), value.to_string());
            prop_assert_eq!(Integer::unsigned(unsigned).as_str().to_owned(), unsigned.to_string());
            prop_assert_eq!(Integer::signed(small).as_str().to_owned(), small.to_string());
        }
    }

    #[test]
    fn the_ends_of_64_bits_are_written_wholly() {
        assert_eq!(Integer::signed(i64::MIN).as_str(), i64::MIN.to_string());
        assert_eq!(Integer::unsigned(u64::MAX).as_str(), u64::MAX.to_string());
        assert_eq!(Integer::length(0).as_str(), "0");
    }
}
