//! `recalld audit`: the audit log of the running daemon, or of a data directory that no daemon uses.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Subcommand;
use serde_json::{Value, json};

use super::admin_client::{AdminClient, Where};
use super::tables::Column::{Id, Number, Text};
use super::tables::Look;
use super::{block_on, exit, files, out, words};
use crate::config::Config;
use crate::daemon::root_key;
use crate::domain::duration;
use crate::domain::time::Timestamp;
use crate::privacy::audit::{Head, part, shown, verified, verify};
use crate::store::OfflineAudit;

/// How long a verification of a long log may take.
const VERIFY_WITHIN: Duration = Duration::from_secs(600);
/// Entries that are asked for at a time.
const AT_A_TIME: usize = 1_000;

/// Arguments of `audit`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show who did what with numbers, keys and the configuration.
    Show(Show),
    /// Look for entries that were changed, removed or reordered; with --head also for ones that were cut off.
    Verify(Verify),
    /// Print all entries, one JSON object a line, the MAC of each included.
    Export(Export),
}

#[derive(clap::Args)]
struct Source {
    #[command(flatten)]
    daemon: Where,
    /// Read the data directory of the configuration itself, with the root key. For a daemon that is stopped, or a backup.
    #[arg(long, requires = "config")]
    offline: bool,
}

#[derive(clap::Args)]
struct Show {
    #[command(flatten)]
    source: Source,
    /// Only what is not older: a duration (`24h`), or a time (`2026-11-24T08:00:00Z`).
    #[arg(long, value_name = "WHEN", value_parser = since)]
    since: Option<Since>,
    /// Show whole IDs on a terminal, too.
    #[arg(long)]
    full: bool,
    /// Print the entries as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct Verify {
    #[command(flatten)]
    source: Source,
    /// A head that was noted: the number of an entry and its MAC. The daemon logs one every hour.
    #[arg(long, value_name = "SEQ:MAC", value_parser = head)]
    head: Option<Head>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct Export {
    #[command(flatten)]
    source: Source,
}

#[derive(Debug, Clone, Copy)]
enum Since {
    Ago(Duration),
    At(i64),
}

fn since(text: &str) -> Result<Since, String> {
    if let Ok(ago) = duration::parse(text) {
        return Ok(Since::Ago(ago));
    }
    let at = text
        .parse::<jiff::Timestamp>()
        .map_err(|_| "write a duration as in 24h, or a time as in 2026-11-24T08:00:00Z")?;
    Ok(Since::At(at.as_millisecond()))
}

fn head(text: &str) -> Result<Head, String> {
    text.parse::<Head>().map_err(|error| error.to_string())
}

impl Since {
    fn millis(self) -> i64 {
        match self {
            Since::Ago(ago) => {
                let now = jiff::Timestamp::now().as_millisecond();
                now.saturating_sub(i64::try_from(ago.as_millis()).unwrap_or(i64::MAX))
            }
            Since::At(millis) => millis,
        }
    }
}

/// Runs one of the commands.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.command {
        Command::Show(show) => show.run(),
        Command::Verify(verify) => verify.run(),
        Command::Export(export) => export.source.each(None, |entry| out::json(&entry)),
    }
}

impl Show {
    fn run(&self) -> anyhow::Result<()> {
        let mut entries = Vec::new();
        self.source.each(self.since.map(Since::millis), |entry| {
            entries.push(entry);
            Ok(())
        })?;
        if self.json {
            return out::json(&json!({ "entries": entries }));
        }
        if entries.is_empty() {
            return out::line("there is no such entry");
        }
        let look = Look::for_stdout(self.full);
        let rows = entries.iter().map(|entry| cells(entry, look)).collect();
        let columns = [
            Number("no."),
            Text("at (UTC)"),
            Text("who"),
            Text("tenant"),
            Text("release"),
            Text("what"),
            Id("details"),
        ];
        out::line(look.table(&columns, rows))
    }
}

fn cells(entry: &Value, look: Look) -> Vec<String> {
    let text = |member: &str| words::printable(entry.get(member).and_then(Value::as_str).unwrap_or_default());
    let details = entry.as_object().into_iter().flatten().filter_map(|(name, value)| match name.as_str() {
        "sequence" | "at" | "who" | "tenant" | "instance_id" | "what" | "mac" => None,
        "session" => Some(format!("session {}", value.as_str().map_or("none".to_owned(), |id| look.id(id)))),
        "sessions" => {
            let ids: Vec<_> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            Some(format!("sessions {}", ids.iter().map(|id| look.id(id)).collect::<Vec<_>>().join(", ")))
        }
        _ => Some(words::printable(&format!("{name} {}", value.as_str().map_or(value.to_string(), str::to_owned)))),
    });
    vec![
        entry.get("sequence").map(Value::to_string).unwrap_or_default(),
        words::moment(entry.get("at").and_then(Value::as_str).unwrap_or_default()),
        text("who"),
        text("tenant"),
        text("instance_id"),
        text("what").replace('_', " "),
        details.collect::<Vec<_>>().join("; "),
    ]
}

impl Verify {
    fn run(&self) -> anyhow::Result<()> {
        let verdict = self.source.verify(self.head)?;
        let is_sound = verdict.get("sound") == Some(&Value::Bool(true));
        if self.json {
            out::json(&verdict)?;
        } else {
            out::line(told(&verdict, self.head.is_some()))?;
        }
        if is_sound { Ok(()) } else { Err(exit::with(exit::FAILED, "the audit log was tampered with, or is damaged")) }
    }
}

