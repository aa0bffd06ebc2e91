//! How many sessions a shorter retention would end at once, before it is in force.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use actix_rt::task::spawn_blocking;

use super::super::directory::Directory;
use super::{MOST_ENDED_AT_ONCE, PART, READ_RATE, rest_of};
use crate::domain::ids::ReleaseId;
use crate::domain::session::{Retention, Rules};
use crate::store::{ScanCursor, Scanned, StoreError};

/// What a release has and what the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseChange {
    /// Which release.
    pub release: ReleaseId,
    /// What is in force.
    pub in_force: Retention,
    /// What the file says.
    pub wanted: Retention,
}

/// Rules of a release as they are in force and as they would be.
type Both = HashMap<ReleaseId, (Arc<Rules>, Rules)>;

/// Counts, and tells the keeper.
pub(super) async fn run(directory: Arc<Directory>, turn: u64) {
    let Some(changes) = directory.change_to_count(turn) else { return };
    let both: Both = changes
        .into_iter()
        .map(|ReleaseChange { release, wanted, .. }| {
            let in_force = directory.rules(&release);
            let other = Rules::clone(&in_force).with_retention(wanted);
            (release, (in_force, other))
        })
        .collect();
    let both = Arc::new(both);
    let mut from = ScanCursor::default();
    let (mut records, mut ends) = (0, 0);
    let is_harmless = loop {
        let began = Instant::now();
        let counting = (directory.clone(), both.clone());
        let read = spawn_blocking(move || part(&counting.0, &counting.1, &from)).await;
        match read.unwrap_or(Err(StoreError::Incomplete("the records: their reading panicked"))) {
            Ok((scanned, ended)) => {
                records += scanned.records;
                // What cannot be read might end: damage must not let a mistake through.
                ends += ended + scanned.damaged;
                if !directory.note_count(turn, records, ends) {
                    return;
                }
                if ends > MOST_ENDED_AT_ONCE {
                    break false;
                }
                let Some(next) = scanned.next else { break true };
                from = next;
                tokio::time::sleep(rest_of(scanned.records, READ_RATE, began)).await;
            }
            Err(error) => {
                tracing::error!("it cannot be counted what a shorter retention would end, so it is held: {error}");
                break false;
            }
        }
    };
    // Putting it in force writes.
    let _told = spawn_blocking(move || directory.counted(turn, is_harmless)).await;
}

fn part(directory: &Directory, both: &Both, from: &ScanCursor) -> Result<(Scanned, u64), StoreError> {
    let now = directory.now();
    let mut ended = 0;
    let scanned = directory.store().scan(
        from,
        None,
        PART,
        |release| both.contains_key(release),
        |release, record| {
            // A session in memory may be further than its record.
            let view = directory.durable_view(&release.id().tenant, &record.id);
            let session = view.as_deref().unwrap_or(&record);
            if let Some((in_force, other)) = both.get(release.id()) {
                ended += u64::from(session.loses(in_force, other, now));
            }
            ControlFlow::Continue(())
        },
    )?;
    Ok((scanned, ended))
}
