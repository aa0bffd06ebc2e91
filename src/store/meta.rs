//! What the store knows about itself: format, root key check, epoch, the numbers of tenants and releases,
//! and how far the log is covered by records.

use std::collections::{HashSet, VecDeque};
use std::fs;
use std::path::Path;

use data_encoding::HEXLOWER;
use rand::TryRng;
use rand::rngs::SysRng;
use rocksdb::{DB, Direction, IteratorMode, WriteBatch};
use serde::{Deserialize, Serialize};

use super::data_keys::write_durably;
use super::error::StoreError;
use super::families::{META, family};
use super::layout;
use super::sync_write;
use crate::domain::ids::SessionId;

/// The format of everything under the data directory that this program writes.
pub(super) const FORMAT: u32 = 2;

const FORMAT_KEY: &[u8] = b"format";
const KEY_CHECK_KEY: &[u8] = b"key-check";
const EPOCH_KEY: &[u8] = b"epoch";
const PROGRESS_KEY: &[u8] = b"progress";
const NUMBERS_KEY: &[u8] = b"numbers";
pub(super) const TENANT_PREFIX: &[u8] = b"t/";
pub(super) const RELEASE_PREFIX: &[u8] = b"r/";
const DAMAGED_PREFIX: &[u8] = b"d/";

/// The file beside the database that is read before the database is opened, because opening writes.
const STAMP: &str = "recalld-data";

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    format: u32,
    /// Recognises the root key.
    pub(super) key_check: [u8; 16],
    /// Recognises the root key that is about to take its place.
    pub(super) successor: Option<[u8; 16]>,
}

impl Stamp {
    /// None if there is no such file.
    pub(super) fn read(data: &Path) -> Result<Option<Self>, StoreError> {
        let path = data.join(STAMP);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io(&path, error)),
        };
        let unreadable = StoreError::Incomplete("the file recalld-data cannot be read");
        let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let check = |hex: &str| HEXLOWER.decode(hex.as_bytes()).ok()?.try_into().ok();
        let format = line("format").and_then(|number| number.parse().ok()).ok_or(unreadable.clone())?;
        check_format(format)?;
        let key_check = line("key-check").and_then(check).ok_or(unreadable.clone())?;
        let successor = line("key-successor").map(|hex| check(hex).ok_or(unreadable)).transpose()?;
        Ok(Some(Self { format, key_check, successor }))
    }

    /// It is on disk when this returns.
    pub(super) fn write(&self, data: &Path) -> Result<(), StoreError> {
        let successor = self.successor.as_ref().map(|check| format!("key-successor {}\n", HEXLOWER.encode(check)));
        let key_check = HEXLOWER.encode(&self.key_check);
        let text = format!("format {}\nkey-check {key_check}\n{}", self.format, successor.unwrap_or_default());
        write_durably(&data.join(STAMP), text.as_bytes())
    }
}

const fn check_format(found: u32) -> Result<(), StoreError> {
    if found > FORMAT {
        return Err(StoreError::NewerFormat { found, known: FORMAT });
    }
    if found < FORMAT {
        return Err(StoreError::OlderFormat { found, known: FORMAT });
    }
    Ok(())
}

/// Refuses a data directory of another root key or format before anything in it is touched, and
/// stamps a new one.
pub(super) fn check_stamp(data: &Path, database: &Path, key_check: &[u8; 16]) -> Result<(), StoreError> {
    match Stamp::read(data)? {
        None if database.exists() => {
            Err(StoreError::Incomplete("the file recalld-data is missing beside the database"))
        }
        None => Stamp { format: FORMAT, key_check: *key_check, successor: None }.write(data),
        Some(Stamp { successor: Some(_), .. }) => Err(StoreError::RerootUnfinished),
        Some(stamp) if stamp.key_check != *key_check => Err(StoreError::WrongRootKey),
        Some(_) => Ok(()),
    }
}

/// What is made once, when the database is made, and checked at each start. Gives the epoch.
pub(super) fn check_database(db: &DB, key_check: &[u8; 16]) -> Result<[u8; 16], StoreError> {
    let meta = family(db, META)?;
    let Some(format) = db.get_pinned_cf(meta, FORMAT_KEY)? else {
        let mut epoch = [0; 16];
        SysRng.try_fill_bytes(&mut epoch).map_err(|error| StoreError::io(Path::new("getrandom"), error))?;
        let mut batch = WriteBatch::default();
        batch.put_cf(meta, FORMAT_KEY, FORMAT.to_be_bytes());
        batch.put_cf(meta, KEY_CHECK_KEY, key_check);
        batch.put_cf(meta, EPOCH_KEY, epoch);
        sync_write(db, batch)?;
        return Ok(epoch);
    };
    let found = layout::read_u32(&format, 0).ok_or(StoreError::Incomplete("its format cannot be read"))?;
    check_format(found)?;
    if self::key_check(db)? != *key_check {
        return Err(StoreError::WrongRootKey);
    }
    let epoch = db.get_pinned_cf(meta, EPOCH_KEY)?.ok_or(StoreError::Incomplete("it has no epoch"))?;
    (*epoch).try_into().map_err(|_| StoreError::Incomplete("its epoch cannot be read"))
}

