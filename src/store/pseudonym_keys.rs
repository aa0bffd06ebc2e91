//! Versions of the tenants' pseudonym keys (PRODUCT.md 3.2, 3.3), in the family `keys`: one row per tenant. A tenant
//! without a row has version 1, derived from the root key. A version holds a key only after the root key was replaced:
//! then the one that was derived until then, wrapped by the new root key.

use std::collections::BTreeMap;

use rocksdb::{DB, ReadOptions, WriteBatch};
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::families::{ALIASES, KEYS, family};
use super::wrapping::{KeyPurpose, Owner, PlainKey, WrappedKey, Wrapping};
use super::{Store, layout, sync_write};
use crate::domain::ids::TenantId;

/// Form of a row.
const FORM: u8 = 1;
/// The version that every tenant starts with.
const FIRST_VERSION: u32 = 1;
/// How many aliases are counted between two reports.
const REPORT_EVERY: u64 = 65_536;

/// One version of a tenant's pseudonym key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PseudonymVersion {
    /// Its number.
    pub version: u32,
    /// The key, if it is not derived from the root key.
    pub stored: Option<PlainKey>,
}

/// Aliases of a tenant by key version and rule version.
pub type AliasCounts = BTreeMap<(u32, u16), u64>;

/// The versions of one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Row {
    /// The newest first. Never empty.
    pub(super) versions: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) version: u32,
    /// None: derived from the root key.
    pub(super) stored: Option<WrappedKey>,
}

impl Row {
    pub(super) fn load(db: &DB, number: u32) -> Result<Self, StoreError> {
        let unreadable = StoreError::Incomplete("the versions of a pseudonym key cannot be read");
        let Some(value) = db.get_pinned_cf(family(db, KEYS)?, number.to_be_bytes())? else {
            return Ok(Self { versions: vec![Entry { version: FIRST_VERSION, stored: None }] });
        };
        let Some((&FORM, encoded)) = value.split_first() else { return Err(unreadable) };
        let row: Self = postcard::from_bytes(encoded).map_err(|_| unreadable.clone())?;
        if row.versions.is_empty() { Err(unreadable) } else { Ok(row) }
    }

    pub(super) fn put(&self, db: &DB, number: u32, batch: &mut WriteBatch) -> Result<(), StoreError> {
        let value = postcard::to_extend(self, vec![FORM])
            .map_err(|_| StoreError::Incomplete("the versions of a pseudonym key cannot be written"))?;
        batch.put_cf(family(db, KEYS)?, number.to_be_bytes(), value);
        Ok(())
    }

    fn newest(&self) -> u32 {
        self.versions.first().map_or(FIRST_VERSION, |entry| entry.version)
    }
}

fn owner(number: u32, tenant: &TenantId) -> Owner<'_> {
    Owner { purpose: KeyPurpose::Pseudonym, number, name: tenant.as_str() }
}

impl Store {
    /// The versions of a tenant's pseudonym key, the newest first. May block on the disk.
    ///
    /// # Errors
    /// When they cannot be read or unwrapped.
    pub fn pseudonym_versions(&self, tenant: &TenantId) -> Result<Vec<PseudonymVersion>, StoreError> {
        let Some(number) = self.inner.registry.read().tenant(tenant) else {
            return Ok(vec![PseudonymVersion { version: FIRST_VERSION, stored: None }]);
        };
        let owner = owner(number, tenant);
        let open = |entry: Entry| -> Result<PseudonymVersion, StoreError> {
            let missing = StoreError::Incomplete("a stored pseudonym key cannot be unwrapped with this root key");
            let stored = match &entry.stored {
                Some(wrapped) => Some(self.inner.wrapping.unwrap(&owner, wrapped).ok_or(missing)?),
                None => None,
            };
            Ok(PseudonymVersion { version: entry.version, stored })
        };
        Row::load(&self.inner.db, number)?.versions.into_iter().map(open).collect()
    }

