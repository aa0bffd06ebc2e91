//! Another root key, with everything that depends on it staying what it is (PRODUCT.md 3.3): session IDs, aliases,
//! sealed data. Done while nobody has the data open.
//!
//! The order, each step durable before the next, so that after a crash the same change goes on:
//! 1. The stamp beside the database names the new key too. From here on no daemon starts on the data.
//! 2. Each data key is wrapped anew, its file replaced as a whole.
//! 3. In one batch: keys that were derived are stored, wrapped by the new key (pseudonym keys, and that of the audit log so
//!    far with its head); stored ones are wrapped anew; the database is known by the new key.
//! 4. The stamp names the new key alone.

use std::path::PathBuf;

use rocksdb::{DB, WriteBatch};
use zeroize::Zeroizing;

use super::audit::{self, AuditRow};
use super::data_keys::KeyDirectory;
use super::error::StoreError;
use super::families;
use super::former_keys::{FormerAuditKey, FormerKeys};
use super::meta::{self, Stamp, TENANT_PREFIX};
use super::pseudonym_keys::{self, Row};
use super::wrapping::Wrapping;
use super::{RootSecrets, sync_write};
use crate::domain::ids::TenantId;

/// What is needed for another root key.
pub struct Reroot<'a> {
    /// `[data] path`.
    pub path: PathBuf,
    /// Of the root key so far.
    pub old: RootSecrets,
    /// Of the root key from now on.
    pub new: RootSecrets,
    /// The pseudonym key of a tenant in a version, derived from the root key so far.
    pub derive: &'a dyn Fn(&TenantId, u32) -> Zeroizing<[u8; 32]>,
    /// What the audit log was authenticated with so far.
    pub audit_key: Zeroizing<[u8; 32]>,
    /// The head that the last row of the audit log makes: later ones with `audit_key` are not the daemon's.
    pub audit_end: &'a dyn Fn(Option<&AuditRow>) -> String,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RerootStep {
    /// Everything that has to be unwrapped can be unwrapped; nothing was changed.
    Checked,
    /// The change has begun: it can only be finished.
    Begun,
    /// One tenant's data keys are wrapped by the new key.
    DataKeys,
    /// The pseudonym keys are stored, and the database is known by the new key.
    Database,
    /// Everything is done.
    Finished,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rerooted {
    /// Tenants with data.
    pub tenants: usize,
    /// Whether the data had the new root key before: then nothing was done.
    pub had_it: bool,
}

