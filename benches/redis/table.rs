//! Medians and spreads, and how they are shown.

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::process::Machine;
use crate::rows::{Figures, Goal, Pair, Row};

/// Several runs of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// Of at least one value.
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let at = |place: usize| values.get(place).copied().unwrap_or(f64::NAN);
        let last = values.len().saturating_sub(1);
        Self { median: f64::midpoint(at(last / 2), at(values.len() / 2)), min: at(0), max: at(last) }
    }
}

/// A row with its runs.
#[derive(Debug, Serialize)]
pub struct Line {
    pub name: &'static str,
    pub what: &'static str,
    pub goal: String,
    pub met: bool,
    /// What the goal is about: a ratio, or bytes.
    pub value: Spread,
    /// p99 of recalld to p99 of Redis.
    pub tail: Spread,
    pub runs: Vec<Pair>,
}

impl Line {
    pub fn new(row: Row, runs: Vec<Pair>) -> Self {
        let value = Spread::of(runs.iter().map(|pair| row.goal.value(pair)));
        let tail = Spread::of(runs.iter().map(|pair| pair.recalld.p99_us / pair.redis.p99_us));
        let goal = match row.goal {
            Goal::Rate(least) => format!("at least {least:.1}x"),
            Goal::RateAndTail(least) => format!("at least {least:.1}x, p99 no worse"),
            Goal::Bytes(most) => format!("at most {:.0} KiB", most / 1024.0),
            Goal::Fdatasync(most) => format!("at most {most:.1}x"),
        };
        let met = row.goal.is_met(value.median, tail.median);
        Self { name: row.name, what: row.what, goal, met, value, tail, runs }
    }

    fn reached(&self) -> [String; 2] {
        let Spread { median, min, max } = self.value;
        if self.goal.ends_with("KiB") {
            let [median, min, max] = [median, min, max].map(|bytes| bytes / 1024.0);
            [format!("{median:.2} KiB"), format!("{min:.2}..{max:.2}")]
        } else {
            [format!("{median:.2}x"), format!("{min:.2}..{max:.2}")]
        }
    }
}

type OneSide = fn(&Pair) -> &Figures;

/// What a program reads.
#[derive(Serialize)]
pub struct Report<'a> {
    pub machine: &'a Machine,
    pub seconds: f64,
    pub arbiters: Option<usize>,
    pub client_threads: usize,
    pub lines: &'a [Line],
}

/// The table of ratios.
pub fn ratios(lines: &[Line]) -> String {
    let mut table = new_table(&["what", "goal", "reached (median)", "min..max", "p99 to Redis", "goal met"]);
    for line in lines {
        let [median, spread] = line.reached();
        let tail = match line.name {
            "memory" | "commit" => "-".to_owned(),
            _ => format!("{:.2}x ({:.2}..{:.2})", line.tail.median, line.tail.min, line.tail.max),
        };
        let met = if line.met { "yes" } else { "no" };
        table.add_row([line.what, &line.goal, &median, &spread, &tail, met]);
    }
    align(&mut table, 2);
    table.to_string()
}

/// What was measured, medians of the runs.
pub fn absolutes(lines: &[Line]) -> String {
    let mut table = new_table(&[
        "row",
        "side",
        "per second",
        "min..max",
        "p50",
        "p99",
        "longest",
        "client CPU each",
        "server CPU each",
        "others' CPU",
        "more",
    ]);
    // The runs of the lone event fill two rows.
    let is_shown_already = |line: &Line| line.name == "commit" && lines.iter().any(|other| other.name == "events-1x1");
    for line in lines.iter().filter(|line| !is_shown_already(line)) {
        let sides: [(&str, OneSide); 2] = [("recalld", |pair| &pair.recalld), ("Redis", |pair| &pair.redis)];
        for (side, of) in sides {
            let spread = |value: fn(&Figures) -> f64| Spread::of(line.runs.iter().map(|pair| value(of(pair))));
            let rate = spread(|figures| figures.per_second);
            let micros = |value: fn(&Figures) -> f64| in_time(spread(value).median);
            table.add_row([
                line.name.to_owned(),
                side.to_owned(),
                grouped(rate.median),
                format!("{}..{}", grouped(rate.min), grouped(rate.max)),
                micros(|figures| figures.p50_us),
                micros(|figures| figures.p99_us),
                micros(|figures| figures.max_us),
                micros(|figures| figures.client_cpu_us),
                micros(|figures| figures.server_cpu_us),
                format!("{:.0} %", 100.0 * spread(|figures| figures.others).median),
                more(line, side, of),
            ]);
        }
    }
    align(&mut table, 2);
    table.to_string()
}

fn more(line: &Line, side: &str, of: OneSide) -> String {
    let mut parts = Vec::new();
    let sent_again: u64 = line.runs.iter().map(|pair| of(pair).again).sum();
    if sent_again > 0 {
        parts.push(format!("{sent_again} sent again"));
    }
    let bytes: Vec<f64> = line.runs.iter().filter_map(|pair| of(pair).bytes_per_call).collect();
    if !bytes.is_empty() {
        parts.push(format!("{} bytes per call", grouped(Spread::of(bytes.into_iter()).median)));
    }
    let buffers: Vec<f64> = line.runs.iter().filter_map(|pair| of(pair).write_buffers_per_call).collect();
    if !buffers.is_empty() {
        let median = grouped(Spread::of(buffers.into_iter()).median);
        parts.push(format!("and {median} of RocksDB's write buffers, which have a bound"));
    }
    let syncs: Vec<f64> = line.runs.iter().filter_map(|pair| pair.fdatasync_p50_us).collect();
    if side == "recalld" && !syncs.is_empty() {
        parts.push(format!("fdatasync alone {}", in_time(Spread::of(syncs.into_iter()).median)));
    }
    parts.join(", ")
}

fn new_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN).set_header(header);
    table
}

/// Figures stand to the right.
fn align(table: &mut Table, from: usize) {
    for column in table.column_iter_mut().skip(from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

fn in_time(microseconds: f64) -> String {
    match microseconds {
        short if short < 100.0 => format!("{short:.1} us"),
        medium if medium < 10_000.0 => format!("{medium:.0} us"),
        long => format!("{:.1} ms", long / 1e3),
    }
}

fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
