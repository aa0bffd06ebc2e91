//! Single values: how a text or number of the file becomes a checked value.

use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use data_encoding::HEXLOWER_PERMISSIVE;
use ipnet::IpNet;
use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::error::likely;
use super::{Durability, Generation, Protocol, Scope};
use crate::domain::caller::{Assurance, InvalidRegion, Region};
use crate::domain::duration;
use crate::domain::ids::{InstanceId, SwitchName, TenantId, VariableName};
use crate::domain::number_plan::{InvalidNumberPattern, NumberPattern};
use crate::domain::refusal::Refusal;
use crate::domain::session::{AnonymousSessions, Reset};

/// A text of the file, read as a `T`.
pub(super) struct Text<T>(pub(super) T);

/// What can be written as a text in the file.
pub(super) trait FromText: Sized {
    /// Reads it; the error says what to write instead, without repeating the text.
    fn from_text(text: &str) -> Result<Self, String>;
}

impl<'de, T: FromText> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor<T>(PhantomData<T>);

        impl<T: FromText> Visitor<'_> for TextVisitor<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text in quotes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
                T::from_text(text).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(TextVisitor(PhantomData)).map(Text)
    }
}

/// A number of bytes: `65536` or `"64KiB"`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes(pub(super) u64);

const BYTE_UNITS: [(&str, u64); 5] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("B", 1)];

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BytesVisitor;

        impl Visitor<'_> for BytesVisitor {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of bytes, or a text such as \"64KiB\", \"16MiB\" or \"4GiB\"")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Bytes, E> {
                u64::try_from(value).map(Bytes).map_err(|_| E::custom("a number of bytes is not negative"))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Bytes, E> {
                Ok(Bytes(value))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Bytes, E> {
                parse_bytes(text).map(Bytes).ok_or_else(|| {
                    E::custom("not a size: write a whole number and one of B, KiB, MiB, GiB, TiB, as in \"64KiB\"")
                })
            }
        }

        deserializer.deserialize_any(BytesVisitor)
    }
}

fn parse_bytes(text: &str) -> Option<u64> {
    let (digits, factor) =
        BYTE_UNITS.iter().find_map(|(unit, factor)| text.strip_suffix(unit).map(|digits| (digits, *factor)))?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// Reads one word of a fixed list.
fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    if let Some((_, value)) = words.iter().find(|(name, _)| *name == text) {
        return Ok(*value);
    }
    let names = || words.iter().map(|(name, _)| *name);
    let list = names().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    Err(match likely(text, names()) {
        Some(meant) => format!("not a word that is known here: did you mean \"{meant}\"? (one of {list})"),
        None => format!("not a word that is known here: write one of {list}"),
    })
}

fn detail(refusal: Refusal) -> String {
    refusal.detail.into_owned()
}

macro_rules! from_str_text {
    ($($name:ty),*) => {
        $(impl FromText for $name {
            fn from_text(text: &str) -> Result<Self, String> {
                text.parse().map_err(detail)
            }
        })*
    };
}

from_str_text!(TenantId, InstanceId, SwitchName, VariableName);

impl FromText for Region {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: InvalidRegion| error.to_string())
    }
}

impl FromText for NumberPattern {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: InvalidNumberPattern| error.to_string())
    }
}

impl FromText for Duration {
    fn from_text(text: &str) -> Result<Self, String> {
        duration::parse(text).map_err(|error| error.to_string())
    }
}

impl FromText for SocketAddr {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| {
            "not an address to listen on: write an IP address and a port, as in \"127.0.0.1:9070\" or \"[::1]:9070\""
                .to_owned()
        })
    }
}

/// One entry of `allow`: a network, or a single address.
impl FromText for IpNet {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).map_err(|_| {
            "not a network: write an address with its prefix length, as in \"192.0.2.0/24\", or a single address"
                .to_owned()
        })
    }
}

/// `sha256` of an API key.
impl FromText for [u8; 32] {
    fn from_text(text: &str) -> Result<Self, String> {
        HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
            "not a SHA-256 value: write 64 hex digits (`recalld api-key generate` prints a key and its value)"
                .to_owned()
        })
    }
}

/// A name that people give: an API key's, a switch's domain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Label(pub(super) String);

impl FromText for Label {
    fn from_text(text: &str) -> Result<Self, String> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        if (1..=255).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err("not a name: write 1 to 255 characters of A-Z a-z 0-9 _ . -".to_owned())
        }
    }
}

/// A path that is not empty.
#[derive(Debug)]
pub(super) struct FilePath(pub(super) std::path::PathBuf);

impl FromText for FilePath {
    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.contains('\0') {
            return Err("not a path: it is empty or holds a NUL".to_owned());
        }
        Ok(Self(text.into()))
    }
}

/// An origin of a web page: scheme, host and port only.
#[derive(Debug)]
pub(super) struct Origin(pub(super) String);

impl FromText for Origin {
    fn from_text(text: &str) -> Result<Self, String> {
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
        let plain = |b: u8| b.is_ascii_graphic() && !b"/?#@*\\".contains(&b);
        if host.is_empty() || !host.bytes().all(plain) {
            return Err("not an origin: write scheme, host and port as a browser sends them, as in \
                        \"https://desk.example.com\", without a path and without a `*`"
                .to_owned());
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

macro_rules! words {
    ($($name:ty: $words:expr;)*) => {
        $(impl FromText for $name {
            fn from_text(text: &str) -> Result<Self, String> {
                word(text, &$words)
            }
        })*
    };
}

words! {
    Durability: [("strict", Durability::Strict), ("relaxed", Durability::Relaxed)];
    Generation: [("phone1", Generation::Phone1), ("phone2", Generation::Phone2)];
    Reset: [("new-call", Reset::NewCall), ("every-call", Reset::EveryCall)];
    AnonymousSessions: [("drop", AnonymousSessions::Drop), ("keep", AnonymousSessions::Keep)];
    Assurance: [
        Assurance::None, Assurance::Trunk, Assurance::AttestedB, Assurance::AttestedA, Assurance::App,
    ].map(|level| (level.as_str(), level));
    Scope: Scope::ALL.map(|scope| (scope.as_str(), scope));
    Protocol: Protocol::ALL.map(|protocol| (protocol.as_str(), protocol));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_binary_units() {
        for (text, bytes) in [("0B", 0), ("64KiB", 65_536), ("16MiB", 16 << 20), ("4GiB", 4 << 30), ("1TiB", 1 << 40)] {
            assert_eq!(parse_bytes(text), Some(bytes), "{text}");
        }
        for text in ["", "KiB", "64", "64 KiB", "64KB", "-1KiB", "1.5MiB", "99999999999TiB", "٣KiB"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }

    #[test]
    fn a_misspelt_word_names_the_likely_one() {
        let said = Reset::from_text("newcall").unwrap_err();
        assert!(said.contains("did you mean \"new-call\"?"), "{said}");
        assert!(Scope::from_text("everything").unwrap_err().contains("one of \"context:read\""));
    }

    #[test]
    fn an_origin_has_no_path_and_no_wildcard() {
        assert!(Origin::from_text("https://desk.example.com:8443").is_ok());
        for text in ["*", "https://", "https://*.example.com", "desk.example.com", "https://example.com/", "null"] {
            assert!(Origin::from_text(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_single_address_is_a_network_of_one() {
        assert_eq!(IpNet::from_text("192.0.2.7").unwrap().to_string(), "192.0.2.7/32");
        assert!(IpNet::from_text("192.0.2.0/33").is_err());
    }
}
