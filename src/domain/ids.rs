//! Names of things: tenants, releases, sessions, calls, switches, variables.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::refusal::{Reason, Refusal};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text as it is written everywhere.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

text_id! {
    /// A customer (PRODUCT.md 2). 1 to 64 bytes of `A-Z a-z 0-9 _ . -`.
    TenantId
}
text_id! {
    /// One deployed voice app of a tenant, by its `instance_id`. 1 to 128 bytes of `A-Z a-z 0-9 _ . : -`.
    InstanceId
}
text_id! {
    /// The name of a configured switch. 1 to 64 bytes of `A-Z a-z 0-9 _ . -`.
    SwitchName
}
text_id! {
    /// The switch's identifier of one call (the SIP Call-ID), chosen by strangers: 1 to 255 bytes of
    /// UTF-8 without control characters (PRODUCT.md 4.4).
    CallId
}
text_id! {
    /// The name of a variable: 1 to 128 bytes of `A-Z a-z 0-9 _ . : -` (PRODUCT.md 4.4).
    VariableName
}

fn is_name(text: &str, most: usize, extra: &[u8]) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || extra.contains(&b))
}

macro_rules! checked_name {
    ($name:ident, $most:expr, $extra:expr, $what:expr) => {
        impl FromStr for $name {
            type Err = Refusal;

            fn from_str(text: &str) -> Result<Self, Refusal> {
                if is_name(text, $most, $extra) {
                    Ok(Self(Arc::from(text)))
                } else {
                    Err(Refusal::new(Reason::InvalidParams, $what))
                }
            }
        }
    };
}

checked_name!(TenantId, 64, b"_.-", "a tenant id is 1 to 64 bytes of A-Z a-z 0-9 _ . -");
checked_name!(InstanceId, 128, b"_.:-", "an instance_id is 1 to 128 bytes of A-Z a-z 0-9 _ . : -");
checked_name!(SwitchName, 64, b"_.-", "a switch name is 1 to 64 bytes of A-Z a-z 0-9 _ . -");

impl FromStr for CallId {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        if text.is_empty() || text.len() > 255 {
            return Err(Refusal::new(Reason::LimitExceeded, "a call_id is 1 to 255 bytes long"));
        }
        if text.chars().any(char::is_control) {
            return Err(Refusal::new(Reason::InvalidParams, "a call_id holds no control characters"));
        }
        Ok(Self(Arc::from(text)))
    }
}

impl FromStr for VariableName {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        if text.is_empty() || text.len() > 128 {
            return Err(Refusal::new(Reason::LimitExceeded, "a variable's name is 1 to 128 bytes long"));
        }
        if !is_name(text, 128, b"_.:-") {
            return Err(Refusal::new(Reason::InvalidParams, "a variable's name is made of A-Z a-z 0-9 _ . : -"));
        }
        Ok(Self(Arc::from(text)))
    }
}

/// The pseudonym of one caller at one release (PRODUCT.md 3.2), or of one withheld call (3.4).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SessionId {
    /// 64 lowercase hex digits.
    Caller([u8; 32]),
    /// `anon-` and 32 lowercase hex digits; joins nothing.
    Anonymous([u8; 16]),
}

impl SessionId {
    /// Whether this is the session of a withheld caller.
    #[must_use]
    pub const fn is_anonymous(&self) -> bool {
        matches!(self, SessionId::Anonymous(_))
    }

    /// Appends the form used in database keys: the bytes, whose length tells the two kinds apart.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        match self {
            SessionId::Caller(bytes) => bytes,
            SessionId::Anonymous(bytes) => bytes,
        }
    }

    /// Reads [`SessionId::as_bytes`] back.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes.len() {
            32 => bytes.try_into().ok().map(SessionId::Caller),
            16 => bytes.try_into().ok().map(SessionId::Anonymous),
            _ => None,
        }
    }

    /// Appends the text form.
    pub fn write_text(&self, out: &mut String) {
        if self.is_anonymous() {
            out.push_str("anon-");
        }
        HEXLOWER.encode_append(self.as_bytes(), out);
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(64);
        self.write_text(&mut text);
        f.write_str(&text)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SessionId {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let decoded = match text.strip_prefix("anon-") {
            Some(hex) if hex.len() == 32 => HEXLOWER.decode(hex.as_bytes()).ok(),
            None if text.len() == 64 => HEXLOWER.decode(text.as_bytes()).ok(),
            _ => None,
        };
        decoded.and_then(|bytes| Self::from_bytes(&bytes)).ok_or_else(|| {
            Refusal::new(Reason::InvalidParams, "a session_id is 64 lowercase hex digits, or anon- and 32")
        })
    }
}

