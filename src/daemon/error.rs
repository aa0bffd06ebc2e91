//! Why the daemon does not start, or ended.

use std::io;
use std::path::PathBuf;

use super::root_key::RootKeyFileError;
use crate::config::ConfigErrors;
use crate::privacy::audit::AuditError;
use crate::store::StoreError;

/// The end of `recalld serve` that nobody asked for.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration file cannot be read.
    #[error("cannot read the configuration {}: {what}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        what: String,
    },
    /// The configuration is wrong.
    #[error("{}: {errors}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// The places and what is wrong there.
        errors: ConfigErrors,
    },
    /// The root key cannot be had from its file.
    #[error(transparent)]
    RootKey(#[from] RootKeyFileError),
    /// An address or socket is not to be had.
    #[error(
        "{what} cannot listen on {place}: {error}: see whether another program, or another recalld, uses it, or give another address there"
    )]
    Listen {
        /// Who wants to listen.
        what: &'static str,
        /// Where.
        place: String,
        /// What the system said.
        error: io::Error,
    },
    /// The address of a switch's link is not to be had.
    #[error("{0}: see whether another program, or another recalld, uses it, or give another `listen` there")]
    Links(io::Error),
    /// The data directory cannot be opened.
    #[error(transparent)]
    Store(StoreError),
    /// The audit log cannot be taken up.
    #[error(transparent)]
    Audit(AuditError),
    /// A write failed while the daemon ran. It does not guess what is on the disk.
    #[error("a write failed, recalld ends: {0}")]
    WriteFailed(StoreError),
    /// The system refuses a thread, a signal handler or the like.
    #[error("cannot {what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// A part of the daemon ended by itself.
    #[error("{0} ended by itself: its reason is in the log")]
    PartEnded(&'static str),
}

impl ServeError {
    /// The exit code (PRODUCT.md 8): 78 where starting again does not mend it, because the configuration or the root
    /// key has to be changed; else 1.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            ServeError::Unreadable { .. }
            | ServeError::Config { .. }
            | ServeError::RootKey(_)
            | ServeError::Store(StoreError::WrongRootKey) => 78,
            _ => 1,
        }
    }
}
