//! recalld remembers callers beside SIP switches without keeping their phone numbers.
//!
//! This file is the map of the house. Dependencies point one way only:
//! `domain` ← `wire`, `config`, `store` ← `actors`, `privacy` ← `switch`, `app` ← `daemon` ← `cli`.
//!
//! | module | what lives there |
//! |---|---|
//! | [`domain`] | who is calling, pseudonyms, sessions, calls, variables, lifetimes: pure rules |
//! | [`wire`] | bytes of the switch protocols in, typed messages out |
//! | [`config`] | the configuration file: strict TOML into checked values |
//! | [`store`] | RocksDB, sealing, the writer thread, recovery |
//! | [`actors`] | the directory, one actor per session and per call, first contacts, the publisher |
//! | [`privacy`] | the audit log; whose number somebody asks for |
//! | [`switch`] | listeners and connections of SIP switches |
//! | [`app`] | HTTP, WebSocket and API keys for voice apps |
//! | [`daemon`] | start, drain, systemd, reload, metrics, health, the admin socket |
//! | [`cli`] | subcommands, tables, `demo`, `simulate` |
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod config;
pub mod domain;
pub mod wire;

#[cfg(feature = "daemon")]
pub mod actors;
#[cfg(feature = "daemon")]
pub mod app;
#[cfg(feature = "daemon")]
pub mod cli;
#[cfg(feature = "daemon")]
pub mod daemon;
#[cfg(feature = "daemon")]
pub mod privacy;
#[cfg(feature = "daemon")]
pub mod store;
#[cfg(feature = "daemon")]
pub mod switch;
