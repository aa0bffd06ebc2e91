//! `recalld calls`: the active calls.

use serde::Deserialize;
use serde_json::{Value, json};

use super::admin_client::Where;
use super::tables::Look;
use super::{block_on, out, words};

/// Arguments of `calls`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    daemon: Where,
    /// Only the calls of this tenant.
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// Show whole IDs on a terminal, too.
    #[arg(long)]
    full: bool,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// One active call.
#[derive(Deserialize)]
struct Row {
    tenant: String,
    instance_id: String,
    call_id: String,
    session_id: String,
    state: String,
    started_at: String,
    legs: Vec<Leg>,
    anonymous: bool,
    returning: bool,
    assurance: String,
}

#[derive(Deserialize)]
struct Leg {
    switch: String,
}

/// Asks and prints.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let request = json!({ "op": "calls", "tenant": arguments.tenant, "from": null, "limit": 1000 });
    let calls = block_on(async { arguments.daemon.connect().await?.ask_all(request, "calls").await })?;
    if arguments.json {
        return out::json(&json!({ "calls": calls }));
    }
    if calls.is_empty() {
        return out::line("no call is active");
    }
    let calls: Vec<Row> = serde_json::from_value(Value::Array(calls))?;
    let look = Look::for_stdout(arguments.full);
    let rows = calls.iter().map(|call| call.cells(look)).collect();
    out::line(look.table(
        &["tenant", "release", "call ID", "session", "state", "started (UTC)", "caller", "assurance", "legs"],
        &[],
        rows,
    ))
}

impl Row {
    fn cells(&self, look: Look) -> Vec<String> {
        let caller = match (self.anonymous, self.returning) {
            (true, _) => "withheld",
            (false, true) => "returning",
            (false, false) => "new",
        };
        vec![
            self.tenant.clone(),
            self.instance_id.clone(),
            look.id(&self.call_id),
            look.id(&self.session_id),
            self.state.clone(),
            words::moment(&self.started_at),
            caller.to_owned(),
            self.assurance.clone(),
            self.legs.iter().map(|leg| leg.switch.as_str()).collect::<Vec<_>>().join(", "),
        ]
    }
}
