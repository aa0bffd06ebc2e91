//! What the store keeps for retention: which one was last in force for each release, how far a sweep over the records
//! has come that brings their index entries forward, and the sweep's own reads and writes.

use std::ops::ControlFlow;
use std::sync::Arc;

use rocksdb::{ReadOptions, WriteBatch, WriteOptions};

use super::error::StoreError;
use super::expiry::Due;
use super::families::{EXPIRY, META, SESSIONS, family};
use super::release::Release;
use super::{Inner, Store, layout, meta, sync_write};
use crate::domain::ids::{ReleaseId, TenantId};
use crate::domain::session::{Retention, Session};

/// `meta`: the retention last in force, by the number of the release.
const RETENTION_PREFIX: &[u8] = b"ret/";
/// `meta`: the place of a sweep that is not finished.
const SWEEP_KEY: &[u8] = b"sweep";
/// Version of both values.
const VERSION: u8 = 1;
/// Bytes of records that one part of a scan takes at most.
const MOST_BYTES: usize = 4 << 20;

/// A place among the session records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScanCursor(Vec<u8>);

/// What one part of a scan has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// Records, those included that could not be opened.
    pub records: u64,
    /// Records that could not be opened.
    pub damaged: u64,
    /// Where the next part begins; none: there is no more.
    pub next: Option<ScanCursor>,
}

impl Store {
    /// The retention last in force for each release that ever had one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn retentions(&self) -> Result<Vec<(ReleaseId, Retention)>, StoreError> {
        let registry = self.inner.registry.read();
        let mut found = Vec::new();
        for (number, value) in meta::numbered(&self.inner.db, RETENTION_PREFIX)? {
            let retention = match value.split_first() {
                Some((&VERSION, encoded)) => postcard::from_bytes(encoded).ok(),
                _ => None,
            };
            let retention = retention.ok_or(StoreError::Incomplete("the retention of a release cannot be read"))?;
            // The release may have been purged since.
            if let Some(known) = registry.by_number(number) {
                found.push((known.id.clone(), retention));
            }
        }
        Ok(found)
    }

    /// Notes, durably, what is in force from now on, and if `sweep` says so that the records are to be gone through
    /// because of it. Blocks on the disk.
    ///
    /// # Errors
    /// When it cannot be written, or a release cannot be registered.
    pub fn put_retentions(&self, retentions: &[(ReleaseId, Retention)], sweep: bool) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        let meta = family(&self.inner.db, META)?;
        for (id, retention) in retentions {
            let number = match self.release(id) {
                Ok(release) => release.number(),
                // Nothing of the tenant can be read, so nothing of it can end.
                Err(StoreError::KeyMissing(_)) => continue,
                Err(error) => return Err(error),
            };
            let value = postcard::to_extend(retention, vec![VERSION])
                .map_err(|_| StoreError::Incomplete("a retention cannot be written"))?;
            batch.put_cf(meta, layout::numbered_key(RETENTION_PREFIX, number), value);
        }
        if sweep {
            batch.put_cf(meta, SWEEP_KEY, [VERSION]);
        }
        self.inner.written(sync_write(&self.inner.db, batch))
    }

    /// Where a sweep has to go on; none: everything has been gone through.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn sweep(&self) -> Result<Option<ScanCursor>, StoreError> {
        let value = self.inner.db.get_pinned_cf(family(&self.inner.db, META)?, SWEEP_KEY)?;
        value.map_or(Ok(None), |value| match value.split_first() {
            Some((&VERSION, place)) => Ok(Some(ScanCursor(place.to_vec()))),
            _ => Err(StoreError::Incomplete("the place of a sweep cannot be read")),
        })
    }

    /// Writes earlier entries into the expiry index and notes how far the sweep has come; none: it is finished. Not
    /// synced before the end: both are lost together, and then it goes on from where it was before. May block.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_sweep(&self, earlier: &[Due], next: Option<&ScanCursor>) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        let (meta, expiry) = (family(&self.inner.db, META)?, family(&self.inner.db, EXPIRY)?);
        for Due { at, release, session } in earlier {
            let key = layout::expiry_key(*at, release.tenant(), session);
            batch.put_cf(expiry, key, release.number().to_be_bytes());
        }
        let Some(next) = next else {
            batch.delete_cf(meta, SWEEP_KEY);
            return self.inner.written(sync_write(&self.inner.db, batch));
        };
        let mut value = vec![VERSION];
        value.extend_from_slice(&next.0);
        batch.put_cf(meta, SWEEP_KEY, value);
        let written = self.inner.db.write_opt(batch, &WriteOptions::default());
        self.inner.written(written.map_err(StoreError::from))
    }

    /// Goes through session records from a place on, `most` of them at most, of one tenant or of all. Blocks on the disk
    /// and leaves the cache as it is. Records of releases that are not `wanted` are passed over unopened. Whoever scans
    /// takes part after part, and may stop between them.
    ///
    /// # Errors
    /// When the disk cannot be read. Damaged records are counted, and do not stop the scan.
    pub fn scan(
        &self,
        from: &ScanCursor,
        tenant: Option<&TenantId>,
        most: usize,
        wanted: impl Fn(&ReleaseId) -> bool,
        mut visit: impl FnMut(&Arc<Release>, Session) -> ControlFlow<()>,
    ) -> Result<Scanned, StoreError> {
        let registry = self.inner.registry.read();
        let mut scanned = Scanned { records: 0, damaged: 0, next: None };
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        options.set_readahead_size(1 << 20);
        let mut first = from.0.clone();
        if let Some(tenant) = tenant {
            let Some(number) = registry.tenant(tenant) else { return Ok(scanned) };
            options.set_iterate_upper_bound(number.saturating_add(1).to_be_bytes());
            first = first.max(number.to_be_bytes().to_vec());
        }
        let mut records = self.inner.db.raw_iterator_cf_opt(family(&self.inner.db, SESSIONS)?, options);
        records.seek(&first);
        let mut bytes = 0;
        while let Some((key, value)) = records.item() {
            if scanned.records >= most as u64 || bytes >= MOST_BYTES {
                scanned.next = Some(ScanCursor(key.to_vec()));
                return Ok(scanned);
            }
            scanned.records += 1;
            bytes += value.len();
            let session = layout::read_session_key(key).map(|(_, session)| session);
            let known = layout::read_record_value(value).and_then(|(number, sealed)| {
                let known = registry.by_number(number)?;
                Some((known, sealed))
            });
            match (session, known) {
                (Some(session), Some((known, sealed))) => {
                    // A tenant whose key is gone has nothing left that could be read.
                    if let Some(release) = known.release.as_ref().filter(|_| wanted(&known.id)) {
                        match release.open_record(&session, sealed) {
                            Ok(session) => {
                                if visit(release, session).is_break() {
                                    return Ok(scanned);
                                }
                            }
                            Err(_) => scanned.damaged += 1,
                        }
                    }
                }
                _ => scanned.damaged += 1,
            }
            records.next();
        }
        records.status()?;
        Ok(scanned)
    }
}

impl Inner {
    /// A failed write outside of the writer's groups ends writing like one within.
    pub(super) fn written(&self, result: Result<(), StoreError>) -> Result<(), StoreError> {
        if let Err(error) = &result {
            self.fail(error.clone());
        }
        result
    }
}
