//! Rotation of a tenant's data key. New records are sealed with the new key at once; old ones are sealed anew in the
//! background, a few at a time, and when nothing is sealed with the old key any more, it is destroyed. What lies in
//! older backups of the data is unreadable from then on.
//!
//! The order of a rotation, each step durable before the next:
//! 1. The key file holds old and new key. A crash from here on goes on with the rewriting at the next start.
//! 2. The new key seals. What was sealed with the old one before is awaited until it is in the database.
//! 3. Each record and log record with an old key is sealed anew, unless it was replaced in the meantime.
//! 4. That the old key is destroyed is in the audit log.
//! 5. The key file holds the new key alone.

use std::collections::BTreeMap;
use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use rocksdb::{ReadOptions, WriteBatch, WriteOptions};

use super::data_keys::KeyDirectory;
use super::error::StoreError;
use super::families::{LOG, SESSIONS, family};
use super::read::{end_of_log, unreadable_log};
use super::release::Registry;
use super::seal::{Purpose, Ring, key_version};
use super::wrapping::random_key;
use super::{Inner, Store, layout};
use crate::domain::ids::{SessionId, TenantId};

/// Most values of one step that are looked at, that are sealed anew, and most bytes of the latter. The writer waits for
/// as long as replacing them takes.
const MOST_LOOKED_AT: usize = 5_000;
const MOST_SEALED: usize = 50;
const MOST_BYTES: usize = 256 * 1024;
/// How long the old key stays in memory after its file is gone: a reader may hold a value it has read before.
const READERS: Duration = Duration::from_secs(60);
/// When it is looked again whether damaged values were restored or erased.
const LOOK_AGAIN: Duration = Duration::from_secs(60 * 60);

/// What one step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rewritten {
    /// There is nothing to do now.
    Nothing,
    /// Something was done, and more may follow.
    Some,
}

/// Told whose data keys of which versions are about to be destroyed. Its error keeps them, and they are tried again.
pub type Destroying<'a> = dyn FnMut(&TenantId, &[u32]) -> Result<(), StoreError> + 'a;

/// The data keys of a tenant, for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataKeyVersions {
    /// What new records are sealed with.
    pub current: u32,
    /// What old records may still be sealed with.
    pub older: Vec<u32>,
    /// Records looked at since the rotation or the start.
    pub looked_at: u64,
    /// Records sealed anew since then.
    pub rewritten: u64,
    /// Records that cannot be opened: the older keys are kept as long as there are any.
    pub damaged: u64,
}

/// The rotations that are not finished.
#[derive(Default)]
pub(super) struct Rewriting(Mutex<BTreeMap<TenantId, Job>>);

struct Job {
    tenant: u32,
    stage: Stage,
    looked_at: u64,
    rewritten: u64,
    damaged: u64,
    /// What was found when it was looked the last time, which is told until it is known better.
    damaged_before: u64,
}

enum Stage {
    /// Something sealed with an older key may be on its way to the database.
    Awaiting(Vec<Weak<Ring>>),
    /// The next key to look at.
    Sessions(Vec<u8>),
    /// The next sequence to look at, and the last one that may be sealed with an older key.
    Log(u64, u64),
    /// The file holds the newest key alone.
    Done(Instant),
    /// Damaged values are sealed with older keys. When it is looked again.
    Kept(Instant),
}

/// A value sealed with an older key.
struct Old {
    key: Vec<u8>,
    value: Vec<u8>,
    session: SessionId,
    release: u32,
    /// Where its sealed part begins.
    clear: usize,
}

impl Rewriting {
    /// Goes on with the rotations that were not finished when the data was closed.
    pub(super) fn resume(registry: &Registry) -> Self {
        let unfinished = registry.tenants().into_iter().filter_map(|(id, tenant)| {
            let (keys, _) = registry.data_keys(&id)?;
            (keys.ring().versions().count() > 1).then(|| (id, Job::new(tenant, Stage::Sessions(Vec::new()))))
        });
        Self(Mutex::new(unfinished.collect()))
    }

