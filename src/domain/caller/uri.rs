//! Addresses as they stand in SIP headers: name-addr, `sip:`, `sips:` and `tel:` URIs, and bare numbers
//! (RFC 3261 section 25, RFC 3966). Strangers write them: every text is read in one pass, nothing panics, and what
//! breaks the grammar in a way that leaves a doubt about the user is no address.

use std::borrow::Cow;
use std::fmt;

/// Longest text that is read as an address.
pub const MAX_TEXT: usize = 4 * 1024;
/// Longest user part, decoded.
pub const MAX_USER: usize = 255;
/// Longest host.
const MAX_HOST: usize = 255;

/// What an address begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `sip:` or `sips:`, which name the same person.
    Sip,
    /// `tel:`
    Tel,
    /// Nothing: a bare number, or `user@host`.
    Bare,
}

/// Who a header or a URI names. `Debug` tells nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Address<'a> {
    /// What it begins with.
    pub scheme: Scheme,
    /// The display name, without quotes.
    pub display: Option<Cow<'a, str>>,
    /// The user part: percent-decoded, without parameters and password; never empty.
    pub user: Cow<'a, str>,
    /// The host in lower case, without port; none if there is none or it is not one.
    pub host: Option<Cow<'a, str>>,
}

impl fmt::Debug for Address<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(hidden)")
    }
}

impl<'a> Address<'a> {
    /// Reads one address. None if no user can be told from it.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let (display, uri) = split_name_addr(text.trim())?;
        let (scheme, rest) = split_scheme(uri.trim())?;
        let (user, host) = match (scheme, rest.split_once('@')) {
            (_, Some((user, host))) => (user, Some(host)),
            (Scheme::Tel | Scheme::Bare, None) => (rest, None),
            // Without `@` the text is a host.
            (Scheme::Sip, None) => return None,
        };
        let host = match host {
            Some(host) => read_host(host)?,
            None => None,
        };
        let user = read_user(user)?;
        Some(Self { scheme, display, user, host: if scheme == Scheme::Tel { None } else { host } })
    }
}

/// The entries of a header that may hold several addresses: split at commas outside of quotes and angle
/// brackets.
pub fn entries(header: &str) -> impl Iterator<Item = &str> {
    split_outside(header, b',').map(str::trim).filter(|entry| !entry.is_empty())
}

/// The host of a `sip:` URI that names no user.
pub(super) fn host_alone(text: &str) -> Option<Cow<'_, str>> {
    let (_, uri) = split_name_addr(text.trim())?;
    match split_scheme(uri.trim())? {
        (Scheme::Sip, rest) if !rest.contains('@') => read_host(rest)?,
        _ => None,
    }
}

/// A text without its display name, as far as it can be told where that ends.
pub(super) fn behind_display(text: &str) -> &str {
    let text = text.trim();
    if let Some(quoted) = text.strip_prefix('"') {
        return end_of_quoted(quoted).and_then(|end| quoted.get(end + 1..)).unwrap_or(text);
    }
    text.split_once('<').map_or(text, |(_, uri)| uri)
}

/// Splits at a byte where it stands neither in quotes nor in angle brackets.
pub(super) fn split_outside(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let here = rest?;
        match Outside::default().find(here, separator) {
            Some(at) => {
                rest = here.get(at + 1..);
                here.get(..at)
            }
            None => rest.take(),
        }
    })
}

/// Whether a place in a text is inside of quotes or angle brackets.
#[derive(Default)]
struct Outside {
    quoted: bool,
    escaped: bool,
    bracketed: bool,
}

impl Outside {
    fn find(&mut self, text: &str, wanted: u8) -> Option<usize> {
        text.bytes().position(|byte| self.step(byte, wanted))
    }

    fn step(&mut self, byte: u8, wanted: u8) -> bool {
        if self.escaped {
            self.escaped = false;
            return false;
        }
        match byte {
            b'\\' if self.quoted => self.escaped = true,
            b'"' => self.quoted = !self.quoted,
            _ if self.quoted => {}
            b'<' => self.bracketed = true,
            b'>' => self.bracketed = false,
            _ => return byte == wanted && !self.bracketed,
        }
        false
    }
}

/// Whether all quotes and angle brackets of a text are closed.
pub(super) fn is_balanced(text: &str) -> bool {
    let mut outside = Outside::default();
    for byte in text.bytes() {
        outside.step(byte, 0);
    }
    !outside.quoted && !outside.bracketed
}

