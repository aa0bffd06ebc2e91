//! The command line (PRODUCT.md 8): subcommands, tables and `--json`, `demo`, `simulate`.
//!
//! | module | what lives there |
//! |---|---|
//! | `serve`, `check` | run the daemon, validate a configuration |
//! | `status`, `calls`, `sessions`, `watch`, `session_id` | ask the running daemon through `admin_client` |
//! | `audit` | the audit log of the daemon, or of a data directory |
//! | `key` | make, rotate and retire keys |
//! | `api_key` | make API keys, without a daemon |
//! | `retention` | what goes when; ends what is due, confirms what waits |
//! | `simulate` | be a switch |
//! | `demo` | a scripted day on a temporary directory |
//! | `exit` | exit codes and what carries them |
//! | `listing` | what `calls` and `sessions` have in common |
//! | `files`, `stdin` | configuration and numbers from where they may come |
//! | `out`, `paint`, `tables`, `events`, `words` | what is printed, and how |

mod admin_client;
mod api_key;
mod audit;
mod calls;
mod check;
mod demo;
mod events;
mod exit;
mod files;
mod key;
mod listing;
mod out;
mod paint;
mod retention;
mod serve;
mod session_id;
mod sessions;
mod simulate;
mod status;
mod stdin;
mod tables;
mod watch;
mod words;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Remembers callers beside SIP switches without keeping their phone numbers.
#[derive(Parser)]
#[command(name = "recalld", version, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 ok, 1 failed, 2 usage, 69 daemon not reachable, 78 configuration.\n\
                          Phone numbers are read from standard input, never from the command line.";

#[derive(Subcommand)]
enum Command {
    /// Run the daemon.
    Serve(serve::Arguments),
    /// See it at work: a daemon on a temporary directory, simulated calls, the live stream of changes.
    Demo(demo::Arguments),
    /// Validate a configuration: exit 78 with line and column where it is wrong.
    Check(check::Arguments),
    /// Ask the running daemon how it is.
    Status(status::Arguments),
    /// List the active calls.
    Calls(calls::Arguments),
    /// List the active sessions, or show one.
    Sessions(sessions::Arguments),
    /// Follow calls and changes as they happen.
    Watch(watch::Arguments),
    /// See what goes when and by which rule; end what is due, confirm what waits for an operator.
    Retention(retention::Arguments),
    /// Be a switch: send calls, for trying things and for load.
    Simulate(simulate::Arguments),
    /// Show, verify or export the audit log.
    Audit(audit::Arguments),
    /// Make the root key, rotate and retire the keys of tenants.
    Key(key::Arguments),
    /// Make the API key of a voice app.
    ApiKey(api_key::Arguments),
    /// Print the session ID of a number. The daemon records who asked.
    SessionId(session_id::Arguments),
}

/// Runs one command line, the first argument being the program's name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(refusal) => {
            // Nobody is left to be told if neither output can be written.
            let _ = refusal.print();
            return ExitCode::from(if refusal.use_stderr() { exit::USAGE } else { exit::OK });
        }
    };
    match cli.command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let (code, text) = exit::explain(&error);
            if !text.is_empty() {
                eprintln!("recalld: {text}");
            }
            ExitCode::from(code)
        }
    }
}

impl Command {
    fn run(self) -> anyhow::Result<()> {
        match self {
            Command::Serve(arguments) => serve::run(arguments),
            Command::Demo(arguments) => demo::run(&arguments),
            Command::Check(arguments) => check::run(&arguments),
            Command::Status(arguments) => status::run(&arguments),
            Command::Calls(arguments) => calls::run(&arguments),
            Command::Sessions(arguments) => sessions::run(&arguments),
            Command::Watch(arguments) => watch::run(&arguments),
            Command::Retention(arguments) => retention::run(&arguments),
            Command::Simulate(arguments) => simulate::run(&arguments),
            Command::Audit(arguments) => audit::run(&arguments),
            Command::Key(arguments) => key::run(&arguments),
            Command::ApiKey(arguments) => api_key::run(&arguments),
            Command::SessionId(arguments) => session_id::run(&arguments),
        }
    }
}

/// Runs what waits for sockets, on this thread.
fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

/// Resolves when the user or the system wants the program to end.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut ends = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
        .into_iter()
        .filter_map(|kind| signal(kind).ok())
        .collect::<Vec<_>>();
    std::future::poll_fn(|context| {
        if ends.iter_mut().any(|end| end.poll_recv(context).is_ready()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_holds_no_contradiction() {
        super::Cli::command().debug_assert();
    }
}
