//! What the black-box tests share: the daemon as a process on a directory of its own, and clients for everything it
//! listens on. The tests know the contract only, nothing of the library.
//!
//! | module | what |
//! |---|---|
//! | [`config`] | a configuration as text, with a good default |
//! | [`daemon`] | starts, kills and restarts the built binary |
//! | [`rpc`] | a switch: JSON-RPC in both framings |
//! | [`http`] | a voice app over HTTP |
//! | [`watch`] | a voice app on the WebSocket |
//! | [`cli`] | the command line beside a daemon |
//! | [`wait`] | waiting for something to become true |
#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "each test file takes what it needs, and a test fails by a panic"
)]

pub mod cli;
pub mod config;
pub mod daemon;
pub mod http;
pub mod rpc;
pub mod wait;
pub mod watch;

pub use config::{Config, KEY, OTHER_KEY, Switch};
pub use daemon::Daemon;
pub use http::Http;
pub use rpc::{Answer, Framing, Incoming, Rpc, RpcError};
pub use watch::Watcher;
