//! `recalld key`: the root key, and the keys of the tenants (PRODUCT.md 3.2, 3.3, 7).
//!
//! | module | what |
//! |---|---|
//! | `generate` | a root key |
//! | `reroot` | another root key for the data of a daemon that is stopped |
//! | `change` | rotate and retire the keys of a tenant, while calls go on |
//! | `status` | which versions there are, and how many callers each still finds |

mod change;
mod generate;
mod reroot;
mod status;

use clap::Subcommand;
use serde_json::Value;

use super::admin_client::Where;
use super::{block_on, out, words};

pub(super) use generate::write_new;

/// Arguments of `key`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a root key: 256 random bits as 64 hex digits, in a new file that only its owner can read.
    Generate(generate::Arguments),
    /// Show the versions of the tenants' keys, and how many callers are left under each.
    Status(status::Arguments),
    /// Give a tenant a new pseudonym key. Callers move to it at their next call; session IDs stay.
    Rotate(change::Change),
    /// Give a tenant a new data key. Old records are sealed anew in the background, then the old key is destroyed.
    RotateData(change::Change),
    /// Take an older pseudonym key out of use. Refused while callers are found through it only.
    Retire(change::Retire),
    /// Change the root key of the data of a daemon that is stopped. Session IDs stay.
    Reroot(reroot::Arguments),
}

/// Runs one of the commands.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.command {
        Command::Generate(arguments) => generate::run(arguments),
        Command::Status(arguments) => status::run(arguments),
        Command::Rotate(arguments) => change::rotate(arguments),
        Command::RotateData(arguments) => change::rotate_data(arguments),
        Command::Retire(arguments) => change::retire(arguments),
        Command::Reroot(arguments) => reroot::run(arguments),
    }
}

/// Asks the daemon. Where somebody sees it, a line tells how far a count is.
fn ask(daemon: &Where, request: &Value) -> anyhow::Result<Value> {
    let told = |progress: &Value| {
        let tenant = progress.get("tenant").and_then(Value::as_str).unwrap_or_default();
        let aliases = progress.get("aliases").and_then(Value::as_u64).unwrap_or_default();
        let aliases = words::counted(aliases, "alias", "aliases");
        out::waiting(&format!("counting: {aliases} of {} so far", words::printable(tenant)));
    };
    block_on(async { daemon.connect().await?.ask_long(request, told).await })
}
