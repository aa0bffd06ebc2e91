//! Sealing: nothing about a session reaches RocksDB but as authenticated ciphertext.
//!
//! A sealed value is `algorithm (1) | key version (4) | nonce (24) | ciphertext | tag (16)`. The whole record
//! is sealed, so that not even the number of variables shows. What it belongs to (log or record, tenant,
//! release, session, key version) is bound as associated data: a value that was moved does not open.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};
use rand::TryRng;
use rand::rngs::SysRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::domain::ids::SessionId;

/// XChaCha20-Poly1305 with a 24-byte nonce.
const XCHACHA20_POLY1305: u8 = 1;
/// Version of the plaintext: postcard of the domain's type.
const PLAINTEXT_VERSION: u8 = 1;
const NONCE: usize = 24;
const TAG: usize = 16;
const HEADER: usize = 1 + 4 + NONCE;

/// Bytes a sealed value is longer than its encoding.
pub(super) const OVERHEAD: usize = HEADER + 1 + TAG;

/// What a sealed value is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A commit in the log.
    Commit = 1,
    /// A session's record.
    Record = 2,
}

/// What a sealed value belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Binding<'a> {
    pub(super) purpose: Purpose,
    pub(super) tenant: u32,
    pub(super) release: u32,
    pub(super) session: &'a SessionId,
}

impl Binding<'_> {
    fn associated_data(&self, key_version: u32) -> ([u8; 64], usize) {
        let session = self.session.as_bytes();
        let mut data = [0; 64];
        let mut len = 0;
        let head = [self.purpose as u8, XCHACHA20_POLY1305, u8::try_from(session.len()).unwrap_or(0)];
        for part in
            [&head[..], &key_version.to_be_bytes(), &self.tenant.to_be_bytes(), &self.release.to_be_bytes(), session]
        {
            for (to, from) in data.iter_mut().skip(len).zip(part) {
                *to = *from;
            }
            len += part.len();
        }
        (data, len)
    }
}

/// A sealed value that could not be opened: damaged, moved, or its key is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CannotOpen(pub(super) &'static str);

/// Nonces that are never used twice: 16 random bytes, drawn anew each time the store is opened, and a
/// counter. Two openings would have to draw the same 128 bits, and within one the counter never repeats,
/// so the count of messages under one key needs no bound, and no random bytes are needed per message.
pub(super) struct Nonces {
    prefix: [u8; 16],
    next: AtomicU64,
}

impl Nonces {
    pub(super) fn new() -> Result<Self, rand::rngs::SysError> {
        let mut prefix = [0; 16];
        SysRng.try_fill_bytes(&mut prefix)?;
        Ok(Self { prefix, next: AtomicU64::new(0) })
    }

    fn next(&self) -> [u8; NONCE] {
        let count = self.next.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let mut nonce = [0; NONCE];
        for (to, from) in nonce.iter_mut().zip(self.prefix.iter().chain(&count)) {
            *to = *from;
        }
        nonce
    }
}

/// The data keys of one tenant, all versions that something may still be sealed with.
#[derive(Clone)]
pub(super) struct DataKeys {
    /// By rising version; the last one seals.
    versions: Arc<[(u32, XChaCha20Poly1305)]>,
    nonces: Arc<Nonces>,
}

impl DataKeys {
    /// None without any key.
    pub(super) fn new(mut keys: Vec<(u32, Zeroizing<[u8; 32]>)>, nonces: Arc<Nonces>) -> Option<Self> {
        keys.sort_by_key(|(version, _)| *version);
        let versions: Arc<[_]> =
            keys.iter().map(|(version, key)| (*version, XChaCha20Poly1305::new((&**key).into()))).collect();
        (!versions.is_empty()).then_some(Self { versions, nonces })
    }

    /// Appends the sealed form of `content` to `value`.
    pub(super) fn seal<T: Serialize>(&self, binding: &Binding<'_>, content: &T, mut value: Vec<u8>) -> Vec<u8> {
        let Some((version, cipher)) = self.versions.last() else { return Vec::new() };
        let nonce = self.nonces.next();
        value.push(XCHACHA20_POLY1305);
        value.extend_from_slice(&version.to_be_bytes());
        value.extend_from_slice(&nonce);
        let start = value.len();
        value.push(PLAINTEXT_VERSION);
        let mut value = encode(content, value);
        let (data, len) = binding.associated_data(*version);
        let tag = {
            let plaintext = value.get_mut(start..).unwrap_or_default();
            let data = data.get(..len).unwrap_or(&data);
            match cipher.encrypt_inout_detached(&XNonce::from(nonce), data, plaintext.into()) {
                Ok(tag) => tag,
                // The cipher refuses more than 256 GiB only.
                Err(_) => unreachable!("a record fits into memory"),
            }
        };
        value.extend_from_slice(&tag);
        value
    }

