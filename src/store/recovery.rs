//! From files to sessions at the start: the records of sessions with active calls, and over them what
//! the log holds beyond the records.
//!
//! A commit is recognised by its session's ordinal: one that the record contains is skipped, one that
//! leaves a gap means that this session's data is damaged. A log record that does not open is damage too,
//! unless the session's record contains it. Damage of one session never stops the start; the end of the log
//! missing does, because then answered changes of anybody may be gone.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use rocksdb::{DB, IteratorMode, ReadOptions, WriteBatch};

use super::data_keys::{KeyDirectory, sync_directory};
use super::error::StoreError;
use super::expiry::{self, Times};
use super::families::{self, ACTIVE, LOG, SESSIONS, family};
use super::meta::{self, Progress};
use super::metrics::StoreMetrics;
use super::release::{Known, Registry, Release};
use super::rewriting::Rewriting;
use super::seal::Nonces;
use super::trim::Window;
use super::unrecorded::{SessionKey, Unrecorded};
use super::wrapping::Wrapping;
use super::writer::WriterStart;
use super::{Inner, Store, StoreOptions, layout, read, sync_write};
use crate::domain::ids::{ReleaseId, SessionId, TenantId};
use crate::domain::session::{Commit, Session};
use crate::domain::time::Timestamp;

/// What was going on when the data directory was closed.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Sessions with active calls or with log records that their record does not contain.
    pub sessions: Vec<RecoveredSession>,
    /// Data that could not be used; the rest is not affected.
    pub damaged: Vec<Damage>,
    /// Log records read.
    pub replayed: u64,
    /// The sequence of the last log record.
    pub last_sequence: u64,
    /// The latest time the daemon is known to have run at, if it ever ran.
    pub clock: Option<Timestamp>,
    /// Why the system clock was doubted, if it was.
    pub doubt: Option<expiry::Doubt>,
    /// Everything in the expiry index before this time has been done.
    pub expired_to: Timestamp,
}

/// A session as it was at the last answered change.
#[derive(Debug, Clone, PartialEq)]
pub struct RecoveredSession {
    /// Whose session.
    pub release: ReleaseId,
    /// Its state.
    pub session: Session,
    /// Whether its record has to be written: the log holds more than it. True also for sessions that
    /// have no active call and are asked for by nobody.
    pub unrecorded: bool,
}

/// Data that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Whose data, as far as that can be told.
    pub tenant: Option<TenantId>,
    /// Which session, as far as that can be told.
    pub session: Option<SessionId>,
    /// What is wrong.
    pub what: &'static str,
}

/// How long a start is silent.
const SILENCE: Duration = Duration::from_secs(2);

