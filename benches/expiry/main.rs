//! Lifetimes at scale: sessions that sleep, sessions that end, callers who come back.
//!
//! `cargo bench --profile release --bench expiry` takes about two minutes; `-- --help` says what can be changed, above
//! all `--sessions 10000000` and `--due 1000000`. recalld's directory, actors and store run in this process, without
//! sockets; the start is that of the real daemon. Redis 7 with the same data is beside it where it can do the same. The
//! files:
//!
//! | file | what it says |
//! |---|---|
//! | `idle` | memory and disk of sessions that sleep, the start with them |
//! | `due` | ends at their time while calls go on, and flat out |
//! | `cold` | a returning caller whose session is on the disk |
//! | `house`, `load`, `lives` | recalld in this process, idle sessions, calls that go on |
//! | `redis` | Redis |
//! | `files` | sizes on the disk and in memory |

mod cold;
mod due;
mod files;
mod house;
mod idle;
mod lives;
mod load;
#[path = "../redis/process.rs"]
#[expect(dead_code, reason = "this benchmark needs a part of it")]
mod process;
mod redis;

use std::path::PathBuf;

use anyhow::{bail, ensure};
use clap::Parser;

use crate::process::{Machine, file_system};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Lifetimes at scale.
#[derive(Parser)]
struct Settings {
    /// Only this row: idle, beside-calls, flat-out, cold; may be given several times
    #[arg(long, value_name = "ROW")]
    only: Vec<String>,
    /// Idle sessions
    #[arg(long, default_value_t = 100_000)]
    sessions: usize,
    /// Sessions that end, at the rate of a million a minute or at once
    #[arg(long, default_value_t = 60_000)]
    due: usize,
    /// Runs with ends beside calls, and without
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Threads for actors
    #[arg(long, default_value_t = 2)]
    arbiters: usize,
    /// Another recalld
    #[arg(long, value_name = "PROGRAM", default_value = env!("CARGO_BIN_EXE_recalld"))]
    recalld: PathBuf,
    /// Another Redis
    #[arg(long, value_name = "PROGRAM", default_value = "redis-server")]
    redis: PathBuf,
    /// Directory of the data of both, on a real disk
    #[arg(long, value_name = "DIRECTORY", default_value = env!("CARGO_TARGET_TMPDIR"))]
    dir: PathBuf,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

/// Prints a line of the report.
macro_rules! say {
    ($($words:tt)*) => {
        std::io::Write::write_fmt(&mut std::io::stdout().lock(), format_args!("{}\n", format_args!($($words)*)))?
    };
}
pub(crate) use say;

type Row = (&'static str, fn(&Settings) -> anyhow::Result<()>);
const ROWS: [Row; 4] =
    [("idle", idle::run), ("beside-calls", due::beside_calls), ("flat-out", due::flat_out), ("cold", cold::run)];

fn main() -> anyhow::Result<()> {
    // The threads of the actors belong to it.
    let _system = actix_rt::System::new();
    let settings = Settings::parse();
    std::fs::create_dir_all(&settings.dir)?;
    ensure!(settings.sessions > 0 && settings.due > 0 && settings.runs > 0, "nothing to do");
    let file_system = file_system(&settings.dir)?;
    ensure!(file_system != "tmpfs", "a sync costs nothing on tmpfs: say --dir with a directory on a disk");
    let machine = Machine::look(&settings.recalld, &settings.redis, &settings.dir)?;
    say!("{}, {} cores, {} GiB, Linux {}", machine.processor, machine.cores, machine.memory_gib, machine.kernel);
    say!("data on {file_system}, load before {}; arbiters: {}", machine.load_before, settings.arbiters);
    say!("{}; {}, appendfsync always\n", machine.recalld, machine.redis);
    let mut rows =
        ROWS.iter().filter(|(name, _)| settings.only.is_empty() || settings.only.iter().any(|row| row == name));
    let Some(first) = rows.next() else {
        bail!("there is no such row; the rows are {}", ROWS.map(|(name, _)| name).join(", "));
    };
    for (_, run) in std::iter::once(first).chain(rows) {
        run(&settings)?;
        say!("");
    }
    Ok(())
}
