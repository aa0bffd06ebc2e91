//! `recalld check`: validate a configuration without binding or opening anything of it.

use serde_json::json;

use super::files::{self, ConfigFile};
use super::paint::Paint;
use super::{exit, out};
use crate::config::Config;
use crate::daemon::root_key;

/// Arguments of `check`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Prints `ok` and the warnings, or ends with 78.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let path = &arguments.file.config;
    let text = files::config_text(path)?;
    let config = match Config::parse(&text) {
        Ok(config) => config,
        Err(error) if arguments.json => {
            out::json(&json!({
                "ok": false, "line": error.line, "column": error.column, "message": error.message,
                "known_keys": error.known_keys,
            }))?;
            return Err(exit::silently(exit::CONFIGURATION));
        }
        Err(error) => {
            return Err(exit::with(exit::CONFIGURATION, format!("{}: {error}", path.display())));
        }
    };
    let mut warnings = config.warnings();
    // The key may lie where only the service sees it, so this is no fault of the configuration.
    let root_key = root_key::read(&config.keys.root);
    if let Err(error) = &root_key {
        warnings.push(format!("{error:#}"));
    }
    if arguments.json {
        return out::json(&json!({ "ok": true, "root_key_ok": root_key.is_ok(), "warnings": warnings }));
    }
    let paint = Paint::for_stdout();
    for warning in warnings {
        out::line(format!("{} {warning}", paint.yellow("warning:")))?;
    }
    if root_key.is_err() {
        return out::line(format!(
            "{}, but a daemon that finds the root key as it is here does not start",
            paint.green("the configuration is ok")
        ));
    }
    out::line(paint.green("ok"))
}
