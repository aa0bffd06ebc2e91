//! `recalld calls`: the active calls.

use serde::Deserialize;

use super::listing::Listing;
use super::tables::Column::{Id, Text};
use super::tables::Look;
use super::words;

/// Arguments of `calls`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    listing: Listing,
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
    let columns = [
        Text("tenant"),
        Text("release"),
        Id("call ID"),
        Id("session"),
        Text("state"),
        Text("started (UTC)"),
        Text("caller"),
        Text("assurance"),
        Text("legs"),
    ];
    arguments.listing.print("calls", "no call is active", &columns, Row::cells)
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