pub(super) fn open(options: StoreOptions) -> Result<(Store, Recovered), StoreError> {
    let StoreOptions { path, root, relaxed, log_window, log_bytes, cache_bytes, tick, on_failure } = options;
    fs::create_dir_all(&path).map_err(|error| StoreError::io(&path, error))?;
    let database = path.join("db");
    meta::check_stamp(&path, &database, &root.check_value)?;
    let db = families::open(&database, cache_bytes)?;
    let epoch = meta::check_database(&db, &root.check_value)?;
    let nonces = Nonces::new().map_err(|error| StoreError::io(&path, error))?;
    let registry = Registry::load(&db, KeyDirectory::open(path.join("keys"), &root.wrapping_key)?, nonces)?;
    // The names `db` and `keys` have to be as durable as what is in them.
    sync_directory(&path)?;
    let mut progress = Progress::load(&db)?;
    let end = read::end_of_log(&db)?;
    if end < progress.watermark {
        return Err(StoreError::LogEndsEarly { end, watermark: progress.watermark });
    }
    let last = end.max(progress.high_water);
    let mut replay = Replay::new(&db, &registry)?;
    replay.load_active()?;
    replay.log(&progress)?;
    // What was written after the last note counts against `log_bytes`, too.
    progress.bytes += replay.unnoted_bytes;
    let (mut recovered, unrecorded) = replay.finish(last)?;
    let of_progress = (progress.clock > 0).then(|| Timestamp::from_unix_millis(progress.clock));
    recovered.clock = of_progress.max(expiry::noted_clock(&db)?);
    recovered.doubt = expiry::noted_doubt(&db)?;
    recovered.expired_to = Timestamp::from_unix_millis(progress.expired_to);
    let damaged = meta::damaged(&db)?;
    let active = active_keys(&db)?.into_iter().collect();
    let start = WriterStart {
        next_sequence: last.saturating_add(1),
        active,
        relaxed,
        window: Window { age: log_window, bytes: log_bytes },
        // Before it there is nothing.
        deleted_to: 1,
        tick,
        progress: progress.clone(),
    };
    let metrics = StoreMetrics::default();
    let inner = Inner {
        path,
        epoch,
        wrapping: Wrapping::new(&root.wrapping_key),
        writing: Mutex::new(()),
        rewriting: Rewriting::resume(&registry),
        registry: RwLock::new(registry),
        damaged,
        unrecorded: Mutex::new(unrecorded),
        trimmed: AtomicU64::new(progress.trimmed),
        removable: AtomicU64::new(progress.trimmed),
        removed: AtomicU64::new(0),
        times: Times::of(&progress),
        start: Mutex::new(Some(start)),
        failure: OnceLock::new(),
        on_failure,
        metrics,
        db,
    };
    Ok((Store { inner: Arc::new(inner) }, recovered))
}

fn active_keys(db: &DB) -> Result<Vec<SessionKey>, StoreError> {
    let mut keys = Vec::new();
    for entry in db.iterator_cf(family(db, ACTIVE)?, IteratorMode::Start) {
        let (key, _) = entry?;
        keys.push(layout::read_session_key(&key).ok_or(StoreError::Incomplete("a key of family active"))?);
    }
    Ok(keys)
}

/// A session during the replay.
struct Replayed {
    release: u32,
    state: State,
    /// The sequence behind which its record was written.
    applied: u64,
    /// The ordinal of the last commit that was seen in the log.
    seen: u64,
    /// The first log record that its record does not contain, and when the log goes beyond it.
    first: Option<u64>,
}

enum State {
    Whole(Box<Session>),
    /// Neither a record nor a commit so far.
    Absent,
    Broken(&'static str),
}

struct Replay<'a> {
    db: &'a DB,
    registry: &'a Registry,
    /// Damaged in an earlier start.
    known_damaged: HashSet<SessionKey>,
    sessions: HashMap<SessionKey, Replayed>,
    damaged: Vec<Damage>,
    unrecorded: Unrecorded,
    replayed: u64,
    /// Bytes of the log behind the last note of its progress.
    unnoted_bytes: u64,
    last_told: Instant,
}

impl<'a> Replay<'a> {
    fn new(db: &'a DB, registry: &'a Registry) -> Result<Self, StoreError> {
        let known_damaged = meta::damaged(db)?;
        Ok(Self {
            db,
            registry,
            known_damaged,
            sessions: HashMap::new(),
            damaged: Vec::new(),
            unrecorded: Unrecorded::default(),
            replayed: 0,
            unnoted_bytes: 0,
            last_told: Instant::now(),
        })
    }

    fn tell(&mut self, what: &str) {
        if self.last_told.elapsed() >= SILENCE {
            self.last_told = Instant::now();
            tracing::info!(log_records = self.replayed, sessions = self.sessions.len(), "{what}");
        }
    }

    fn load_active(&mut self) -> Result<(), StoreError> {
        for (tenant, session) in active_keys(self.db)? {
            if !self.known_damaged.contains(&(tenant, session)) {
                let replayed = self.load(tenant, &session)?;
                self.sessions.insert((tenant, session), replayed);
            }
            self.tell("loading sessions with active calls");
        }
        Ok(())
    }

