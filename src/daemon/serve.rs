//! What happens between start and end.

use std::path::PathBuf;
use std::sync::Arc;

use actix_rt::System;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::drain::{Api, Served};
use super::error::ServeError;
use super::keys::Keys;
use super::lifecycle::{Lifecycle, Running};
use super::start::{self, Prepared};
use super::upkeep::Upkeep;
use super::{admin, drain, health, limits, logging, reload, root_key, systemd};
use crate::app::{self, CursorKeys, ServerOptions};
use crate::store::StoreError;

/// Most threads of the API for voice apps: the work is done by the arbiters.
const MOST_WORKERS: usize = 4;

/// What the daemon is started with.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// The configuration file.
    pub config: PathBuf,
}

/// Runs the daemon until it is told to end by `SIGTERM` or `SIGINT`.
///
/// # Errors
/// Why it could not start, or had to end: the caller prints that and ends with [`ServeError::exit_code`].
pub fn serve(options: ServeOptions) -> Result<(), ServeError> {
    logging::set_up();
    limits::set();
    let prepared = Prepared::new(options.config)?;
    System::new().block_on(run(prepared))
}

/// The signals, caught from here on.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn catch() -> Result<Self, ServeError> {
        Ok(Self { terminate: caught(SignalKind::terminate())?, interrupt: caught(SignalKind::interrupt())? })
    }

    /// Somebody wants the end.
    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn caught(kind: SignalKind) -> Result<Signal, ServeError> {
    signal(kind).map_err(|error| ServeError::System { what: "catch a signal", error })
}

async fn run(prepared: Prepared) -> Result<(), ServeError> {
    let Prepared { path, config, root, listeners } = prepared;
    let cannot_serve = |error| ServeError::System { what: "serve a listener", error };
    // Before anything else: the default of this signal is to end the process.
    let mut hangup = caught(SignalKind::hangup())?;
    let lifecycle = Arc::new(Lifecycle::default());
    let health = health::server(listeners.health, lifecycle.clone()).map_err(cannot_serve)?;
    let health_handle = health.handle();
    let mut health = actix_rt::spawn(health);
    let _socket = admin::serve(listeners.admin, lifecycle.clone()).map_err(cannot_serve)?;

    let (failed, mut failures) = mpsc::unbounded_channel();
    // While the data is opened SIGTERM ends the process at once: nobody has been answered yet.
    let directory = start::open(&config, &root, failed).await?;
    let mut signals = Signals::catch()?;
    let audit = start::open_audit(&directory, &root).await?;
    let links = start::serve_links(listeners.switches, &directory)?;
    let watchers = app::Drain::default();
    let cursor_keys = {
        let root = root.clone();
        CursorKeys::new(move |tenant| root_key::cursor_key(&root, tenant))
    };
    let api = app::server(ServerOptions {
        listener: listeners.api,
        directory: directory.clone(),
        audit: audit.clone(),
        cursor_keys,
        workers: directory.arbiters().len().min(MOST_WORKERS),
        drain: watchers.clone(),
    })
    .map_err(cannot_serve)?;
    let handles = Api { handle: api.handle(), watchers };
    let mut api = actix_rt::spawn(api);

    let keys = Keys::new(root, audit.clone());
    let running = Arc::new(Running::new(directory, links, audit, keys));
    let threshold = start::look_at_file_system(&running, config.data.min_free);
    let upkeep = Upkeep::begin(&running, threshold);
    lifecycle.serve(running.clone());
    systemd::ready(&running.status_line());
    for link in running.links.status() {
        tracing::info!(switch = %link.name, listen = %link.listen, "a switch can connect");
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        api = %config.api.listen,
        admin = %config.admin.listen,
        "recalld serves"
    );

    let end = loop {
        tokio::select! {
            () = signals.end() => break End::Wanted,
            Some(error) = failures.recv() => break End::WriteFailed(error),
            _ = hangup.recv() => reload::reload(&running, &path).await,
            _ = &mut api => break End::Part("the API server"),
            _ = &mut health => break End::Part("the server of health and metrics"),
        }
    };
    // Whoever cannot wait for the drain asks twice.
    let impatient = actix_rt::spawn(async move {
        signals.end().await;
        tracing::warn!("a second signal: recalld ends at once");
        drain::end_now();
    });
    let served = Served { running, api: handles, upkeep };
    let ended = match end {
        End::WriteFailed(error) => {
            drain::fail(&lifecycle, served).await;
            return Err(ServeError::WriteFailed(error));
        }
        End::Wanted => Ok(()),
        End::Part(part) => Err(ServeError::PartEnded(part)),
    };
    drain::drain(&lifecycle, served).await;
    health_handle.stop(false).await;
    impatient.abort();
    // A write that failed in the last moment was answered with a refusal, but the end was not a good one.
    failures.try_recv().map_or(ended, |error| Err(ServeError::WriteFailed(error)))
}

/// Why the daemon ends.
enum End {
    Wanted,
    WriteFailed(StoreError),
    Part(&'static str),
}
