//! From a canonical caller ID to its pseudonym, in two steps of which the second is keyed (PRODUCT.md
//! 3.2), and the keys derived from the root key.

use std::fmt;

use data_encoding::{BASE64, BASE64_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use rand::CryptoRng;
use secrecy::{ExposeSecret, SecretBox};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::caller::CanonicalCallerId;
use super::ids::{InstanceId, TenantId};

/// An HMAC is two hashes which have taken the key in. That they wipe it is a feature of their crate which could be lost
/// unseen.
const _: fn() = || {
    fn wiped<T: ZeroizeOnDrop>() {}
    wiped::<Sha256>();
};

/// Bytes of every key here.
const KEY_BYTES: usize = 32;

/// The one secret of an installation, from which all others are derived. It lies neither in the
/// database nor in its backups, is wiped when dropped, and `Debug` tells nothing.
pub struct RootKey(SecretBox<[u8; KEY_BYTES]>);

/// The file of a root key holds none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RootKeyError {
    /// Text that is neither hex nor base64, or bytes of another length than 32.
    #[error(
        "the root key file holds {bytes} bytes that are no key: it holds exactly 32 bytes, or 64 hex digits, or the \
             base64 of 32 bytes; `recalld key generate` makes one"
    )]
    NoKey {
        /// How long the file is.
        bytes: usize,
    },
    /// Hex or base64 of another length.
    #[error("the root key file holds a key of {bytes} bytes: a root key has 32; `recalld key generate` makes one")]
    WrongLength {
        /// How long the decoded key is.
        bytes: usize,
    },
}

impl RootKey {
    /// Reads the content of a key file: exactly 32 bytes raw, else 64 hex digits or base64, with or
    /// without a newline at the end.
    ///
    /// # Errors
    /// [`RootKeyError`], which tells lengths only.
    pub fn from_file(content: &[u8]) -> Result<Self, RootKeyError> {
        if let Ok(raw) = <&[u8; KEY_BYTES]>::try_from(content) {
            return Ok(Self::new(raw));
        }
        let text = content.strip_suffix(b"\n").unwrap_or(content);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let decoded =
            [&HEXLOWER_PERMISSIVE, &BASE64, &BASE64_NOPAD].into_iter().find_map(|form| form.decode(text).ok());
        let decoded = decoded.map(Zeroizing::new).ok_or(RootKeyError::NoKey { bytes: content.len() })?;
        let key = <&[u8; KEY_BYTES]>::try_from(decoded.as_slice());
        key.map(Self::new).map_err(|_| RootKeyError::WrongLength { bytes: decoded.len() })
    }

    /// A new key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self(SecretBox::init_with_mut(|key: &mut [u8; KEY_BYTES]| rng.fill_bytes(key)))
    }

    fn new(bytes: &[u8; KEY_BYTES]) -> Self {
        Self(SecretBox::init_with_mut(|key: &mut [u8; KEY_BYTES]| key.copy_from_slice(bytes)))
    }

    /// What a key file holds: 64 hex digits and a newline.
    #[must_use]
    pub fn file_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(2 * KEY_BYTES + 1));
        HEXLOWER.encode_append(self.0.expose_secret(), &mut text);
        text.push('\n');
        text
    }

    /// Recognises this key without telling anything of it: stored beside the data, it refuses a wrong one.
    #[must_use]
    pub fn check_value(&self) -> [u8; 16] {
        let derived = self.subkey(b"", "check");
        let mut value = [0; 16];
        value.iter_mut().zip(derived.iter()).for_each(|(to, from)| *to = *from);
        value
    }

    /// The pseudonym key of a tenant (PRODUCT.md 3.2). The first version is 1.
    #[must_use]
    pub fn pseudonym_key(&self, tenant: &TenantId, version: u32) -> PseudonymKey {
        let key = self.subkey(tenant.as_str().as_bytes(), &format!("pseudonym/{version}"));
        PseudonymKey { version, key }
    }

    /// A key for a purpose of its own: HKDF-SHA-256 of the root key with this salt and the info
    /// `recalld/<purpose>`.
    #[must_use]
    pub fn subkey(&self, salt: &[u8], purpose: &str) -> Zeroizing<[u8; KEY_BYTES]> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        expand(&Hkdf::new(Some(salt), self.0.expose_secret()), purpose, &mut key);
        key
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey(hidden)")
    }
}

/// One version of a tenant's pseudonym key. Wiped when dropped; `Debug` tells the version only.
#[derive(Clone)]
pub struct PseudonymKey {
    version: u32,
    key: Zeroizing<[u8; KEY_BYTES]>,
}

impl PseudonymKey {
    /// A version that was stored, because the root key it was derived from is replaced.
    #[must_use]
    pub const fn from_stored(version: u32, key: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        Self { version, key }
    }

    /// The key itself, to be wrapped and stored when the root key is replaced.
    #[must_use]
    pub fn secret(&self) -> &[u8; KEY_BYTES] {
        &self.key
    }

    /// Which version it is.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// The pseudonym of a caller at a release: HMAC-SHA-256(key, SHA-256(canonical form) || instance ID).
    #[must_use]
    pub fn keyed_value(&self, caller: &CanonicalCallerId, instance: &InstanceId) -> KeyedValue {
        let mut digest = Sha256::digest(caller.reveal().as_bytes());
        let mut mac = keyed(&self.key);
        mac.update(&digest);
        mac.update(instance.as_str().as_bytes());
        // The digest alone can be undone by trying all numbers.
        digest.as_mut_slice().zeroize();
        KeyedValue(mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PseudonymKey(version {}, hidden)", self.version)
    }
}

#[expect(clippy::expect_used, reason = "fails only for more than 255 blocks, this is one")]
fn expand(derivation: &Hkdf<Sha256>, purpose: &str, key: &mut [u8; KEY_BYTES]) {
    derivation.expand_multi_info(&[b"recalld/", purpose.as_bytes()], key).expect("a key of one block");
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
fn keyed(key: &[u8; KEY_BYTES]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("a key for HMAC")
}

/// The pseudonym of a caller at a release under one key: the session ID of `phone2` releases, and what
/// an alias is found by.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyedValue(pub [u8; KEY_BYTES]);

impl fmt::Debug for KeyedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

#[cfg(test)]
#[path = "pseudonym_tests.rs"]
mod tests;
