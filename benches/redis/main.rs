//! recalld and Redis 7 side by side: durable call events, contexts, memory, the commit of one event.
//!
//! `cargo bench --profile release --bench redis` prints a table of ratios and the figures behind it;
//! `-- --help` says what can be changed. Both sides run on this machine, one after the other and in alternating order,
//! each run on a fresh server with its data on the same disk; both answer after the sync. The load generator is the same
//! code for both and its cost is shown. The files:
//!
//! | file | what it says |
//! |---|---|
//! | `rows` | what is run and what is to be reached |
//! | `work` | callers, calls, and what is asked in which order |
//! | `load` | the load generator |
//! | `recalld`, `peer`, `digits` | the two servers and how they are spoken to |
//! | `disk`, `process` | this machine's sync; processor time and memory of a server |
//! | `table` | medians, spreads, tables |

mod digits;
mod disk;
mod load;
mod peer;
mod process;
mod recalld;
mod rows;
mod table;
mod work;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::Parser;

use crate::process::{Machine, file_system};
use crate::rows::{JOBS, Pair, Settings};
use crate::table::{Line, Report};
use crate::work::Callers;

/// recalld and Redis side by side.
#[derive(Parser)]
struct Arguments {
    /// One short run of each row: shows that it works, not how fast it is
    #[arg(long)]
    quick: bool,
    /// Only this row; may be given several times
    #[arg(long, value_name = "ROW")]
    only: Vec<String>,
    /// Runs of each side
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Seconds of each run that count
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Seconds before them
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// recalld's `limits.arbiters`; without it the default
    #[arg(long)]
    arbiters: Option<usize>,
    /// Threads of the load generator
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Another recalld
    #[arg(long, value_name = "PROGRAM", default_value = env!("CARGO_BIN_EXE_recalld"))]
    recalld: PathBuf,
    /// Another Redis
    #[arg(long, value_name = "PROGRAM", default_value = "redis-server")]
    redis: PathBuf,
    /// Directory of the data of both, on a real disk
    #[arg(long, value_name = "DIRECTORY", default_value = env!("CARGO_TARGET_TMPDIR"))]
    dir: PathBuf,
    /// Run a pair again in which others took more than this share of the processors, as 0.1; and wait before it until
    /// they take less
    #[arg(long, value_name = "SHARE")]
    quiet: Option<f64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let mut arguments = Arguments::parse();
    if arguments.quick {
        (arguments.runs, arguments.seconds, arguments.warm_up) = (1, 1.0, 0.3);
    }
    peer::check_program(&arguments.redis)?;
    std::fs::create_dir_all(&arguments.dir)?;
    let file_system = file_system(&arguments.dir)?;
    ensure!(file_system != "tmpfs", "a sync costs nothing on tmpfs: say --dir with a directory on a disk");
    let jobs: Vec<_> = JOBS.into_iter().filter(|(_, rows)| rows.iter().any(|row| arguments.wants(row.name))).collect();
    if jobs.is_empty() {
        let names: Vec<_> = JOBS.iter().flat_map(|(_, rows)| rows.iter().map(|row| row.name)).collect();
        bail!("there is no such row; the rows are {}", names.join(", "));
    }
    let machine = Machine::look(&arguments.recalld, &arguments.redis, &arguments.dir)?;
    let time = |seconds: f64| Duration::try_from_secs_f64(seconds).context("not a number of seconds");
    let settings = Settings {
        recalld: arguments.recalld.clone(),
        redis: arguments.redis.clone(),
        dir: arguments.dir.clone(),
        arbiters: arguments.arbiters,
        threads: arguments.threads,
        warm_up: time(arguments.warm_up)?,
        measured: time(arguments.seconds)?,
    };
    let callers = Callers::new();
    let mut lines = Vec::new();
    for (job, rows) in jobs {
        let mut pairs: Vec<Pair> = Vec::new();
        for run in 0..arguments.runs.max(1) {
            let pair = loop {
                arguments.wait_until_quiet()?;
                let pair = job.run(&settings, &callers, run % 2 == 1)?;
                let others = pair.recalld.others.max(pair.redis.others);
                if arguments.quiet.is_none_or(|most| others <= most) {
                    break pair;
                }
                eprintln!("others took {:.0} % of the processors: again", others * 100.0);
            };
            for row in rows {
                eprintln!("{}: run {}: {:.2}", row.name, run + 1, row.goal.value(&pair));
            }
            pairs.push(pair);
        }
        let wanted = rows.iter().filter(|row| arguments.wants(row.name));
        lines.extend(wanted.map(|row| Line::new(*row, pairs.clone())));
    }
    arguments.print(&machine, &lines)
}

impl Arguments {
    fn wants(&self, row: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == row)
    }

    fn wait_until_quiet(&self) -> anyhow::Result<()> {
        let Some(most) = self.quiet else { return Ok(()) };
        while process::busy_share(Duration::from_secs(1))? > most {}
        Ok(())
    }

    fn print(&self, machine: &Machine, lines: &[Line]) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.json {
            let report =
                Report { machine, seconds: self.seconds, arbiters: self.arbiters, client_threads: self.threads, lines };
            serde_json::to_writer_pretty(&mut out, &report)?;
            writeln!(out)?;
            return Ok(());
        }
        writeln!(
            out,
            "{}, {} cores, {} GiB, Linux {}",
            machine.processor, machine.cores, machine.memory_gib, machine.kernel
        )?;
        writeln!(out, "data on {}, load before {}", machine.file_system, machine.load_before)?;
        let arbiters = self.arbiters.map_or("one per core".to_owned(), |number| number.to_string());
        writeln!(out, "{}, arbiters: {arbiters}", machine.recalld)?;
        writeln!(out, "{}, appendonly yes, appendfsync always", machine.redis)?;
        let Self { runs, seconds, threads, .. } = self;
        writeln!(out, "runs of each side, alternating: {runs}, {seconds} s each; threads of the load: {threads}\n")?;
        writeln!(out, "{}\n\n{}", table::ratios(lines), table::absolutes(lines))?;
        Ok(())
    }
}
