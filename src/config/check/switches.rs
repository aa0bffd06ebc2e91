//! `[[switch]]`.

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use toml::Spanned;

use super::ranges::size;
use super::tenants::Tenants;
use super::{Listeners, NO_TLS, Names, listed, refuse};
use crate::config::Switch;
use crate::config::error::{Faults, likely};
use crate::config::file::SwitchTable;
use crate::config::read::Label;
use crate::config::written::{Entry, List};
use crate::domain::ids::{SwitchName, TenantId, VariableName};

/// Checks all `[[switch]]` tables.
pub(super) fn check(
    tables: Vec<Spanned<SwitchTable>>,
    tenants: &Tenants,
    taken: &mut Listeners,
    faults: &mut Faults,
) -> Vec<Switch> {
    let mut names = Names::default();
    tables.into_iter().filter_map(|table| switch(table, &mut names, tenants, taken, faults)).collect()
}

fn switch(
    table: Spanned<SwitchTable>,
    names: &mut Names<SwitchName>,
    tenants: &Tenants,
    taken: &mut Listeners,
    faults: &mut Faults,
) -> Option<Switch> {
    let (whole, table) = (table.span(), table.into_inner());
    let name = names.add(table.name.0, faults, |name| format!("the switch `{name}` is configured twice"));
    let written = written_tenants(table.tenant, table.tenants, &whole, faults);
    refuse([table.tls_cert, table.tls_key, table.tls_client_ca], NO_TLS, faults);
    match &table.protocol.0 {
        Some(protocol) if protocol.get_ref().is_available() => {
            refuse(
                [table.connect, table.secret, table.call_id, table.mode],
                "this key is not used by the protocol `jsonrpc`, where the switch connects to `listen`: remove it",
                faults,
            );
            if matches!(table.listen, Entry::Absent) {
                faults.add(whole, "a switch needs `listen`, the address it connects to");
            }
        }
        Some(protocol) => {
            let name = protocol.get_ref().as_str();
            let why = format!("the protocol `{name}` is not available in this version: only `jsonrpc` is");
            faults.add(protocol.span(), why);
        }
        None => {}
    }
    if let Entry::Given(listen) = &table.listen {
        taken.claim(listen.span(), *listen.get_ref(), faults);
    }
    let tenants = tenants.of_one_switch(written, faults);
    let expose = table.expose.given().map(|names| once_each(names, faults));
    let max_answer = size(table.max_answer, &(1 << 10..=1 << 24), faults).given();
    let name = name?;
    Some(Switch {
        protocol: table.protocol.0?.into_inner(),
        listen: table.listen.given()?,
        allow: table.allow.given().map_or_else(loopback, listed),
        tenants,
        trust_identity: table.trust_identity.or(false),
        region: table.region.0?.into_inner(),
        domain: table.domain.given().map_or_else(|| name.to_string(), |Label(domain)| domain),
        expose,
        max_answer,
        name,
    })
}

/// `tenant` or `tenants`.
fn written_tenants(
    one: Entry<TenantId>,
    several: Entry<List<TenantId>>,
    whole: &Range<usize>,
    faults: &mut Faults,
) -> Vec<Spanned<TenantId>> {
    match (one, several) {
        (Entry::Given(one), Entry::Absent) => vec![one],
        (Entry::Absent, Entry::Given(several)) => {
            if several.get_ref().is_empty() {
                faults.add(several.span(), "`tenants` names no tenant: name at least one");
            }
            several.into_inner().texts
        }
        (Entry::Given(_), Entry::Given(several)) => {
            faults.add(several.span(), "a switch has either `tenant` or `tenants`, not both");
            Vec::new()
        }
        (Entry::Absent, Entry::Absent) => {
            faults.add(whole.clone(), "a switch needs `tenant` (or `tenants`, several of them)");
            Vec::new()
        }
        (Entry::Wrong, _) | (_, Entry::Wrong) => Vec::new(),
    }
}

impl Tenants {
    /// The tenants of a switch: each configured, none twice, no called number at two of them.
    fn of_one_switch(&self, written: Vec<Spanned<TenantId>>, faults: &mut Faults) -> Vec<TenantId> {
        let mut seen: Vec<TenantId> = Vec::with_capacity(written.len());
        let mut claimed = HashMap::new();
        for id in written {
            let (span, id) = (id.span(), id.into_inner());
            if self.names.lack(&id) {
                let likely = likely(id.as_str(), self.names.known.iter().map(TenantId::as_str));
                let hint = likely.map(|meant| format!(": did you mean `{meant}`?")).unwrap_or_default();
                faults.add(span, format!("there is no tenant `{id}` in this file{hint}"));
                continue;
            }
            if seen.contains(&id) {
                faults.add(span, format!("the tenant `{id}` is listed twice"));
                continue;
            }
            let tenant = self.read.iter().find(|tenant| tenant.id == id);
            for number in tenant.into_iter().flat_map(|tenant| &tenant.releases).flat_map(|release| &release.numbers) {
                if let Some(other) = claimed.insert(number, id.clone()) {
                    faults.add(
                        span.clone(),
                        format!(
                            "the tenants `{other}` and `{id}` claim the same called number: one switch cannot serve both"
                        ),
                    );
                    break;
                }
            }
            seen.push(id);
        }
        seen
    }
}

/// The variables of `expose`.
fn once_each(names: List<VariableName>, faults: &mut Faults) -> Vec<VariableName> {
    let mut seen = HashSet::new();
    for name in &names.texts {
        if !seen.insert(name.get_ref()) {
            faults.add(name.span(), format!("the variable `{}` is listed twice", name.get_ref()));
        }
    }
    listed(names)
}

/// `allow` where it is not given: this machine.
fn loopback() -> Vec<IpNet> {
    vec![
        IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
        IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
    ]
}
