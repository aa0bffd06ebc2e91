//! `SIGHUP`: the file is read again. A bad one is refused whole, the old one stays in force; keys that need a restart
//! keep their old values and are named in the log.

use std::path::Path;
use std::sync::Arc;

use super::error::ServeError;
use super::lifecycle::Running;
use super::{start, systemd};
use crate::privacy::audit::{Entry, What, Who};

/// Reads the file again and puts it in force.
pub(super) async fn reload(running: &Arc<Running>, path: &Path) {
    systemd::reloading();
    let (reloading, path) = (running.clone(), path.to_owned());
    let reloaded = actix_rt::task::spawn_blocking(move || put_in_force(&reloading, &path)).await;
    let what = What::ConfigurationReloaded { in_force: matches!(reloaded, Ok(Ok(()))) };
    if let Err(error) = running.audit.record(Entry::new(Who::Daemon, what)).await {
        tracing::error!("the reload is not in the audit log: {error}");
    }
    match reloaded {
        Ok(Ok(())) => tracing::info!("the configuration is reloaded"),
        Ok(Err(error)) => tracing::error!("the configuration is not reloaded, the old one stays in force: {error}"),
        Err(_) => tracing::error!("the reload failed at a fault in recalld: the line before this one tells it"),
    }
    systemd::ready(&running.status_line());
}

fn put_in_force(running: &Running, path: &Path) -> Result<(), ServeError> {
    let new = start::read_config(path)?;
    let in_force = running.directory.settings().config.clone();
    let restart_needed = in_force.restart_needed(&new);
    for key in &restart_needed {
        tracing::warn!("{key} was changed: it takes effect at the next start");
    }
    let config = new.until_restart(&in_force);
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    running.keys.reload(&running.directory, config).map_err(ServeError::Store)?;
    running.set_restart_needed(restart_needed);
    Ok(())
}
