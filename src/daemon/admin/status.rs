//! How the daemon is.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use serde::Serialize;

use super::lines::line;
use super::retention::{Clock, Retention, Timers};
use crate::config::Durability;
use crate::daemon::lifecycle::{Phase, Running};
use crate::domain::refusal::{Reason, Refusal};

#[derive(Serialize)]
struct Status {
    version: &'static str,
    ready: bool,
    read_only: bool,
    started_at: String,
    now: String,
    data: Data,
    active_calls: usize,
    active_sessions: usize,
    stored_sessions: u64,
    aliases: u64,
    log: Log,
    writer: Writer,
    clock: Clock,
    timers: Timers,
    retention: Retention,
    watchers: usize,
    switches: Vec<Switch>,
    api: Listener,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Data {
    path: PathBuf,
    free_bytes: u64,
    durability: &'static str,
    database_bytes: u64,
}

#[derive(Serialize)]
struct Log {
    sequence: u64,
    records: u64,
    unrecorded: u64,
}

#[derive(Serialize)]
struct Writer {
    groups: u64,
    items: u64,
    queue: u64,
}

#[derive(Serialize)]
struct Switch {
    name: String,
    listen: SocketAddr,
    connections: usize,
}

#[derive(Serialize)]
struct Listener {
    listen: SocketAddr,
}

/// The answer to `status`. May block for a moment.
pub(super) fn answer(running: &Running, phase: Phase) -> Result<String, Refusal> {
    let directory = &running.directory;
    let (counts, metrics, settings) = (directory.counts(), directory.store().metrics(), directory.settings());
    let figures = directory.store().figures().map_err(|error| {
        tracing::error!("{error}");
        Refusal::new(Reason::Internal, "the database does not tell its figures: see the daemon's log")
    })?;
    line(&Status {
        version: env!("CARGO_PKG_VERSION"),
        ready: phase == Phase::Serving,
        read_only: directory.is_read_only(),
        started_at: running.started_at.to_string(),
        now: directory.now().to_string(),
        data: Data {
            path: directory.store().path().to_owned(),
            free_bytes: running.free_bytes(),
            durability: match settings.config.data.durability {
                Durability::Strict => "strict",
                Durability::Relaxed => "relaxed",
            },
            database_bytes: figures.bytes,
        },
        active_calls: counts.active_calls,
        active_sessions: counts.active_sessions,
        stored_sessions: figures.sessions,
        aliases: figures.aliases,
        log: Log {
            sequence: directory.publisher().durable(),
            records: figures.log_records,
            unrecorded: metrics.unrecorded.load(Ordering::Relaxed),
        },
        writer: Writer {
            groups: metrics.groups.load(Ordering::Relaxed),
            items: metrics.items.load(Ordering::Relaxed),
            queue: directory.writer_queue(),
        },
        clock: Clock::of(directory),
        timers: Timers::of(directory),
        retention: Retention::of(directory),
        watchers: directory.publisher().watchers(),
        switches: running
            .links
            .status()
            .into_iter()
            .map(|link| Switch { name: link.name.to_string(), listen: link.listen, connections: link.connections })
            .collect(),
        api: Listener { listen: settings.config.api.listen },
        warnings: running.warnings(),
    })
}
