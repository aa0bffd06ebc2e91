//! The order of a start: what can be wrong without touching anything is found first, addresses are bound next, the data
//! is opened, and only then is anybody served.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::available_parallelism;

use actix_rt::task::spawn_blocking;
use tokio::sync::mpsc;

use super::error::ServeError;
use super::lifecycle::Running;
use super::listeners::Listeners;
use super::systemd::LongStart;
use super::{free_space, keys, root_key};
use crate::actors::{Directory, DirectoryOptions};
use crate::config::{Config, Durability};
use crate::domain::pseudonym::RootKey;
use crate::privacy::audit::{Audit, AuditError, Entry, What, Who};
use crate::store::{self, Recovered, Store, StoreError, StoreOptions};
use crate::switch;

/// What is known before anything is touched.
pub(super) struct Prepared {
    /// Where the configuration is: a reload reads it again.
    pub(super) path: PathBuf,
    pub(super) config: Config,
    pub(super) root: Arc<RootKey>,
    pub(super) listeners: Listeners,
}

impl Prepared {
    /// Reads the files and binds the addresses.
    pub(super) fn new(path: PathBuf) -> Result<Self, ServeError> {
        let config = read_config(&path)?;
        let root = Arc::new(root_key::read(&config.keys.root)?);
        let listeners = Listeners::bind(&config)?;
        for warning in config.warnings() {
            tracing::warn!("{warning}");
        }
        Ok(Self { path, config, root, listeners })
    }
}

/// Reads and checks a configuration file.
pub(super) fn read_config(path: &Path) -> Result<Config, ServeError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let what = match error.kind() {
            ErrorKind::NotFound => "there is no such file: name one with --config".to_owned(),
            ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
            _ => error.to_string(),
        };
        ServeError::Unreadable { path: path.to_owned(), what }
    })?;
    Config::parse(&text).map_err(|errors| ServeError::Config { path: path.to_owned(), errors })
}

/// Opens the data and brings back what was going on. The first failed write is told to `failed`.
pub(super) async fn open(
    config: &Config,
    root: &RootKey,
    failed: mpsc::UnboundedSender<StoreError>,
) -> Result<Arc<Directory>, ServeError> {
    let no_thread = |error| ServeError::System { what: "start a thread", error };
    let _asks_for_time = LongStart::begin("opening the data").map_err(no_thread)?;
    let options = StoreOptions {
        relaxed: config.data.durability == Durability::Relaxed,
        log_window: config.data.log_window,
        log_bytes: config.data.log_bytes,
        cache_bytes: usize::try_from(config.data.cache).unwrap_or(usize::MAX),
        on_failure: Some(Arc::new(move |error: &StoreError| {
            // Nobody listens any more if the daemon ends already.
            let _ = failed.send(error.clone());
        })),
        ..StoreOptions::new(&config.data.path, root_key::for_store(root))
    };
    let opened = spawn_blocking(move || Store::open(options)).await;
    let (store, recovered) = opened
        .unwrap_or_else(|_| Err(StoreError::Incomplete("opening it ended by a fault in recalld")))
        .map_err(ServeError::Store)?;
    tell(&recovered);
    let cores = available_parallelism().map_or(1, usize::from);
    let options = DirectoryOptions {
        keys: keys::caller_keys(root, config, &store).map_err(ServeError::Store)?,
        store,
        recovered,
        arbiters: config.limits.arbiters.unwrap_or(cores),
        config: config.clone(),
        clock: None,
    };
    Directory::open(options).map_err(ServeError::Store)
}

/// Takes up the audit log, and records the start in it before anybody is served.
pub(super) async fn open_audit(directory: &Arc<Directory>, root: &RootKey) -> Result<Arc<Audit>, ServeError> {
    let former = directory.store().former_audit_keys().map_err(ServeError::Store)?;
    let (store, keys) = (directory.store().clone(), root_key::audit_keys(root, former));
    // Weakly: the data is closed when everybody has let go of the directory.
    let clock = Arc::downgrade(directory);
    let opened = spawn_blocking(move || {
        let audit = Audit::open(store.clone(), keys, move || clock.upgrade().map(|directory| directory.now()))?;
        audit.record_blocking(Entry::new(Who::Daemon, What::Started { version: env!("CARGO_PKG_VERSION") }))?;
        // Nobody could write into the log when that was done.
        if store.has_untold_reroot()? {
            audit.record_blocking(Entry::new(Who::Daemon, What::RootKeyChanged))?;
            store.note_reroot_told()?;
        }
        Ok(audit)
    });
    let opened = opened.await.unwrap_or(Err(AuditError::Closed));
    opened.map(Arc::new).map_err(ServeError::Audit)
}

fn tell(recovered: &Recovered) {
    for damage in &recovered.damaged {
        let tenant = damage.tenant.as_ref().map(tracing::field::display);
        let session = damage.session.as_ref().map(tracing::field::display);
        tracing::error!(tenant, session, "stored data is damaged: {}", damage.what);
    }
    let calls: usize = recovered.sessions.iter().map(|found| found.session.calls.len()).sum();
    if calls > 0 {
        tracing::info!(calls, "calls that were active are active again");
    }
}

/// Whether there is room is known before the first call.
pub(super) fn look_at_file_system(running: &Running, min_free: u64) -> free_space::Threshold {
    let mut threshold = free_space::Threshold::new(min_free);
    let path = running.directory.store().path();
    if store::discards(path) {
        tracing::warn!(
            path = %path.display(),
            "the file system of the data is mounted with the option `discard`: calls may wait each time a file is deleted. \
             Mount it without, and enable fstrim.timer"
        );
    }
    let looked = store::free_bytes(path);
    free_space::look(running, &mut threshold, looked);
    threshold
}

/// Serves the links to switches.
pub(super) fn serve_links(bound: Vec<switch::Bound>, directory: &Arc<Directory>) -> Result<switch::Links, ServeError> {
    switch::serve(bound, directory).map_err(ServeError::Links)
}
