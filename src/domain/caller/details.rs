//! What of a caller may be shown, and to whom it must not be printed.

use std::fmt;

use serde::{Deserialize, Serialize};

/// May the caller ID be shown (PRODUCT.md 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Presentation {
    /// Yes.
    Allowed,
    /// The caller asked to hide it.
    Restricted,
    /// There is none.
    Unavailable,
}

/// A phone number to be shown to those who may see it. Never printed by accident: no `Display`, and
/// `Debug` tells nothing.
#[derive(Clone, PartialEq, Eq, zeroize::ZeroizeOnDrop)]
pub struct CallerNumber(String);

impl CallerNumber {
    /// Wraps a number, or the text of another caller ID class.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The plain text. Every use of this is a place where a number can leave: an app with
    /// `number:reveal`, or the calculation of a pseudonym.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CallerNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallerNumber(hidden)")
    }
}

/// A key pressed during a call: part of a PIN, perhaps. `Debug` tells nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DtmfDigit(char);

impl DtmfDigit {
    /// One of `0-9 A-D a-d * #`.
    #[must_use]
    pub fn new(digit: char) -> Option<Self> {
        (digit.is_ascii_digit() || matches!(digit, 'A'..='D' | 'a'..='d' | '*' | '#'))
            .then(|| Self(digit.to_ascii_uppercase()))
    }

    /// The key itself, for a watcher.
    #[must_use]
    pub const fn reveal(self) -> char {
        self.0
    }
}

impl fmt::Debug for DtmfDigit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DtmfDigit(hidden)")
    }
}

/// What is known of a caller while the call is up (PRODUCT.md 3.6); it reaches the disk only where the release keeps it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct CallerDetails {
    /// The number, none if hidden.
    pub number: Option<CallerNumber>,
    /// The display name, none if hidden.
    pub display: Option<CallerNumber>,
    /// SIP headers the switch passed on, as a JSON object.
    pub headers: Option<CallerNumber>,
}

impl CallerDetails {
    /// Bytes of all of it.
    #[must_use]
    pub fn size(&self) -> usize {
        [&self.number, &self.display, &self.headers].into_iter().flatten().map(|text| text.0.len()).sum()
    }
}

impl fmt::Debug for CallerDetails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallerDetails(hidden)")
    }
}
