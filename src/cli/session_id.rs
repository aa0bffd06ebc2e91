//! `recalld session-id`: the session ID of a number at a release (PRODUCT.md 3.2), as the running daemon finds it under
//! every version of the tenant's key. The daemon records in the audit log who asked.

use clap::Args;
use serde_json::json;

use super::admin_client::Where;
use super::stdin::NumberSource;
use super::{block_on, out};
use crate::domain::caller::Region;
use crate::domain::ids::{InstanceId, SwitchName, TenantId};

/// Arguments of `session-id`.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    daemon: Where,
    /// Whose release.
    #[arg(long, value_name = "ID", value_parser = parsed::<TenantId>)]
    tenant: TenantId,
    /// The release.
    #[arg(long, value_name = "INSTANCE_ID", value_parser = parsed::<InstanceId>)]
    instance: InstanceId,
    /// Where the number comes from: `-`, standard input.
    #[arg(long, value_name = "-", value_parser = NumberSource::parse)]
    number: NumberSource,
    /// The country whose way of writing numbers is meant; without it that of the switch.
    #[arg(long, value_name = "COUNTRY", value_parser = country)]
    region: Option<String>,
    /// The switch that would report the caller; without it the first one of the tenant.
    #[arg(long, value_name = "NAME", value_parser = parsed::<SwitchName>)]
    switch: Option<SwitchName>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Prints the session ID.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let number = arguments.number.read()?;
    let request = json!({
        "op": "session_id",
        "tenant": arguments.tenant.as_str(),
        "instance_id": arguments.instance.as_str(),
        "number": number.as_str(),
        "region": arguments.region,
        "switch": arguments.switch.as_ref().map(SwitchName::as_str),
    });
    let answer = block_on(async { arguments.daemon.connect().await?.ask(&request).await })?;
    if arguments.json {
        return out::json(&answer);
    }
    out::line(answer.get("session_id").and_then(serde_json::Value::as_str).unwrap_or_default())
}

fn parsed<T: std::str::FromStr<Err = crate::domain::refusal::Refusal>>(text: &str) -> Result<T, String> {
    text.parse::<T>().map_err(|refusal| refusal.to_string())
}

fn country(text: &str) -> Result<String, String> {
    text.parse::<Region>().map(|_| text.to_owned()).map_err(|error| error.to_string())
}
