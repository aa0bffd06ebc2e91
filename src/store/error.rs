//! What can go wrong with the data directory, said so that an operator knows what to do.

use std::path::Path;

use crate::domain::ids::{SessionId, TenantId};

/// An error of the store. Cheap to clone, because one failed write fails everybody who waited for it.
/// No text holds a number, a value or a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The file system said no.
    #[error("{path}: {what}: check that the path exists, belongs to recalld and has room")]
    Io {
        /// What was touched.
        path: String,
        /// What the system said.
        what: String,
    },
    /// Something was written and could not be synced: after a power loss it may be there or not.
    #[error("{path}: it was written and cannot be synced ({what}): look at the disk")]
    Unsynced {
        /// What was written.
        path: String,
        /// What the system said.
        what: String,
    },
    /// `[keys] root` is not the key this data was written with.
    #[error(
        "the root key is not the one of this data directory: give the right key, after `key reroot` the new one; nothing was changed"
    )]
    WrongRootKey,
    /// The data was written by a later program.
    #[error("the data directory has format {found} and this program knows {known}: start the program that wrote it")]
    NewerFormat {
        /// The format found.
        found: u32,
        /// The newest format this program can read.
        known: u32,
    },
    /// The data was written by an earlier program, in a format that is not read any more.
    #[error(
        "the data directory has format {found} and this program knows {known}: start the program that wrote it, or give \
         data.path another directory"
    )]
    OlderFormat {
        /// The format found.
        found: u32,
        /// The oldest format this program can read.
        known: u32,
    },
    /// Something that must be there is not, or is not what it should be.
    #[error("the data directory is incomplete: {0}: restore it from a backup")]
    Incomplete(&'static str),
    /// Answered commits are missing.
    #[error(
        "the log ends at {end} but was written up to {watermark}, so answered changes are missing: restore a backup"
    )]
    LogEndsEarly {
        /// The last sequence found.
        end: u64,
        /// The sequence up to which records were written.
        watermark: u64,
    },
    /// RocksDB said no.
    #[error("database: {0}")]
    Database(String),
    /// Data of one session cannot be opened. Others are not affected.
    #[error("the stored data of session {session} of tenant {tenant} is damaged ({what}): restore it or erase it")]
    Damaged {
        /// Whose session.
        tenant: TenantId,
        /// Which one.
        session: SessionId,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The tenant's data key was destroyed or lost: nothing of the tenant can be read any more.
    #[error(
        "the data key of tenant {0} is missing or cannot be unwrapped: bring back its file under keys/ from a backup"
    )]
    KeyMissing(TenantId),
    /// Nothing of this tenant was ever stored.
    #[error("tenant {0} has nothing stored: check the name, and that the configuration has a release of it")]
    UnknownTenant(TenantId),
    /// Another process has the data directory open.
    #[error("the data directory is in use: stop recalld first")]
    InUse,
    /// A change of the root key was interrupted.
    #[error(
        "a change of the root key was interrupted: run `recalld key reroot` again with the same old and new key, it goes \
         on where it stopped"
    )]
    RerootUnfinished,
    /// The log no longer goes back that far.
    #[error("the log was trimmed up to {trimmed}, it cannot be read from an earlier place: start from a snapshot")]
    Trimmed {
        /// The first sequence that is still there.
        trimmed: u64,
    },
    /// An earlier write failed; nothing is written any more.
    #[error("an earlier write failed ({0}): nothing more is written, start again after the cause is gone")]
    Poisoned(String),
    /// The writer was shut down, or there is one already.
    #[error("the writer takes no work: it was shut down or runs already")]
    WriterClosed,
}

impl StoreError {
    pub(super) fn io(path: &Path, error: impl std::fmt::Display) -> Self {
        Self::Io { path: path.display().to_string(), what: error.to_string() }
    }

    pub(super) fn unsynced(path: &Path, error: impl std::fmt::Display) -> Self {
        Self::Unsynced { path: path.display().to_string(), what: error.to_string() }
    }
}

impl From<rocksdb::Error> for StoreError {
    fn from(error: rocksdb::Error) -> Self {
        Self::Database(error.into_string())
    }
}