/// What recognises the root key of the database.
pub(super) fn key_check(db: &DB) -> Result<[u8; 16], StoreError> {
    let check = db.get_pinned_cf(family(db, META)?, KEY_CHECK_KEY)?;
    let check = check.ok_or(StoreError::Incomplete("it does not say which root key it has"))?;
    (*check).try_into().map_err(|_| StoreError::Incomplete("what it says of its root key cannot be read"))
}

pub(super) fn put_key_check(db: &DB, batch: &mut WriteBatch, key_check: &[u8; 16]) -> Result<(), StoreError> {
    batch.put_cf(family(db, META)?, KEY_CHECK_KEY, key_check);
    Ok(())
}

/// How far the log is covered by records, trimmed, and how old it is. Written by the writer in the batch
/// that is going out anyway.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Every sequence up to here is contained in a session's record.
    pub(super) watermark: u64,
    /// The highest sequence that was durable when this was written.
    pub(super) high_water: u64,
    /// What is before this sequence in the log is told to nobody any more, and goes.
    pub(super) trimmed: u64,
    /// Bytes ever written to the log.
    pub(super) bytes: u64,
    /// The latest time the daemon is known to have run at, in milliseconds since the Unix epoch.
    pub(super) clock: i64,
    /// Everything in the expiry index before this time has been done.
    pub(super) expired_to: i64,
    /// When the log was how long, for trimming by age and size, in order.
    pub(super) marks: VecDeque<Mark>,
}

/// A point in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// Milliseconds since the Unix epoch.
    pub(super) at: i64,
    /// The last sequence at that time.
    pub(super) sequence: u64,
    /// Bytes ever written to the log at that time.
    pub(super) bytes: u64,
}

impl Progress {
    pub(super) fn load(db: &DB) -> Result<Self, StoreError> {
        match db.get_pinned_cf(family(db, META)?, PROGRESS_KEY)? {
            None => Ok(Self::default()),
            Some(value) => match value.split_first() {
                Some((1, encoded)) => postcard::from_bytes(encoded).ok(),
                _ => None,
            }
            .ok_or(StoreError::Incomplete("the progress of its log cannot be read")),
        }
    }

    pub(super) fn put(&self, db: &DB, batch: &mut WriteBatch) -> Result<(), StoreError> {
        let value = postcard::to_extend(self, vec![1_u8])
            .map_err(|_| StoreError::Incomplete("the progress of its log cannot be written"))?;
        batch.put_cf(family(db, META)?, PROGRESS_KEY, value);
        Ok(())
    }
}

/// The next number for a tenant or release. Numbers are never given twice: rows of a purged tenant may
/// still lie in old files.
pub(super) fn next_number(db: &DB) -> Result<u32, StoreError> {
    match db.get_pinned_cf(family(db, META)?, NUMBERS_KEY)? {
        None => Ok(1),
        Some(value) => layout::read_u32(&value, 0).ok_or(StoreError::Incomplete("its numbers cannot be read")),
    }
}

pub(super) fn put_next_number(db: &DB, batch: &mut WriteBatch, next: u32) -> Result<(), StoreError> {
    batch.put_cf(family(db, META)?, NUMBERS_KEY, next.to_be_bytes());
    Ok(())
}

/// Numbered entries of one kind: number and value.
pub(super) fn numbered(db: &DB, prefix: &'static [u8]) -> Result<Vec<(u32, Vec<u8>)>, StoreError> {
    let mut found = Vec::new();
    for entry in db.iterator_cf(family(db, META)?, IteratorMode::From(prefix, Direction::Forward)) {
        let (key, value) = entry?;
        let Some(rest) = key.strip_prefix(prefix) else { break };
        let number = layout::read_u32(rest, 0).ok_or(StoreError::Incomplete("a number cannot be read"))?;
        found.push((number, value.into_vec()));
    }
    Ok(found)
}

/// Sessions whose data was found damaged and is not to be used until it is restored or erased. Kept over
/// restarts: what is left of such a session would look whole once its log is trimmed.
pub(super) fn damaged(db: &DB) -> Result<HashSet<(u32, SessionId)>, StoreError> {
    let mut found = HashSet::new();
    for entry in db.iterator_cf(family(db, META)?, IteratorMode::From(DAMAGED_PREFIX, Direction::Forward)) {
        let (key, _) = entry?;
        let Some(rest) = key.strip_prefix(DAMAGED_PREFIX) else { break };
        found.extend(layout::read_session_key(rest));
    }
    Ok(found)
}

pub(super) fn put_damaged(db: &DB, batch: &mut WriteBatch, tenant: u32, session: &SessionId) -> Result<(), StoreError> {
    batch.put_cf(family(db, META)?, layout::damaged_key(DAMAGED_PREFIX, tenant, session), []);
    Ok(())
}
