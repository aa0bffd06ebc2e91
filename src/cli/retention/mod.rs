//! `recalld retention`: what goes when and by which rule, and what waits for an operator (PRODUCT.md 4.1).
//!
//! | module | what lives there |
//! |---|---|
//! | `review` | lists what goes, and changes nothing |
//! | `run` | ends now what is due |
//! | `confirm` | believes a clock, puts a held retention in force |

mod confirm;
mod review;
mod run;

use clap::Subcommand;
use serde_json::Value;

use super::words;

/// Arguments of `retention`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List what goes, and by which rule; counts first. Changes nothing.
    Review(review::Arguments),
    /// End now what is due, instead of waiting for its turn.
    Run(run::Arguments),
    /// Believe the system clock after a jump, or put a held retention in force.
    Confirm(confirm::Arguments),
}

/// Runs one of the commands.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.command {
        Command::Review(arguments) => review::run(arguments),
        Command::Run(arguments) => run::run(arguments),
        Command::Confirm(arguments) => confirm::run(arguments),
    }
}

/// Tells on standard error how far a long review or run is; whether the line was one of those.
fn is_progress(line: &Value) -> bool {
    if line.get("type").and_then(Value::as_str) != Some("progress") {
        return false;
    }
    let number = |member| line.get(member).and_then(Value::as_u64).unwrap_or_default();
    let doing = line.get("doing").and_then(Value::as_str).unwrap_or_default();
    let of = words::counted(number("of"), "session", "sessions");
    eprintln!("{}: {} of {of} read", words::printable(doing), words::count(number("records")));
    true
}
