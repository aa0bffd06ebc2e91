//! `[[tenant]]` with its releases and API keys.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;

use super::ranges::{DAY, MINUTE, time};
use super::{Names, listed};
use crate::config::error::Faults;
use crate::config::file::{ApiKeyTable, ReleaseTable, TenantTable};
use crate::config::read::Label;
use crate::config::written::List;
use crate::config::{ApiKey, Release, Tenant};
use crate::domain::ids::{InstanceId, TenantId};

/// 1 minute to 10 years (PRODUCT.md 4.1), three of them leap years.
const RETENTION: RangeInclusive<Duration> = MINUTE..=DAY.saturating_mul(3_653);
const DEFAULT_RETENTION: Duration = DAY.saturating_mul(30);

/// What is configured of tenants.
pub(super) struct Tenants {
    /// As far as it can be read.
    pub(super) read: Vec<Tenant>,
    /// The names of all.
    pub(super) names: Names<TenantId>,
}

/// Checks all `[[tenant]]` tables.
pub(super) fn check(tables: Vec<Spanned<TenantTable>>, faults: &mut Faults) -> Tenants {
    let mut names = Names::default();
    let mut key_hashes = HashSet::new();
    let mut tenants = Vec::with_capacity(tables.len());
    for table in tables.into_iter().map(Spanned::into_inner) {
        let id = names.add(table.id.0, faults, |id| format!("the tenant `{id}` is configured twice"));
        let retention = time(table.session_retention, &RETENTION, faults).or(DEFAULT_RETENTION);
        let idle_limit = time(table.user_idle_limit, &RETENTION, faults).given();
        let (releases, instances) = releases(table.release, retention, idle_limit, faults);
        let api_keys = api_keys(table.api_key, &instances, &mut key_hashes, faults);
        tenants.extend(id.map(|id| Tenant { id, releases, api_keys }));
    }
    Tenants { read: tenants, names }
}

fn releases(
    tables: Vec<Spanned<ReleaseTable>>,
    retention: Duration,
    idle_limit: Option<Duration>,
    faults: &mut Faults,
) -> (Vec<Release>, Names<InstanceId>) {
    let mut names = Names::default();
    let mut claimed: HashMap<_, Option<InstanceId>> = HashMap::new();
    let mut releases = Vec::with_capacity(tables.len());
    for table in tables.into_iter().map(Spanned::into_inner) {
        let instance = names.add(table.instance_id.0, faults, |name| {
            format!("the release `{name}` is configured twice in this tenant")
        });
        let mut numbers = Vec::new();
        for number in table.numbers.given().into_iter().flat_map(|numbers| numbers.texts) {
            let (span, number) = (number.span(), number.into_inner());
            match claimed.insert(number.clone(), instance.clone()) {
                None => numbers.push(number),
                Some(Some(other)) => {
                    faults.add(span, format!("this number is claimed by the release `{other}` already"));
                }
                Some(None) => faults.add(span, "this number is claimed by another release already"),
            }
        }
        let retention = time(table.session_retention, &RETENTION, faults).or(retention);
        let idle_limit = time(table.user_idle_limit, &RETENTION, faults).given().or(idle_limit);
        let generation = table.generation.0.map(Spanned::into_inner);
        releases.extend(instance.zip(generation).map(|(instance, generation)| Release {
            instance,
            generation,
            numbers,
            session_retention: retention,
            user_idle_limit: idle_limit,
            reset: table.reset.given().unwrap_or_default(),
            anonymous_sessions: table.anonymous_sessions.given().unwrap_or_default(),
            keep_number: table.keep_number.or(false),
            min_assurance: table.min_assurance.given().unwrap_or_default(),
            min_assurance_for: table.min_assurance_for.given().map(|levels| levels.0).unwrap_or_default(),
        }));
    }
    (releases, names)
}

fn api_keys(
    tables: Vec<Spanned<ApiKeyTable>>,
    releases: &Names<InstanceId>,
    hashes: &mut HashSet<[u8; 32]>,
    faults: &mut Faults,
) -> Vec<ApiKey> {
    let mut names = Names::default();
    let mut keys = Vec::with_capacity(tables.len());
    for table in tables.into_iter().map(Spanned::into_inner) {
        let name = names.add(table.name.0, faults, |Label(name)| {
            format!("the API key `{name}` is configured twice in this tenant")
        });
        if let Some(sha256) = &table.sha256.0
            && !hashes.insert(*sha256.get_ref())
        {
            faults.add(sha256.span(), "another API key has the same value: a key belongs to one tenant and one entry");
        }
        if let Some(scopes) = &table.scopes.0
            && scopes.get_ref().is_empty()
        {
            faults.add(scopes.span(), "an API key without a scope can do nothing: name at least one");
        }
        let allowed = table.releases.given().map(|names| configured(names, releases, faults));
        let (sha256, scopes) = (table.sha256.0.map(Spanned::into_inner), table.scopes.0.map(Spanned::into_inner));
        keys.extend(name.zip(sha256).zip(scopes).map(|((Label(name), sha256), scopes)| ApiKey {
            name,
            sha256,
            scopes: listed(scopes).into_iter().collect(),
            releases: allowed,
        }));
    }
    keys
}

fn configured(names: List<InstanceId>, releases: &Names<InstanceId>, faults: &mut Faults) -> Vec<InstanceId> {
    for name in names.texts.iter().filter(|name| releases.lack(name.get_ref())) {
        faults.add(name.span(), format!("this tenant has no release `{}`", name.get_ref()));
    }
    listed(names)
}
