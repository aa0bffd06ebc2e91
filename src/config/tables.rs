//! The tables that say how the daemon runs, with their defaults.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::domain::session;

const HOUR: Duration = Duration::from_secs(3600);
const KIB: usize = 1 << 10;
const GIB: u64 = 1 << 30;

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// `[data]`: what lies on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    /// Directory of the database. `/var/lib/recalld`.
    pub path: PathBuf,
    /// When a change counts as stored.
    pub durability: Durability,
    /// How long commits stay in the log for watchers that come back. `1h`.
    pub log_window: Duration,
    /// Most bytes the log keeps for them. `4GiB`.
    pub log_bytes: u64,
    /// Free space under which writes are refused with `read_only`. `1GiB`.
    pub min_free: u64,
    /// Memory for what was read of the database, its indexes and filters included. `128MiB`.
    pub cache: u64,
}

/// When a change counts as stored (PRODUCT.md 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// After the fsync of the write-ahead log.
    #[default]
    Strict,
    /// After the write; a power loss can take the last moments along.
    Relaxed,
}

impl Default for Data {
    fn default() -> Self {
        Self {
            path: "/var/lib/recalld".into(),
            durability: Durability::Strict,
            log_window: HOUR,
            log_bytes: 4 * GIB,
            min_free: GIB,
            cache: 128 << 20,
        }
    }
}

/// `[keys]`: where the root key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// File of the root key. `/run/credentials/recalld.service/root.key`, where systemd puts it.
    pub root: PathBuf,
}

impl Default for Keys {
    fn default() -> Self {
        Self { root: "/run/credentials/recalld.service/root.key".into() }
    }
}

/// `[api]`: where voice apps connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    /// Address of HTTP and WebSocket. `127.0.0.1:8070`.
    pub listen: SocketAddr,
    /// Web pages that may open a WebSocket, in lower case: `https://desk.example.com`. Programs that are no browsers
    /// send no origin and need no entry. None.
    pub origins: Vec<String>,
}

impl Default for Api {
    fn default() -> Self {
        Self { listen: loopback(8070), origins: Vec::new() }
    }
}

/// `[admin]`: where operators and monitoring connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Address of `/metrics`, `/livez` and `/readyz`. `127.0.0.1:9072`.
    pub listen: SocketAddr,
    /// Socket of `recalld status` and the like. `/run/recalld/recalld.sock`.
    pub socket: PathBuf,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: loopback(9072), socket: "/run/recalld/recalld.sock".into() }
    }
}

/// `[limits]`: what is refused, and when (PRODUCT.md 4.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Age at which a call without an end is reaped. `12h`.
    pub max_call_age: Duration,
    /// How long an ended call can be fetched. `1h`.
    pub call_linger: Duration,
    /// Time from the read of a request to its answer, after which it is answered `late`. `350ms`.
    pub answer_within: Duration,
    /// Most bytes of one frame from a switch. `64KiB`.
    pub frame: usize,
    /// Value, variables and bytes of one session. `16KiB`, 256, `256KiB`.
    pub session: session::Limits,
    /// Most active calls, above them `overloaded`. 100,000.
    pub active_calls: usize,
    /// Most bytes of memory for active sessions, above them `overloaded`. `2GiB`.
    pub session_memory: u64,
    /// Most connections of switches at one time. 16,384.
    pub connections: usize,
    /// Threads for session and call actors. None: one for each core.
    pub arbiters: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_call_age: 12 * HOUR,
            call_linger: HOUR,
            answer_within: Duration::from_millis(350),
            frame: 64 * KIB,
            session: session::Limits::default(),
            active_calls: 100_000,
            session_memory: 2 * GIB,
            connections: 16_384,
            arbiters: None,
        }
    }
}

/// `[privacy]`: promises about deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Privacy {
    /// Time within which erased bytes are gone from the files. `24h`.
    pub erase_within: Duration,
}

impl Default for Privacy {
    fn default() -> Self {
        Self { erase_within: 24 * HOUR }
    }
}
