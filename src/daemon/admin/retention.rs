//! What goes when and by which rule, what is held, what is confirmed. IDs and names, never values.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use actix_rt::task::spawn_blocking;
use serde::Serialize;
use tokio::sync::mpsc;

use super::lines::{line, refused};
use super::request::{Doubted, Reviewed};
use crate::actors::{Directory, ReleaseChange, Review, WallClock};
use crate::config::Config;
use crate::daemon::lifecycle::Running;
use crate::domain::duration;
use crate::domain::ids::ReleaseId;
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::session::{self, End, EndRule, Session};
use crate::domain::time::Timestamp;
use crate::privacy::audit::{Entry, What, Who};
use crate::store::{ScanCursor, Scanned, StoreError};

/// Pieces of a stream that wait for the client.
const PIECES: usize = 16;
/// Bytes of rows that are sent together.
const PIECE: usize = 32 * 1024;
/// How often a long review or run says how far it is.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// How the clock is, for `status`.
#[derive(Serialize)]
pub(super) struct Clock {
    /// Nothing is deleted until the operator confirms it or the clock returns.
    doubted: bool,
    /// How far the system clock is before the time that is believed; negative: behind it.
    ahead_seconds: f64,
}

impl Clock {
    pub(super) fn of(directory: &Directory) -> Self {
        let ahead_seconds = match directory.clock().wall_clock() {
            WallClock::Agrees => 0.0,
            WallClock::Ahead(by) => by.as_secs_f64(),
            WallClock::Behind(by) => -by.as_secs_f64(),
        };
        Self { doubted: directory.clock().is_doubted(), ahead_seconds }
    }
}

/// The timer wheel, for `status`.
#[derive(Serialize)]
pub(super) struct Timers {
    told: u64,
    waiting: u64,
    lateness_ms: u64,
    most_lateness_ms: u64,
}

impl Timers {
    pub(super) fn of(directory: &Directory) -> Self {
        let metrics = directory.timer_metrics();
        Self {
            told: metrics.told.load(Ordering::Relaxed),
            waiting: metrics.waiting.load(Ordering::Relaxed),
            lateness_ms: metrics.lateness_millis.load(Ordering::Relaxed),
            most_lateness_ms: metrics.most_lateness_millis.load(Ordering::Relaxed),
        }
    }
}

/// How it stands with retention, for `status`.
#[derive(Serialize)]
pub(super) struct Retention {
    /// A shorter retention that is not in force yet.
    change: Option<Change>,
    /// The records are gone through because of one that is.
    sweep: Option<Sweep>,
    /// Releases that keep their last retention although they are not configured any more.
    unconfigured: Vec<Named>,
}

#[derive(Serialize)]
struct Change {
    /// `counting` what it would end, or `held` for an operator.
    state: &'static str,
    records: u64,
    /// Sessions of which it would end something; counted no further than needed.
    ends: u64,
    releases: Vec<Changed>,
}

#[derive(Serialize)]
struct Sweep {
    records: u64,
    told: u64,
    entries: u64,
}

#[derive(Serialize)]
struct Named {
    tenant: String,
    instance_id: String,
}

#[derive(Serialize)]
struct Changed {
    #[serde(flatten)]
    release: Named,
    in_force: Kept,
    wanted: Kept,
}

/// A retention as it is written in the configuration.
#[derive(Serialize)]
struct Kept {
    session_retention: String,
    user_idle_limit: Option<String>,
    anonymous_sessions: &'static str,
}

impl Retention {
    pub(super) fn of(directory: &Directory) -> Self {
        let status = directory.retention_status();
        Self {
            change: status.change.map(|change| Change {
                state: if change.held { "held" } else { "counting" },
                records: change.records,
                ends: change.ends,
                releases: change.releases.iter().map(Changed::of).collect(),
            }),
            sweep: status.sweep.map(|sweep| Sweep { records: sweep.records, told: sweep.told, entries: sweep.entries }),
            unconfigured: status.unconfigured.iter().map(Named::of).collect(),
        }
    }
}

impl Named {
    fn of(release: &ReleaseId) -> Self {
        Self { tenant: release.tenant.to_string(), instance_id: release.instance.to_string() }
    }
}

