//! How entries are written and authenticated.
//!
//! A row is `form (1) | key (4) | time (8) | MAC (32) | JSON`, its database key the number of the entry. The MAC is
//! HMAC-SHA-256 over `form | key | number (8) | time | MAC of the entry before | JSON`, all of it but the JSON of fixed
//! length. `key` names the key, so that the log stays verifiable after another root key.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::domain::time::Timestamp;
use crate::store::AuditRow;

/// Form of a row.
const FORM: u8 = 1;
const MAC: usize = 32;

/// A key of the chain.
pub struct AuditKey {
    id: [u8; 4],
    key: Zeroizing<[u8; 32]>,
}

impl AuditKey {
    /// Wraps a key that serves nothing else.
    #[must_use]
    pub fn new(key: Zeroizing<[u8; 32]>) -> Self {
        let mut name = mac(&key);
        name.update(b"recalld/audit/key");
        let name: [u8; MAC] = name.finalize().into_bytes().into();
        let [a, b, c, d, ..] = name;
        Self { id: [a, b, c, d], key }
    }
}

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditKey({}, hidden)", HEXLOWER.encode(&self.id))
    }
}

/// The key of new entries, and those of entries from before another root key.
#[derive(Debug)]
pub struct AuditKeys {
    current: AuditKey,
    /// The oldest first, each with the head behind which it proves nothing: whoever has an older root key can write
    /// entries with it.
    older: Vec<(AuditKey, Option<Head>)>,
}

/// How far entries may have a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// It is the key in force, or nobody's.
    Whole,
    /// Up to the head that was noted when the root key was changed.
    UpTo(Head),
    /// It is an older one, and where its entries end was not noted.
    Unnoted,
}

impl AuditKeys {
    /// With this key only.
    #[must_use]
    pub const fn new(current: AuditKey) -> Self {
        Self { current, older: Vec::new() }
    }

    /// With keys that older entries were written with, the oldest first, each with the head of the log when its time was
    /// over, as far as that was noted.
    #[must_use]
    pub fn with_older(self, mut older: Vec<(AuditKey, Option<Head>)>) -> Self {
        // A later head holds for the keys before it, too.
        let mut later = None;
        for (_, end) in older.iter_mut().rev() {
            *end = end.or(later);
            later = *end;
        }
        Self { older, ..self }
    }

    fn find(&self, id: [u8; 4]) -> Option<&AuditKey> {
        std::iter::once(&self.current).chain(self.older.iter().map(|(key, _)| key)).find(|key| key.id == id)
    }

    /// The heads of the log when the root key was changed.
    pub(super) fn ends(&self) -> impl Iterator<Item = Head> {
        self.older.iter().filter_map(|(_, end)| *end)
    }
}

/// The end of the log at some moment: number and MAC of an entry. Noted elsewhere, it proves later what was there.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    pub(super) sequence: u64,
    pub(super) mac: [u8; MAC],
}

/// The text is not a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a head is the number of an entry and its MAC, as in 17:5f2c… with 64 hex digits: the daemon logs it every hour"
)]
pub struct InvalidHead;

impl Head {
    /// The number of its entry; 0 before the first.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// That of a row. One that cannot be read has none: the next entry does not prove it.
    #[must_use]
    pub fn of(row: &AuditRow) -> Self {
        Self { sequence: row.sequence, mac: Parts::read(&row.value).map_or([0; MAC], |parts| parts.mac) }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sequence, HEXLOWER.encode(&self.mac))
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Head({self})")
    }
}

impl FromStr for Head {
    type Err = InvalidHead;

    fn from_str(text: &str) -> Result<Self, InvalidHead> {
        let (sequence, mac) = text.trim().split_once(':').ok_or(InvalidHead)?;
        let sequence = sequence.parse().map_err(|_| InvalidHead)?;
        let mac = HEXLOWER.decode(mac.to_ascii_lowercase().as_bytes()).map_err(|_| InvalidHead)?;
        Ok(Self { sequence, mac: mac.try_into().map_err(|_| InvalidHead)? })
    }
}

/// A row taken apart.
pub(super) struct Parts<'a> {
    key: [u8; 4],
    pub(super) at: Timestamp,
    pub(super) mac: [u8; MAC],
    body: &'a [u8],
}

impl<'a> Parts<'a> {
    /// None if it has another form.
    pub(super) fn read(value: &'a [u8]) -> Option<Self> {
        let (form, rest) = value.split_first()?;
        let (key, rest) = rest.split_first_chunk::<4>()?;
        let (at, rest) = rest.split_first_chunk::<8>()?;
        let (mac, body) = rest.split_first_chunk::<MAC>()?;
        let at = Timestamp::from_unix_millis(i64::from_be_bytes(*at));
        (*form == FORM).then_some(Self { key: *key, at, mac: *mac, body })
    }

    /// How far entries may have the key of this one.
    pub(super) fn reach(&self, keys: &AuditKeys) -> Reach {
        // A root key that was in force twice reaches to its second end.
        match keys.older.iter().rev().find(|(key, _)| key.id == self.key && key.id != keys.current.id) {
            None => Reach::Whole,
            Some((_, Some(end))) => Reach::UpTo(*end),
            Some((_, None)) => Reach::Unnoted,
        }
    }

    /// Whether the row follows the one with this MAC. None if its key is not known.
    pub(super) fn follows(&self, sequence: u64, before: &[u8; MAC], keys: &AuditKeys) -> Option<bool> {
        let key = keys.find(self.key)?;
        Some(link(key, sequence, self.at, before, self.body).ct_eq(&self.mac).into())
    }
}

/// The row of a new entry behind `head`, and the head it makes.
pub(super) fn append(head: Head, keys: &AuditKeys, at: Timestamp, body: &[u8]) -> (AuditRow, Head) {
    let sequence = head.sequence.saturating_add(1);
    let mac = link(&keys.current, sequence, at, &head.mac, body);
    let mut value = Vec::with_capacity(1 + 4 + 8 + MAC + body.len());
    value.push(FORM);
    value.extend_from_slice(&keys.current.id);
    value.extend_from_slice(&at.unix_millis().to_be_bytes());
    value.extend_from_slice(&mac);
    value.extend_from_slice(body);
    (AuditRow { sequence, value }, Head { sequence, mac })
}

fn link(key: &AuditKey, sequence: u64, at: Timestamp, before: &[u8; MAC], body: &[u8]) -> [u8; MAC] {
    let mut mac = mac(&key.key);
    mac.update(&[FORM]);
    mac.update(&key.id);
    mac.update(&sequence.to_be_bytes());
    mac.update(&at.unix_millis().to_be_bytes());
    mac.update(before);
    mac.update(body);
    mac.finalize().into_bytes().into()
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
fn mac(key: &[u8; 32]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("a key for HMAC")
}

/// An entry as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Its number.
    pub sequence: u64,
    /// When it was recorded; none of a row that cannot be read.
    pub at: Option<Timestamp>,
    /// Its MAC in hex.
    pub mac: String,
    /// What it says, an object; null of a row that cannot be read.
    pub entry: Value,
}

/// Reads a row to be shown. Whether it was changed is not looked at.
pub(super) fn read_row(row: &AuditRow) -> Told {
    let parts = Parts::read(&row.value);
    Told {
        sequence: row.sequence,
        at: parts.as_ref().map(|parts| parts.at),
        mac: parts.as_ref().map(|parts| HEXLOWER.encode(&parts.mac)).unwrap_or_default(),
        entry: parts.and_then(|parts| serde_json::from_slice(parts.body).ok()).unwrap_or_default(),
    }
}
