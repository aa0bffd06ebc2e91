//! Which release a called number belongs to (PRODUCT.md 3.1): the `numbers` of the configuration.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use super::caller::uri::Address;
use super::caller::{Region, is_number_text, valid_number};

/// Most digits of a pattern, as in E.164.
const MAX_DIGITS: usize = 15;

/// One of the `numbers` of a release: E.164, the digits of a short code, or a prefix `+4930231251*`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NumberPattern {
    /// `+` and digits, or digits alone.
    text: String,
    is_prefix: bool,
}

/// The text is none of what a pattern can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a number of a release: write E.164 as in \"+493023125000\", a short code as in \"115\", or a prefix as in \
     \"+4930231251*\""
)]
pub struct InvalidNumberPattern;

impl FromStr for NumberPattern {
    type Err = InvalidNumberPattern;

    fn from_str(text: &str) -> Result<Self, InvalidNumberPattern> {
        let (text, is_prefix) = match text.strip_suffix('*') {
            Some(prefix) if prefix.starts_with('+') => (prefix, true),
            _ => (text, false),
        };
        let digits = text.strip_prefix('+').unwrap_or(text);
        if !(1..=MAX_DIGITS).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidNumberPattern);
        }
        Ok(Self { text: text.to_owned(), is_prefix })
    }
}

impl fmt::Debug for NumberPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NumberPattern(hidden)")
    }
}

/// The party a call is for, as far as it can be found in a plan. `Debug` tells nothing: on an outbound call it is a person.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct CalledParty {
    /// `+` and digits.
    number: Option<String>,
    /// The user part as it came, if it is all digits.
    digits: Option<String>,
}

impl fmt::Debug for CalledParty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CalledParty(hidden)")
    }
}

/// Reads a called party as a caller is read (PRODUCT.md 3.1). A number with `+` that is not valid stands for its digits: it may be configured just so.
#[must_use]
pub fn called_party(uri: &str, region: &Region) -> CalledParty {
    let Some(address) = Address::parse(uri) else { return CalledParty::default() };
    let user: &str = &address.user;
    if !is_number_text(user) {
        return CalledParty::default();
    }
    let number = match valid_number(user, *region) {
        Some(number) => Some(String::clone(&number)),
        None => literal_number(user),
    };
    let digits = user.bytes().all(|b| b.is_ascii_digit()).then(|| user.to_owned());
    CalledParty { number, digits }
}

/// `+` and the digits behind it, without what groups them.
fn literal_number(user: &str) -> Option<String> {
    let rest = user.trim().strip_prefix('+')?;
    let mut number = String::with_capacity(user.len());
    number.push('+');
    number.extend(rest.chars().filter(char::is_ascii_digit));
    (!rest.contains('+')).then_some(number)
}

/// The same number is given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("entry {index} of the called numbers repeats an earlier one: a number belongs to one release")]
pub struct DuplicateNumber {
    /// Which entry, counted from 0.
    pub index: usize,
}

/// Called numbers and what they lead to.
#[derive(Clone)]
pub struct NumberPlan<R> {
    exact: HashMap<String, R>,
    prefixes: HashMap<String, R>,
    /// The lengths of the prefixes, longest first.
    lengths: Vec<usize>,
}

impl<R> Default for NumberPlan<R> {
    fn default() -> Self {
        Self { exact: HashMap::new(), prefixes: HashMap::new(), lengths: Vec::new() }
    }
}

impl<R> NumberPlan<R> {
    /// A plan of patterns.
    ///
    /// # Errors
    /// [`DuplicateNumber`] if two patterns are the same.
    pub fn new(entries: impl IntoIterator<Item = (NumberPattern, R)>) -> Result<Self, DuplicateNumber> {
        let mut plan = Self::default();
        for (index, (pattern, target)) in entries.into_iter().enumerate() {
            let NumberPattern { text, is_prefix } = pattern;
            if is_prefix {
                plan.lengths.push(text.len());
            }
            let map = if is_prefix { &mut plan.prefixes } else { &mut plan.exact };
            if map.insert(text, target).is_some() {
                return Err(DuplicateNumber { index });
            }
        }
        plan.lengths.sort_unstable_by(|a, b| b.cmp(a));
        plan.lengths.dedup();
        Ok(plan)
    }

    /// What a called party leads to: the exact number first, then the longest prefix.
    #[must_use]
    pub fn find(&self, called: &CalledParty) -> Option<&R> {
        let number = called.number.as_deref();
        let exact = [number, called.digits.as_deref()].into_iter().flatten().find_map(|text| self.exact.get(text));
        exact.or_else(|| {
            let number = number?;
            self.lengths.iter().filter_map(|length| number.get(..*length)).find_map(|start| self.prefixes.get(start))
        })
    }
}

impl<R> fmt::Debug for NumberPlan<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NumberPlan({} numbers, {} prefixes)", self.exact.len(), self.prefixes.len())
    }
}

#[cfg(test)]
#[path = "number_plan_tests.rs"]
mod tests;
