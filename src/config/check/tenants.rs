//! `[[tenant]]` with its releases and API keys.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;

use super::ranges::{DAY, MINUTE, time};
use crate::config::error::Fault;
use crate::config::file::{ApiKeyTable, ReleaseTable, TenantTable};
use crate::config::read::Text;
use crate::config::{ApiKey, Release, Scopes, Tenant};
use crate::domain::ids::{InstanceId, TenantId};
use crate::domain::number_plan::NumberPattern;

/// 1 minute to 10 years (PRODUCT.md 4.1), three of them leap years.
const RETENTION: RangeInclusive<Duration> = MINUTE..=DAY.saturating_mul(3_653);
const DEFAULT_RETENTION: Duration = DAY.saturating_mul(30);

/// Checks all `[[tenant]]` tables.
pub(super) fn check(tables: Vec<TenantTable>) -> Result<Vec<Tenant>, Fault> {
    let mut ids = HashSet::new();
    let mut key_hashes = HashSet::new();
    let mut tenants = Vec::with_capacity(tables.len());
    for table in tables {
        let (span, id) = (table.id.span(), table.id.into_inner().0);
        if !ids.insert(id.clone()) {
            return Err(Fault::new(span, format!("the tenant `{id}` is configured twice")));
        }
        let retention = time(table.session_retention.as_ref(), &RETENTION)?.unwrap_or(DEFAULT_RETENTION);
        let idle_limit = time(table.user_idle_limit.as_ref(), &RETENTION)?;
        let releases = releases(table.release, retention, idle_limit)?;
        let api_keys = api_keys(table.api_key, &id, &releases, &mut key_hashes)?;
        tenants.push(Tenant { id, releases, api_keys });
    }
    Ok(tenants)
}

fn releases(
    tables: Vec<ReleaseTable>,
    retention: Duration,
    idle_limit: Option<Duration>,
) -> Result<Vec<Release>, Fault> {
    let mut names = HashSet::new();
    let mut claimed = HashMap::new();
    let mut releases = Vec::with_capacity(tables.len());
    for table in tables {
        let (span, instance) = (table.instance_id.span(), table.instance_id.into_inner().0);
        if !names.insert(instance.clone()) {
            return Err(Fault::new(span, format!("the release `{instance}` is configured twice in this tenant")));
        }
        let mut numbers = Vec::with_capacity(table.numbers.len());
        for number in table.numbers {
            let (span, number) = (number.span(), number.into_inner().parse::<NumberPattern>());
            let number = number.map_err(|error| Fault::new(span.clone(), error.to_string()))?;
            if let Some(other) = claimed.insert(number.clone(), instance.clone()) {
                return Err(Fault::new(span, format!("this number is claimed by the release `{other}` already")));
            }
            numbers.push(number);
        }
        releases.push(Release {
            instance,
            generation: table.generation.0,
            numbers,
            session_retention: time(table.session_retention.as_ref(), &RETENTION)?.unwrap_or(retention),
            user_idle_limit: time(table.user_idle_limit.as_ref(), &RETENTION)?.or(idle_limit),
            reset: table.reset.map(|word| word.0).unwrap_or_default(),
            anonymous_sessions: table.anonymous_sessions.map(|word| word.0).unwrap_or_default(),
            keep_number: table.keep_number,
            min_assurance: table.min_assurance.map(|word| word.0).unwrap_or_default(),
            min_assurance_for: table.min_assurance_for.into_iter().map(|(name, level)| (name.0, level.0)).collect(),
        });
    }
    Ok(releases)
}

fn api_keys(
    tables: Vec<Spanned<ApiKeyTable>>,
    tenant: &TenantId,
    releases: &[Release],
    hashes: &mut HashSet<[u8; 32]>,
) -> Result<Vec<ApiKey>, Fault> {
    let mut names = HashSet::new();
    let mut keys = Vec::with_capacity(tables.len());
    for table in tables {
        let table = table.into_inner();
        let (span, name) = (table.name.span(), table.name.into_inner().0.0);
        if !names.insert(name.clone()) {
            return Err(Fault::new(span, format!("the API key `{name}` is configured twice in the tenant `{tenant}`")));
        }
        let (span, sha256) = (table.sha256.span(), table.sha256.into_inner().0);
        if !hashes.insert(sha256) {
            return Err(Fault::new(
                span,
                "another API key has the same value: a key belongs to one tenant and one entry",
            ));
        }
        let (span, scopes) = (table.scopes.span(), table.scopes.into_inner());
        let scopes: Scopes = scopes.into_iter().map(|scope| scope.0).collect();
        if scopes.is_empty() {
            return Err(Fault::new(span, "an API key without a scope can do nothing: name at least one"));
        }
        let releases = match table.releases {
            None => None,
            Some(names) => Some(names.into_iter().map(|name| configured(name, releases)).collect::<Result<_, _>>()?),
        };
        keys.push(ApiKey { name, sha256, scopes, releases });
    }
    Ok(keys)
}

fn configured(name: Spanned<Text<InstanceId>>, releases: &[Release]) -> Result<InstanceId, Fault> {
    let (span, name) = (name.span(), name.into_inner().0);
    if releases.iter().any(|release| release.instance == name) {
        Ok(name)
    } else {
        Err(Fault::new(span, format!("this tenant has no release `{name}`")))
    }
}