impl Changed {
    fn of(change: &ReleaseChange) -> Self {
        let kept = |retention: &session::Retention| Kept {
            session_retention: duration::format(retention.session_retention),
            user_idle_limit: retention.user_idle_limit.map(duration::format),
            anonymous_sessions: retention.anonymous_sessions.as_str(),
        };
        Self { release: Named::of(&change.release), in_force: kept(&change.in_force), wanted: kept(&change.wanted) }
    }
}

#[derive(Serialize)]
struct Confirmed {
    clock_ahead_seconds: Option<u64>,
    retention: Vec<Changed>,
}

/// Confirms what waits. Where both a clock and a retention wait, it has to be said which is meant. May block on the
/// disk.
pub(super) fn confirm(running: &Running, what: Option<Doubted>, who: Who) -> Result<String, Refusal> {
    let directory = &running.directory;
    let refuse = |detail| Err(Refusal::new(Reason::InvalidParams, detail));
    let is_held = directory.retention_status().change.is_some();
    let what = match (what, directory.clock().is_doubted(), is_held) {
        (Some(what), ..) => what,
        (None, true, false) => Doubted::Clock,
        (None, false, true) => Doubted::Retention,
        (None, true, true) => return refuse("both the clock and a retention wait: say which of them you confirm"),
        (None, false, false) => return refuse("neither the clock nor a retention waits for you"),
    };
    let confirmed = match what {
        Doubted::Clock => {
            if let WallClock::Ahead(by) = directory.clock().wall_clock() {
                running.audit.record_blocking(Entry::new(who, What::ClockConfirmed { ahead_seconds: by.as_secs() }))?;
            }
            let confirmed = directory.confirm_clock().map_err(|error| {
                tracing::error!("{error}");
                Refusal::new(Reason::Internal, "the time cannot be stored: see the daemon's log")
            })?;
            let Some(by) = confirmed else { return refuse("the clock is not doubted") };
            tracing::warn!(seconds = by.as_secs(), "an operator confirms the system clock, which had jumped forward");
            Confirmed { clock_ahead_seconds: Some(by.as_secs()), retention: Vec::new() }
        }
        Doubted::Retention => {
            let change = directory.retention_status().change.filter(|change| change.held);
            for ReleaseChange { release, wanted, .. } in change.into_iter().flat_map(|change| change.releases) {
                let what = What::RetentionConfirmed {
                    session_retention: duration::format(wanted.session_retention),
                    user_idle_limit: wanted.user_idle_limit.map(duration::format),
                    anonymous_sessions: wanted.anonymous_sessions.as_str(),
                };
                running.audit.record_blocking(Entry::new(who.clone(), what).of_release(&release))?;
            }
            let changes = directory.confirm_retention()?;
            tracing::warn!(releases = changes.len(), "an operator confirms a shorter retention");
            Confirmed { clock_ahead_seconds: None, retention: changes.iter().map(Changed::of).collect() }
        }
    };
    line(&confirmed)
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Line<'a> {
    Review { now: String, as_of: String },
    Progress { doing: &'static str, records: u64, of: u64 },
    Count { tenant: &'a str, instance_id: &'a str, rule: &'static str, variables: u64, sessions: u64 },
    Total { sessions: u64, records: u64, damaged: u64 },
    Row(Row<'a>),
    End { ended: Option<u64> },
}

#[derive(Serialize)]
struct Row<'a> {
    at: String,
    rule: &'static str,
    tenant: &'a str,
    instance_id: &'a str,
    session_id: String,
    call_id: Option<&'a str>,
    /// None: the session itself goes.
    name: Option<&'a str>,
    lifetime: Option<&'static str>,
}

/// The client has gone.
struct Gone;

/// Where the lines of a stream go. On a thread that may block.
struct Out {
    pieces: mpsc::Sender<String>,
    piece: String,
    told: Instant,
}

impl Out {
    fn put(&mut self, line_of: &Line<'_>) -> Result<(), Gone> {
        self.piece.push_str(&line(line_of).unwrap_or_else(|refusal| refused(&refusal)));
        if self.piece.len() >= PIECE { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Gone> {
        let piece = std::mem::take(&mut self.piece);
        if piece.is_empty() { Ok(()) } else { self.pieces.blocking_send(piece).map_err(|_| Gone) }
    }

    fn progress(&mut self, doing: &'static str, records: u64, of: u64) -> Result<(), Gone> {
        if self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            self.put(&Line::Progress { doing, records, of: of.max(records) })?;
            return self.flush();
        }
        if self.pieces.is_closed() { Err(Gone) } else { Ok(()) }
    }
}

/// Lists what goes up to a time, counts first, and changes nothing.
pub(super) fn review(running: Arc<Running>, reviewed: Reviewed) -> mpsc::Receiver<String> {
    let (pieces, lines) = mpsc::channel(PIECES);
    let directory = running.directory.clone();
    drop(running);
    // It ends when the receiver is dropped.
    spawn_blocking(move || {
        let mut out = Out { pieces, piece: String::new(), told: Instant::now() };
        let listed = match prepare(&directory, &reviewed) {
            Ok(review) => list(&directory, &review, reviewed.counts_only, &mut out),
            Err(refusal) => {
                out.piece.push_str(&refused(&refusal));
                Ok(())
            }
        };
        if listed.is_ok() {
            let _gone = out.flush();
        }
    });
    lines
}

fn prepare(directory: &Directory, reviewed: &Reviewed) -> Result<Review, Refusal> {
    let tenant = reviewed.tenant.as_deref().map(str::parse).transpose()?;
    let as_of = match &reviewed.as_of {
        None => directory.now(),
        Some(text) => moment(text, directory.now())?,
    };
    let mut review = Review::new(directory, tenant, as_of);
    if reviewed.held {
        review.suppose_held(directory);
    }
    if let Some(text) = &reviewed.config {
        let config = Config::parse(text)
            .map_err(|error| Refusal::new(Reason::InvalidParams, format!("the configuration is wrong: {error}")))?;
        review.suppose(&config);
    }
    Ok(review)
}

/// A time in RFC 3339, a date (its beginning, UTC), or how long from now.
fn moment(text: &str, now: Timestamp) -> Result<Timestamp, Refusal> {
    if let Ok(from_now) = duration::parse(text) {
        return Ok(now.after(from_now));
    }
    let of_day = |date: jiff::civil::Date| jiff::tz::TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0));
    let read = text.parse::<jiff::Timestamp>().or_else(|_| text.parse().and_then(of_day));
    read.map(|read| Timestamp::from_unix_millis(read.as_millisecond())).map_err(|_| {
        let known = "as_of is a date, a time in RFC 3339 or a duration, as in 2026-12-24, 2026-12-24T08:00:00Z or 30d";
        Refusal::new(Reason::InvalidParams, known)
    })
}

fn list(directory: &Directory, review: &Review, counts_only: bool, out: &mut Out) -> Result<(), Gone> {
    out.put(&Line::Review { now: review.now.to_string(), as_of: review.as_of.to_string() })?;
    let mut counts: BTreeMap<(ReleaseId, EndRule), (u64, u64)> = BTreeMap::new();
    let mut sessions = 0;
    let read = through(directory, review, "counting", out, |_, release, _, ends| {
        sessions += 1;
        let mut counted = None;
        let mut by_rule: Vec<_> = ends.iter().collect();
        by_rule.sort_by_key(|end| end.rule);
        for end in by_rule {
            let (variables, of_sessions) = counts.entry((release.clone(), end.rule)).or_default();
            *variables += u64::from(end.variable.is_some());
            if counted.replace(end.rule) != Some(end.rule) {
                *of_sessions += 1;
            }
        }
        Ok(())
    })?;
    for ((release, rule), (variables, sessions)) in &counts {
        let (tenant, instance_id) = (release.tenant.as_str(), release.instance.as_str());
        let (variables, sessions) = (*variables, *sessions);
        out.put(&Line::Count { tenant, instance_id, rule: rule.as_str(), variables, sessions })?;
    }
    out.put(&Line::Total { sessions, records: read.records, damaged: read.damaged })?;
    out.flush()?;
    if !counts_only && sessions > 0 {
        through(directory, review, "listing", out, |out, release, session, ends| {
            ends.iter().try_for_each(|end| out.put(&Line::Row(Row::of(release, session, end))))
        })?;
    }
    out.put(&Line::End { ended: None })
}

impl<'a> Row<'a> {
    fn of(release: &'a ReleaseId, session: &Session, end: &End<'a>) -> Self {
        Self {
            at: end.at.to_string(),
            rule: end.rule.as_str(),
            tenant: release.tenant.as_str(),
            instance_id: release.instance.as_str(),
            session_id: session.id.to_string(),
            call_id: end.call.map(crate::domain::ids::CallId::as_str),
            name: end.variable.map(|variable| variable.name.as_str()),
            lifetime: end.variable.map(|variable| variable.lifetime.as_str()),
        }
    }
}

/// Goes through all sessions of which something ends. Says how far it is, and stops when the client has gone.
fn through(
    directory: &Directory,
    review: &Review,
    doing: &'static str,
    out: &mut Out,
    mut each: impl FnMut(&mut Out, &ReleaseId, &Session, &[End<'_>]) -> Result<(), Gone>,
) -> Result<Scanned, Gone> {
    let of = directory.store().figures().map_or(0, |figures| figures.sessions);
    let mut all = Scanned { records: 0, damaged: 0, next: None };
    let mut is_gone = false;
    let mut visit = |out: &mut Out, release: &ReleaseId, session: &Session, ends: &[End<'_>]| match each(
        out, release, session, ends,
    ) {
        Ok(()) => ControlFlow::Continue(()),
        Err(Gone) => {
            is_gone = true;
            ControlFlow::Break(())
        }
    };
    review.active(directory, |release: &ReleaseId, session: &Session, ends: &[End<'_>]| {
        visit(out, release, session, ends)
    });
    let mut from = ScanCursor::default();
    loop {
        let part = review.sleeping(directory, &from, |release: &ReleaseId, session: &Session, ends: &[End<'_>]| {
            visit(out, release, session, ends)
        });
        match part {
            Ok(part) => {
                all.records += part.records;
                all.damaged += part.damaged;
                out.progress(doing, all.records, of)?;
                let Some(next) = part.next else { break };
                from = next;
            }
            Err(error) => {
                out.piece.push_str(&refused(&unreadable(&error)));
                let _gone = out.flush();
                return Err(Gone);
            }
        }
    }
    if is_gone { Err(Gone) } else { Ok(all) }
}

fn unreadable(error: &StoreError) -> Refusal {
    tracing::error!("{error}");
    Refusal::new(Reason::Internal, "the records cannot be read: see the daemon's log")
}

/// Ends now what is due.
pub(super) fn run(running: Arc<Running>, who: Who) -> mpsc::Receiver<String> {
    let (pieces, lines) = mpsc::channel(PIECES);
    actix_rt::spawn(async move {
        if let Err(error) = running.audit.record(Entry::new(who, What::RetentionRun)).await {
            let _gone = pieces.send(refused(&error.into())).await;
            return;
        }
        tracing::info!("an operator ends now what is due");
        let directory = running.directory.clone();
        drop(running);
        let of = directory.store().figures().map_or(0, |figures| figures.sessions);
        let mut told = Instant::now();
        let ran = directory.run_retention(async |progress| {
            if told.elapsed() < TELL_EVERY {
                return !pieces.is_closed();
            }
            told = Instant::now();
            let records = progress.records;
            let progress = line(&Line::Progress { doing: "ending", records, of: of.max(records) });
            pieces.send(progress.unwrap_or_default()).await.is_ok()
        });
        let last = ran.await.and_then(|progress| {
            let total = Line::Total { sessions: progress.ended, records: progress.records, damaged: progress.damaged };
            Ok(line(&total)? + &line(&Line::End { ended: Some(progress.ended) })?)
        });
        let _gone = pieces.send(last.unwrap_or_else(|refusal| refused(&refusal))).await;
    });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_a_time_and_a_duration_are_read() {
        let now = Timestamp::from_unix_millis(1_790_000_000_000);
        for (text, millis) in [
            ("2026-12-24", 1_798_070_400_000),
            ("2026-12-24T08:00:00Z", 1_798_099_200_000),
            ("2026-12-24T08:00:00+01:00", 1_798_095_600_000),
            ("30d", 1_790_000_000_000 + 30 * 86_400_000),
        ] {
            assert_eq!(moment(text, now).map(Timestamp::unix_millis).ok(), Some(millis), "{text}");
        }
        for text in ["", "tomorrow", "2026-13-01", "24.12.2026"] {
            assert!(moment(text, now).is_err(), "{text}");
        }
    }
}
