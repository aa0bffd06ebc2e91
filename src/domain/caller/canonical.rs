//! The canonical caller ID: the one text per caller from which the pseudonym is made.

use std::fmt;

use zeroize::Zeroizing;

/// The version of the rules of `normalise`, the number parser's data included. It is stored with each alias: other
/// rules give some callers another canonical form, so they need another version and a way from the old.
pub const RULE_VERSION: u16 = 1;

/// What kind of caller ID it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallerClass {
    /// `tel:+…`: a valid number in E.164.
    Tel,
    /// `ext:<switch domain>:<digits>`: an extension or short code of the switch.
    Extension,
    /// `sip:<user>@<host>`.
    Sip,
    /// `id:<id>`: the switch's own user ID.
    UserId,
}

/// The canonical form of a caller ID (PRODUCT.md 3.1), such as `tel:+…`. It names a person: it is wiped
/// when dropped, has no `Display`, and `Debug` tells nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct CanonicalCallerId {
    text: Zeroizing<String>,
    class: CallerClass,
    rule_version: u16,
    /// What older rules make of the same caller, by falling version.
    former: Vec<CanonicalCallerId>,
}

impl CanonicalCallerId {
    pub(super) fn tel(e164: &str) -> Self {
        Self::new(CallerClass::Tel, &["tel:", e164])
    }

    pub(super) fn extension(domain: &str, digits: &str) -> Self {
        Self::new(CallerClass::Extension, &["ext:", domain, ":", digits])
    }

    pub(super) fn sip(user: &str, host: &str) -> Self {
        Self::new(CallerClass::Sip, &["sip:", user, "@", host])
    }

    pub(super) fn user_id(id: &str) -> Self {
        Self::new(CallerClass::UserId, &["id:", id])
    }

    /// Made in one piece: a text that grows leaves copies of itself behind that nobody wipes.
    fn new(class: CallerClass, parts: &[&str]) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(parts.iter().map(|part| part.len()).sum()));
        for part in parts {
            text.push_str(part);
        }
        Self { text, class, rule_version: RULE_VERSION, former: Vec::new() }
    }

    /// Says which rules made it, and what the rules before them made.
    pub(super) fn made_by(self, rule_version: u16, former: Vec<Self>) -> Self {
        Self { rule_version, former, ..self }
    }

    /// The plain text, for the calculation of a pseudonym and for comparing callers in memory.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// The version of the rules that made it.
    #[must_use]
    pub const fn rule_version(&self) -> u16 {
        self.rule_version
    }

    /// This form and what older rules make of the same caller, the newest first: an alias may lead to her by each of
    /// them.
    pub fn forms(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.former)
    }

    /// What kind of caller ID it is.
    #[must_use]
    pub const fn class(&self) -> CallerClass {
        self.class
    }

    /// What a person would call the number: without the prefix of its class.
    pub(super) fn shown(&self) -> &str {
        match self.class {
            CallerClass::Tel | CallerClass::UserId => self.text.split_once(':').map_or("", |(_, number)| number),
            CallerClass::Extension => self.text.rsplit_once(':').map_or("", |(_, digits)| digits),
            CallerClass::Sip => &self.text,
        }
    }
}

impl fmt::Debug for CanonicalCallerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CanonicalCallerId(hidden)")
    }
}
