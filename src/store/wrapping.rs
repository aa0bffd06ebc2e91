//! Keys at rest: each one is wrapped by a key derived from the root key, bound to what it is for, to its tenant and to
//! its version.

use std::path::Path;

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};
use rand::TryRng;
use rand::rngs::SysRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::error::StoreError;

/// A key in the clear.
pub(super) type PlainKey = Zeroizing<[u8; 32]>;

/// A key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WrappedKey {
    pub(super) version: u32,
    nonce: [u8; 24],
    wrapped: [u8; 32],
    tag: [u8; 16],
}

/// What a wrapped key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyPurpose {
    /// Seals a tenant's records.
    Data,
    /// Makes a tenant's pseudonyms.
    Pseudonym,
    /// Authenticated the audit log.
    Audit,
}

/// Whose key it is.
#[derive(Clone, Copy)]
pub(super) struct Owner<'a> {
    pub(super) purpose: KeyPurpose,
    /// The tenant's number in keys of the database.
    pub(super) number: u32,
    /// The tenant's name.
    pub(super) name: &'a str,
}

impl Owner<'_> {
    fn associated_data(&self, version: u32) -> Vec<u8> {
        let purpose: &[u8] = match self.purpose {
            KeyPurpose::Data => b"recalld/data-key",
            KeyPurpose::Pseudonym => b"recalld/pseudonym-key",
            KeyPurpose::Audit => b"recalld/audit-key",
        };
        [purpose, &self.number.to_be_bytes(), &version.to_be_bytes(), self.name.as_bytes()].concat()
    }
}

/// Wraps and unwraps.
pub(super) struct Wrapping(XChaCha20Poly1305);

impl Wrapping {
    pub(super) fn new(wrapping_key: &[u8; 32]) -> Self {
        Self(XChaCha20Poly1305::new(wrapping_key.into()))
    }

    pub(super) fn wrap(&self, owner: &Owner<'_>, version: u32, key: &[u8; 32]) -> Result<WrappedKey, StoreError> {
        let mut nonce = [0; 24];
        random(&mut nonce)?;
        // Encrypted in place: the plain key never lies in a buffer that nobody wipes.
        let mut wrapped = *key;
        let data = owner.associated_data(version);
        let tag = self
            .0
            .encrypt_inout_detached(&XNonce::from(nonce), &data, wrapped.as_mut_slice().into())
            .map_err(|_| StoreError::Incomplete("a key cannot be wrapped"))?;
        Ok(WrappedKey { version, nonce, wrapped, tag: tag.into() })
    }

    /// None if it was changed, moved, or wrapped by another root key.
    pub(super) fn unwrap(&self, owner: &Owner<'_>, key: &WrappedKey) -> Option<PlainKey> {
        let mut plain = Zeroizing::new(key.wrapped);
        let data = owner.associated_data(key.version);
        let (nonce, tag) = (XNonce::from(key.nonce), Tag::from(key.tag));
        self.0.decrypt_inout_detached(&nonce, &data, plain.as_mut_slice().into(), &tag).ok()?;
        Some(plain)
    }
}

/// A new key.
pub(super) fn random_key() -> Result<PlainKey, StoreError> {
    let mut key = Zeroizing::new([0; 32]);
    random(key.as_mut_slice())?;
    Ok(key)
}

fn random(bytes: &mut [u8]) -> Result<(), StoreError> {
    SysRng.try_fill_bytes(bytes).map_err(|error| StoreError::io(Path::new("getrandom"), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_key_opens_only_for_what_it_was_wrapped_for() {
        let wrapping = Wrapping::new(&[1; 32]);
        let owner = Owner { purpose: KeyPurpose::Data, number: 7, name: "acme" };
        let key = random_key().expect("the system has random bytes");
        let wrapped = wrapping.wrap(&owner, 3, &key).expect("is wrapped");
        assert_eq!(wrapping.unwrap(&owner, &wrapped), Some(key));
        for owner in [
            Owner { purpose: KeyPurpose::Pseudonym, ..owner },
            Owner { number: 8, ..owner },
            Owner { name: "other", ..owner },
        ] {
            assert_eq!(wrapping.unwrap(&owner, &wrapped), None);
        }
        assert_eq!(wrapping.unwrap(&owner, &WrappedKey { version: 4, ..wrapped.clone() }), None);
        assert_eq!(Wrapping::new(&[2; 32]).unwrap(&owner, &wrapped), None);
        let mut changed = wrapped.clone();
        changed.wrapped[31] ^= 1;
        assert_eq!(wrapping.unwrap(&owner, &changed), None);
    }
}