    /// Opens a sealed value.
    pub(super) fn open<T: for<'de> Deserialize<'de>>(
        &self,
        binding: &Binding<'_>,
        sealed: &[u8],
    ) -> Result<T, CannotOpen> {
        let short = CannotOpen("it is too short");
        let (&algorithm, rest) = sealed.split_first().ok_or(short)?;
        if algorithm != XCHACHA20_POLY1305 {
            return Err(CannotOpen("it is sealed with an unknown algorithm"));
        }
        let (version, rest) = rest.split_first_chunk::<4>().ok_or(short)?;
        let version = u32::from_be_bytes(*version);
        let (nonce, rest) = rest.split_first_chunk::<NONCE>().ok_or(short)?;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG>().ok_or(short)?;
        let (_, cipher) = self
            .versions
            .iter()
            .find(|(known, _)| *known == version)
            .ok_or(CannotOpen("it is sealed with a key that is not there"))?;
        let (data, len) = binding.associated_data(version);
        let data = data.get(..len).unwrap_or(&data);
        let mut plaintext = Zeroizing::new(ciphertext.to_vec());
        cipher
            .decrypt_inout_detached(&XNonce::from(*nonce), data, plaintext.as_mut_slice().into(), &Tag::from(*tag))
            .map_err(|_| CannotOpen("it was changed or moved"))?;
        match plaintext.split_first() {
            Some((&PLAINTEXT_VERSION, encoded)) => {
                postcard::from_bytes(encoded).map_err(|_| CannotOpen("its content has an unknown form"))
            }
            _ => Err(CannotOpen("its content has an unknown version")),
        }
    }
}

fn encode<T: Serialize>(content: &T, value: Vec<u8>) -> Vec<u8> {
    match postcard::to_extend(content, value) {
        Ok(value) => value,
        // Commits and sessions are plain data: sequences of known length, written into memory.
        Err(_) => unreachable!("plain data has a postcard form"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(versions: &[u32]) -> DataKeys {
        let nonces = Arc::new(Nonces::new().expect("the system has random bytes"));
        let keys = versions
            .iter()
            .map(|version| (*version, Zeroizing::new([u8::try_from(*version).unwrap_or(u8::MAX); 32])))
            .collect();
        DataKeys::new(keys, nonces).expect("there is a key")
    }

    const SESSION: SessionId = SessionId::Caller([3; 32]);
    const BINDING: Binding<'static> = Binding { purpose: Purpose::Record, tenant: 1, release: 2, session: &SESSION };

    #[test]
    fn what_is_sealed_opens_again_also_after_a_new_key_version() {
        let old = keys(&[1]).seal(&BINDING, &"text".to_owned(), Vec::new());
        let both = keys(&[2, 1]);
        assert_eq!(both.open::<String>(&BINDING, &old), Ok("text".to_owned()));
        let new = both.seal(&BINDING, &"text".to_owned(), Vec::new());
        assert_eq!(new.get(1..5), Some(&2_u32.to_be_bytes()[..]));
        assert!(keys(&[1]).open::<String>(&BINDING, &new).is_err());
        assert_eq!(new.len(), OVERHEAD + 5);
    }

    #[test]
    fn a_value_moved_elsewhere_does_not_open() {
        let keys = keys(&[1]);
        let sealed = keys.seal(&BINDING, &7_u64, Vec::new());
        let other = SessionId::Caller([4; 32]);
        let anonymous = SessionId::Anonymous([3; 16]);
        for binding in [
            Binding { purpose: Purpose::Commit, ..BINDING },
            Binding { tenant: 2, ..BINDING },
            Binding { release: 1, ..BINDING },
            Binding { session: &other, ..BINDING },
            Binding { session: &anonymous, ..BINDING },
        ] {
            assert!(keys.open::<u64>(&binding, &sealed).is_err(), "{binding:?}");
        }
        assert_eq!(keys.open::<u64>(&BINDING, &sealed), Ok(7));
    }

    #[test]
    fn no_nonce_is_used_twice() {
        let nonces = Nonces::new().expect("the system has random bytes");
        let drawn: std::collections::HashSet<_> = (0..1000).map(|_| nonces.next()).collect();
        assert_eq!(drawn.len(), 1000);
        let again = Nonces::new().expect("the system has random bytes");
        assert_ne!(again.prefix, nonces.prefix);
    }

    proptest! {
        #[test]
        fn every_change_of_a_single_byte_is_noticed(content in proptest::collection::vec(any::<u8>(), 0..200), flip in 1_u8..) {
            let keys = keys(&[1]);
            let sealed = keys.seal(&BINDING, &content, Vec::new());
            prop_assert_eq!(keys.open::<Vec<u8>>(&BINDING, &sealed), Ok(content));
            for at in 0..sealed.len() {
                let mut changed = sealed.clone();
                changed[at] ^= flip;
                prop_assert!(keys.open::<Vec<u8>>(&BINDING, &changed).is_err(), "byte {}", at);
                prop_assert!(keys.open::<Vec<u8>>(&BINDING, &sealed[..at]).is_err(), "cut at {}", at);
            }
        }
    }
}
