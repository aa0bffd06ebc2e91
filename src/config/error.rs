//! Where a configuration is wrong, and what was likely meant.

use std::ops::Range;

/// A configuration that is refused, with the place of its first fault. Values of the file are never repeated in the
/// text, because one of them may be a secret.
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

/// A fault at a range of bytes of the text.
#[derive(Debug)]
pub(super) struct Fault {
    span: Range<usize>,
    message: String,
}

impl Fault {
    pub(super) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into() }
    }

    pub(super) fn locate(self, text: &str) -> ConfigError {
        let (line, column) = position(text, self.span.start);
        ConfigError { line, column, message: self.message, known_keys: Vec::new() }
    }
}

impl ConfigError {
    pub(super) fn from_toml(text: &str, error: &toml::de::Error) -> Self {
        let (line, column) = position(text, error.span().map_or(0, |span| span.start));
        let (message, known_keys) = explain(error.message());
        Self { line, column, message, known_keys }
    }
}

/// Line and column of a byte offset, both from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let mut line = 1;
    let mut column = 1;
    for (at, character) in text.char_indices() {
        if at >= offset {
            break;
        }
        if character == '\n' {
            line += 1;
            column = 1;
        } else {
            column += 1;
        }
    }
    (line, column)
}

/// Says in this project's words what the parser said, without the value it stumbled over.
fn explain(message: &str) -> (String, Vec<String>) {
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let mut words = rest.split('`').skip(1).step_by(2).map(str::to_owned);
        let unknown = words.next().unwrap_or_default();
        let known: Vec<String> = words.collect();
        let hint = match likely(&unknown, known.iter().map(String::as_str)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("the keys here are {}", known.join(", ")),
        };
        return (format!("unknown key `{unknown}`: {hint}"), known);
    }
    if let Some(rest) = message.strip_prefix("missing field ") {
        return (format!("the key {rest} is missing"), Vec::new());
    }
    for prefix in ["invalid type: ", "invalid value: "] {
        if let Some((found, expected)) = message.strip_prefix(prefix).and_then(|rest| rest.rsplit_once(", expected ")) {
            let kind = found.split(['`', '"']).next().unwrap_or_default().trim_end();
            return (format!("a value of the wrong type ({kind}): expected {expected}"), Vec::new());
        }
    }
    (message.lines().collect::<Vec<_>>().join("; "), Vec::new())
}

/// The known word that is nearest to what was written, if it is near enough to be meant.
pub(super) fn likely<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|word| (strsim::jaro_winkler(written, word), word))
        .filter(|(nearness, _)| *nearness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| word)
}
