//! Goes through the session records and ends what is due. After a retention became shorter, sessions that end later but
//! earlier than their entry in the expiry index says get an earlier one; a restart goes on where it was.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_rt::task::spawn_blocking;

use super::super::directory::Directory;
use super::super::probe::barrier;
use super::super::timer_wheel::NEAR;
use super::{PART, READ_RATE, SWEEP_RATE, TOLD_TOGETHER, rest_of};
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::session::{Rules, Session};
use crate::domain::time::Timestamp;
use crate::store::{Due, ScanCursor, Scanned, StoreError};

/// How often it is looked whether the clock is believed again.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often the log tells how far a sweep has come.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// How far `retention run` has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunProgress {
    /// Session records read.
    pub records: u64,
    /// Sessions of which something was due.
    pub ended: u64,
    /// Records that could not be opened.
    pub damaged: u64,
}

/// A sweep over the records that follows a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SweepStatus {
    /// Session records read.
    pub records: u64,
    /// Sessions that were told that something of them ends.
    pub told: u64,
    /// Earlier entries written into the expiry index.
    pub entries: u64,
}

/// What one part of the records asks for.
#[derive(Default)]
struct Part {
    /// Sessions to be told now.
    tell: Vec<Due>,
    /// Earlier entries for the index.
    earlier: Vec<Due>,
}

/// The sweep after a change.
pub(super) async fn run(directory: Arc<Directory>, turn: u64, mut from: ScanCursor) {
    // Whatever was decided by the retention before is in the records now.
    if directory.probe().await.is_err() {
        return;
    }
    let mut status = SweepStatus::default();
    let mut last_told = Instant::now();
    loop {
        while directory.clock().is_doubted() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let began = Instant::now();
        let (scanned, part) = match read(&directory, from.clone(), Session::entry_needed).await {
            Ok(read) => read,
            Err(error) => {
                tracing::error!("sessions cannot be gone through for a changed retention, it is tried again: {error}");
                tokio::time::sleep(TELL_EVERY).await;
                continue;
            }
        };
        status.records += scanned.records;
        status.told += part.tell.len() as u64;
        status.entries += part.earlier.len() as u64;
        tell(&directory, part.tell).await;
        let (noting, earlier, next) = (directory.clone(), part.earlier.clone(), scanned.next.clone());
        let noted = spawn_blocking(move || noting.note_sweep(turn, status, &earlier, next.as_ref())).await;
        if !matches!(noted, Ok(Ok(true))) {
            return;
        }
        // The index may have been read beyond what has become near since.
        let near = directory.now().after(NEAR * 2);
        tell(&directory, part.earlier.into_iter().filter(|due| due.at < near).collect()).await;
        let Some(next) = scanned.next else { break };
        from = next;
        if last_told.elapsed() >= TELL_EVERY {
            last_told = Instant::now();
            tracing::info!(
                records = status.records,
                ended = status.told,
                "sessions are gone through for a changed retention"
            );
        }
        tokio::time::sleep(rest_of(scanned.records, READ_RATE, began)).await;
    }
    tracing::info!(
        records = status.records,
        ended = status.told,
        earlier = status.entries,
        "all sessions have been gone through for a changed retention"
    );
}

/// When a session has to be told or to have an entry in the index, if it has.
type Wanted = fn(&Session, &Rules, Timestamp) -> Option<Timestamp>;

/// If something of it is due.
fn is_due(session: &Session, rules: &Rules, now: Timestamp) -> Option<Timestamp> {
    session.next_end(rules).filter(|end| *end <= now)
}

async fn read(directory: &Arc<Directory>, from: ScanCursor, wanted: Wanted) -> Result<(Scanned, Part), StoreError> {
    let directory = directory.clone();
    let read = spawn_blocking(move || {
        let mut part = Part::default();
        let now = directory.now();
        let scanned = directory.store().scan(
            &from,
            None,
            PART,
            |_| true,
            |release, session| {
                // The record of a session with a call that is up gets its entry when the call ends.
                if session.calls.is_empty()
                    && let Some(at) = wanted(&session, &directory.rules(release.id()), now)
                {
                    let due = Due { at, release: release.clone(), session: session.id };
                    // What is this near is kept in memory by the wheel: the index has been read that far.
                    if at < now.after(NEAR * 2) { part.tell.push(due) } else { part.earlier.push(due) }
                }
                ControlFlow::Continue(())
            },
        )?;
        Ok((scanned, part))
    });
    read.await.unwrap_or(Err(StoreError::Incomplete("the records: their reading panicked")))
}

/// Tells sessions that something of them ends, some at a time, and waits until what follows is durable.
async fn tell(directory: &Arc<Directory>, sessions: Vec<Due>) {
    for together in sessions.chunks(TOLD_TOGETHER) {
        let began = Instant::now();
        let mut waiting = Vec::with_capacity(together.len());
        for due in together {
            let (reply, passed) = barrier();
            directory.expire(&due.release, due.session, reply);
            waiting.push(passed);
        }
        for passed in waiting {
            passed.await;
        }
        tokio::time::sleep(rest_of(together.len() as u64, SWEEP_RATE, began)).await;
    }
}

impl Directory {
    /// Ends now what is due, and tells how far it has come; ends early when nobody wants to hear it any more.
    ///
    /// # Errors
    /// While the clock is doubted, and when the records cannot be read.
    pub async fn run_retention(
        self: &Arc<Self>,
        mut told: impl AsyncFnMut(RunProgress) -> bool,
    ) -> Result<RunProgress, Refusal> {
        let mut progress = RunProgress::default();
        let mut from = ScanCursor::default();
        loop {
            if self.clock().is_doubted() {
                let detail = "the clock is doubted, so nothing is ended: see `recalld status`";
                return Err(Refusal::new(Reason::InvalidParams, detail));
            }
            let began = Instant::now();
            let (scanned, part) = read(self, from, is_due).await.map_err(|error| {
                tracing::error!("{error}");
                Refusal::new(Reason::Internal, "the records cannot be read: see the daemon's log")
            })?;
            progress.records += scanned.records;
            progress.damaged += scanned.damaged;
            progress.ended += part.tell.len() as u64;
            tell(self, part.tell).await;
            if !told(progress).await {
                return Ok(progress);
            }
            let Some(next) = scanned.next else { return Ok(progress) };
            from = next;
            tokio::time::sleep(rest_of(scanned.records, READ_RATE, began)).await;
        }
    }
}