impl Reroot<'_> {
    /// Changes the root key. `told` hears of each step when it is durable; its error ends the change where it is, as a
    /// crash would.
    ///
    /// # Errors
    /// A wrong old key and data in use are refused before anything is written.
    pub fn run(&self, told: &mut dyn FnMut(RerootStep) -> Result<(), StoreError>) -> Result<Rerooted, StoreError> {
        let database = self.path.join("db");
        let stamp = Stamp::read(&self.path)?.filter(|_| database.exists());
        let mut stamp = stamp.ok_or(StoreError::Incomplete("there is no database"))?;
        let had_it = stamp.key_check == self.new.check_value && stamp.successor.is_none();
        if !had_it && stamp.key_check != self.old.check_value {
            return Err(StoreError::WrongRootKey);
        }
        if stamp.successor.is_some_and(|successor| successor != self.new.check_value) {
            return Err(StoreError::RerootUnfinished);
        }
        // This takes the lock of the database: a daemon that runs keeps it.
        let db = families::open(&database, CACHE).map_err(in_use)?;
        let tenants = tenants(&db)?;
        if had_it {
            return Ok(Rerooted { tenants: tenants.len(), had_it });
        }
        let is_done = match meta::key_check(&db)? {
            found if found == self.new.check_value => true,
            found if found == self.old.check_value => false,
            _ => return Err(StoreError::WrongRootKey),
        };
        let directory = |secrets: &RootSecrets| KeyDirectory::open(self.path.join("keys"), &secrets.wrapping_key);
        let (old_keys, new_keys) = (directory(&self.old)?, directory(&self.new)?);
        let batch = if is_done { WriteBatch::default() } else { self.batch(&db, &tenants)? };
        for (number, tenant) in &tenants {
            if new_keys.load(*number, tenant).is_err() {
                old_keys.load(*number, tenant)?;
            }
        }
        told(RerootStep::Checked)?;

        stamp.successor = Some(self.new.check_value);
        stamp.write(&self.path)?;
        told(RerootStep::Begun)?;
        for (number, tenant) in &tenants {
            // A file that opens with the new key was done before a crash; a tenant without a file was purged.
            if new_keys.load(*number, tenant).is_err()
                && let Some(keys) = old_keys.load(*number, tenant)?
            {
                new_keys.store(*number, tenant, &keys)?;
            }
            told(RerootStep::DataKeys)?;
        }
        if !is_done {
            sync_write(&db, batch)?;
        }
        told(RerootStep::Database)?;
        stamp.key_check = self.new.check_value;
        stamp.successor = None;
        stamp.write(&self.path)?;
        told(RerootStep::Finished)?;
        Ok(Rerooted { tenants: tenants.len(), had_it })
    }

    /// Everything in the database that depends on the root key.
    fn batch(&self, db: &DB, tenants: &[(u32, TenantId)]) -> Result<WriteBatch, StoreError> {
        let (old, new) = (Wrapping::new(&self.old.wrapping_key), Wrapping::new(&self.new.wrapping_key));
        let mut batch = WriteBatch::default();
        for (number, tenant) in tenants {
            let row = Row::load(db, *number)?;
            pseudonym_keys::reroot(row, (*number, tenant), &old, &new, self.derive)?.put(db, *number, &mut batch)?;
        }
        let end = (self.audit_end)(audit::last_row(db)?.as_ref());
        let last = FormerAuditKey { key: self.audit_key.clone(), end: Some(end) };
        FormerKeys::load(db)?.reroot(last, &old, &new)?.put(db, &mut batch)?;
        meta::put_key_check(db, &mut batch, &self.new.check_value)?;
        Ok(batch)
    }
}

/// Little is read.
const CACHE: usize = 8 << 20;

/// All tenants with their numbers.
fn tenants(db: &DB) -> Result<Vec<(u32, TenantId)>, StoreError> {
    let unreadable = StoreError::Incomplete("the name of a tenant cannot be read");
    meta::numbered(db, TENANT_PREFIX)?
        .into_iter()
        .map(|(number, name)| {
            let name = std::str::from_utf8(&name).ok().and_then(|name| name.parse().ok());
            Ok((number, name.ok_or(unreadable.clone())?))
        })
        .collect()
}

/// RocksDB tells by the text alone that the lock file is taken: by another process, or by this one.
fn in_use(error: StoreError) -> StoreError {
    let is_lock = |text: &str| {
        text.starts_with("IO error: While lock file") || text.starts_with("IO error: lock hold by current process")
    };
    match error {
        StoreError::Database(text) if is_lock(&text) => StoreError::InUse,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_taken_lock_is_data_in_use() {
        let database = |text: &str| StoreError::Database(text.to_owned());
        for text in [
            "IO error: While lock file: /var/lib/recalld/db/LOCK: Resource temporarily unavailable",
            "IO error: lock hold by current process, acquire time 1790000000 acquiring thread 7: /x/LOCK: No locks",
        ] {
            assert_eq!(in_use(database(text)), StoreError::InUse, "{text}");
        }
        for text in [
            "Corruption: block checksum mismatch: stored = 1, computed = 2 in /var/lib/recalld/db/000012.sst",
            "IO error: No space left on device: While open a file for appending: /srv/block/db/LOG",
        ] {
            assert_eq!(in_use(database(text)), database(text));
        }
    }
}
