//! Sealing: nothing about a session reaches RocksDB but as authenticated ciphertext.
//!
//! A sealed value is `algorithm (1) | key version (4) | nonce (24) | ciphertext | tag (16)`. The whole record
//! is sealed, so that not even the number of variables shows. What it belongs to (log or record, tenant,
//! release, session, key version) is bound as associated data: a value that was moved does not open.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};
use rand::TryRng;
use rand::rngs::SysRng;
use serde::{Deserialize, Serialize};
use zeroize::{ZeroizeOnDrop, Zeroizing};

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

/// The data keys of one tenant. Cheap to clone; all clones follow a rotation.
#[derive(Clone)]
pub(super) struct DataKeys {
    ring: Arc<ArcSwap<Ring>>,
    nonces: Arc<Nonces>,
}

/// All versions that something may still be sealed with, by rising version; the last one seals. Whatever is sealed
/// holds its ring until it is handed to the database: a version is not destroyed before that.
pub(super) struct Ring(Vec<(u32, XChaCha20Poly1305)>);

/// A cipher holds its key. That it wipes it is a feature of its crate which could be lost unseen.
const _: fn() = || {
    fn wiped<T: ZeroizeOnDrop>() {}
    wiped::<XChaCha20Poly1305>();
};

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ring(hidden)")
    }
}

impl Ring {
    fn cipher(&self, version: u32) -> Result<&XChaCha20Poly1305, CannotOpen> {
        let known = self.0.iter().find(|(known, _)| *known == version);
        known.map(|(_, cipher)| cipher).ok_or(CannotOpen("it is sealed with a key that is not there"))
    }

    /// The versions, the newest first.
    pub(super) fn versions(&self) -> impl Iterator<Item = u32> {
        self.0.iter().rev().map(|(version, _)| *version)
    }
}

/// The parts of a sealed value.
struct Parts<'a> {
    version: u32,
    nonce: &'a [u8; NONCE],
    ciphertext: &'a [u8],
    tag: &'a [u8; TAG],
}

impl<'a> Parts<'a> {
    fn read(sealed: &'a [u8]) -> Result<Self, CannotOpen> {
        let short = CannotOpen("it is too short");
        let (&algorithm, rest) = sealed.split_first().ok_or(short)?;
        if algorithm != XCHACHA20_POLY1305 {
            return Err(CannotOpen("it is sealed with an unknown algorithm"));
        }
        let (version, rest) = rest.split_first_chunk::<4>().ok_or(short)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE>().ok_or(short)?;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG>().ok_or(short)?;
        Ok(Self { version: u32::from_be_bytes(*version), nonce, ciphertext, tag })
    }
}

/// The key version a value is sealed with, if it is a sealed value.
pub(super) fn key_version(sealed: &[u8]) -> Option<u32> {
    Parts::read(sealed).ok().map(|parts| parts.version)
}

impl DataKeys {
    /// None without any key, and none if two keys have the same version: what is sealed with one of them would not open
    /// with the other.
    pub(super) fn new(keys: &[(u32, Zeroizing<[u8; 32]>)], nonces: Arc<Nonces>) -> Option<Self> {
        let mut versions: Vec<_> =
            keys.iter().map(|(version, key)| (*version, XChaCha20Poly1305::new((&**key).into()))).collect();
        versions.sort_by_key(|(version, _)| *version);
        let is_unique = versions.is_sorted_by(|(one, _), (other, _)| one < other);
        (is_unique && !versions.is_empty())
            .then(|| Self { ring: Arc::new(ArcSwap::from_pointee(Ring(versions))), nonces })
    }

    /// The versions in use.
    pub(super) fn ring(&self) -> Arc<Ring> {
        self.ring.load_full()
    }

    /// Seals with another key from now on, and gives the ring before: once nobody holds it, nothing is on its way any
    /// more that is sealed with an older key.
    pub(super) fn add(&self, version: u32, key: &[u8; 32]) -> Weak<Ring> {
        let before = self.ring.load();
        // Growing would leave copies of the keys behind.
        let mut versions = Vec::with_capacity(before.0.len() + 1);
        versions.extend_from_slice(&before.0);
        drop(before);
        versions.push((version, XChaCha20Poly1305::new(key.into())));
        versions.sort_by_key(|(version, _)| *version);
        Arc::downgrade(&self.ring.swap(Arc::new(Ring(versions))))
    }

    /// Forgets all keys but the newest.
    pub(super) fn keep_newest(&self) {
        let newest = self.ring.load().0.last().cloned();
        self.ring.store(Arc::new(Ring(newest.into_iter().collect())));
    }

    /// Appends the sealed form of `content` to `value`.
    pub(super) fn seal<T: Serialize>(
        &self,
        binding: &Binding<'_>,
        content: &T,
        value: Vec<u8>,
    ) -> (Vec<u8>, Arc<Ring>) {
        self.seal_with(binding, value, |mut value| {
            value.push(PLAINTEXT_VERSION);
            encode(content, value)
        })
    }

    /// Appends to `value` what `append` appends, sealed in place.
    fn seal_with(
        &self,
        binding: &Binding<'_>,
        mut value: Vec<u8>,
        append: impl FnOnce(Vec<u8>) -> Vec<u8>,
    ) -> (Vec<u8>, Arc<Ring>) {
        let ring = self.ring.load_full();
        let Some((version, cipher)) = ring.0.last() else { return (Vec::new(), ring) };
        let nonce = self.nonces.next();
        value.push(XCHACHA20_POLY1305);
        value.extend_from_slice(&version.to_be_bytes());
        value.extend_from_slice(&nonce);
        let start = value.len();
        let mut value = append(value);
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
        (value, ring)
    }

