//! `[[switch]]`.

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use toml::Spanned;

use super::ranges::size;
use super::{Listeners, NO_TLS, refuse};
use crate::config::error::{Fault, likely};
use crate::config::file::SwitchTable;
use crate::config::{Switch, Tenant};
use crate::domain::caller::InvalidRegion;
use crate::domain::ids::TenantId;

/// Checks all `[[switch]]` tables.
pub(super) fn check(
    tables: Vec<Spanned<SwitchTable>>,
    tenants: &[Tenant],
    taken: &mut Listeners,
) -> Result<Vec<Switch>, Fault> {
    let mut names = HashSet::new();
    let mut switches = Vec::with_capacity(tables.len());
    for table in tables {
        let name = table.get_ref().name.get_ref().0.clone();
        if !names.insert(name.clone()) {
            return Err(Fault::new(table.get_ref().name.span(), format!("the switch `{name}` is configured twice")));
        }
        switches.push(switch(table, tenants, taken)?);
    }
    Ok(switches)
}

fn switch(table: Spanned<SwitchTable>, tenants: &[Tenant], taken: &mut Listeners) -> Result<Switch, Fault> {
    let whole = table.span();
    let table = table.into_inner();
    let protocol = table.protocol.get_ref().0;
    if !protocol.is_available() {
        return Err(Fault::new(
            table.protocol.span(),
            format!("the protocol `{}` is not available in this version: only `jsonrpc` is", protocol.as_str()),
        ));
    }
    refuse(&[&table.tls_cert, &table.tls_key, &table.tls_client_ca], NO_TLS)?;
    refuse(
        &[&table.connect, &table.secret, &table.call_id, &table.mode],
        "this key is not used by the protocol `jsonrpc`, where the switch connects to `listen`: remove it",
    )?;
    let tenants = tenants_of(&table, &whole, tenants)?;
    let name = table.name.into_inner().0;
    let Some(listen) = table.listen else {
        return Err(Fault::new(whole, format!("the switch `{name}` needs `listen`, the address it connects to")));
    };
    let region_span = table.region.span();
    let region = table.region.into_inner().parse();
    let region = region.map_err(|error: InvalidRegion| Fault::new(region_span, error.to_string()))?;
    let expose = match table.expose {
        None => None,
        Some(names) => {
            let mut seen = HashSet::new();
            let mut list = Vec::with_capacity(names.len());
            for name in names {
                let (span, name) = (name.span(), name.into_inner().0);
                if !seen.insert(name.clone()) {
                    return Err(Fault::new(span, format!("the variable `{name}` is listed twice")));
                }
                list.push(name);
            }
            Some(list)
        }
    };
    let max_answer = match &table.max_answer {
        Some(most) => Some(size(Some(most), 0, &(1 << 10..=1 << 24))?),
        None => None,
    };
    Ok(Switch {
        protocol,
        listen: taken.claim(listen.span(), listen.into_inner().0)?,
        allow: table.allow.map_or_else(loopback, |networks| networks.into_iter().map(|network| network.0).collect()),
        tenants,
        trust_identity: table.trust_identity,
        region,
        domain: table.domain.map_or_else(|| name.to_string(), |domain| domain.0.0),
        expose,
        max_answer,
        name,
    })
}

/// The tenants of a switch: `tenant` or `tenants`, each configured, no called number at two of them.
fn tenants_of(table: &SwitchTable, whole: &Range<usize>, tenants: &[Tenant]) -> Result<Vec<TenantId>, Fault> {
    let written = match (&table.tenant, &table.tenants) {
        (Some(one), None) => vec![(one.span(), one.get_ref().0.clone())],
        (None, Some(several)) if several.get_ref().is_empty() => {
            return Err(Fault::new(several.span(), "`tenants` names no tenant: name at least one"));
        }
        (None, Some(several)) => several.get_ref().iter().map(|id| (id.span(), id.get_ref().0.clone())).collect(),
        (Some(_), Some(several)) => {
            return Err(Fault::new(several.span(), "a switch has either `tenant` or `tenants`, not both"));
        }
        (None, None) => {
            return Err(Fault::new(whole.clone(), "a switch needs `tenant` (or `tenants`, several of them)"));
        }
    };
    let mut seen: Vec<TenantId> = Vec::with_capacity(written.len());
    let mut claimed = HashMap::new();
    for (span, id) in written {
        let Some(tenant) = tenants.iter().find(|tenant| tenant.id == id) else {
            let likely = likely(id.as_str(), tenants.iter().map(|tenant| tenant.id.as_str()));
            let hint = likely.map(|meant| format!(": did you mean `{meant}`?")).unwrap_or_default();
            return Err(Fault::new(span, format!("there is no tenant `{id}` in this file{hint}")));
        };
        if seen.contains(&id) {
            return Err(Fault::new(span, format!("the tenant `{id}` is listed twice")));
        }
        for number in tenant.releases.iter().flat_map(|release| &release.numbers) {
            if let Some(other) = claimed.insert(number, &tenant.id) {
                return Err(Fault::new(
                    span,
                    format!(
                        "the tenants `{other}` and `{id}` claim the same called number: one switch cannot serve both"
                    ),
                ));
            }
        }
        seen.push(id);
    }
    Ok(seen)
}

/// `allow` where it is not given: this machine.
fn loopback() -> Vec<IpNet> {
    vec![
        IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
        IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
    ]
}
