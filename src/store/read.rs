//! Reads: sessions, aliases, the log for watchers that resume, figures for operators.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rocksdb::{DB, DBPinnableSlice, ErrorKind, ReadOptions, ReadTier};

use super::error::StoreError;
use super::families::{ALIASES, LOG, SESSIONS, family};
use super::release::Release;
use super::writer::AliasKey;
use super::{Inner, Store, layout};
use crate::domain::ids::{ReleaseId, SessionId, SessionIdStart, TenantId};
use crate::domain::session::{Commit, Session};

/// The answer of a read that must not touch the disk.
#[derive(Debug, Clone, PartialEq)]
pub enum Cached<T> {
    /// Answered from memory.
    Known(T),
    /// The disk has to be asked, on a thread that may block.
    WouldBlock,
}

/// One commit of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct LogRecord {
    /// Its place.
    pub sequence: u64,
    /// Whose commit.
    pub session: SessionId,
    /// What happened.
    pub commit: Commit,
}

/// A part of the log, as one who resumes reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct LogPart {
    /// What was asked for, in order.
    pub records: Vec<LogRecord>,
    /// How far that is, whose ever the records were; none behind the end of the log.
    pub read_to: Option<u64>,
}

/// Records of the log that are looked at in one read, whose ever they are.
const MOST_LOOKED_AT: usize = 20_000;
/// Bytes of the log that are read from the disk at once.
const READ_AHEAD: usize = 256 << 10;

/// Approximate sizes, for status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Session records.
    pub sessions: u64,
    /// Aliases.
    pub aliases: u64,
    /// Log records.
    pub log_records: u64,
    /// Bytes of the database files.
    pub bytes: u64,
    /// Memory of blocks, indexes and filters; bounded by the configured cache.
    pub cache_bytes: u64,
    /// Memory of what is not in the database files yet.
    pub write_buffer_bytes: u64,
}

/// Whether a read may touch the disk.
#[derive(Clone, Copy)]
enum Tier {
    Disk,
    Memory,
}

impl Store {
    /// A session's record. May block on the disk. What the log holds beyond it is known to whoever wrote it.
    ///
    /// # Errors
    /// When the record is damaged or the disk cannot be read.
    pub fn load(&self, tenant: &TenantId, session: &SessionId) -> Result<Option<(ReleaseId, Session)>, StoreError> {
        match self.load_from(tenant, session, Tier::Disk)? {
            Cached::Known(found) => Ok(found),
            Cached::WouldBlock => Err(incomplete()),
        }
    }

    /// A session's record, if that can be said without the disk.
    ///
    /// # Errors
    /// When the record is damaged.
    pub fn load_cached(
        &self,
        tenant: &TenantId,
        session: &SessionId,
    ) -> Result<Cached<Option<(ReleaseId, Session)>>, StoreError> {
        self.load_from(tenant, session, Tier::Memory)
    }

    /// Records of several sessions that end, in their order: cheaper than one by one. May block on the disk. Nobody reads
    /// them again soon, so they take no room from what calls read.
    pub fn load_all(&self, sessions: &[(Arc<Release>, SessionId)]) -> Vec<Result<Option<Session>, StoreError>> {
        let inner = &*self.inner;
        let family = match family(&inner.db, SESSIONS) {
            Ok(family) => family,
            Err(error) => return sessions.iter().map(|_| Err(error.clone())).collect(),
        };
        let keys: Vec<_> =
            sessions.iter().map(|(release, session)| layout::session_key(release.tenant(), session)).collect();
        let keys = keys.iter().map(AsRef::as_ref);
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        let values = inner.db.batched_multi_get_cf_opt(family, keys, false, &options);
        let open = |((release, session), value): (&(Arc<Release>, SessionId), Result<_, _>)| {
            let tenant = &release.id().tenant;
            inner.check_whole(tenant, release.tenant(), session)?;
            let Some(value): Option<DBPinnableSlice<'_>> = value? else { return Ok(None) };
            let (_, session) = inner.open_record(tenant, release.tenant(), session, &value)?;
            Ok(Some(session))
        };
        sessions.iter().zip(values).map(open).collect()
    }

