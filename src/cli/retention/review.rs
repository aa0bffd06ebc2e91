//! `recalld retention review`: session IDs and names of variables, never values.

use std::path::PathBuf;

use anyhow::Context;
use serde::Deserialize;
use serde_json::{Value, json};

use super::is_progress;
use crate::cli::admin_client::Where;
use crate::cli::tables::Column::{Number, Text};
use crate::cli::tables::Look;
use crate::cli::{block_on, out, words};

/// Arguments of `retention review`.
#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct Arguments {
    #[command(flatten)]
    daemon: Where,
    /// Only the sessions of this tenant.
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// What goes up to then if nothing happens: a date (2026-12-24), a time (2026-12-24T08:00:00Z) or from now on (30d).
    /// Without it what is due now.
    #[arg(long, value_name = "DATE")]
    as_of: Option<String>,
    /// As if a held retention had been confirmed.
    #[arg(long, conflicts_with = "with")]
    held: bool,
    /// As if this configuration file were in force.
    #[arg(long, value_name = "FILE")]
    with: Option<PathBuf>,
    /// Only the counts.
    #[arg(long)]
    counts: bool,
    /// Show whole IDs on a terminal, too.
    #[arg(long)]
    full: bool,
    /// Print every line as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Line {
    Review {
        now: String,
        as_of: String,
    },
    Count(Count),
    Total {
        sessions: u64,
        records: u64,
        damaged: u64,
    },
    Row(Row),
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Count {
    tenant: String,
    instance_id: String,
    rule: String,
    variables: u64,
    sessions: u64,
}

#[derive(Deserialize)]
struct Row {
    at: String,
    rule: String,
    tenant: String,
    instance_id: String,
    session_id: String,
    name: Option<String>,
    lifetime: Option<String>,
}

/// Asks and prints.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let config = match &arguments.with {
        Some(path) => Some(std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?),
        None => None,
    };
    let request = json!({
        "op": "retention_review", "tenant": arguments.tenant, "as_of": arguments.as_of, "held": arguments.held,
        "config": config, "counts_only": arguments.counts,
    });
    let look = Look::for_stdout(arguments.full);
    let mut counts = Vec::new();
    block_on(async {
        let mut daemon = arguments.daemon.connect().await?;
        out::waiting("reading all sessions, which changes nothing; Ctrl-C ends it");
        daemon
            .stream(&request, |line| {
                if is_progress(line) {
                    Ok(())
                } else if arguments.json {
                    out::json(line)
                } else {
                    print(line, look, &mut counts)
                }
            })
            .await
    })
}

fn print(line: &Value, look: Look, counts: &mut Vec<Count>) -> anyhow::Result<()> {
    match Line::deserialize(line)? {
        Line::Review { now, as_of } if now == as_of => out::line(format!("due now, {} (UTC)", words::moment(&now))),
        Line::Review { now, as_of } => out::line(format!(
            "what goes up to {} (UTC) if nothing happens; it is {} now",
            words::moment(&as_of),
            words::moment(&now)
        )),
        Line::Count(count) => {
            counts.push(count);
            Ok(())
        }
        Line::Total { sessions, records, damaged } => {
            if !counts.is_empty() {
                let rows = counts.iter().map(Count::row).collect();
                let columns = [Text("tenant"), Text("release"), Text("rule"), Number("sessions"), Number("variables")];
                out::line(format!("\n{}\n", look.table(&columns, rows)))?;
            }
            let damaged = if damaged == 0 {
                String::new()
            } else {
                format!(", {} cannot be opened: see the daemon's log at its start", words::count(damaged))
            };
            let sessions = words::counted(sessions, "session", "sessions");
            out::line(format!("{sessions}, of {} stored{damaged}", words::count(records)))
        }
        Line::Row(row) => out::line(row.told(look)),
        Line::Other => Ok(()),
    }
}

impl Count {
    fn row(&self) -> Vec<String> {
        vec![
            self.tenant.clone(),
            self.instance_id.clone(),
            self.rule.clone(),
            words::count(self.sessions),
            words::count(self.variables),
        ]
    }
}

impl Row {
    fn told(&self, look: Look) -> String {
        let what = match (&self.name, &self.lifetime) {
            (Some(name), Some(lifetime)) => format!("{lifetime} variable {}", words::printable(name)),
            _ => "the session".to_owned(),
        };
        format!(
            "{}  {:<17}  {}/{}  {}  {what}",
            words::moment(&self.at),
            self.rule,
            self.tenant,
            self.instance_id,
            look.id(&self.session_id)
        )
    }
}
