//! Where a configuration is wrong, and what was likely meant.

use std::fmt;
use std::ops::Range;

/// Most characters of an unknown key that are repeated.
const MOST_OF_KEY: usize = 64;

/// One fault of a configuration, with its place. Values of the file are never repeated in the text, because one of them
/// may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct ConfigError {
    /// Line of the fault, from 1.
    pub line: usize,
    /// Column of the fault in characters, from 1.
    pub column: usize,
    /// What is wrong and what to write instead.
    pub message: String,
    /// For an unknown key: the keys that are known at that place.
    pub known_keys: Vec<String>,
}

/// A configuration that is refused: all its faults that can be told independently, in the order of the file. Its text
/// names the first one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    first: ConfigError,
    others: Vec<ConfigError>,
}

impl ConfigErrors {
    /// The one that comes first in the file.
    #[must_use]
    pub fn first(&self) -> &ConfigError {
        &self.first
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.fmt(f)?;
        match self.others.len() {
            0 => Ok(()),
            1 => f.write_str(" (and 1 more error, which `recalld check` tells)"),
            more => write!(f, " (and {more} more errors, which `recalld check` tells)"),
        }
    }
}

impl std::error::Error for ConfigErrors {}

/// A fault at a range of bytes of the text.
struct Fault {
    span: Range<usize>,
    message: String,
    known_keys: Vec<String>,
}

/// The faults that were found so far.
#[derive(Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    /// Notes a fault.
    pub(super) fn add(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.0.push(Fault { span, message: message.into(), known_keys: Vec::new() });
    }

    /// Notes a key that is not among those which are known at its place.
    pub(super) fn add_unknown_key(
        &mut self,
        span: Range<usize>,
        unknown: &str,
        meant: Option<&str>,
        known: &'static [&'static str],
    ) {
        let hint = match meant {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("the keys here are {}", known.join(", ")),
        };
        // Whoever wrote the file may not write to the terminal of who reads of it.
        let unknown: String = unknown.escape_debug().take(MOST_OF_KEY).collect();
        let known_keys = known.iter().map(|key| (*key).to_owned()).collect();
        self.0.push(Fault { span, message: format!("unknown key `{unknown}`: {hint}"), known_keys });
    }

    /// Notes what the parser says; `span` is where, if it does not know better.
    pub(super) fn add_from_toml(&mut self, error: &toml::de::Error, span: Range<usize>) {
        self.add(error.span().unwrap_or(span), explain(error.message()));
    }

    /// The errors in the order of the file; none if there was no fault.
    pub(super) fn locate(mut self, text: &str) -> Option<ConfigErrors> {
        self.0.sort_by_key(|fault| fault.span.start);
        let mut place = Place { rest: text.char_indices(), line: 1, column: 1 };
        let mut errors = self.0.into_iter().map(|Fault { span, message, known_keys }| {
            let (line, column) = place.advance_to(span.start);
            ConfigError { line, column, message, known_keys }
        });
        Some(ConfigErrors { first: errors.next()?, others: errors.collect() })
    }
}

/// A place in a text, that moves forward.
struct Place<'a> {
    rest: std::str::CharIndices<'a>,
    line: usize,
    column: usize,
}

impl Place<'_> {
    /// Line and column of a byte offset, both from 1. Offsets come in order.
    fn advance_to(&mut self, offset: usize) -> (usize, usize) {
        while self.rest.offset() < offset {
            match self.rest.next() {
                Some((_, '\n')) => (self.line, self.column) = (self.line + 1, 1),
                Some(_) => self.column += 1,
                None => break,
            }
        }
        (self.line, self.column)
    }
}

/// Says in this project's words what the parser said, without the value it stumbled over.
fn explain(message: &str) -> String {
    for prefix in ["invalid type: ", "invalid value: "] {
        if let Some((found, expected)) = message.strip_prefix(prefix).and_then(|rest| rest.rsplit_once(", expected ")) {
            let kind = found.split(['`', '"']).next().unwrap_or_default().trim_end();
            let expected = if expected == "u64" { "a whole number" } else { expected };
            return format!("a value of the wrong type ({kind}): expected {expected}");
        }
    }
    message.lines().collect::<Vec<_>>().join("; ")
}

/// The known word that is nearest to what was written, if it is near enough to be meant.
pub(super) fn likely<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|word| (strsim::jaro_winkler(written, word), word))
        .filter(|(nearness, _)| *nearness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| word)
}