fn told(verdict: &Value, against_head: bool) -> String {
    let number = |member: &str| verdict.get(member).and_then(Value::as_u64).unwrap_or(0);
    let mut lines = Vec::new();
    let faults = verdict.get("faults").and_then(Value::as_array);
    for fault in faults.into_iter().flatten() {
        let what = fault.get("what").and_then(Value::as_str).unwrap_or_default();
        lines.push(format!("entry {}: {what}", fault.get("sequence").map(Value::to_string).unwrap_or_default()));
    }
    let (count, shown) = (number("fault_count"), u64::try_from(lines.len()).unwrap_or(0));
    if count > shown {
        lines.push(format!("and {} more", words::count(count - shown)));
    }
    if count == 0 {
        let entries = words::counted(number("entries"), "entry", "entries");
        lines.push(format!("{entries}: none was changed, removed or reordered"));
        lines.push(if against_head {
            "the noted head is in the log: up to there none was cut off".to_owned()
        } else {
            "whether entries were cut off at the end cannot be told without a head that was noted elsewhere: --head"
                .to_owned()
        });
    }
    if let Some(up_to) = verdict.get("unproved_up_to").and_then(Value::as_u64) {
        lines.push(format!(
            "entries up to {} have the key of an earlier root key, and where they ended was not noted when it was \
             replaced: whoever has that root key can have written them",
            words::count(up_to)
        ));
    }
    lines.push(format!("head {}", verdict.get("head").and_then(Value::as_str).unwrap_or_default()));
    lines.join("\n")
}

impl Source {
    /// Gives all entries, the oldest first.
    fn each(&self, since: Option<i64>, mut take: impl FnMut(Value) -> anyhow::Result<()>) -> anyhow::Result<()> {
        if self.offline {
            let (log, _) = self.open()?;
            let since = since.map(Timestamp::from_unix_millis);
            let mut after = 0;
            loop {
                let (entries, next) = part(|after, limit| log.read_audit(after, limit), after, since, AT_A_TIME)?;
                entries.into_iter().map(shown).try_for_each(&mut take)?;
                match next {
                    Some(next) => after = next,
                    None => return Ok(()),
                }
            }
        }
        let mut request = json!({ "op": "audit", "from": 0, "since": since, "limit": AT_A_TIME });
        block_on(async {
            let mut daemon = self.daemon.connect().await?;
            loop {
                let mut answer = daemon.ask(&request).await?;
                if let Some(Value::Array(entries)) = answer.get_mut("entries").map(Value::take) {
                    entries.into_iter().try_for_each(&mut take)?;
                }
                match answer.get("next").and_then(Value::as_u64) {
                    Some(next) => request = json!({ "op": "audit", "from": next, "since": since, "limit": AT_A_TIME }),
                    None => return Ok(()),
                }
            }
        })
    }

    fn verify(&self, noted: Option<Head>) -> anyhow::Result<Value> {
        out::waiting("reading the audit log from its beginning, which changes nothing; Ctrl-C ends it");
        if self.offline {
            let (log, config) = self.open()?;
            let root = root_key::read(&config.keys.root)?;
            let former = log.former_audit_keys(&root_key::for_store(&root).wrapping_key)?;
            let keys = root_key::audit_keys(&root, former);
            let verdict = verify(|after, limit| log.read_audit(after, limit), &keys, noted)?;
            return Ok(serde_json::to_value(verified(verdict))?);
        }
        let request = json!({ "op": "audit_verify", "head": noted.map(|head| head.to_string()) });
        block_on(async {
            let mut daemon: AdminClient = self.daemon.connect().await?;
            daemon.ask_within(&request, VERIFY_WITHIN).await
        })
    }

    fn open(&self) -> anyhow::Result<(OfflineAudit, Config)> {
        let path = self.daemon.config_file().map_or(PathBuf::from(files::DEFAULT_CONFIG), ToOwned::to_owned);
        let config = files::config(&path)?;
        let log = OfflineAudit::open(&config.data.path)
            .with_context(|| format!("cannot read the data directory {}", config.data.path.display()))?;
        Ok((log, config))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_duration_or_a_time() {
        assert!(matches!(since("24h"), Ok(Since::Ago(ago)) if ago == Duration::from_secs(86_400)));
        assert!(matches!(since("1970-01-01T00:00:01Z"), Ok(Since::At(1_000))));
        assert!(since("yesterday").is_err());
    }

    #[test]
    fn a_verdict_says_what_it_cannot_tell() {
        let sound = json!({"sound": true, "entries": 1234, "head": "1234:00", "fault_count": 0, "faults": []});
        assert!(told(&sound, false).contains("1,234 entries") && told(&sound, false).contains("--head"));
        assert!(told(&sound, true).contains("none was cut off"));
        assert!(!told(&sound, true).contains("earlier root key"));
        let mut unproved = sound.clone();
        unproved["unproved_up_to"] = json!(1_000);
        assert!(told(&unproved, true).contains("entries up to 1,000 have the key of an earlier root key"));
        let faults = json!({"sound": false, "entries": 3, "head": "3:00", "fault_count": 2,
            "faults": [{"sequence": 2, "what": "this entry was changed"}]});
        let text = told(&faults, true);
        assert!(text.contains("entry 2: this entry was changed\nand 1 more") && !text.contains("cut off"));
    }
}
