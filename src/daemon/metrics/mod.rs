//! `/metrics`: everything that is counted anywhere, read when somebody asks. Names have the prefix `recalld_` and base
//! units. No label holds anything of a caller.

mod exposition;
mod process;

use std::sync::atomic::{AtomicU64, Ordering};

use super::lifecycle::{Lifecycle, Phase, Running};
use crate::actors::WallClock;
use exposition::{Exposition, Kind};

const MICROS: u32 = 1_000_000;

/// All metrics as text. May block for a moment.
pub(super) fn render(lifecycle: &Lifecycle) -> String {
    let mut out = Exposition::default();
    process::describe(&mut out);
    let ready = u8::from(lifecycle.phase() == Phase::Serving);
    out.one(Kind::Gauge, "recalld_ready", "Whether calls are taken", ready);
    if let Some(running) = lifecycle.running() {
        let started = running.started_at.unix_millis() as f64 / 1e3;
        out.one(Kind::Gauge, "recalld_start_time_seconds", "When it began to serve, as Unix time", started);
        sessions(&mut out, &running);
        stored(&mut out, &running);
        writer(&mut out, &running);
        timers(&mut out, &running);
        retention(&mut out, &running);
        watchers(&mut out, &running);
        audit(&mut out, &running);
        links(&mut out, &running);
    }
    out.into_text()
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / f64::from(MICROS)
}

fn sessions(out: &mut Exposition, running: &Running) {
    let counts = running.directory.counts();
    out.one(Kind::Gauge, "recalld_active_calls", "Active calls", counts.active_calls);
    out.one(Kind::Gauge, "recalld_active_sessions", "Sessions with an active call", counts.active_sessions);
    let help = "Calls in memory, those that leave it included";
    out.one(Kind::Gauge, "recalld_calls_in_memory", help, counts.call_actors);
    let help = "Sessions in memory, those that leave it included";
    out.one(Kind::Gauge, "recalld_sessions_in_memory", help, counts.session_actors);
    out.one(Kind::Gauge, "recalld_session_memory_bytes", "Memory of sessions, coarsely", counts.session_memory);
}

fn stored(out: &mut Exposition, running: &Running) {
    let free = running.free_bytes();
    let read_only = u8::from(running.directory.is_read_only());
    out.one(Kind::Gauge, "recalld_free_bytes", "Free space for the data directory", free);
    out.one(Kind::Gauge, "recalld_read_only", "Whether writes are refused for want of free space", read_only);
    match running.directory.store().figures() {
        Ok(figures) => {
            out.one(Kind::Gauge, "recalld_stored_sessions", "Session records, estimated", figures.sessions);
            out.one(Kind::Gauge, "recalld_aliases", "Aliases, estimated", figures.aliases);
            out.one(Kind::Gauge, "recalld_log_records", "Records of the log, estimated", figures.log_records);
            out.one(Kind::Gauge, "recalld_database_bytes", "Bytes of the database's tables", figures.bytes);
            out.one(Kind::Gauge, "recalld_database_cache_bytes", "Memory of cached blocks", figures.cache_bytes);
            let unwritten = figures.write_buffer_bytes;
            out.one(Kind::Gauge, "recalld_database_write_buffer_bytes", "Memory of unwritten tables", unwritten);
        }
        Err(error) => tracing::warn!("the database does not tell its figures: {error}"),
    }
    let metrics = running.directory.store().metrics();
    let help = "Lookups of sessions and aliases that memory could not answer";
    out.one(Kind::Counter, "recalld_database_cache_misses_total", help, read(&metrics.cache_misses));
    let unrecorded = read(&metrics.unrecorded);
    out.one(Kind::Gauge, "recalld_unrecorded_sessions", "Sessions the log holds changes of", unrecorded);
}

fn writer(out: &mut Exposition, running: &Running) {
    let metrics = running.directory.store().metrics();
    out.one(Kind::Counter, "recalld_commit_groups_total", "Groups written", read(&metrics.groups));
    out.one(Kind::Counter, "recalld_commit_items_total", "Items written, probes included", read(&metrics.items));
    out.one(Kind::Counter, "recalld_commit_bytes_total", "Bytes handed to the database", read(&metrics.bytes));
    out.one(
        Kind::Counter,
        "recalld_commit_failures_total",
        "Items refused after a failed write",
        read(&metrics.failed),
    );
    let waited = seconds(read(&metrics.queue_wait_micros));
    let help = "Time the oldest item of each group waited";
    out.one(Kind::Counter, "recalld_commit_wait_seconds_total", help, waited);
    out.one(Kind::Gauge, "recalld_writer_queue_items", "Items that wait", running.directory.writer_queue());
    let help = "Time of one synced write";
    out.histogram("recalld_commit_duration_seconds", help, &metrics.write_micros, MICROS);
    out.histogram("recalld_commit_group_items", "Items of one group", &metrics.group_items, 1);
}

