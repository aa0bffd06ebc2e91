//! `recalld retention run`: what is due ends now.

use serde_json::{Value, json};

use super::is_progress;
use crate::cli::admin_client::Where;
use crate::cli::{block_on, out, words};

/// Arguments of `retention run`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    daemon: Where,
    /// Print the outcome as JSON.
    #[arg(long)]
    json: bool,
}

/// Asks, and waits for the end.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut total = Value::Null;
    block_on(async {
        let mut daemon = arguments.daemon.connect().await?;
        out::waiting("waiting until what is due has ended; Ctrl-C stops it, and what has ended stays ended");
        daemon
            .stream(&json!({ "op": "retention_run" }), |line| {
                if !is_progress(line) && total.is_null() {
                    total = line.clone();
                }
                Ok(())
            })
            .await
    })?;
    if arguments.json {
        return out::json(&total);
    }
    if total.get("sessions").and_then(Value::as_u64) == Some(0) {
        return out::line("nothing was due");
    }
    let number = |member| total.get(member).and_then(Value::as_u64).unwrap_or_default();
    let sessions = words::counted(number("sessions"), "session", "sessions");
    out::line(format!("something ended of {sessions}, of {} stored", words::count(number("records"))))
}
