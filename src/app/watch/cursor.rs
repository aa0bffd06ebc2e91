//! Cursors (PRODUCT.md 6.1): a place in the log, encrypted. Sequences count the commits of all tenants, so a readable
//! cursor would tell one tenant how busy the others are.
//!
//! The associated data binds a cursor to the database, the tenant, what is watched and how much of it may be seen: one
//! that is used elsewhere does not open, and its holder gets fresh snapshots.

use std::sync::Arc;

use chacha20poly1305::aead::Aead;
use chacha20poly1305::aead::Payload;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use data_encoding::BASE64URL_NOPAD;
use rand::rngs::{StdRng, SysError, SysRng};
use rand::{Rng, SeedableRng};
use zeroize::Zeroizing;

use crate::domain::ids::{SessionId, TenantId};

const NONCE: usize = 24;
/// Longer texts are not looked at: no cursor is longer.
const LONGEST_TEXT: usize = 256;

const KIND_SNAPSHOT: u8 = 0;
const KIND_AT: u8 = 1;

type DeriveKey = dyn Fn(&TenantId) -> Zeroizing<[u8; 32]> + Send + Sync;

/// Where the cursor keys of the tenants come from.
#[derive(Clone)]
pub struct CursorKeys(Arc<DeriveKey>);

impl CursorKeys {
    /// Keys derived when they are needed: the same key for the same tenant, also after a restart.
    pub fn new(derive: impl Fn(&TenantId) -> Zeroizing<[u8; 32]> + Send + Sync + 'static) -> Self {
        Self(Arc::new(derive))
    }

    /// What makes and reads the cursors of one watcher.
    pub(super) fn cipher(&self, tenant: &TenantId, epoch: [u8; 16]) -> Result<CursorCipher, SysError> {
        let cipher = XChaCha20Poly1305::new((&*(self.0)(tenant)).into());
        Ok(CursorCipher { cipher, epoch, rng: StdRng::try_from_rng(&mut SysRng)? })
    }
}

impl std::fmt::Debug for CursorKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CursorKeys(hidden)")
    }
}

/// A place in the stream of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cursor {
    /// Within a snapshot: what was still to come of it is not in the log, so it goes on with a fresh one.
    Snapshot,
    /// Everything up to and with this effect of this commit was sent.
    At {
        /// The commit's place in the log.
        sequence: u64,
        /// The effect's place in the commit.
        index: u32,
    },
}

impl Cursor {
    /// Everything up to and with this commit was sent.
    pub(super) const fn after(sequence: u64) -> Self {
        Self::At { sequence, index: u32::MAX }
    }
}

/// A cursor and the session it was given for: a call that is over can be found again by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) cursor: Cursor,
    pub(super) session: Option<SessionId>,
}

/// Makes and reads the cursors of one tenant.
pub(super) struct CursorCipher {
    cipher: XChaCha20Poly1305,
    epoch: [u8; 16],
    rng: StdRng,
}

impl CursorCipher {
    /// The text of a cursor. `binding` says what it is for.
    pub(super) fn seal(&mut self, binding: &[u8], mark: Mark) -> String {
        let (kind, sequence, index) = match mark.cursor {
            Cursor::Snapshot => (KIND_SNAPSHOT, 0, 0),
            Cursor::At { sequence, index } => (KIND_AT, sequence, index),
        };
        let mut plain = Vec::with_capacity(48);
        plain.push(kind);
        plain.extend_from_slice(&sequence.to_be_bytes());
        plain.extend_from_slice(&index.to_be_bytes());
        plain.extend_from_slice(mark.session.as_ref().map_or(&[], SessionId::as_bytes));
        // Random, not counted: a counter would tell how many cursors others were given.
        let mut nonce = [0; NONCE];
        self.rng.fill_bytes(&mut nonce);
        let aad = self.associated_data(binding);
        let payload = Payload { msg: &plain, aad: &aad };
        // The cipher refuses more than 256 GiB only; an empty cursor opens as a foreign one.
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload).unwrap_or_default();
        let mut text = BASE64URL_NOPAD.encode(&nonce);
        BASE64URL_NOPAD.encode_append(&sealed, &mut text);
        text
    }

    /// Reads a cursor; none if it was not made by this database for this tenant and this binding.
    pub(super) fn open(&self, binding: &[u8], text: &str) -> Option<Mark> {
        if text.len() > LONGEST_TEXT {
            return None;
        }
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE>()?;
        let aad = self.associated_data(binding);
        let plain = self.cipher.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &aad }).ok()?;
        let (kind, rest) = plain.split_first()?;
        let (sequence, rest) = rest.split_first_chunk::<8>()?;
        let (index, session) = rest.split_first_chunk::<4>()?;
        let session = if session.is_empty() { None } else { Some(SessionId::from_bytes(session)?) };
        let cursor = match *kind {
            KIND_SNAPSHOT => Cursor::Snapshot,
            KIND_AT => Cursor::At { sequence: u64::from_be_bytes(*sequence), index: u32::from_be_bytes(*index) },
            _ => return None,
        };
        Some(Mark { cursor, session })
    }

    fn associated_data(&self, binding: &[u8]) -> Vec<u8> {
        [b"recalld/cursor/1".as_slice(), &self.epoch, binding].concat()
    }
}

#[cfg(test)]
#[path = "cursor_tests.rs"]
mod tests;