    /// A session as its record tells it.
    fn load(&self, tenant: u32, session: &SessionId) -> Result<Replayed, StoreError> {
        let key = layout::session_key(tenant, session);
        let mut applied = 0;
        let (release, state) = match self.db.get_pinned_cf(family(self.db, SESSIONS)?, key)? {
            None => (0, State::Absent),
            Some(value) => {
                applied = layout::read_applied(&value).unwrap_or(0);
                let release = layout::read_record_value(&value).map_or(0, |(release, _)| release);
                let name = self.registry.tenant_name(tenant);
                let opened = name.map(|name| read::open_record(self.registry, name, tenant, session, &value));
                match opened {
                    Some(Ok((_, record))) => (release, State::Whole(Box::new(record))),
                    Some(Err(StoreError::Damaged { what, .. })) => (release, State::Broken(what)),
                    Some(Err(StoreError::KeyMissing(_))) => (release, State::Broken(NO_KEY)),
                    Some(Err(error)) => return Err(error),
                    None => (release, State::Broken("it belongs to no known tenant")),
                }
            }
        };
        Ok(Replayed { release, state, applied, seen: 0, first: None })
    }

    /// Applies the log behind the watermark.
    fn log(&mut self, progress: &Progress) -> Result<(), StoreError> {
        let registry = self.registry;
        let mut numbers: Vec<_> = registry.numbers().collect();
        numbers.sort_unstable();
        for known in numbers.into_iter().filter_map(|(_, number)| registry.by_number(number)) {
            if known.release.is_none() {
                let tenant = Some(known.id.tenant.clone());
                self.damaged.push(Damage { tenant, session: None, what: NO_KEY });
            }
        }
        let mut options = ReadOptions::default();
        options.set_readahead_size(2 << 20);
        options.fill_cache(false);
        let mut entries = self.db.raw_iterator_cf_opt(family(self.db, LOG)?, options);
        entries.seek(layout::log_bound(progress.watermark.saturating_add(1)));
        let mut unknown = HashSet::new();
        while let Some((key, value)) = entries.item() {
            let (sequence, _, number) = layout::read_log_key(key).ok_or_else(read::unreadable_log)?;
            if sequence > progress.high_water {
                self.unnoted_bytes += layout::log_bytes(value);
            }
            match registry.by_number(number) {
                Some(known @ Known { release: Some(release), .. }) => {
                    self.entry(known, release, sequence, value)?;
                    self.replayed += 1;
                }
                Some(_) => self.unrecorded.hold(sequence),
                None if unknown.insert(number) => {
                    self.damaged.push(Damage { tenant: None, session: None, what: "the log names an unknown release" });
                }
                None => {}
            }
            self.tell("replaying the log");
            entries.next();
        }
        Ok(entries.status()?)
    }

    fn entry(&mut self, known: &Known, release: &Release, sequence: u64, value: &[u8]) -> Result<(), StoreError> {
        let Some((session, sealed)) = layout::read_log_value(value) else {
            let tenant = Some(known.id.tenant.clone());
            self.damaged.push(Damage { tenant, session: None, what: "a log record names no session" });
            return Ok(());
        };
        let key = (known.tenant, session);
        if self.known_damaged.contains(&key) {
            return Ok(());
        }
        if !self.sessions.contains_key(&key) {
            let loaded = self.load(known.tenant, &session)?;
            self.sessions.insert(key, loaded);
        }
        let Some(replayed) = self.sessions.get_mut(&key) else { return Ok(()) };
        if sealed.is_empty() {
            // A record that was written behind it is that of the session which began anew.
            let is_anew = sequence <= replayed.applied;
            let anew = if is_anew { Some(self.load(known.tenant, &session)?) } else { None };
            self.sessions.insert(key, anew.unwrap_or_else(|| Replayed::absent(release.number())));
            return Ok(());
        }
        match release.open_commit(&session, sealed) {
            Ok(commit) => replayed.apply(known, release.number(), session, sequence, &commit),
            Err(_) if replayed.contains_unseen(sequence) => {
                tracing::warn!(tenant = %known.id.tenant, %session, sequence, "a log record is damaged and not needed");
            }
            Err(error) => replayed.state = State::Broken(error.0),
        }
        Ok(())
    }

