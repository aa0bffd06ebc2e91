//! From a number that somebody gives (a voice app that looks a caller up, an operator) to the caller whom a switch would
//! report with it. The number goes nowhere else.

use crate::config::Config;
use crate::domain::caller::{CanonicalCallerId, Evidence, Region, Trunk, identify};
use crate::domain::ids::{SwitchName, TenantId};
use crate::domain::refusal::{Reason, Refusal};

/// How a number is to be read.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// Whose caller it is.
    pub tenant: &'a TenantId,
    /// As which switch reads caller IDs; without one as the tenant's first.
    pub switch: Option<&'a SwitchName>,
    /// The country whose way of writing numbers is meant; without one that of the switch.
    pub region: Option<Region>,
}

/// The caller of a number, none if it says that the caller is withheld.
///
/// # Errors
/// `invalid_params` if the tenant has no such switch.
pub fn caller(config: &Config, reading: Reading<'_>, number: &str) -> Result<Option<CanonicalCallerId>, Refusal> {
    let Reading { tenant, switch: named, region } = reading;
    let mut switches = config.switches.iter().filter(|switch| switch.tenants.contains(tenant));
    let switch = switches.find(|switch| named.is_none_or(|name| switch.name == *name)).ok_or_else(|| {
        Refusal::new(Reason::InvalidParams, "the tenant has no such switch: numbers are read the way a switch does")
    })?;
    let region = region.unwrap_or(switch.region);
    let evidence = Evidence {
        user_id: None,
        party: number,
        display: None,
        pai: &[],
        rpid: None,
        privacy: None,
        verstat: None,
        hidden_by_switch: false,
    };
    let trunk = Trunk { trust_identity: false, region: &region, domain: &switch.domain };
    Ok(identify(&evidence, &trunk).canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let switch = |name: &str, region: &str| {
            format!(
                "[[switch]]\nname = \"{name}\"\nprotocol = \"jsonrpc\"\nlisten = \"127.0.0.1:{}\"\ntenant = \"acme\"\n\
                 region = \"{region}\"\n",
                9_070 + name.len()
            )
        };
        let tenant = "[[tenant]]\nid = \"acme\"\n[[tenant]]\nid = \"globex\"\n";
        Config::parse(&format!("{tenant}{}{}", switch("one", "DE"), switch("other", "GB"))).unwrap()
    }

    #[test]
    fn a_number_is_read_as_a_switch_of_the_tenant_reads_it() {
        let config = config();
        let tenant = "acme".parse().unwrap();
        let reading = Reading { tenant: &tenant, switch: None, region: None };
        let read = |reading: Reading<'_>, number: &str| {
            caller(&config, reading, number).unwrap().map(|caller| caller.reveal().to_owned())
        };
        assert_eq!(read(reading, "030 23125 101").as_deref(), Some("tel:+493023125101"));
        assert_eq!(read(reading, "<sip:+493023125101@switch.example>").as_deref(), Some("tel:+493023125101"));
        assert_eq!(read(reading, "17").as_deref(), Some("ext:one:17"));
        assert_eq!(read(reading, "anonymous"), None);
        let other = "other".parse().unwrap();
        let british = Reading { switch: Some(&other), ..reading };
        assert_eq!(read(british, "020 7946 0001").as_deref(), Some("tel:+442079460001"));
        assert_eq!(read(british, "17").as_deref(), Some("ext:other:17"));
        let named = Reading { region: Some("GB".parse().unwrap()), ..reading };
        assert_eq!(read(named, "020 7946 0001").as_deref(), Some("tel:+442079460001"));
    }

    #[test]
    fn a_tenant_without_that_switch_is_refused() {
        let (config, globex) = (config(), "globex".parse().unwrap());
        let reading = Reading { tenant: &globex, switch: None, region: None };
        assert_eq!(caller(&config, reading, "17").unwrap_err().reason, Reason::InvalidParams);
    }
}
