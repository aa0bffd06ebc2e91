//! `recalld key status`: the versions of the tenants' keys.

use serde::Deserialize;
use serde_json::json;

use super::super::admin_client::Where;
use super::super::tables::Column::{Number, Text};
use super::super::tables::Look;
use super::super::{out, words};
use super::ask;

/// Arguments of `key status`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Only the keys of this tenant.
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    #[command(flatten)]
    daemon: Where,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct Status {
    tenants: Vec<OfTenant>,
}

#[derive(Deserialize)]
struct OfTenant {
    tenant: String,
    pseudonym: Vec<Pseudonym>,
    rules: Vec<Rules>,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Pseudonym {
    version: u32,
    current: bool,
    stored: bool,
    aliases: u64,
}

#[derive(Deserialize)]
struct Rules {
    version: u16,
    aliases: u64,
}

#[derive(Deserialize)]
struct Data {
    current: u32,
    older: Vec<u32>,
    looked_at: u64,
    rewritten: u64,
    damaged: u64,
}

/// Asks and prints.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let answer = ask(&arguments.daemon, &json!({ "op": "key_status", "tenant": arguments.tenant }))?;
    if arguments.json {
        return out::json(&answer);
    }
    let status: Status = serde_json::from_value(answer)?;
    if status.tenants.is_empty() {
        return out::line("no tenant has keys yet");
    }
    let rows = status.tenants.iter().flat_map(OfTenant::rows).collect();
    let columns = [Text("tenant"), Text("key"), Number("version"), Number("callers"), Text("state")];
    out::line(Look::for_stdout(false).table(&columns, rows))?;
    for tenant in status.tenants.iter().filter(|tenant| tenant.rules.len() > 1) {
        let rules = tenant.rules.iter();
        let rules = rules.map(|rules| format!("{} by version {}", words::count(rules.aliases), rules.version));
        let rules = rules.collect::<Vec<_>>().join(", ");
        out::line(format!("\nnormalisation rules of {}: {rules}", words::printable(&tenant.tenant)))?;
    }
    Ok(())
}

impl OfTenant {
    fn rows(&self) -> Vec<Vec<String>> {
        let row = |key: &str, version: u32, callers: String, state: String| {
            vec![words::printable(&self.tenant), key.to_owned(), version.to_string(), callers, state]
        };
        let pseudonym = self.pseudonym.iter().map(|known| {
            let mut state = match (known.current, known.aliases) {
                (true, _) => "current".to_owned(),
                (false, 0) => "nobody needs it: retire it".to_owned(),
                (false, _) => "callers move on at their next call".to_owned(),
            };
            if known.stored {
                state.push_str(", stored");
            }
            row("pseudonym", known.version, words::count(known.aliases), state)
        });
        let mut rows: Vec<_> = pseudonym.collect();
        let Some(data) = &self.data else {
            rows.push(vec![
                words::printable(&self.tenant),
                "data".to_owned(),
                String::new(),
                String::new(),
                "gone: nothing of this tenant can be read".to_owned(),
            ]);
            return rows;
        };
        rows.push(row("data", data.current, String::new(), "current".to_owned()));
        rows.extend(data.older.iter().map(|version| row("data", *version, String::new(), data.progress())));
        rows
    }
}

impl Data {
    fn progress(&self) -> String {
        if self.damaged > 0 {
            let damaged = words::counted(self.damaged, "record", "records");
            return format!("kept: {damaged} cannot be opened, restore each session or erase it");
        }
        let rewritten = words::counted(self.rewritten, "record", "records");
        format!("{rewritten} sealed anew, {} looked at", words::count(self.looked_at))
    }
}
