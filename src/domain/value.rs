//! The values of variables: JSON text that was checked once and is passed on as it is.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::refusal::{Reason, Refusal};

/// Deepest nesting of arrays and objects (PRODUCT.md 4.4).
pub const MAX_DEPTH: usize = 32;

/// Checked JSON text without insignificant whitespace. A value may be personal data: `Debug` tells its
/// length only. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JsonText(Arc<str>);

impl JsonText {
    /// Checks and compacts text that a JSON parser has accepted already.
    ///
    /// # Errors
    /// `limit_exceeded` above `max_bytes` or [`MAX_DEPTH`]; `invalid_params` for U+0000, an integer
    /// outside i64 (one such integer makes Kamailio's parser reject the whole answer) or another number
    /// outside f64.
    pub fn check(text: &str, max_bytes: usize) -> Result<Self, Refusal> {
        if text.len() > max_bytes.saturating_mul(4) {
            return Err(too_long(max_bytes));
        }
        // What stands before the latest insignificant whitespace; most texts hold none.
        let mut compact = String::new();
        let mut whole = text;
        let mut rest = text;
        let mut depth = 0_usize;
        while let Some(first) = rest.bytes().next() {
            let token = match first {
                b'"' => string_token(rest)?,
                b'-' | b'0'..=b'9' => number_token(rest)?,
                b'{' | b'[' => {
                    depth += 1;
                    if depth > MAX_DEPTH {
                        return Err(Refusal::new(Reason::LimitExceeded, "a value is nested at most 32 deep"));
                    }
                    1
                }
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    1
                }
                b' ' | b'\t' | b'\r' | b'\n' => {
                    compact.push_str(whole.get(..whole.len() - rest.len()).unwrap_or_default());
                    rest = rest.get(1..).unwrap_or_default();
                    whole = rest;
                    continue;
                }
                _ => rest.char_indices().nth(1).map_or(rest.len(), |(at, _)| at),
            };
            rest = rest.split_at(token).1;
        }
        if !compact.is_empty() {
            compact.push_str(whole);
            whole = &compact;
        }
        if whole.len() > max_bytes {
            return Err(too_long(max_bytes));
        }
        Ok(Self(whole.into()))
    }

    /// The JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no text; never true for a checked value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JsonText({} bytes)", self.0.len())
    }
}

fn too_long(max_bytes: usize) -> Refusal {
    Refusal::new(Reason::LimitExceeded, format!("a value is at most {max_bytes} bytes of JSON"))
}

/// Length of the string literal at the start of `rest`.
fn string_token(rest: &str) -> Result<usize, Refusal> {
    let mut bytes = rest.bytes().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return Ok(at + 1),
            b'\\' => {
                match code_unit(rest, at) {
                    Some(0) => return Err(Refusal::new(Reason::InvalidParams, "a value holds no U+0000")),
                    Some(0xD800..=0xDBFF) if matches!(code_unit(rest, at + 6), Some(0xDC00..=0xDFFF)) => {
                        // Its other half begins with a backslash, which must not be taken for an escape of its own.
                        bytes.nth(6);
                    }
                    Some(0xD800..=0xDFFF) => {
                        return Err(Refusal::new(Reason::InvalidParams, "a value holds no half of a surrogate pair"));
                    }
                    _ => {}
                }
                bytes.next();
            }
            _ => {}
        }
    }
    Err(Refusal::new(Reason::InvalidParams, "a string of the value has no end"))
}

/// The UTF-16 code unit of an escape `\uXXXX` at this place. Half a pair is no character, and one makes Kamailio's
/// parser reject the whole answer.
fn code_unit(text: &str, at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}

/// Length of the number literal at the start of `rest`.
fn number_token(rest: &str) -> Result<usize, Refusal> {
    let end = rest.find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E')).unwrap_or(rest.len());
    let number = rest.get(..end).unwrap_or_default();
    let fits = if number.contains(['.', 'e', 'E']) {
        number.parse::<f64>().is_ok_and(f64::is_finite)
    } else {
        number.parse::<i64>().is_ok()
    };
    if fits {
        Ok(end)
    } else {
        Err(Refusal::new(
            Reason::InvalidParams,
            "integers of a value fit into 64 bits with a sign, other numbers into a double",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reason(text: &str) -> Option<Reason> {
        JsonText::check(text, 1024).err().map(|refusal| refusal.reason)
    }

    #[test]
    fn numbers_that_break_a_switch_are_refused() {
        for good in ["9223372036854775807", "-9223372036854775808", "1.7976931348623157e308", "-0", "[1,2.5]"] {
            assert_eq!(reason(good), None, "{good}");
        }
        for bad in ["9223372036854775808", "-9223372036854775809", "1e999", "{\"a\":[123456789012345678901]}"] {
            assert_eq!(reason(bad), Some(Reason::InvalidParams), "{bad}");
        }
        assert_eq!(reason("\"9223372036854775808 1e999\""), None);
    }

    #[test]
    fn nul_is_refused_and_an_escaped_backslash_before_it_is_not() {
        assert_eq!(reason(r#""a\u0000b""#), Some(Reason::InvalidParams));
        assert_eq!(reason(r#""a\\u0000b""#), None);
        assert_eq!(reason(r#"{"\u0000":1}"#), Some(Reason::InvalidParams));
    }

    #[test]
    fn half_a_surrogate_pair_is_refused_and_a_whole_one_is_not() {
        for bad in [r#""\ud83d""#, r#""\ude00""#, r#""\ude00\ud83d""#, r#""\ud83d\ud83d\ude00""#, r#""\ud83d\n""#] {
            assert_eq!(reason(bad), Some(Reason::InvalidParams), "{bad}");
        }
        for good in [r#""\ud83d\ude00""#, r#""\uD83D\uDE00\\""#, r#""\\ud83d""#, r#"["\ud83d\ude00\ud83d\ude00"]"#] {
            assert_eq!(reason(good), None, "{good}");
        }
    }

    #[test]
    fn depth_and_length_have_limits() {
        assert_eq!(reason(&("[".repeat(32) + &"]".repeat(32))), None);
        assert_eq!(reason(&("[".repeat(33) + &"]".repeat(33))), Some(Reason::LimitExceeded));
        assert_eq!(reason(&format!("\"{}\"", "x".repeat(1023))), Some(Reason::LimitExceeded));
    }

    proptest! {
        #[test]
        fn a_checked_value_means_what_was_written(a in any::<i64>(), s in "\\PC{0,20}", b in any::<bool>()) {
            let value = serde_json::json!({"a": [a, {"s": s, "b": b}, null]});
            let pretty = serde_json::to_string_pretty(&value).map_err(|e| TestCaseError::fail(e.to_string()))?;
            let checked = JsonText::check(&pretty, 4096).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(checked.as_str(), value.to_string());
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,64}") {
            let _ = JsonText::check(&text, 64);
        }
    }
}
