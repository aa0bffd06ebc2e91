//! Whether a caller wants to stay unknown, or is (PRODUCT.md 3.4). Requests for privacy are honoured
//! whoever passes them on: an untrusted switch can hide a caller, it cannot name one.

use super::details::Presentation;
use super::uri::{self, Address, is_balanced, split_outside};

/// Words that switches write in the place of a number, and how they are spelt on a keypad by those who
/// turn every user into digits.
const WORDS: [(&str, Presentation); 7] = [
    ("anonymous", Presentation::Restricted),
    ("restricted", Presentation::Restricted),
    ("private", Presentation::Restricted),
    ("blocked", Presentation::Restricted),
    ("withheld", Presentation::Restricted),
    ("unavailable", Presentation::Unavailable),
    ("unknown", Presentation::Unavailable),
];
const KEYPAD: [(&str, Presentation); 5] = [
    ("266696687", Presentation::Restricted),
    ("7378742833", Presentation::Restricted),
    ("2562533", Presentation::Restricted),
    ("86282452253", Presentation::Unavailable),
    ("8656696", Presentation::Unavailable),
];
/// The host of RFC 3323.
const ANONYMOUS_HOST: &str = "anonymous.invalid";

/// Whether a Privacy header asks to hide the caller. `none`, `critical` and `session` do not, and take
/// back nothing that is asked for elsewhere.
#[must_use]
pub fn privacy_hides(header: &str) -> bool {
    header
        .split(|c: char| matches!(c, ';' | ',' | '"') || c.is_whitespace())
        .any(|token| ["id", "user", "header", "history"].iter().any(|word| token.eq_ignore_ascii_case(word)))
}

/// Whether a Remote-Party-ID header has a `privacy` parameter other than `off`.
#[must_use]
pub fn remote_party_hides(header: &str) -> bool {
    // Where a quote or a bracket is left open nobody can say what is a parameter: everything is.
    if is_balanced(header) {
        split_outside(header, b',').any(|entry| parameters(split_outside(entry, b';')))
    } else {
        parameters(header.split([';', ',', '>', '"']))
    }
}

fn parameters<'a>(pieces: impl Iterator<Item = &'a str>) -> bool {
    pieces.skip(1).any(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        name.trim().eq_ignore_ascii_case("privacy")
            && !value.trim().trim_matches('"').trim().eq_ignore_ascii_case("off")
    })
}

/// How an address says that there is no number to be shown; the display name never says so.
pub(super) fn address_hides(address: &Address<'_>) -> Option<Presentation> {
    if address.host.as_deref().is_some_and(is_anonymous_host) {
        return Some(Presentation::Restricted);
    }
    user_hides(&address.user)
}

/// How a text says so from which no user or no host can be told. Where nobody can say which part of it is the user, any
/// word counts that is not part of another: a wish that is spelt badly is still one.
pub(super) fn text_hides(text: &str) -> Option<Presentation> {
    let says = |word: &str| {
        if is_anonymous_host(word) { Some(Presentation::Restricted) } else { user_hides(word) }
    };
    if let Some(host) = uri::host_alone(text) {
        return says(&host);
    }
    let text = percent_encoding::percent_decode_str(uri::behind_display(text)).decode_utf8_lossy();
    // The value of a parameter (`cpc=unknown`) is part of another word.
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '+' | '=');
    text.split(|c| !is_part(c)).filter_map(says).reduce(stronger)
}

/// What counts of two: a wish weighs more than a lack.
pub(super) fn stronger(one: Presentation, other: Presentation) -> Presentation {
    if one == Presentation::Restricted { one } else { other }
}

/// With or without the dot that ends a full name.
fn is_anonymous_host(host: &str) -> bool {
    host.strip_suffix('.').unwrap_or(host).eq_ignore_ascii_case(ANONYMOUS_HOST)
}

fn user_hides(user: &str) -> Option<Presentation> {
    let user = user.trim();
    let word = WORDS.iter().find(|(word, _)| user.eq_ignore_ascii_case(word));
    let digits = user.strip_prefix('+').unwrap_or(user);
    word.or_else(|| KEYPAD.iter().find(|(spelling, _)| digits == *spelling)).map(|(_, presentation)| *presentation)
}
