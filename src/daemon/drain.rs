//! The order of an end (PRODUCT.md 4.5: nothing that was answered is lost): nothing new is taken, what is on its way is
//! finished and answered, the writer writes what waits, the data is closed.

use std::sync::Arc;
use std::time::Duration;

use actix_rt::task::spawn_blocking;
use actix_web::dev::ServerHandle;
use rustix::process::{Signal, getpid, kill_process};
use tokio::time::{Instant, timeout};

use super::lifecycle::{Lifecycle, Running};
use super::systemd;
use super::upkeep::Upkeep;
use crate::actors::Directory;
use crate::app;
use crate::privacy::audit::Audit;

/// How long what is on its way may take.
const FINISH_WITHIN: Duration = Duration::from_secs(20);
/// How long closing the data may take after that.
const CLOSE_WITHIN: Duration = Duration::from_secs(15);
/// How long the last ones may hold the data after that.
const LET_GO_WITHIN: Duration = Duration::from_secs(2);
/// How long a daemon that cannot write any more may take to tell everybody, and to end.
const REFUSE_WITHIN: Duration = Duration::from_secs(1);
const FAIL_WITHIN: Duration = Duration::from_secs(5);
/// How often it is looked whether the last one has let go of the data.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The API for voice apps while it is served.
pub(super) struct Api {
    pub(super) handle: ServerHandle,
    pub(super) watchers: app::Drain,
}

/// All that has to come to an end.
pub(super) struct Served {
    pub(super) running: Arc<Running>,
    pub(super) api: Api,
    /// Goes on during the drain: the watchdog has to be fed.
    pub(super) upkeep: Upkeep,
}

/// Finishes what is on its way and closes the data.
pub(super) async fn drain(lifecycle: &Lifecycle, served: Served) {
    let begun = Instant::now();
    systemd::stopping("finishing what is on its way");
    tracing::info!("recalld ends: nothing new is taken, what is on its way is finished");
    end_at_the_latest_in(FINISH_WITHIN + CLOSE_WITHIN);
    finish(lifecycle, served, FINISH_WITHIN).await;
    tracing::info!("recalld has ended after {} ms", begun.elapsed().as_millis());
}

/// The end after a failed write: everybody who waits is refused, nothing is tried again.
pub(super) async fn fail(lifecycle: &Lifecycle, served: Served) {
    systemd::stopping("a write failed");
    end_at_the_latest_in(FAIL_WITHIN);
    finish(lifecycle, served, REFUSE_WITHIN).await;
}

async fn finish(lifecycle: &Lifecycle, served: Served, within: Duration) {
    let Served { running, api, upkeep } = served;
    lifecycle.drain();
    api.watchers.begin();
    let finished = async {
        tokio::join!(running.links.drain(within), api.handle.stop(true));
    };
    if timeout(within, finished).await.is_err() {
        tracing::warn!("not everything was finished within {} s: the rest is cut", within.as_secs());
        api.handle.stop(false).await;
    }
    drop(upkeep);
    lifecycle.end();
    let (directory, audit) = (running.directory.clone(), running.audit.clone());
    drop(running);
    close(directory, audit).await;
}

/// Writes what waits and closes the data.
async fn close(directory: Arc<Directory>, audit: Arc<Audit>) {
    let ending = directory.clone();
    if spawn_blocking(move || ending.shutdown()).await.is_err() {
        tracing::error!("the end of the writer failed at a fault in recalld: the line before this one tells it");
    }
    if timeout(LET_GO_WITHIN, alone(&directory)).await.is_err() {
        tracing::warn!("the data is still in use at the end: what was answered is on the disk");
    }
    // Nobody is left who could have something to record. It keeps the data open, too.
    audit.close().await;
    if spawn_blocking(move || drop((audit, directory))).await.is_err() {
        tracing::error!("closing the data failed at a fault in recalld: the line before this one tells it");
    }
}

/// Waits until nobody else holds the directory: actors and connections let go of it as their threads end.
async fn alone(directory: &Arc<Directory>) {
    while Arc::strong_count(directory) > 1 {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Ends the process as `kill -9` does, which loses nothing that was answered, if it has not ended by then: on a disk
/// that hangs an orderly end never comes.
pub(super) fn end_at_the_latest_in(patience: Duration) {
    let started = std::thread::Builder::new().name("last-resort".to_owned()).spawn(move || {
        std::thread::sleep(patience);
        tracing::error!("recalld does not come to its end: it is cut off");
        end_now();
    });
    if let Err(error) = started {
        tracing::warn!("no thread can be had that would end a hanging drain: {error}");
    }
}

/// Ends the process at once.
pub(super) fn end_now() {
    if let Err(error) = kill_process(getpid(), Signal::KILL) {
        tracing::error!("the process cannot be ended: {error}");
    }
}
