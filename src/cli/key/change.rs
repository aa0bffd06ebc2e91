//! `recalld key rotate`, `rotate-data` and `retire`: the running daemon does it, calls go on.

use serde_json::{Value, json};

use super::super::admin_client::Where;
use super::super::{out, words};
use super::ask;

/// Arguments of `key rotate` and `key rotate-data`.
#[derive(clap::Args)]
pub(super) struct Rotate {
    /// Whose key.
    #[arg(long, value_name = "ID")]
    tenant: String,
    #[command(flatten)]
    daemon: Where,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Arguments of `key retire`.
#[derive(clap::Args)]
pub(super) struct Retire {
    /// Whose key.
    #[arg(long, value_name = "ID")]
    tenant: String,
    /// Which version.
    #[arg(long, value_name = "N")]
    version: u32,
    /// Retire it although callers are found through it only: they are forgotten, their next call makes a new session.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    daemon: Where,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// A new pseudonym key.
pub(super) fn rotate(arguments: &Rotate) -> anyhow::Result<()> {
    arguments.run("key_rotate", |version| {
        format!(
            "version {version} of the pseudonym key of {} is in use. Callers move to it at their next call; `recalld key \
             status` shows how many are left under older versions",
            arguments.tenant
        )
    })
}

/// A new data key.
pub(super) fn rotate_data(arguments: &Rotate) -> anyhow::Result<()> {
    arguments.run("key_rotate_data", |version| {
        format!(
            "version {version} of the data key of {} seals new records. Old ones are sealed anew in the background, then \
             the old key is destroyed; older backups of the data are unreadable from then on. `recalld key status` shows \
             how far it is",
            arguments.tenant
        )
    })
}

impl Rotate {
    fn run(&self, op: &str, done: impl FnOnce(u64) -> String) -> anyhow::Result<()> {
        let answer = ask(&self.daemon, &json!({ "op": op, "tenant": self.tenant }))?;
        if self.json {
            return out::json(&answer);
        }
        out::line(done(answer.get("version").and_then(Value::as_u64).unwrap_or_default()))
    }
}

/// An older pseudonym key goes.
pub(super) fn retire(arguments: &Retire) -> anyhow::Result<()> {
    let Retire { tenant, version, force, daemon, json } = arguments;
    let request = json!({ "op": "key_retire", "tenant": tenant, "version": version, "force": force });
    let answer = ask(daemon, &request)?;
    if *json {
        return out::json(&answer);
    }
    let forgotten = answer.get("forgotten").and_then(Value::as_u64).unwrap_or_default();
    let callers = match forgotten {
        0 => "no caller is forgotten".to_owned(),
        1 => "1 caller is forgotten".to_owned(),
        more => format!("{} callers are forgotten", words::count(more)),
    };
    out::line(format!("version {version} of the pseudonym key of {tenant} is retired, {callers}"))
}
