//! `recalld session-id`: the pseudonym of a number at a release (PRODUCT.md 3.2), computed from the configuration and
//! the root key alone, the way the daemon does it at a first contact with key version 1.

use clap::Args;
use serde_json::json;

use super::files::{self, ConfigFile};
use super::stdin::NumberSource;
use super::{exit, out};
use crate::config::{Config, Generation, Switch};
use crate::daemon::root_key;
use crate::domain::caller::{Evidence, Region, Trunk, identify};
use crate::domain::ids::{InstanceId, SessionId, SwitchName, TenantId};

/// The version of every tenant's first pseudonym key.
const FIRST_KEY_VERSION: u32 = 1;

/// Arguments of `session-id`.
#[derive(Args)]
pub(super) struct Arguments {
    /// Whose release.
    #[arg(long, value_name = "ID", value_parser = tenant)]
    tenant: TenantId,
    /// The release.
    #[arg(long, value_name = "INSTANCE_ID", value_parser = instance)]
    instance: InstanceId,
    /// Where the number comes from: `-`, standard input.
    #[arg(long, value_name = "-", value_parser = NumberSource::parse)]
    number: NumberSource,
    /// The country whose way of writing numbers is meant; without it that of the switch.
    #[arg(long, value_name = "COUNTRY", value_parser = region)]
    region: Option<Region>,
    /// The switch that would report the caller; without it the first one of the tenant.
    #[arg(long, value_name = "NAME")]
    switch: Option<String>,
    #[command(flatten)]
    file: ConfigFile,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Prints the session ID.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let number = arguments.number.read()?;
    let config = files::config(&arguments.file.config)?;
    let release = config
        .tenant(&arguments.tenant)
        .and_then(|tenant| tenant.release(&arguments.instance))
        .ok_or_else(|| exit::with(exit::FAILED, "this tenant has no such release in the configuration"))?;
    if release.generation == Generation::Phone1 {
        anyhow::bail!("the session IDs of a `phone1` release are random: they cannot be computed from a number");
    }
    let switch = arguments.switch(&config)?;
    let region = arguments.region.unwrap_or(switch.region);
    let evidence = Evidence {
        user_id: None,
        party: &number,
        display: None,
        pai: &[],
        rpid: None,
        privacy: None,
        verstat: None,
        hidden_by_switch: false,
    };
    let trunk = Trunk { trust_identity: false, region: &region, domain: &switch.domain };
    let Some(caller) = identify(&evidence, &trunk).canonical else {
        anyhow::bail!("this is what withheld callers show: their session IDs are random");
    };
    let key = root_key::read(&config.keys.root)?.pseudonym_key(&arguments.tenant, FIRST_KEY_VERSION);
    let session_id = SessionId::Caller(key.keyed_value(&caller, &arguments.instance).0);
    if arguments.json {
        return out::json(&json!({ "session_id": session_id.to_string(), "key_version": key.version() }));
    }
    out::line(session_id.to_string())
}

impl Arguments {
    fn switch<'c>(&self, config: &'c Config) -> anyhow::Result<&'c Switch> {
        let name = self.switch.as_ref().map(|name| name.parse::<SwitchName>()).transpose()?;
        config
            .switches
            .iter()
            .filter(|switch| switch.tenants.contains(&self.tenant))
            .find(|switch| name.as_ref().is_none_or(|name| switch.name == *name))
            .ok_or_else(|| exit::with(exit::FAILED, "this tenant has no such switch in the configuration"))
    }
}

fn tenant(text: &str) -> Result<TenantId, String> {
    text.parse::<TenantId>().map_err(|refusal| refusal.to_string())
}

fn instance(text: &str) -> Result<InstanceId, String> {
    text.parse::<InstanceId>().map_err(|refusal| refusal.to_string())
}

fn region(text: &str) -> Result<Region, String> {
    text.parse::<Region>().map_err(|refusal| refusal.to_string())
}
