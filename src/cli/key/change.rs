//! `recalld key rotate`, `rotate-data` and `retire`: the running daemon does it, calls go on.

use serde_json::{Value, json};

use super::super::admin_client::Where;
use super::super::{out, words};
use super::ask;

/// Arguments of `key rotate` and `key rotate-data`: whose key changes.
#[derive(clap::Args)]
pub(super) struct Change {
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
    #[command(flatten)]
    change: Change,
    /// Which version.
    #[arg(long, value_name = "N")]
    version: u32,
    /// Retire it although callers are found through it only: they are forgotten, their next call makes a new session.
    #[arg(long)]
    force: bool,
}

/// A new pseudonym key.
pub(super) fn rotate(arguments: &Change) -> anyhow::Result<()> {
    let tenant = &arguments.tenant;
    arguments.run(json!({ "op": "key_rotate", "tenant": tenant }), |answer| {
        format!(
            "version {} of the pseudonym key of {tenant} is in use. Callers move to it at their next call; `recalld key \
             status` shows how many are left under older versions",
            number(answer, "version")
        )
    })
}

/// A new data key.
pub(super) fn rotate_data(arguments: &Change) -> anyhow::Result<()> {
    let tenant = &arguments.tenant;
    arguments.run(json!({ "op": "key_rotate_data", "tenant": tenant }), |answer| {
        format!(
            "version {} of the data key of {tenant} seals new records. Old ones are sealed anew in the background, then \
             the old key is destroyed; older backups of the data are unreadable from then on. `recalld key status` shows \
             how far it is",
            number(answer, "version")
        )
    })
}

/// An older pseudonym key goes.
pub(super) fn retire(arguments: &Retire) -> anyhow::Result<()> {
    let Retire { change, version, force } = arguments;
    let tenant = &change.tenant;
    let request = json!({ "op": "key_retire", "tenant": tenant, "version": version, "force": force });
    change.run(request, |answer| {
        let callers = match number(answer, "forgotten") {
            0 => "no caller is forgotten".to_owned(),
            1 => "1 caller is forgotten".to_owned(),
            more => format!("{} callers are forgotten", words::count(more)),
        };
        format!("version {version} of the pseudonym key of {tenant} is retired, {callers}")
    })
}

impl Change {
    fn run(&self, request: Value, told: impl FnOnce(&Value) -> String) -> anyhow::Result<()> {
        let answer = ask(&self.daemon, &request)?;
        if self.json { out::json(&answer) } else { out::line(told(&answer)) }
    }
}

fn number(answer: &Value, member: &str) -> u64 {
    answer.get(member).and_then(Value::as_u64).unwrap_or_default()
}