    /// Notes damaged sessions durably, so that what is left of them is never taken for whole, and hands
    /// over the others.
    fn finish(self, last_sequence: u64) -> Result<(Recovered, Unrecorded), StoreError> {
        let mut recovered =
            Recovered { damaged: self.damaged, replayed: self.replayed, last_sequence, ..Recovered::default() };
        let mut unrecorded = self.unrecorded;
        let mut marks = WriteBatch::default();
        let mut sessions: Vec<_> = self.sessions.into_iter().collect();
        sessions.sort_unstable_by_key(|(key, replayed)| (replayed.first, *key));
        for ((tenant, id), replayed) in sessions {
            match replayed.state {
                State::Absent => {}
                State::Broken(what) => {
                    let name = self.registry.tenant_name(tenant).cloned();
                    recovered.damaged.push(Damage { tenant: name, session: Some(id), what });
                    // A key file that comes back makes everything readable again.
                    if what != NO_KEY {
                        meta::put_damaged(self.db, &mut marks, tenant, &id)?;
                    }
                }
                State::Whole(session) => {
                    let Some(known) = self.registry.by_number(replayed.release) else { continue };
                    if let Some(first) = replayed.first {
                        unrecorded.replayed((tenant, id), first, session.ordinal);
                    }
                    if replayed.first.is_some() || !session.calls.is_empty() {
                        recovered.sessions.push(RecoveredSession {
                            release: known.id.clone(),
                            session: *session,
                            unrecorded: replayed.first.is_some(),
                        });
                    }
                }
            }
        }
        for (tenant, session) in &self.known_damaged {
            let tenant = self.registry.tenant_name(*tenant).cloned();
            recovered.damaged.push(Damage { tenant, session: Some(*session), what: "it was damaged before" });
        }
        if !marks.is_empty() {
            sync_write(self.db, marks)?;
        }
        for damage in &recovered.damaged {
            tracing::error!(tenant = ?damage.tenant, session = ?damage.session, "damaged data: {}", damage.what);
        }
        tracing::info!(
            replayed_log_records = recovered.replayed,
            sessions_with_calls = recovered.sessions.len(),
            damaged = recovered.damaged.len(),
            "the store is open"
        );
        Ok((recovered, unrecorded))
    }
}

/// Why data of a tenant without its key file is not used. The file may come back, so nothing is given up.
const NO_KEY: &str = "the data key of its tenant is missing";

impl Replayed {
    const fn absent(release: u32) -> Self {
        Self { release, state: State::Absent, applied: 0, seen: 0, first: None }
    }

    /// Whether the record contains the next commit, which cannot be seen. A record that was written behind it does, but
    /// for one that was made before the commit: then the commit before this one is the last that the record contains.
    fn contains_unseen(&mut self, sequence: u64) -> bool {
        let State::Whole(session) = &self.state else { return false };
        let is_contained = sequence <= self.applied && self.seen < session.ordinal;
        if self.seen > 0 {
            self.seen += 1;
        }
        is_contained
    }

    fn apply(&mut self, known: &Known, release: u32, id: SessionId, sequence: u64, commit: &Commit) {
        self.seen = commit.ordinal;
        if matches!(self.state, State::Absent) {
            self.state = State::Whole(Box::new(Session::unopened(id, known.id.instance.clone(), commit.at)));
            self.release = release;
        }
        let State::Whole(session) = &mut self.state else { return };
        if commit.ordinal <= session.ordinal {
            return;
        }
        if commit.ordinal != session.ordinal + 1 {
            self.state = State::Broken("its log has a gap");
            return;
        }
        session.apply(commit);
        self.first.get_or_insert(sequence);
    }
}