/// The display name and the URI. None if a quote or a bracket is not closed.
fn split_name_addr(text: &str) -> Option<(Option<Cow<'_, str>>, &str)> {
    let (display, rest) = if let Some(quoted) = text.strip_prefix('"') {
        let end = end_of_quoted(quoted)?;
        let (name, rest) = (quoted.get(..end)?, quoted.get(end + 1..)?.trim_start());
        (unescape(name), rest.strip_prefix('<')?)
    } else if let Some((name, rest)) = text.split_once('<') {
        (Some(Cow::Borrowed(name)), rest)
    } else {
        return Some((None, text));
    };
    let (uri, _parameters) = rest.split_once('>')?;
    Some((display.and_then(clean_display), uri))
}

/// Where the closing quote is, in the text behind the opening one.
fn end_of_quoted(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

fn unescape(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('\\') {
        return Some(Cow::Borrowed(text));
    }
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(if character == '\\' { characters.next()? } else { character });
    }
    Some(Cow::Owned(plain))
}

/// A display name as it may be shown: trimmed, not empty, without control characters.
fn clean_display(name: Cow<'_, str>) -> Option<Cow<'_, str>> {
    if name.chars().any(char::is_control) {
        return None;
    }
    let name = match name {
        Cow::Borrowed(name) => Cow::Borrowed(name.trim()),
        Cow::Owned(name) => Cow::Owned(name.trim().to_owned()),
    };
    (!name.is_empty()).then_some(name)
}

/// A display name that a switch reports by itself, with or without the quotes of the header.
pub(super) fn read_display(text: &str) -> Option<Cow<'_, str>> {
    let text = text.trim();
    if text.len() > MAX_TEXT {
        return None;
    }
    match text.strip_prefix('"') {
        Some(quoted) if end_of_quoted(quoted).is_some_and(|end| end + 1 == quoted.len()) => {
            quoted.strip_suffix('"').and_then(unescape).and_then(clean_display)
        }
        _ => clean_display(Cow::Borrowed(text)),
    }
}

/// The scheme and what follows it. None for a scheme that names no caller (`urn:`, `http:`).
fn split_scheme(uri: &str) -> Option<(Scheme, &str)> {
    let Some((scheme, rest)) = uri.split_once(':') else { return Some((Scheme::Bare, uri)) };
    if scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips") {
        Some((Scheme::Sip, rest))
    } else if scheme.eq_ignore_ascii_case("tel") {
        Some((Scheme::Tel, rest))
    } else if scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
    {
        None
    } else {
        Some((Scheme::Bare, uri))
    }
}

/// The user without its parameters and its password, decoded. None if nothing usable is left.
fn read_user(userinfo: &str) -> Option<Cow<'_, str>> {
    let raw = userinfo.split([';', ':']).next()?;
    let user = percent_decode(raw)?;
    let usable = user.len() <= MAX_USER && !user.trim().is_empty() && !user.chars().any(char::is_control);
    usable.then_some(user)
}

/// None where an escape is not two hex digits, or the result is not UTF-8.
fn percent_decode(text: &str) -> Option<Cow<'_, str>> {
    let well_formed = text.split('%').skip(1).all(|after| {
        after.as_bytes().first_chunk::<2>().is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    if !well_formed {
        return None;
    }
    percent_encoding::percent_decode_str(text).decode_utf8().ok()
}

/// The host before port, parameters and headers, in lower case. The outer None: a second `@` makes it
/// doubtful what the user is. The inner None: not a host, which does not matter for a number.
#[expect(clippy::option_option, reason = "two different doubts, told apart by the only caller")]
fn read_host(hostport: &str) -> Option<Option<Cow<'_, str>>> {
    let hostport = hostport.split([';', '?']).next()?.trim();
    if hostport.contains('@') {
        return None;
    }
    let is_ipv6 = hostport.starts_with('[');
    let host = if is_ipv6 {
        match hostport.split_once(']') {
            Some((address, _)) => hostport.get(..=address.len()).unwrap_or_default(),
            None => return Some(None),
        }
    } else {
        hostport.split(':').next()?
    };
    let is_host = !host.is_empty()
        && host.len() <= MAX_HOST
        && host.bytes().all(|b| {
            b.is_ascii_alphanumeric()
                || matches!(b, b'-' | b'.' | b'_')
                || is_ipv6 && matches!(b, b'[' | b']' | b':' | b'%')
        });
    if !is_host {
        return Some(None);
    }
    let has_capitals = host.bytes().any(|b| b.is_ascii_uppercase());
    Some(Some(if has_capitals { Cow::Owned(host.to_ascii_lowercase()) } else { Cow::Borrowed(host) }))
}
