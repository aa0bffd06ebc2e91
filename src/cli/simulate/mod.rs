//! `recalld simulate`: be a switch (PRODUCT.md 5.1), for trying things and for load.
//!
//! | module | what lives there |
//! |---|---|
//! | `link` | a connection as Kamailio makes it: netstrings, many requests in flight |
//! | `callers` | the example numbers simulated callers have |
//! | `context` | the context of a session, told to people |
//! | `call` | one call from its start to its end |
//! | `load` | many calls, and how fast they were answered |
//! | `days` | weeks that pass in seconds |
//! | `latency` | a histogram |

pub(super) mod call;
pub(super) mod callers;
pub(super) mod context;
mod days;
mod latency;
pub(super) mod link;
mod load;

use std::net::SocketAddr;

use clap::Subcommand;

/// Arguments of `simulate`.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    days: days::Arguments,
}

#[derive(Subcommand)]
enum Command {
    /// One call from its start to its end, told step by step.
    Call(call::Arguments),
    /// Many calls a second, and how fast their events were answered.
    Load(load::Arguments),
}

/// Where recalld listens for switches, and for which release the calls are.
#[derive(clap::Args)]
struct Target {
    /// The address of the `[[switch]]` to talk to.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9070")]
    switch: SocketAddr,
    /// The release that is called; without it the one the called number belongs to.
    #[arg(long, value_name = "INSTANCE_ID")]
    instance: Option<String>,
}

/// Runs one of the commands.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if let (None, Some(days)) = (&arguments.command, arguments.days.days) {
        return days::run(&arguments.days, days);
    }
    super::block_on(async {
        match &arguments.command {
            Some(Command::Call(arguments)) => call::run(arguments).await,
            Some(Command::Load(arguments)) => load::run(arguments).await,
            None => Ok(()),
        }
    })
}
