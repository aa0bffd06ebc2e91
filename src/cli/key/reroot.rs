//! `recalld key reroot`: another root key. The daemon is stopped meanwhile; every session ID stays, because the
//! pseudonym keys that were derived from the old root key are stored, wrapped by the new one.

use std::path::PathBuf;

use serde_json::json;

use super::super::files::{self, ConfigFile};
use super::super::{out, words};
use crate::daemon::root_key;
use crate::store::RerootStep;

/// Arguments of `key reroot`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The file of the root key so far.
    #[arg(long, value_name = "FILE")]
    old: PathBuf,
    /// The file of the root key from now on; `recalld key generate` makes one.
    #[arg(long, value_name = "FILE")]
    new: PathBuf,
    #[command(flatten)]
    file: ConfigFile,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Changes it.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let config = files::config(&arguments.file.config)?;
    let (old, new) = (root_key::read(&arguments.old)?, root_key::read(&arguments.new)?);
    if old.check_value() == new.check_value() {
        anyhow::bail!("both files hold the same key: make a new one with `recalld key generate`");
    }
    let mut begun = false;
    let replaced = root_key::replace(&config.data.path, &old, &new, &mut |step| begun |= step == RerootStep::Begun);
    let replaced = match replaced {
        Err(error) if begun => {
            let stopped = "the change stopped half-way: run it again when the cause is gone";
            return Err(anyhow::Error::new(error).context(stopped));
        }
        replaced => replaced?,
    };
    if arguments.json {
        return out::json(&json!({ "tenants": replaced.tenants, "had_it": replaced.had_it }));
    }
    if replaced.had_it {
        return out::line("the data has this root key already: nothing was changed");
    }
    out::line(format!(
        "the data of {} has the new root key, every session ID stays. Let [keys] root name {} before the next \
         start, and keep the old key as long as you keep backups made under it",
        words::counted(replaced.tenants as u64, "tenant", "tenants"),
        arguments.new.display()
    ))
}