    /// Adds a version, derived from the root key, and gives its number. It is durable when this returns. There must be
    /// one such change at a time.
    ///
    /// # Errors
    /// When the tenant is unknown or it cannot be written.
    pub fn add_pseudonym_version(&self, tenant: &TenantId) -> Result<u32, StoreError> {
        let number = self.number_of(tenant)?;
        let mut row = Row::load(&self.inner.db, number)?;
        let version = row.newest().checked_add(1).ok_or(StoreError::Incomplete("it has no key versions left"))?;
        row.versions.insert(0, Entry { version, stored: None });
        let mut batch = WriteBatch::default();
        row.put(&self.inner.db, number, &mut batch)?;
        self.write_durably(batch)?;
        Ok(version)
    }

    /// Forgets an older version together with all its aliases, at once: no crash leaves the one without the other.
    /// There must be one such change at a time.
    ///
    /// # Errors
    /// When the tenant or the version is unknown, the version is the newest, or it cannot be written.
    pub fn retire_pseudonym_version(&self, tenant: &TenantId, version: u32) -> Result<(), StoreError> {
        let number = self.number_of(tenant)?;
        let mut row = Row::load(&self.inner.db, number)?;
        let newest = row.newest();
        let before = row.versions.len();
        row.versions.retain(|entry| entry.version != version || version == newest);
        if row.versions.len() == before {
            return Err(StoreError::Incomplete("there is no such older version of the pseudonym key"));
        }
        let mut batch = WriteBatch::default();
        row.put(&self.inner.db, number, &mut batch)?;
        let (from, to) = layout::alias_bounds(number, version);
        batch.delete_range_cf(family(&self.inner.db, ALIASES)?, from, to);
        self.write_durably(batch)
    }

    /// Counts the aliases of a tenant, of one key version or of all. Reads them all, and tells now and then how many
    /// these are so far; none if `keep_going` says no. Blocks on the disk.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn count_aliases(
        &self,
        tenant: &TenantId,
        key_version: Option<u32>,
        keep_going: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Option<AliasCounts>, StoreError> {
        let mut counts = AliasCounts::new();
        let Some(number) = self.inner.registry.read().tenant(tenant) else { return Ok(Some(counts)) };
        let (from, to) = match key_version {
            Some(version) => layout::alias_bounds(number, version),
            None => layout::tenant_bounds(number),
        };
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(to.as_ref());
        options.set_readahead_size(2 << 20);
        options.fill_cache(false);
        let mut entries = self.inner.db.raw_iterator_cf_opt(family(&self.inner.db, ALIASES)?, options);
        entries.seek(from);
        let mut read = 0_u64;
        while let Some(key) = entries.key() {
            let versions = layout::read_alias_versions(key).ok_or(StoreError::Incomplete("a key of family aliases"))?;
            *counts.entry(versions).or_default() += 1;
            read += 1;
            if read.is_multiple_of(REPORT_EVERY) && !keep_going(read) {
                return Ok(None);
            }
            entries.next();
        }
        entries.status()?;
        Ok(Some(counts))
    }

    fn number_of(&self, tenant: &TenantId) -> Result<u32, StoreError> {
        let number = self.inner.registry.read().tenant(tenant);
        number.ok_or_else(|| StoreError::UnknownTenant(tenant.clone()))
    }

    fn write_durably(&self, batch: WriteBatch) -> Result<(), StoreError> {
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        sync_write(&self.inner.db, batch).inspect_err(|error| self.inner.fail(error.clone()))
    }
}

/// The row of a tenant under another root key: what was derived from the old one is stored from now on.
pub(super) fn reroot(
    row: Row,
    (number, tenant): (u32, &TenantId),
    old: &Wrapping,
    new: &Wrapping,
    derive: &dyn Fn(&TenantId, u32) -> PlainKey,
) -> Result<Row, StoreError> {
    let owner = owner(number, tenant);
    let rewrap = |entry: Entry| -> Result<Entry, StoreError> {
        let key = match &entry.stored {
            None => derive(tenant, entry.version),
            Some(wrapped) => old
                .unwrap(&owner, wrapped)
                .ok_or(StoreError::Incomplete("a stored pseudonym key cannot be unwrapped with the old root key"))?,
        };
        Ok(Entry { version: entry.version, stored: Some(new.wrap(&owner, entry.version, &key)?) })
    };
    Ok(Row { versions: row.versions.into_iter().map(rewrap).collect::<Result<_, _>>()? })
}