/// The beginning of a session ID, as tables show it: at least 8 digits of its text form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionIdStart {
    text: String,
    bytes: Vec<u8>,
}

impl SessionIdStart {
    /// Fewest digits: with fewer, too many sessions would begin so.
    const LEAST: usize = 8;

    /// Whether the session ID begins so.
    #[must_use]
    pub fn begins(&self, session: &SessionId) -> bool {
        // Nearly all others are told by their bytes, without a text.
        session.as_bytes().starts_with(&self.bytes) && session.to_string().starts_with(&self.text)
    }

    /// The bytes that its whole pairs of digits stand for: those of [`SessionId::as_bytes`] begin with them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl FromStr for SessionIdStart {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let (digits, most) = match text.strip_prefix("anon-") {
            Some(digits) => (digits, 32),
            None => (text, 64),
        };
        let pairs = digits.get(..digits.len() / 2 * 2).unwrap_or_default();
        let is_digits = digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        match HEXLOWER.decode(pairs.as_bytes()) {
            Ok(bytes) if is_digits && (Self::LEAST..=most).contains(&digits.len()) => {
                Ok(Self { text: text.to_owned(), bytes })
            }
            _ => Err(Refusal::new(
                Reason::InvalidParams,
                "a session_id is 64 lowercase hex digits, or anon- and 32; the first 8 of them or more are enough here",
            )),
        }
    }
}

/// A release and its tenant: what everything about a session is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReleaseId {
    /// Whose release.
    pub tenant: TenantId,
    /// Which one.
    pub instance: InstanceId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_id_is_meant_by_eight_digits_of_its_beginning() {
        let (caller, anonymous) = (SessionId::Caller([0xab; 32]), SessionId::Anonymous([0xab; 16]));
        for text in ["abababab", "ababababa", caller.to_string().as_str()] {
            let start: SessionIdStart = text.parse().unwrap();
            assert!(start.begins(&caller) && !start.begins(&anonymous), "{text}");
            assert!(caller.as_bytes().starts_with(start.as_bytes()) && start.as_bytes().len() == text.len() / 2);
        }
        let start: SessionIdStart = "anon-abababab".parse().unwrap();
        assert!(start.begins(&anonymous) && !start.begins(&caller));
        assert!(!"ababababb".parse::<SessionIdStart>().unwrap().begins(&caller));
        let longer = format!("{caller}a");
        for text in ["", "abababa", "anon-", "anon-abababa", "ABABABAB", "abababag", "ababababé", longer.as_str()] {
            assert!(text.parse::<SessionIdStart>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_session_id_is_read_as_it_is_written() {
        for id in [SessionId::Caller([0xa5; 32]), SessionId::Anonymous([7; 16])] {
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(SessionId::from_bytes(id.as_bytes()), Some(id));
        }
        for text in ["", "anon-", &"A5".repeat(32), &"a5".repeat(31), "anon-zz"] {
            assert!(text.parse::<SessionId>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_call_id_holds_no_control_character_and_at_most_255_bytes() {
        assert!("1-\"q\"\\{}<x>~é@lab".parse::<CallId>().is_ok());
        assert!("a\u{85}b".parse::<CallId>().is_err());
        assert!("a\nb".parse::<CallId>().is_err());
        assert_eq!("x".repeat(256).parse::<CallId>().map_err(|r| r.reason), Err(Reason::LimitExceeded));
    }

    #[test]
    fn a_variable_name_keeps_to_its_alphabet() {
        assert!("crm:ticket.id-1_x".parse::<VariableName>().is_ok());
        assert_eq!("a b".parse::<VariableName>().map_err(|r| r.reason), Err(Reason::InvalidParams));
        assert_eq!("x".repeat(129).parse::<VariableName>().map_err(|r| r.reason), Err(Reason::LimitExceeded));
    }
}