    /// Brings a session's record into memory, for somebody who asks for it in a moment and must not wait for the disk. May
    /// block on the disk.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn warm(&self, release: &Release, session: &SessionId) -> Result<(), StoreError> {
        let key = layout::session_key(release.tenant(), session);
        self.get(SESSIONS, key.as_ref(), Tier::Disk).map(drop)
    }

    /// The sessions of a tenant that have a record and whose IDs begin so, at most `limit`. May block on the disk.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn sessions_beginning(
        &self,
        tenant: &TenantId,
        start: &SessionIdStart,
        limit: usize,
    ) -> Result<Vec<SessionId>, StoreError> {
        let Some(number) = self.inner.registry.read().tenant(tenant) else { return Ok(Vec::new()) };
        let from = layout::session_bound(number, start.as_bytes());
        let mut entries = self.inner.db.raw_iterator_cf(family(&self.inner.db, SESSIONS)?);
        entries.seek(from);
        let mut found = Vec::new();
        while let Some(key) = entries.key().filter(|key| key.starts_with(from.as_ref())) {
            if found.len() >= limit {
                break;
            }
            found.extend(layout::read_session_key(key).map(|(_, session)| session).filter(|id| start.begins(id)));
            entries.next();
        }
        entries.status()?;
        Ok(found)
    }

    fn load_from(
        &self,
        tenant: &TenantId,
        session: &SessionId,
        tier: Tier,
    ) -> Result<Cached<Option<(ReleaseId, Session)>>, StoreError> {
        let Some(number) = self.inner.registry.read().tenant(tenant) else { return Ok(Cached::Known(None)) };
        self.inner.check_whole(tenant, number, session)?;
        let key = layout::session_key(number, session);
        match self.get(SESSIONS, key.as_ref(), tier)? {
            Cached::WouldBlock => Ok(Cached::WouldBlock),
            Cached::Known(None) => Ok(Cached::Known(None)),
            Cached::Known(Some(value)) => {
                self.inner.open_record(tenant, number, session, &value).map(|found| Cached::Known(Some(found)))
            }
        }
    }

    /// The session an alias leads to. May block on the disk.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn alias(&self, tenant: &TenantId, key: &AliasKey) -> Result<Option<SessionId>, StoreError> {
        match self.alias_from(tenant, key, Tier::Disk)? {
            Cached::Known(found) => Ok(found),
            Cached::WouldBlock => Err(incomplete()),
        }
    }

    /// The session an alias leads to, if that can be said without the disk.
    ///
    /// # Errors
    /// When what is there cannot be read.
    pub fn alias_cached(&self, tenant: &TenantId, key: &AliasKey) -> Result<Cached<Option<SessionId>>, StoreError> {
        self.alias_from(tenant, key, Tier::Memory)
    }

    fn alias_from(
        &self,
        tenant: &TenantId,
        key: &AliasKey,
        tier: Tier,
    ) -> Result<Cached<Option<SessionId>>, StoreError> {
        let Some(number) = self.inner.registry.read().tenant(tenant) else { return Ok(Cached::Known(None)) };
        let key = layout::alias_key(number, key.key_version, key.rule_version, &key.value);
        match self.get(ALIASES, key.as_ref(), tier)? {
            Cached::WouldBlock => Ok(Cached::WouldBlock),
            Cached::Known(None) => Ok(Cached::Known(None)),
            Cached::Known(Some(value)) => SessionId::from_bytes(&value)
                .map(|session| Cached::Known(Some(session)))
                .ok_or(StoreError::Incomplete("an alias cannot be read")),
        }
    }

    fn get(
        &self,
        name: &'static str,
        key: &[u8],
        tier: Tier,
    ) -> Result<Cached<Option<DBPinnableSlice<'_>>>, StoreError> {
        let db = &self.inner.db;
        let family = family(db, name)?;
        let found = match tier {
            Tier::Disk => db.get_pinned_cf(family, key),
            Tier::Memory => {
                let mut options = ReadOptions::default();
                options.set_read_tier(ReadTier::BlockCache);
                db.get_pinned_cf_opt(family, key, &options)
            }
        };
        match found {
            Ok(value) => Ok(Cached::Known(value)),
            Err(error) if matches!(tier, Tier::Memory) && error.kind() == ErrorKind::Incomplete => {
                self.inner.metrics.cache_misses.fetch_add(1, Ordering::Relaxed);
                Ok(Cached::WouldBlock)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The next part of the log after a sequence: commits of a release, or of one session of it, at most `limit`, for a
    /// watcher that resumes. May block on the disk.
    ///
    /// # Errors
    /// [`StoreError::Trimmed`] if the log no longer goes back that far; damaged data. Then only a fresh
    /// snapshot tells the watcher everything.
    pub fn read_log(
        &self,
        release: &Release,
        of: Option<&SessionId>,
        after_sequence: u64,
        limit: usize,
    ) -> Result<LogPart, StoreError> {
        let whose = (release.tenant(), release.number());
        let mut options = ReadOptions::default();
        options.set_readahead_size(READ_AHEAD);
        options.fill_cache(false);
        let mut entries = self.inner.db.raw_iterator_cf_opt(family(&self.inner.db, LOG)?, options);
        entries.seek(layout::log_bound(after_sequence.saturating_add(1)));
        let mut part = LogPart { records: Vec::new(), read_to: None };
        let mut looked_at = 0;
        while let Some((key, value)) = entries.item() {
            if part.records.len() >= limit || looked_at >= MOST_LOOKED_AT {
                break;
            }
            let (sequence, tenant, number) = layout::read_log_key(key).ok_or_else(unreadable_log)?;
            looked_at += 1;
            part.read_to = Some(sequence);
            if (tenant, number) == whose {
                let (session, sealed) = layout::read_log_value(value).ok_or_else(unreadable_log)?;
                if !sealed.is_empty() && of.is_none_or(|of| *of == session) {
                    let commit = release.open_commit(&session, sealed).map_err(|error| StoreError::Damaged {
                        tenant: release.id().tenant.clone(),
                        session,
                        what: error.0,
                    })?;
                    part.records.push(LogRecord { sequence, session, commit });
                }
            }
            entries.next();
        }
        entries.status()?;
        // Asked last: the place is noted before the trimming happens.
        let trimmed = self.inner.trimmed.load(Ordering::SeqCst);
        if after_sequence.saturating_add(1) < trimmed {
            return Err(StoreError::Trimmed { trimmed });
        }
        Ok(part)
    }

    /// All tenants that something was ever stored of, in the order of their names.
    #[must_use]
    pub fn tenants(&self) -> Vec<TenantId> {
        let mut tenants: Vec<_> = self.inner.registry.read().tenant_names().cloned().collect();
        tenants.sort();
        tenants
    }

    /// Approximate sizes, from RocksDB's own estimates.
    ///
    /// # Errors
    /// When RocksDB does not tell.
    pub fn figures(&self) -> Result<Figures, StoreError> {
        let db = &self.inner.db;
        let estimate = |name| -> Result<u64, StoreError> {
            Ok(db.property_int_value_cf(family(db, name)?, "rocksdb.estimate-num-keys")?.unwrap_or(0))
        };
        let sum = |property| -> Result<u64, StoreError> {
            super::families::names()
                .map(|name| Ok(db.property_int_value_cf(family(db, name)?, property)?.unwrap_or(0)))
                .sum()
        };
        // All families share one cache.
        let cache = db.property_int_value_cf(family(db, SESSIONS)?, "rocksdb.block-cache-usage")?;
        Ok(Figures {
            sessions: estimate(SESSIONS)?,
            aliases: estimate(ALIASES)?,
            log_records: estimate(LOG)?,
            bytes: sum("rocksdb.total-sst-files-size")?,
            cache_bytes: cache.unwrap_or(0),
            write_buffer_bytes: sum("rocksdb.size-all-mem-tables")?,
        })
    }
}

impl Inner {
    fn check_whole(&self, tenant: &TenantId, number: u32, session: &SessionId) -> Result<(), StoreError> {
        if self.damaged.contains(&(number, *session)) {
            let what = "its log has a gap";
            return Err(StoreError::Damaged { tenant: tenant.clone(), session: *session, what });
        }
        Ok(())
    }

    pub(super) fn open_record(
        &self,
        tenant: &TenantId,
        number: u32,
        session: &SessionId,
        value: &[u8],
    ) -> Result<(ReleaseId, Session), StoreError> {
        open_record(&self.registry.read(), tenant, number, session, value)
    }
}

/// Opens the value of a session's record.
pub(super) fn open_record(
    registry: &super::release::Registry,
    tenant: &TenantId,
    number: u32,
    session: &SessionId,
    value: &[u8],
) -> Result<(ReleaseId, Session), StoreError> {
    let damaged = |what| StoreError::Damaged { tenant: tenant.clone(), session: *session, what };
    let (release, sealed) = layout::read_record_value(value).ok_or_else(|| damaged("it is too short"))?;
    let known = registry.by_number(release).filter(|known| known.tenant == number);
    let known = known.ok_or_else(|| damaged("it names an unknown release"))?;
    let release = known.release.as_ref().ok_or_else(|| StoreError::KeyMissing(tenant.clone()))?;
    let record = release.open_record(session, sealed).map_err(|error| damaged(error.0))?;
    Ok((known.id.clone(), record))
}

fn incomplete() -> StoreError {
    StoreError::Database("a read that may block was not completed".to_owned())
}

/// The highest sequence in the log.
pub(super) fn end_of_log(db: &DB) -> Result<u64, StoreError> {
    let mut entries = db.raw_iterator_cf(family(db, LOG)?);
    entries.seek_to_last();
    let end = entries.key().map(|key| layout::read_log_key(key).ok_or_else(unreadable_log)).transpose()?;
    entries.status()?;
    Ok(end.map_or(0, |(sequence, ..)| sequence))
}

pub(super) fn unreadable_log() -> StoreError {
    StoreError::Incomplete("a log record cannot be read")
}