    /// As if the time after which damaged values are looked at again were over.
    #[cfg(test)]
    pub(super) fn look_again(&self) {
        for job in self.0.lock().values_mut() {
            if let Stage::Kept(again) = &mut job.stage {
                *again = Instant::now();
            }
        }
    }
}

impl Job {
    const fn new(tenant: u32, stage: Stage) -> Self {
        Self { tenant, stage, looked_at: 0, rewritten: 0, damaged: 0, damaged_before: 0 }
    }
}

impl Store {
    /// Gives a tenant another data key, which is durable and seals when this returns, and gives its version. Old
    /// records are sealed anew by [`Store::rewrite_some`].
    ///
    /// # Errors
    /// When the tenant is unknown, its key is gone, or the new one cannot be written: then nothing has changed. When it
    /// cannot be synced: then nothing is written any more, as after any failed sync.
    pub fn rotate_data_key(&self, tenant: &TenantId) -> Result<u32, StoreError> {
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        let mut jobs = self.inner.rewriting.0.lock();
        let missing = || StoreError::KeyMissing(tenant.clone());
        let number = self.inner.registry.read().tenant(tenant);
        let number = number.ok_or_else(|| StoreError::UnknownTenant(tenant.clone()))?;
        let (keys, directory) = self.inner.registry.read().data_keys(tenant).ok_or_else(missing)?;
        let mut all = directory.load(number, tenant)?.ok_or_else(missing)?;
        // The file may hold a version that does not seal here yet: none is ever given twice.
        let known = all.iter().map(|(version, _)| *version).chain(keys.ring().versions()).max();
        let version = known.unwrap_or_default().checked_add(1).ok_or_else(missing)?;
        let key = random_key()?;
        all.push((version, key.clone()));
        directory.store(number, tenant, &all).inspect_err(|error| self.inner.fail_if_unsynced(error))?;
        let before = keys.add(version, &key);
        let mut awaited = match jobs.remove(tenant).map(|job| job.stage) {
            Some(Stage::Awaiting(awaited)) => awaited,
            _ => Vec::new(),
        };
        awaited.push(before);
        jobs.insert(tenant.clone(), Job::new(number, Stage::Awaiting(awaited)));
        Ok(version)
    }

    /// The versions of a tenant's data key.
    ///
    /// # Errors
    /// When the tenant is unknown or its key is gone.
    pub fn data_key_versions(&self, tenant: &TenantId) -> Result<DataKeyVersions, StoreError> {
        let jobs = self.inner.rewriting.0.lock();
        let registry = self.inner.registry.read();
        registry.tenant(tenant).ok_or_else(|| StoreError::UnknownTenant(tenant.clone()))?;
        let (keys, _) = registry.data_keys(tenant).ok_or_else(|| StoreError::KeyMissing(tenant.clone()))?;
        let ring = keys.ring();
        let mut versions = ring.versions();
        let current = versions.next().unwrap_or_default();
        let job = jobs.get(tenant);
        let is_done = job.is_some_and(|job| matches!(job.stage, Stage::Done(_)));
        Ok(DataKeyVersions {
            current,
            older: if is_done { Vec::new() } else { versions.collect() },
            looked_at: job.map_or(0, |job| job.looked_at),
            rewritten: job.map_or(0, |job| job.rewritten),
            damaged: job.map_or(0, |job| job.damaged.max(job.damaged_before)),
        })
    }

    /// Does one small step of the rotations that are not finished. How often it is called is how fast they go.
    /// `destroying` is told before older keys are destroyed. Blocks on the disk.
    ///
    /// # Errors
    /// When something cannot be read or written, and what `destroying` says.
    pub fn rewrite_some(&self, destroying: &mut Destroying<'_>) -> Result<Rewritten, StoreError> {
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        let mut jobs = self.inner.rewriting.0.lock();
        let mut finished = None;
        let mut outcome = Rewritten::Nothing;
        for (tenant, job) in jobs.iter_mut() {
            match self.inner.step(tenant, job, destroying)? {
                Step::Waits => {}
                Step::Went => {
                    outcome = Rewritten::Some;
                    break;
                }
                Step::Over => {
                    finished = Some(tenant.clone());
                    outcome = Rewritten::Some;
                    break;
                }
            }
        }
        if let Some(tenant) = finished {
            jobs.remove(&tenant);
        }
        Ok(outcome)
    }
}