fn timers(out: &mut Exposition, running: &Running) {
    let metrics = running.directory.timer_metrics();
    let doubted = u8::from(running.directory.clock().is_doubted());
    let ahead = match running.directory.clock().wall_clock() {
        WallClock::Agrees => 0.0,
        WallClock::Ahead(by) => by.as_secs_f64(),
        WallClock::Behind(by) => -by.as_secs_f64(),
    };
    let help = "Whether nothing is deleted because the system clock has jumped forward";
    out.one(Kind::Gauge, "recalld_clock_doubted", help, doubted);
    out.one(Kind::Gauge, "recalld_clock_ahead_seconds", "System clock before the time that is believed", ahead);
    out.one(Kind::Counter, "recalld_timers_told_total", "Sessions told that something ends", read(&metrics.told));
    out.one(Kind::Gauge, "recalld_timers_waiting", "Timers in memory", read(&metrics.waiting));
    let lateness = read(&metrics.lateness_millis) as f64 / 1e3;
    out.one(Kind::Gauge, "recalld_timers_lateness_seconds", "How late the last timer was", lateness);
    let most = read(&metrics.most_lateness_millis) as f64 / 1e3;
    let help = "How late a timer was at most since the start; what was due before it counts";
    out.one(Kind::Gauge, "recalld_timers_most_lateness_seconds", help, most);
    out.one(Kind::Gauge, "recalld_timers_paused", "Whether no timer is told", read(&metrics.paused));
}

fn retention(out: &mut Exposition, running: &Running) {
    let status = running.directory.retention_status();
    let change = status.change.as_ref();
    let held = u8::from(change.is_some_and(|change| change.held));
    let help = "Whether a shorter retention waits for an operator";
    out.one(Kind::Gauge, "recalld_retention_held", help, held);
    let counting = u8::from(change.is_some_and(|change| !change.held));
    let help = "Whether it is counted what a shorter retention would end";
    out.one(Kind::Gauge, "recalld_retention_counting", help, counting);
    let counted = change.map_or(0, |change| change.records);
    out.one(Kind::Gauge, "recalld_retention_counted_records", "Session records read for that", counted);
    let help = "Whether sessions are gone through for a changed retention";
    out.one(Kind::Gauge, "recalld_retention_sweeping", help, u8::from(status.sweep.is_some()));
    let sweep = status.sweep.unwrap_or_default();
    out.one(Kind::Gauge, "recalld_retention_swept_records", "Session records gone through", sweep.records);
    out.one(Kind::Gauge, "recalld_retention_swept_sessions", "Sessions told by it that something ends", sweep.told);
    let help = "Releases that are not configured any more and keep their last retention";
    out.one(Kind::Gauge, "recalld_unconfigured_releases", help, status.unconfigured.len());
}

fn watchers(out: &mut Exposition, running: &Running) {
    let publisher = running.directory.publisher();
    out.one(Kind::Gauge, "recalld_log_sequence", "Last durable place of the log", publisher.durable());
    out.one(Kind::Gauge, "recalld_watchers", "Subscriptions", publisher.watchers());
    out.one(Kind::Gauge, "recalld_publisher_queue_commits", "Commits that wait", publisher.backlog());
}

fn audit(out: &mut Exposition, running: &Running) {
    let entries = running.audit.head().sequence();
    out.one(Kind::Counter, "recalld_audit_entries_total", "Entries of the audit log", entries);
}

fn links(out: &mut Exposition, running: &Running) {
    let status = running.links.status();
    let connections = status.iter().map(|link| (link.name.as_str(), link.connections));
    out.family(Kind::Gauge, "recalld_switch_connections", "Connections of a switch", "switch", connections);
    let metrics = running.links.metrics();
    let mut count = |name, help, counter| out.one(Kind::Counter, name, help, read(counter));
    count("recalld_switch_accepted_total", "Connections accepted", &metrics.accepted);
    count("recalld_switch_rejected_total", "Connections refused at once", &metrics.refused_connections);
    count("recalld_switch_frames_total", "Frames read", &metrics.frames);
    count("recalld_switch_slow_senders_total", "Connections closed within a frame", &metrics.slow_senders);
    count("recalld_switch_slow_readers_total", "Connections closed with answers unread", &metrics.slow_readers);
    let paused = seconds(read(&metrics.paused_micros));
    out.one(Kind::Counter, "recalld_switch_paused_seconds_total", "Time without a permit to read", paused);
    let help = "Requests and notifications of switches";
    out.family(Kind::Counter, "recalld_switch_requests_total", help, "method", metrics.methods());
    let refusals = metrics.refusals().map(|(reason, count)| (reason.as_str(), count));
    out.family(Kind::Counter, "recalld_switch_refusals_total", "Refusals to switches", "reason", refusals);
}
