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
use crate::actors::Directory;
use crate::app;

/// How long what is on its way may take.
const FINISH_WITHIN: Duration = Duration::from_secs(20);
/// How long closing the data may take after that.
const CLOSE_WITHIN: Duration = Duration::from_secs(15);
/// How long a daemon that cannot write any more may take to tell everybody.
const FAIL_WITHIN: Duration = Duration::from_secs(3);
/// How often it is looked whether the last one has let go of the data.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The API for voice apps while it is served.
pub(super) struct Api {
    pub(super) handle: ServerHandle,
    pub(super) watchers: app::Drain,
}

/// Finishes what is on its way and closes the data.
pub(super) async fn drain(lifecycle: &Lifecycle, running: Arc<Running>, api: &Api) {
    let begun = Instant::now();
    systemd::stopping("finishing what is on its way");
    tracing::info!("recalld ends: nothing new is taken, what is on its way is finished");
    lifecycle.drain();
    end_at_the_latest_in(FINISH_WITHIN + CLOSE_WITHIN);
    api.watchers.begin();
    let finished = async {
        tokio::join!(running.links.drain(FINISH_WITHIN), api.handle.stop(true));
    };
    if timeout(FINISH_WITHIN, finished).await.is_err() {
        tracing::warn!("not everything was finished within {} s: the rest is cut", FINISH_WITHIN.as_secs());
        api.handle.stop(false).await;
    }
    close(lifecycle, running).await;
    tracing::info!("recalld has ended after {} ms", begun.elapsed().as_millis());
}

/// The end after a failed write: everybody who waits is refused, nothing is tried again.
pub(super) async fn fail(lifecycle: &Lifecycle, running: Arc<Running>) {
    end_at_the_latest_in(FAIL_WITHIN);
    lifecycle.drain();
    systemd::stopping("a write failed");
    close(lifecycle, running).await;
}

/// Writes what waits and closes the data.
async fn close(lifecycle: &Lifecycle, running: Arc<Running>) {
    lifecycle.end();
    let directory = running.directory.clone();
    drop(running);
    let ending = directory.clone();
    if spawn_blocking(move || ending.shutdown()).await.is_err() {
        tracing::error!("the end of the writer failed at a fault in recalld: the line before this one tells it");
    }
    alone(&directory).await;
    let closed = spawn_blocking(move || drop(directory)).await;
    if closed.is_err() {
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
