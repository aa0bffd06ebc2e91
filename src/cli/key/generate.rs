//! `recalld key generate`: a root key.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rand::TryRng;
use rand::rngs::SysRng;
use serde_json::json;
use zeroize::Zeroizing;

use super::super::out;
use crate::domain::pseudonym::RootKey;

/// Arguments of `key generate`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The file to make. A file that is there is never overwritten.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Makes it.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    write_new(&arguments.out)?;
    if arguments.json {
        return out::json(&json!({ "file": arguments.out }));
    }
    out::line(format!(
        "wrote {}\nKeep a copy apart from the backups of the data: without it recalld cannot read its data, and nobody \
         can turn a session ID back into a number.",
        arguments.out.display()
    ))
}

/// Makes the file of a new root key.
pub(in crate::cli) fn write_new(path: &Path) -> anyhow::Result<()> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    SysRng.try_fill_bytes(bytes.as_mut_slice()).context("the system gives no random bytes")?;
    let key = RootKey::from_file(bytes.as_slice())?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::AlreadyExists => {
                "the file is there already, and a root key is never overwritten: what was made with it would be lost"
                    .to_owned()
            }
            _ => error.to_string(),
        };
        anyhow::anyhow!("cannot make {}: {hint}", path.display())
    })?;
    file.write_all(key.file_text().as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write {}", path.display()))
}
