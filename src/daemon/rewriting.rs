//! The pace at which records are sealed anew after a rotation of a tenant's data key: at most 2,000 records a second,
//! so that calls never feel it. A rotation that was not finished goes on after a restart.

use std::sync::Arc;
use std::time::Duration;

use actix_rt::task::spawn_blocking;

use crate::actors::Directory;
use crate::privacy::audit::{Audit, AuditError, Entry, What, Who};
use crate::store::{Rewritten, StoreError};

/// Between two steps while there is something to do; a step seals 50 records.
const STEP_EVERY: Duration = Duration::from_millis(25);
/// How often it is looked whether there is something to do.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After a failure.
const REST: Duration = Duration::from_secs(60);

/// Goes on with unfinished rotations, for ever.
pub(super) async fn go_on(directory: Arc<Directory>, audit: Arc<Audit>) {
    loop {
        tokio::time::sleep(step(&directory, &audit).await).await;
    }
}

/// One step, and how long to wait after it.
async fn step(directory: &Arc<Directory>, audit: &Arc<Audit>) -> Duration {
    // New files need room until the old ones are gone.
    if directory.is_read_only() {
        return LOOK_EVERY;
    }
    let (directory, audit) = (directory.clone(), audit.clone());
    match spawn_blocking(move || go_one_step(&directory, &audit)).await {
        Ok(Ok(Rewritten::Some)) => STEP_EVERY,
        Ok(Ok(Rewritten::Nothing)) => LOOK_EVERY,
        Ok(Err(error)) => {
            tracing::error!("old records cannot be sealed anew, it is tried again in a minute: {error}");
            REST
        }
        Err(_) => {
            tracing::error!("sealing old records anew failed at a fault in recalld: the line before this one tells it");
            REST
        }
    }
}

/// Done as a whole also when the daemon ends meanwhile. What is to be destroyed is in the audit log before it is gone.
fn go_one_step(directory: &Directory, audit: &Audit) -> Result<Rewritten, StoreError> {
    directory.store().rewrite_some(&mut |tenant, versions| {
        for version in versions.iter().copied() {
            let entry = Entry::new(Who::Daemon, What::DataKeyDestroyed { version });
            audit.record_blocking(entry.of_tenant(tenant)).map_err(|error| match error {
                AuditError::Store(error) => error,
                AuditError::Closed => StoreError::WriterClosed,
            })?;
        }
        Ok(())
    })
}
