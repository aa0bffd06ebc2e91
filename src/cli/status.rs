//! `recalld status`: how the running daemon is.

use serde::Deserialize;
use serde_json::json;

use super::admin_client::Where;
use super::paint::Paint;
use super::tables::Column::{Number, Text};
use super::tables::{self, Look};
use super::{block_on, out, words};

/// Arguments of `status`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    daemon: Where,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct Status {
    version: String,
    ready: bool,
    read_only: bool,
    started_at: String,
    now: String,
    data: Data,
    active_calls: u64,
    active_sessions: u64,
    stored_sessions: u64,
    aliases: u64,
    log: Log,
    writer: Writer,
    clock: Clock,
    timers: Timers,
    retention: Retention,
    watchers: u64,
    switches: Vec<Switch>,
    api: Listener,
    warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Data {
    path: String,
    free_bytes: u64,
    durability: String,
    database_bytes: u64,
}

#[derive(Deserialize)]
struct Log {
    sequence: u64,
    records: u64,
    unrecorded: u64,
}

#[derive(Deserialize)]
struct Writer {
    groups: u64,
    items: u64,
    queue: u64,
}

#[derive(Deserialize)]
struct Clock {
    ahead_seconds: f64,
}

#[derive(Deserialize)]
struct Timers {
    told: u64,
    waiting: u64,
    most_lateness_ms: u64,
}

#[derive(Deserialize)]
struct Retention {
    change: Option<Change>,
    sweep: Option<Sweep>,
}

#[derive(Deserialize)]
struct Change {
    state: String,
    records: u64,
    ends: u64,
}

#[derive(Deserialize)]
struct Sweep {
    records: u64,
    told: u64,
}

#[derive(Deserialize)]
struct Switch {
    name: String,
    listen: String,
    connections: u64,
}

#[derive(Deserialize)]
struct Listener {
    listen: String,
}

/// Asks and prints.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let answer = block_on(async { arguments.daemon.connect().await?.ask(&json!({ "op": "status" })).await })?;
    if arguments.json {
        return out::json(&answer);
    }
    let status: Status = serde_json::from_value(answer)?;
    let paint = Paint::for_stdout();
    let look = Look::for_stdout(false);
    out::line(tables::fields(&status.fields(paint)))?;
    if !status.switches.is_empty() {
        let columns = [Text("switch"), Text("listens on"), Number("connections")];
        let rows = status.switches.iter();
        let rows =
            rows.map(|switch| vec![switch.name.clone(), switch.listen.clone(), words::count(switch.connections)]);
        out::line(format!("\n{}", look.table(&columns, rows.collect())))?;
    }
    for warning in &status.warnings {
        out::line(format!("{} {}", paint.yellow("warning:"), words::printable(warning)))?;
    }
    Ok(())
}

impl Status {
    fn fields(&self, paint: Paint) -> Vec<(&'static str, String)> {
        let state = match (self.ready, self.read_only) {
            (_, true) => paint.red("read only: the disk is nearly full, writes are refused"),
            (true, false) => paint.green("ready"),
            (false, false) => paint.yellow("not ready"),
        };
        let per_group =
            if self.writer.groups == 0 { 0.0 } else { self.writer.items as f64 / self.writer.groups as f64 };
        vec![
            ("recalld", format!("{} {state}", self.version)),
            ("up since", format!("{} ({})", words::moment(&self.started_at), age(&self.started_at, &self.now))),
            (
                "data",
                format!(
                    "{}, {} used, {} free, durability {}",
                    words::printable(&self.data.path),
                    words::bytes(self.data.database_bytes),
                    words::bytes(self.data.free_bytes),
                    self.data.durability
                ),
            ),
            ("calls", format!("{} active", words::count(self.active_calls))),
            (
                "sessions",
                format!(
                    "{} active, about {} stored, about {}",
                    words::count(self.active_sessions),
                    words::count(self.stored_sessions),
                    words::counted(self.aliases, "alias", "aliases")
                ),
            ),
            (
                "log",
                format!(
                    "sequence {}, {}, {} not written yet",
                    words::count(self.log.sequence),
                    words::counted(self.log.records, "record", "records"),
                    words::counted(self.log.unrecorded, "session", "sessions")
                ),
            ),
            (
                "writer",
                format!(
                    "{}, {per_group:.1} in a group, {} waiting",
                    words::counted(self.writer.items, "commit", "commits"),
                    self.writer.queue
                ),
            ),
            ("clock", self.clock.told(paint)),
            (
                "timers",
                format!(
                    "{} told, {} waiting, {} ms late at most",
                    words::count(self.timers.told),
                    words::count(self.timers.waiting),
                    words::count(self.timers.most_lateness_ms)
                ),
            ),
            ("retention", self.retention.told(paint, self.stored_sessions)),
            ("api", format!("{}, {}", self.api.listen, words::counted(self.watchers, "watcher", "watchers"))),
        ]
    }
}

impl Clock {
    fn told(&self, paint: Paint) -> String {
        if self.ahead_seconds > 0.0 {
            return paint.red(&format!(
                "{:.0} s ahead and not believed: nothing is deleted until it is confirmed or returns",
                self.ahead_seconds
            ));
        }
        if self.ahead_seconds < 0.0 {
            return paint.yellow(&format!("{:.0} s behind and not followed", -self.ahead_seconds));
        }
        "believed".to_owned()
    }
}

impl Retention {
    fn told(&self, paint: Paint, stored: u64) -> String {
        let mut told = Vec::new();
        match &self.change {
            Some(change) if change.state == "held" => {
                let ends = words::counted(change.ends, "session", "sessions");
                told.push(paint.red(&format!("a shorter one is held, it would end {ends} or more at once")));
            }
            Some(change) => {
                let (records, ends) = (words::count(change.records), words::count(change.ends));
                let of = words::counted(stored.max(change.records), "session", "sessions");
                told.push(format!(
                    "counting what a shorter one would end: {records} of {of} read, so far to end: {ends}"
                ));
            }
            None => {}
        }
        if let Some(sweep) = &self.sweep {
            let (records, ended) = (words::count(sweep.records), words::count(sweep.told));
            let of = words::counted(stored.max(sweep.records), "session", "sessions");
            told.push(format!("a change is carried out: {records} of {of} gone through, {ended} ended"));
        }
        if told.is_empty() { "in force as configured".to_owned() } else { told.join("; ") }
    }
}

/// How long ago something was, in its two largest units.
fn age(since: &str, now: &str) -> String {
    let millis = |text: &str| text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_millisecond);
    let (Ok(since), Ok(now)) = (millis(since), millis(now)) else { return "?".to_owned() };
    let seconds = (now - since).max(0) / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_two_units() {
        let since = "2026-10-01T08:00:00.000Z";
        for (now, expected) in [
            ("2026-10-01T08:00:12.900Z", "12 s"),
            ("2026-10-01T08:03:01.000Z", "3 min 1 s"),
            ("2026-10-01T20:00:59.000Z", "12 h 0 min"),
            ("2026-10-04T09:00:00.000Z", "3 d 1 h"),
            ("2026-09-01T08:00:00.000Z", "0 s"),
            ("never", "?"),
        ] {
            assert_eq!(age(since, now), expected);
        }
    }
}
