//! Configuration and root key from their files.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use zeroize::Zeroizing;

use super::exit;
use crate::config::Config;
use crate::domain::pseudonym::RootKey;

/// Where the configuration is if nothing else is said.
pub(super) const DEFAULT_CONFIG: &str = "/etc/recalld/recalld.toml";

/// Longest root key file that is read: base64 and a newline are 45 bytes.
const LONGEST_KEY_FILE: u64 = 4096;

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

/// The root key, refused if others than its owner may read its file (PRODUCT.md 8).
pub(super) fn root_key(path: &Path) -> anyhow::Result<RootKey> {
    let mut file = File::open(path).with_context(|| format!("cannot open the root key {}", path.display()))?;
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o077 != 0 {
        anyhow::bail!(
            "others may read the root key {} (mode {:04o}): `chmod 600` it, and make a new one if others did",
            path.display(),
            mode & 0o7777
        );
    }
    let mut content = Zeroizing::new(Vec::with_capacity(128));
    Read::by_ref(&mut file).take(LONGEST_KEY_FILE).read_to_end(&mut content)?;
    RootKey::from_file(&content).with_context(|| format!("{}", path.display()))
}
