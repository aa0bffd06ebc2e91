//! `recalld serve`: run the daemon.

use super::exit;
use super::files::ConfigFile;
use crate::daemon::{self, ServeOptions};

/// Arguments of `serve`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
}

/// Runs until the daemon ends.
pub(super) fn run(arguments: Arguments) -> anyhow::Result<()> {
    daemon::serve(ServeOptions { config: arguments.file.config })
        .map_err(|error| exit::with(error.exit_code(), error.to_string()))
}
