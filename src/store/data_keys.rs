//! Tenant data keys, apart from the data: one small file per tenant under `<data>/keys/`. The keys are
//! random and wrapped by a key derived from the root key, so that destroying the file makes everything
//! of that tenant unreadable, wherever copies of the data lie. Normally a file holds one version; while old
//! records are rewritten after a rotation it holds the old one too.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::wrapping::{KeyPurpose, Owner, PlainKey, WrappedKey, Wrapping, random_key};
use crate::domain::ids::TenantId;

/// The unwrapped keys of a tenant with their versions.
pub(super) type Keys = Vec<(u32, PlainKey)>;

/// Form of the file.
const FORM: u8 = 1;
/// The version that every tenant starts with.
const FIRST_VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct KeyFile {
    keys: Vec<WrappedKey>,
}

/// The directory of the wrapped keys.
pub(super) struct KeyDirectory {
    path: PathBuf,
    wrapping: Wrapping,
}

impl KeyDirectory {
    pub(super) fn open(path: PathBuf, wrapping_key: &[u8; 32]) -> Result<Self, StoreError> {
        fs::create_dir_all(&path).map_err(|error| StoreError::io(&path, error))?;
        Ok(Self { path, wrapping: Wrapping::new(wrapping_key) })
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
        let owner = owner(number, tenant);
        let unwrapped = |key: &WrappedKey| Some((key.version, self.wrapping.unwrap(&owner, key)?));
        file.keys.iter().map(unwrapped).collect::<Option<_>>().ok_or_else(unusable).map(Some)
    }

    /// Makes the first key of a new tenant. It is on disk when this returns.
    pub(super) fn create(&self, number: u32, tenant: &TenantId) -> Result<Keys, StoreError> {
        let keys = vec![(FIRST_VERSION, random_key()?)];
        self.store(number, tenant, &keys)?;
        Ok(keys)
    }

    /// Replaces the keys of a tenant. They are on disk when this returns; those left out are gone.
    pub(super) fn store(&self, number: u32, tenant: &TenantId, keys: &Keys) -> Result<(), StoreError> {
        let owner = owner(number, tenant);
        let keys =
            keys.iter().map(|(version, key)| self.wrapping.wrap(&owner, *version, key)).collect::<Result<_, _>>()?;
        let bytes =
            postcard::to_extend(&KeyFile { keys }, vec![FORM]).map_err(|_| StoreError::KeyMissing(tenant.clone()))?;
        write_durably(&self.file(number), &bytes)
    }
}

fn owner(number: u32, tenant: &TenantId) -> Owner<'_> {
    Owner { purpose: KeyPurpose::Data, number, name: tenant.as_str() }
}

/// Replaces a small file so that after a power loss either the old or the new one is there, whole.
pub(super) fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let temporary = path.with_extension("new");
    let failed = |error| StoreError::io(path, error);
    let mut file =
        File::options().write(true).create(true).truncate(true).mode(0o600).open(&temporary).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.sync_all().map_err(|error| StoreError::unsynced(path, error))?;
    fs::rename(&temporary, path).map_err(failed)?;
    sync_directory(path.parent().unwrap_or(Path::new(".")))
}

/// Makes the names in a directory durable: a file that was synced is still lost with its name.
pub(super) fn sync_directory(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(|error| StoreError::unsynced(path, error))
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