enum Step {
    /// There is nothing to do now.
    Waits,
    /// There may be more.
    Went,
    /// The rotation is finished.
    Over,
}

impl Inner {
    /// Keeps the writer from writing, so that what is read under it is what is replaced.
    pub(super) fn lock_writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock()
    }

    fn step(&self, tenant: &TenantId, job: &mut Job, destroying: &mut Destroying<'_>) -> Result<Step, StoreError> {
        // Whose key was destroyed has nothing left to rewrite.
        let Some((keys, directory)) = self.registry.read().data_keys(tenant) else { return Ok(Step::Over) };
        let newest = keys.ring().versions().next();
        match &mut job.stage {
            Stage::Awaiting(awaited) => {
                awaited.retain(|ring| ring.strong_count() > 0);
                if !awaited.is_empty() {
                    return Ok(Step::Waits);
                }
                // What the writer has in hand was sealed before.
                drop(self.lock_writing());
                job.stage = Stage::Sessions(Vec::new());
            }
            Stage::Sessions(from) => {
                let (bound, end) = layout::tenant_bounds(job.tenant);
                let from = if from.is_empty() { bound.as_ref().to_vec() } else { std::mem::take(from) };
                let tenant_number = job.tenant;
                let read = |key: &[u8], value: &[u8]| {
                    let (number, session) = layout::read_session_key(key)?;
                    let (release, sealed) = layout::read_record_value(value)?;
                    let is_old = number == tenant_number && key_version(sealed) != newest;
                    is_old.then(|| Old {
                        key: key.to_vec(),
                        value: value.to_vec(),
                        session,
                        release,
                        clear: value.len() - sealed.len(),
                    })
                };
                job.stage = match self.rewrite(job, SESSIONS, Purpose::Record, &from, end.as_ref(), read)? {
                    Some(next) => Stage::Sessions(next),
                    // What is written from now on is sealed with the newest key.
                    None => Stage::Log(0, end_of_log(&self.db)?),
                };
            }
            Stage::Log(from, last) => {
                let last = *last;
                let from = layout::log_bound((*from).max(self.trimmed.load(Ordering::SeqCst)));
                let tenant_number = job.tenant;
                let read = |key: &[u8], value: &[u8]| {
                    let (_, owner, release) = layout::read_log_key(key)?;
                    let (session, sealed) = layout::read_log_value(value)?;
                    // An empty one says that a session was forgotten.
                    let is_old = owner == tenant_number && !sealed.is_empty() && key_version(sealed) != newest;
                    is_old.then(|| Old {
                        key: key.to_vec(),
                        value: value.to_vec(),
                        session,
                        release,
                        clear: value.len() - sealed.len(),
                    })
                };
                let end = layout::log_bound(last.saturating_add(1));
                match self.rewrite(job, LOG, Purpose::Commit, from.as_ref(), end.as_ref(), read)? {
                    Some(next) => {
                        let (sequence, ..) = layout::read_log_key(&next).ok_or_else(unreadable_log)?;
                        job.stage = Stage::Log(sequence, last);
                    }
                    None => return self.finish(tenant, job, &directory, destroying),
                }
            }
            Stage::Done(since) if since.elapsed() < READERS => return Ok(Step::Waits),
            Stage::Done(_) => {
                keys.keep_newest();
                return Ok(Step::Over);
            }
            Stage::Kept(again) if Instant::now() < *again => return Ok(Step::Waits),
            Stage::Kept(_) => {
                let damaged_before = std::mem::take(&mut job.damaged);
                *job = Job { damaged_before, ..Job::new(job.tenant, Stage::Sessions(Vec::new())) };
            }
        }
        Ok(Step::Went)
    }

    /// Seals anew what is old among the next values of a family, and gives the key to go on with; none at the end.
    fn rewrite(
        &self,
        job: &mut Job,
        name: &'static str,
        purpose: Purpose,
        from: &[u8],
        end: &[u8],
        read: impl Fn(&[u8], &[u8]) -> Option<Old>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(end);
        options.fill_cache(false);
        let mut entries = self.db.raw_iterator_cf_opt(family(&self.db, name)?, options);
        entries.seek(from);
        let mut old = Vec::new();
        let (mut looked_at, mut bytes) = (0, 0);
        let mut next = None;
        while let Some((key, value)) = entries.item() {
            if looked_at >= MOST_LOOKED_AT || old.len() >= MOST_SEALED || bytes >= MOST_BYTES {
                next = Some(key.to_vec());
                break;
            }
            looked_at += 1;
            if let Some(found) = read(key, value) {
                bytes += found.value.len();
                old.push(found);
            }
            entries.next();
        }
        entries.status()?;
        drop(entries);
        job.looked_at += u64::try_from(looked_at).unwrap_or(0);
        let new: Vec<_> = old
            .into_iter()
            .filter_map(|old| match self.sealed_anew(purpose, &old) {
                Some(new) => Some((old, new)),
                None => {
                    job.damaged += 1;
                    None
                }
            })
            .collect();
        job.rewritten += self.replace(name, &new)?;
        Ok(next)
    }

    /// None if the value does not open: that it is damaged is told to whoever asks for the session.
    fn sealed_anew(&self, purpose: Purpose, old: &Old) -> Option<Vec<u8>> {
        let (clear, sealed) = old.value.split_at_checked(old.clear)?;
        let release = self.registry.read().by_number(old.release)?.release.clone()?;
        release.reseal(purpose, &old.session, sealed, clear.to_vec()).ok()
    }

    /// Replaces values that are still what they were, and gives their number. Not synced: until the end the old key is
    /// there too.
    fn replace(&self, name: &'static str, new: &[(Old, Vec<u8>)]) -> Result<u64, StoreError> {
        if new.is_empty() {
            return Ok(0);
        }
        let _writing = self.lock_writing();
        let family = family(&self.db, name)?;
        let mut batch = WriteBatch::default();
        for (old, value) in new {
            if self.db.get_pinned_cf(family, &old.key)?.is_some_and(|current| *current == old.value) {
                batch.put_cf(family, &old.key, value);
            }
        }
        let replaced = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let written = self.db.write_opt(batch, &WriteOptions::default()).map_err(StoreError::from);
        written.inspect_err(|error| self.fail(error.clone()))?;
        Ok(replaced)
    }

    /// Destroys the older keys, once everything that was sealed anew is on the disk.
    fn finish(
        &self,
        tenant: &TenantId,
        job: &mut Job,
        directory: &KeyDirectory,
        destroying: &mut Destroying<'_>,
    ) -> Result<Step, StoreError> {
        job.damaged_before = 0;
        if job.damaged > 0 {
            tracing::error!(
                %tenant,
                damaged = job.damaged,
                "old records cannot be opened: the older data keys are kept until they are restored or erased, which is \
                 looked at every hour"
            );
            job.stage = Stage::Kept(Instant::now() + LOOK_AGAIN);
            return Ok(Step::Went);
        }
        let synced = self.db.flush_wal(true).map_err(StoreError::from);
        synced.inspect_err(|error| self.fail(error.clone()))?;
        let Some(mut keys) = directory.load(job.tenant, tenant)? else { return Ok(Step::Over) };
        keys.sort_by_key(|(version, _)| *version);
        let newest = keys.pop();
        let destroyed: Vec<_> = keys.iter().map(|(version, _)| *version).collect();
        // Before: a crash in between leaves an entry that is made twice, never a key that is gone and in no entry.
        destroying(tenant, &destroyed)?;
        let stored = directory.store(job.tenant, tenant, &newest.into_iter().collect());
        stored.inspect_err(|error| self.fail_if_unsynced(error))?;
        tracing::info!(%tenant, records = job.rewritten, "all records are sealed with the new data key, the old one is destroyed");
        job.stage = Stage::Done(Instant::now());
        Ok(Step::Went)
    }
}
