//! Keys of the audit log from before the root key was replaced: entries written then stay verifiable. In the family
//! `keys`, wrapped.

use rocksdb::{DB, WriteBatch};
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::families::{KEYS, family};
use super::wrapping::{KeyPurpose, Owner, PlainKey, WrappedKey, Wrapping};
use super::{Store, sync_write};

/// Form of the row.
const FORM: u8 = 1;
/// Longer than the number of a tenant, under which its pseudonym keys lie.
const KEY: &[u8] = b"audit";
const OWNER: Owner<'static> = Owner { purpose: KeyPurpose::Audit, number: 0, name: "" };

/// The keys of all root keys before the one in force.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct FormerKeys {
    /// The oldest first.
    keys: Vec<WrappedKey>,
    /// Whether the log has an entry about the last change.
    told: bool,
}

impl FormerKeys {
    pub(super) fn load(db: &DB) -> Result<Self, StoreError> {
        let unreadable = StoreError::Incomplete("the earlier keys of the audit log cannot be read");
        match db.get_pinned_cf(family(db, KEYS)?, KEY)? {
            None => Ok(Self { told: true, ..Self::default() }),
            Some(value) => match value.split_first() {
                Some((&FORM, encoded)) => postcard::from_bytes(encoded).map_err(|_| unreadable),
                _ => Err(unreadable),
            },
        }
    }

    pub(super) fn put(&self, db: &DB, batch: &mut WriteBatch) -> Result<(), StoreError> {
        let value = postcard::to_extend(self, vec![FORM])
            .map_err(|_| StoreError::Incomplete("the earlier keys of the audit log cannot be written"))?;
        batch.put_cf(family(db, KEYS)?, KEY, value);
        Ok(())
    }

    /// The same under another root key, and one key more.
    pub(super) fn reroot(&self, last: &PlainKey, old: &Wrapping, new: &Wrapping) -> Result<Self, StoreError> {
        let mut plain = self.unwrap(old)?;
        plain.push(last.clone());
        let keys = (1..).zip(&plain).map(|(version, key)| new.wrap(&OWNER, version, key)).collect::<Result<_, _>>()?;
        Ok(Self { keys, told: false })
    }

    pub(super) fn unwrap(&self, wrapping: &Wrapping) -> Result<Vec<PlainKey>, StoreError> {
        let plain = self.keys.iter().map(|key| wrapping.unwrap(&OWNER, key)).collect::<Option<_>>();
        plain.ok_or(StoreError::Incomplete("an earlier key of the audit log cannot be unwrapped with this root key"))
    }
}

impl Store {
    /// What entries of the audit log were authenticated with under earlier root keys. May block on the disk.
    ///
    /// # Errors
    /// When they cannot be read or unwrapped.
    pub fn former_audit_keys(&self) -> Result<Vec<PlainKey>, StoreError> {
        FormerKeys::load(&self.inner.db)?.unwrap(&self.inner.wrapping)
    }

    /// Whether the root key was changed and the audit log does not say so yet. May block on the disk.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn has_untold_reroot(&self) -> Result<bool, StoreError> {
        FormerKeys::load(&self.inner.db).map(|former| !former.told)
    }

    /// Notes that the audit log tells of the last change of the root key. Blocks on the disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note_reroot_told(&self) -> Result<(), StoreError> {
        let former = FormerKeys { told: true, ..FormerKeys::load(&self.inner.db)? };
        let mut batch = WriteBatch::default();
        former.put(&self.inner.db, &mut batch)?;
        sync_write(&self.inner.db, batch)
    }
}
