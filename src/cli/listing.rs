//! What the commands that list something active have in common.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::admin_client::Where;
use super::tables::{Column, Look};
use super::{block_on, out};

/// Arguments of a list.
#[derive(clap::Args)]
pub(super) struct Listing {
    #[command(flatten)]
    pub(super) daemon: Where,
    /// Only those of this tenant.
    #[arg(long, value_name = "ID")]
    pub(super) tenant: Option<String>,
    /// Show whole IDs on a terminal, too.
    #[arg(long)]
    pub(super) full: bool,
    /// Print the answer as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

impl Listing {
    /// Asks for the list that is called `what` and prints it, or `nothing` if it is empty.
    pub(super) fn print<T: DeserializeOwned>(
        &self,
        what: &str,
        nothing: &str,
        columns: &[Column],
        row: impl Fn(&T, Look) -> Vec<String>,
    ) -> anyhow::Result<()> {
        let request = json!({ "op": what, "tenant": self.tenant, "from": null, "limit": 1000 });
        let list = block_on(async { self.daemon.connect().await?.ask_all(request, what).await })?;
        if self.json {
            return out::json(&Map::from_iter([(what.to_owned(), Value::Array(list))]));
        }
        if list.is_empty() {
            return out::line(nothing);
        }
        let look = Look::for_stdout(self.full);
        let rows = list.into_iter().map(|entry| Ok(row(&serde_json::from_value(entry)?, look)));
        let rows = rows.collect::<anyhow::Result<_>>()?;
        out::line(look.table(columns, rows))
    }
}
