//! `recalld check`: validate a configuration without binding or opening anything of it.

use std::io::Write as _;

use serde_json::{Value, json};

use super::files::{self, ConfigFile};
use super::paint::Paint;
use super::{exit, out};
use crate::config::{Config, ConfigError, ConfigErrors};
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

/// Prints `ok` and the warnings, or every error, and ends with 78.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let path = &arguments.file.config;
    let text = files::config_text(path)?;
    let config = match Config::parse(&text) {
        Ok(config) => config,
        Err(errors) => {
            if arguments.json {
                out::json(&told(&errors))?;
            } else {
                let mut stderr = std::io::stderr().lock();
                for error in errors.iter() {
                    // Whoever has read enough may close it.
                    let _closed = writeln!(stderr, "{}: {error}", path.display());
                }
            }
            return Err(exit::silently(exit::CONFIGURATION));
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

/// The errors in the order of the file, and the first of them at the top.
fn told(errors: &ConfigErrors) -> Value {
    let one = |error: &ConfigError| {
        let ConfigError { line, column, message, known_keys } = error;
        json!({ "line": line, "column": column, "message": message, "known_keys": known_keys })
    };
    let mut answer = one(errors.first());
    if let Some(answer) = answer.as_object_mut() {
        answer.insert("ok".to_owned(), false.into());
        answer.insert("errors".to_owned(), errors.iter().map(one).collect());
    }
    answer
}
