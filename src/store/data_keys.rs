//! Tenant data keys, apart from the data: one small file per tenant under `<data>/keys/`. The keys are
//! random and wrapped by a key derived from the root key, so that destroying the file makes everything
//! of that tenant unreadable, wherever copies of the data lie.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};
use rand::TryRng;
use rand::rngs::SysRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::error::StoreError;
use crate::domain::ids::TenantId;

/// The unwrapped keys of a tenant with their versions.
pub(super) type Keys = Vec<(u32, Zeroizing<[u8; 32]>)>;

/// Form of the file.
const FORM: u8 = 1;

#[derive(Serialize, Deserialize)]
struct KeyFile {
    keys: Vec<WrappedKey>,
}

#[derive(Serialize, Deserialize)]
struct WrappedKey {
    version: u32,
    nonce: [u8; 24],
    wrapped: [u8; 32],
    tag: [u8; 16],
}

/// The directory of the wrapped keys.
pub(super) struct KeyDirectory {
    path: PathBuf,
    wrapping: XChaCha20Poly1305,
}

impl KeyDirectory {
    pub(super) fn open(path: PathBuf, wrapping_key: &[u8; 32]) -> Result<Self, StoreError> {
        fs::create_dir_all(&path).map_err(|error| StoreError::io(&path, error))?;
        Ok(Self { path, wrapping: XChaCha20Poly1305::new(wrapping_key.into()) })
    }

    fn file(&self, tenant: u32) -> PathBuf {
        self.path.join(format!("{tenant:08x}.key"))
    }

    /// The keys of a tenant; none if its file is not there any more.
    pub(super) fn load(&self, number: u32, tenant: &TenantId) -> Result<Option<Keys>, StoreError> {
        let path = self.file(number);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io(&path, error)),
        };
        let unusable = || StoreError::KeyMissing(tenant.clone());
        let Some((&FORM, encoded)) = bytes.split_first() else { return Err(unusable()) };
        let file: KeyFile = postcard::from_bytes(encoded).map_err(|_| unusable())?;
        file.keys
            .iter()
            .map(|key| {
                let mut plain = Zeroizing::new(key.wrapped);
                self.wrapping
                    .decrypt_inout_detached(
                        &XNonce::from(key.nonce),
                        &binding(number, tenant, key.version),
                        plain.as_mut_slice().into(),
                        &Tag::from(key.tag),
                    )
                    .map_err(|_| unusable())?;
                Ok((key.version, plain))
            })
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// Makes the first key of a new tenant. It is on disk when this returns.
    pub(super) fn create(&self, number: u32, tenant: &TenantId) -> Result<Keys, StoreError> {
        let random = |bytes: &mut [u8]| {
            SysRng.try_fill_bytes(bytes).map_err(|error| StoreError::io(Path::new("getrandom"), error))
        };
        let mut key = Zeroizing::new([0; 32]);
        random(key.as_mut_slice())?;
        let mut nonce = [0; 24];
        random(&mut nonce)?;
        let version = 1;
        let mut wrapped = *key;
        let tag = self
            .wrapping
            .encrypt_inout_detached(
                &XNonce::from(nonce),
                &binding(number, tenant, version),
                wrapped.as_mut_slice().into(),
            )
            .map_err(|_| StoreError::KeyMissing(tenant.clone()))?;
        let file = KeyFile { keys: vec![WrappedKey { version, nonce, wrapped, tag: tag.into() }] };
        let bytes = postcard::to_extend(&file, vec![FORM]).map_err(|_| StoreError::KeyMissing(tenant.clone()))?;
        write_durably(&self.file(number), &bytes)?;
        Ok(vec![(version, key)])
    }
}

fn binding(number: u32, tenant: &TenantId, version: u32) -> Vec<u8> {
    let mut data = b"recalld/data-key".to_vec();
    data.extend_from_slice(&number.to_be_bytes());
    data.extend_from_slice(&version.to_be_bytes());
    data.extend_from_slice(tenant.as_str().as_bytes());
    data
}

/// Replaces a small file so that after a power loss either the old or the new one is there, whole.
pub(super) fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let temporary = path.with_extension("new");
    let failed = |error| StoreError::io(path, error);
    let mut file =
        File::options().write(true).create(true).truncate(true).mode(0o600).open(&temporary).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    fs::rename(&temporary, path).map_err(failed)?;
    sync_directory(path.parent().unwrap_or(Path::new(".")))
}

/// Makes the names in a directory durable: a file that was synced is still lost with its name.
pub(super) fn sync_directory(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(|error| StoreError::io(path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_key_opens_for_its_tenant_and_its_root_key_only() {
        let place = tempfile::tempdir().expect("a temporary directory");
        let (acme, other): (TenantId, TenantId) = ("acme".parse().expect("a name"), "other".parse().expect("a name"));
        let keys = KeyDirectory::open(place.path().into(), &[1; 32]).expect("opens");
        let made = keys.create(7, &acme).expect("is made");
        assert_eq!(keys.load(7, &acme), Ok(Some(made)));
        assert_eq!(keys.load(7, &other), Err(StoreError::KeyMissing(other)));
        assert_eq!(keys.load(8, &acme), Ok(None));
        let stranger = KeyDirectory::open(place.path().into(), &[2; 32]).expect("opens");
        assert_eq!(stranger.load(7, &acme), Err(StoreError::KeyMissing(acme)));
    }
}
