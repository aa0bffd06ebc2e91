//! The rows of the audit log: bytes in the order of their numbers, synced. What they say and how they are chained is
//! not the store's business.

use std::path::Path;

use rocksdb::{DB, Direction, IteratorMode, Options, WriteBatch};

use super::error::StoreError;
use super::families::{AUDIT, KEYS, family};
use super::former_keys::{FormerAuditKey, FormerKeys};
use super::wrapping::Wrapping;
use super::{Store, layout, sync_write};

/// One row of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its number; the first is 1.
    pub sequence: u64,
    /// What was written under it.
    pub value: Vec<u8>,
}

/// The audit log of a data directory that no daemon uses: read, never written.
pub struct OfflineAudit(DB);

impl Store {
    /// Appends rows; they are on the disk when this returns, whatever `durability` says. Blocks on the disk. Who
    /// appends sees to it that numbers follow each other.
    ///
    /// # Errors
    /// When they cannot be written: then nothing is written any more.
    pub fn append_audit(&self, rows: &[AuditRow]) -> Result<(), StoreError> {
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        let audit = family(&self.inner.db, AUDIT)?;
        let mut batch = WriteBatch::default();
        for AuditRow { sequence, value } in rows {
            batch.put_cf(audit, sequence.to_be_bytes(), value);
        }
        let written = sync_write(&self.inner.db, batch);
        if let Err(error) = &written {
            self.inner.fail(error.clone());
        }
        written
    }

    /// The rows behind a number, at most `limit`. Blocks on the disk.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn read_audit(&self, after: u64, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
        rows_behind(&self.inner.db, after, limit)
    }

    /// The last row, if there is one. Blocks on the disk.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn last_audit(&self) -> Result<Option<AuditRow>, StoreError> {
        last_row(&self.inner.db)
    }
}

impl OfflineAudit {
    /// Opens the audit log under a data directory without changing anything in it.
    ///
    /// # Errors
    /// When there is none, or it cannot be opened.
    pub fn open(data: &Path) -> Result<Self, StoreError> {
        let database = data.join("db");
        if !database.is_dir() {
            return Err(StoreError::Incomplete("there is no database in it"));
        }
        // With the daemon's files of the log: what is in them only is read too.
        let opened = DB::open_cf_for_read_only(&Options::default(), database, ["default", AUDIT, KEYS], false)?;
        Ok(Self(opened))
    }

    /// What rows were authenticated with under earlier root keys.
    ///
    /// # Errors
    /// When they cannot be read, or unwrapped with this key.
    pub fn former_audit_keys(&self, wrapping_key: &[u8; 32]) -> Result<Vec<FormerAuditKey>, StoreError> {
        FormerKeys::load(&self.0)?.unwrap(&Wrapping::new(wrapping_key))
    }

    /// The rows behind a number, at most `limit`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn read_audit(&self, after: u64, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
        rows_behind(&self.0, after, limit)
    }
}

pub(super) fn last_row(db: &DB) -> Result<Option<AuditRow>, StoreError> {
    let mut rows = db.iterator_cf(family(db, AUDIT)?, IteratorMode::End);
    rows.next().map(|entry| row(entry?)).transpose()
}

fn rows_behind(db: &DB, after: u64, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
    let Some(from) = after.checked_add(1) else { return Ok(Vec::new()) };
    let from = from.to_be_bytes();
    db.iterator_cf(family(db, AUDIT)?, IteratorMode::From(&from, Direction::Forward))
        .take(limit)
        .map(|entry| row(entry?))
        .collect()
}

fn row((key, value): (Box<[u8]>, Box<[u8]>)) -> Result<AuditRow, StoreError> {
    let sequence = layout::read_u64(&key, 0).filter(|_| key.len() == 8);
    let sequence = sequence.ok_or(StoreError::Incomplete("a key of the audit log cannot be read"))?;
    Ok(AuditRow { sequence, value: value.into_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{RootSecrets, StoreOptions};
    use zeroize::Zeroizing;

    fn store(path: &Path) -> Store {
        let root = RootSecrets { check_value: [1; 16], wrapping_key: Zeroizing::new([1; 32]) };
        Store::open(StoreOptions { cache_bytes: 4 << 20, ..StoreOptions::new(path, root) }).expect("the store opens").0
    }

    #[test]
    fn rows_are_read_in_their_order_over_a_restart_and_offline() {
        let place = tempfile::tempdir().expect("a temporary directory");
        let all: Vec<_> = (1..=300_u64).map(|sequence| AuditRow { sequence, value: vec![7; 3] }).collect();
        {
            let store = store(place.path());
            assert_eq!(store.last_audit(), Ok(None));
            store.append_audit(&all[..200]).expect("is written");
            store.append_audit(&all[200..]).expect("is written");
        }
        let store = store(place.path());
        assert_eq!(store.last_audit().expect("is read").as_ref(), all.last());
        assert_eq!(store.read_audit(0, 1_000).expect("is read"), all);
        assert_eq!(store.read_audit(298, 1).expect("is read"), all[298..299]);
        assert_eq!(store.read_audit(300, 1), Ok(Vec::new()));
        drop(store);
        let offline = OfflineAudit::open(place.path()).expect("opens");
        assert_eq!(offline.read_audit(0, 1_000).expect("is read"), all);
    }

    #[test]
    fn a_directory_without_a_database_is_no_audit_log() {
        let place = tempfile::tempdir().expect("a temporary directory");
        assert!(matches!(OfflineAudit::open(place.path()), Err(StoreError::Incomplete(_))));
    }
}