    /// Opens a sealed value.
    pub(super) fn open<T: for<'de> Deserialize<'de>>(
        &self,
        binding: &Binding<'_>,
        sealed: &[u8],
    ) -> Result<T, CannotOpen> {
        let plaintext = self.plaintext(binding, sealed)?;
        match plaintext.split_first() {
            Some((&PLAINTEXT_VERSION, encoded)) => {
                postcard::from_bytes(encoded).map_err(|_| CannotOpen("its content has an unknown form"))
            }
            _ => Err(CannotOpen("its content has an unknown version")),
        }
    }

    /// Appends to `value` the same content sealed with the newest key.
    pub(super) fn reseal(&self, binding: &Binding<'_>, sealed: &[u8], value: Vec<u8>) -> Result<Vec<u8>, CannotOpen> {
        let plaintext = self.plaintext(binding, sealed)?;
        let append = |mut value: Vec<u8>| {
            // Growing would leave a copy of the plaintext behind.
            value.reserve_exact(plaintext.len() + TAG);
            value.extend_from_slice(&plaintext);
            value
        };
        Ok(self.seal_with(binding, value, append).0)
    }

    fn plaintext(&self, binding: &Binding<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CannotOpen> {
        let Parts { version, nonce, ciphertext, tag } = Parts::read(sealed)?;
        let ring = self.ring.load();
        let cipher = ring.cipher(version)?;
        let (data, len) = binding.associated_data(version);
        let data = data.get(..len).unwrap_or(&data);
        let mut plaintext = Zeroizing::new(ciphertext.to_vec());
        cipher
            .decrypt_inout_detached(&XNonce::from(*nonce), data, plaintext.as_mut_slice().into(), &Tag::from(*tag))
            .map_err(|_| CannotOpen("it was changed or moved"))?;
        Ok(plaintext)
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
        let keys: Vec<_> = versions
            .iter()
            .map(|version| (*version, Zeroizing::new([u8::try_from(*version).unwrap_or(u8::MAX); 32])))
            .collect();
        DataKeys::new(&keys, nonces).expect("there is a key")
    }

    #[test]
    fn two_keys_of_one_version_are_no_keys() {
        let all =
            |versions: &[u32]| versions.iter().map(|version| (*version, Zeroizing::new([7; 32]))).collect::<Vec<_>>();
        let made = |versions: &[u32]| DataKeys::new(&all(versions), Arc::new(Nonces::new().expect("random bytes")));
        assert!(made(&[2, 1, 3]).is_some());
        assert!(made(&[]).is_none() && made(&[2, 2]).is_none() && made(&[1, 3, 2, 1]).is_none());
    }

    fn sealed<T: Serialize>(keys: &DataKeys, content: &T) -> Vec<u8> {
        keys.seal(&BINDING, content, Vec::new()).0
    }

    const SESSION: SessionId = SessionId::Caller([3; 32]);
    const BINDING: Binding<'static> = Binding { purpose: Purpose::Record, tenant: 1, release: 2, session: &SESSION };

    #[test]
    fn what_is_sealed_opens_again_also_after_a_new_key_version() {
        let old = sealed(&keys(&[1]), &"text".to_owned());
        let both = keys(&[2, 1]);
        assert_eq!(both.open::<String>(&BINDING, &old), Ok("text".to_owned()));
        let new = sealed(&both, &"text".to_owned());
        assert_eq!(new.get(1..5), Some(&2_u32.to_be_bytes()[..]));
        assert!(keys(&[1]).open::<String>(&BINDING, &new).is_err());
        assert_eq!(new.len(), OVERHEAD + 5);
    }

    #[test]
    fn a_rotation_reaches_all_clones_and_the_old_ring_goes_with_the_last_value_sealed_with_it() {
        let keys = keys(&[1]);
        let on_its_way = keys.clone().seal(&BINDING, &7_u64, Vec::new());
        let before = keys.add(2, &[2; 32]);
        assert_eq!(keys.ring().versions().collect::<Vec<_>>(), [2, 1]);
        assert!(before.upgrade().is_some(), "something is on its way");
        let (old, ring) = on_its_way;
        drop(ring);
        assert!(before.upgrade().is_none());
        let new = keys.clone().reseal(&BINDING, &old, b"head".to_vec()).expect("the old version opens");
        let new = new.strip_prefix(b"head").expect("what was there stays");
        assert_eq!((key_version(&old), key_version(new)), (Some(1), Some(2)));
        keys.keep_newest();
        assert_eq!(keys.open::<u64>(&BINDING, new), Ok(7));
        assert_eq!(keys.open::<u64>(&BINDING, &old), Err(CannotOpen("it is sealed with a key that is not there")));
    }

    #[test]
    fn a_value_that_does_not_open_is_not_sealed_anew() {
        let keys = keys(&[1, 2]);
        let mut changed = sealed(&keys, &7_u64);
        *changed.last_mut().expect("bytes") ^= 1;
        assert!(keys.reseal(&BINDING, &changed, Vec::new()).is_err());
    }

    #[test]
    fn a_value_moved_elsewhere_does_not_open() {
        let keys = keys(&[1]);
        let sealed = sealed(&keys, &7_u64);
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
            let sealed = sealed(&keys, &content);
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
