//! The configuration from its file.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::exit;
use crate::config::Config;

/// Where the configuration is if nothing else is said.
pub(super) const DEFAULT_CONFIG: &str = "/etc/recalld/recalld.toml";

/// Which configuration to use.
#[derive(clap::Args)]
pub(super) struct ConfigFile {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub(super) config: PathBuf,
}

/// The text of a configuration file.
pub(super) fn config_text(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).map_err(|error| {
        let what = match error.kind() {
            io::ErrorKind::NotFound => "there is no such file: name one with --config".to_owned(),
            io::ErrorKind::PermissionDenied => "you may not read it".to_owned(),
            io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
            _ => error.to_string(),
        };
        exit::with(exit::CONFIGURATION, format!("cannot read the configuration {}: {what}", path.display()))
    })
}

/// A checked configuration.
pub(super) fn config(path: &Path) -> anyhow::Result<Config> {
    let text = config_text(path)?;
    Config::parse(&text).map_err(|error| exit::with(exit::CONFIGURATION, format!("{}: {error}", path.display())))
}
