//! Keys of the audit log from before the root key was replaced: entries written then stay verifiable. In the family
//! `keys`, wrapped, each with the head of the log at that moment: entries that came later do not have its key.

use rocksdb::{DB, WriteBatch};
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::families::{KEYS, family};
use super::wrapping::{KeyPurpose, Owner, PlainKey, WrappedKey, Wrapping};
use super::{Store, sync_write};

/// Form of the row. Form 1 is the same without ends.
const FORM: u8 = 2;
const FORM_WITHOUT_ENDS: u8 = 1;
/// Longer than the number of a tenant, under which its pseudonym keys lie.
const KEY: &[u8] = b"audit";

/// A key of the audit log from before the root key was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormerAuditKey {
    /// The key.
    pub key: PlainKey,
    /// The head of the log when the root key was replaced: later entries with this key are not the daemon's. None where
    /// it was not noted.
    pub end: Option<String>,
}

/// The keys of all root keys before the one in force.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct FormerKeys {
    /// The oldest first.
    keys: Vec<Former>,
    /// Whether the log has an entry about the last change.
    told: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Former {
    key: WrappedKey,
    end: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct WithoutEnds {
    keys: Vec<WrappedKey>,
    told: bool,
}

/// What a key is bound to: an end that was changed, added or left out does not unwrap it.
fn owner(end: Option<&String>) -> Owner<'_> {
    Owner { purpose: KeyPurpose::Audit, number: 0, name: end.map_or("", String::as_str) }
}

impl FormerKeys {
    pub(super) fn load(db: &DB) -> Result<Self, StoreError> {
        let unreadable = |_| StoreError::Incomplete("the earlier keys of the audit log cannot be read");
        match db.get_pinned_cf(family(db, KEYS)?, KEY)? {
            None => Ok(Self { told: true, ..Self::default() }),
            Some(value) => match value.split_first() {
                Some((&FORM, encoded)) => postcard::from_bytes(encoded).map_err(unreadable),
                Some((&FORM_WITHOUT_ENDS, encoded)) => {
                    let WithoutEnds { keys, told } = postcard::from_bytes(encoded).map_err(unreadable)?;
                    Ok(Self { keys: keys.into_iter().map(|key| Former { key, end: None }).collect(), told })
                }
                _ => Err(unreadable(postcard::Error::DeserializeUnexpectedEnd)),
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
    pub(super) fn reroot(&self, last: FormerAuditKey, old: &Wrapping, new: &Wrapping) -> Result<Self, StoreError> {
        let mut plain = self.unwrap(old)?;
        plain.push(last);
        let wrap = |(version, former): (u32, FormerAuditKey)| {
            let key = new.wrap(&owner(former.end.as_ref()), version, &former.key)?;
            Ok(Former { key, end: former.end })
        };
        Ok(Self { keys: (1..).zip(plain).map(wrap).collect::<Result<_, StoreError>>()?, told: false })
    }

    pub(super) fn unwrap(&self, wrapping: &Wrapping) -> Result<Vec<FormerAuditKey>, StoreError> {
        let unwrap = |former: &Former| {
            let key = wrapping.unwrap(&owner(former.end.as_ref()), &former.key)?;
            Some(FormerAuditKey { key, end: former.end.clone() })
        };
        let plain = self.keys.iter().map(unwrap).collect::<Option<_>>();
        plain.ok_or(StoreError::Incomplete("an earlier key of the audit log cannot be unwrapped with this root key"))
    }
}

impl Store {
    /// What entries of the audit log were authenticated with under earlier root keys. May block on the disk.
    ///
    /// # Errors
    /// When they cannot be read or unwrapped.
    pub fn former_audit_keys(&self) -> Result<Vec<FormerAuditKey>, StoreError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn former(end: Option<&str>) -> FormerAuditKey {
        FormerAuditKey { key: PlainKey::new([7; 32]), end: end.map(str::to_owned) }
    }

    #[test]
    fn a_key_opens_only_with_the_end_that_was_noted() {
        let (old, new) = (Wrapping::new(&[1; 32]), Wrapping::new(&[2; 32]));
        let noted = FormerKeys::default().reroot(former(Some("17:5f")), &old, &new).expect("is wrapped");
        assert_eq!(noted.unwrap(&new), Ok(vec![former(Some("17:5f"))]));
        for end in [None, Some("18:5f".to_owned()), Some(String::new())] {
            let mut changed = noted.clone();
            changed.keys[0].end = end;
            assert!(changed.unwrap(&new).is_err());
        }
    }

    #[test]
    fn a_row_without_ends_is_read_and_keeps_having_none() {
        let place = tempfile::tempdir().expect("a temporary directory");
        let db = super::super::families::open(&place.path().join("db"), 4 << 20).expect("opens");
        let (old, new) = (Wrapping::new(&[1; 32]), Wrapping::new(&[2; 32]));
        let key = old.wrap(&owner(None), 1, &[7; 32]).expect("is wrapped");
        let row = postcard::to_extend(&WithoutEnds { keys: vec![key], told: false }, vec![FORM_WITHOUT_ENDS]);
        db.put_cf(family(&db, KEYS).expect("a family"), KEY, row.expect("is encoded")).expect("is written");
        let read = FormerKeys::load(&db).expect("is read");
        assert_eq!((read.unwrap(&old), read.told), (Ok(vec![former(None)]), false));
        let mut batch = WriteBatch::default();
        let rerooted = read.reroot(former(Some("17:5f")), &old, &new).expect("is wrapped");
        rerooted.put(&db, &mut batch).expect("is put");
        sync_write(&db, batch).expect("is written");
        let again = FormerKeys::load(&db).expect("is read").unwrap(&new);
        assert_eq!(again, Ok(vec![former(None), former(Some("17:5f"))]));
    }
}
