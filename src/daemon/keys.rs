//! Operations on keys while calls go on (PRODUCT.md 3.3, 7): rotate, status, retire. One at a time, and never while a
//! reload puts keys in force, so that nobody goes on with an older list of versions. Every change of keys passes through
//! here, and is in the audit log before it happens.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::actors::{CallerKeys, Directory};
use crate::config::Config;
use crate::domain::ids::TenantId;
use crate::domain::pseudonym::{PseudonymKey, RootKey};
use crate::domain::refusal::{Reason, Refusal};
use crate::privacy::audit::{Audit, Entry, What, Who};
use crate::store::{AliasCounts, DataKeyVersions, Store, StoreError};

/// How long calls that were recognised before a rotation may take until their alias is written.
const ALIASES_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The keys of all tenants.
pub(super) struct Keys {
    root: Arc<RootKey>,
    audit: Arc<Audit>,
    changing: Mutex<()>,
}

/// One version of a tenant's pseudonym key.
pub(super) struct PseudonymFigures {
    pub(super) version: u32,
    pub(super) current: bool,
    /// Whether the key itself is stored, because the root key it was derived from is replaced.
    pub(super) stored: bool,
    /// Callers, each at one release, who are found through this version only.
    pub(super) aliases: u64,
}

/// The keys of one tenant.
pub(super) struct TenantKeys {
    pub(super) tenant: TenantId,
    /// The newest first.
    pub(super) pseudonym: Vec<PseudonymFigures>,
    /// Aliases by the version of the normalisation rules that made them.
    pub(super) rules: BTreeMap<u16, u64>,
    /// None if the tenant's data key is gone.
    pub(super) data: Option<DataKeyVersions>,
}

/// Told how many aliases were counted so far, now and then; says whether somebody still wants to know.
pub(super) type Progress<'a> = &'a mut dyn FnMut(&TenantId, u64) -> bool;

impl Keys {
    pub(super) fn new(root: Arc<RootKey>, audit: Arc<Audit>) -> Self {
        Self { root, audit, changing: Mutex::new(()) }
    }

    /// Puts a configuration in force together with the keys of its tenants. May block on the disk.
    pub(super) fn reload(&self, directory: &Arc<Directory>, config: Config) -> Result<(), StoreError> {
        let _changing = self.changing.lock();
        let keys = caller_keys(&self.root, &config, directory.store())?;
        directory.reload(config, keys)
    }

    /// Gives a tenant a new pseudonym key for new aliases. The version is durable before it is used; callers move to it
    /// at their next contact.
    pub(super) fn rotate(&self, directory: &Directory, who: Who, tenant: &TenantId) -> Result<u32, Refusal> {
        let _changing = self.changing.lock();
        check_known(directory, tenant)?;
        let versions = directory.store().pseudonym_versions(tenant).map_err(refusal)?;
        let version = versions.first().map_or(1, |newest| newest.version.saturating_add(1));
        self.record(who, tenant, What::PseudonymKeyRotated { version })?;
        let version = directory.store().add_pseudonym_version(tenant).map_err(refusal)?;
        self.put_in_force(directory)?;
        tracing::info!(%tenant, version, "the pseudonym key is rotated");
        Ok(version)
    }

    /// Gives a tenant a new data key for new records. Old ones are sealed anew in the background.
    pub(super) fn rotate_data(&self, directory: &Directory, who: Who, tenant: &TenantId) -> Result<u32, Refusal> {
        let _changing = self.changing.lock();
        let known = directory.store().data_key_versions(tenant).map_err(refusal)?;
        self.record(who, tenant, What::DataKeyRotated { version: known.current.saturating_add(1) })?;
        let version = directory.store().rotate_data_key(tenant).map_err(refusal)?;
        tracing::info!(%tenant, version, "the data key is rotated, old records are sealed anew in the background");
        Ok(version)
    }

    /// Takes an older pseudonym key out of use, and gives the number of callers who are forgotten with it. Refused while
    /// there are any, unless it is forced.
    pub(super) fn retire(
        &self,
        directory: &Directory,
        who: Who,
        (tenant, version): (&TenantId, u32),
        force: bool,
        progress: Progress<'_>,
    ) -> Result<u64, Refusal> {
        let store = directory.store();
        let versions = store.pseudonym_versions(tenant).map_err(refusal)?;
        if versions.first().is_some_and(|newest| newest.version == version) {
            let detail = format!("version {version} is the current one: rotate the key first, then callers move on");
            return Err(Refusal::new(Reason::NotAllowed, detail));
        }
        if !versions.iter().any(|known| known.version == version) {
            let detail = format!("there is no version {version}: `recalld key status` shows those there are");
            return Err(Refusal::new(Reason::InvalidParams, detail));
        }
        // From here on callers only leave this version, so that nothing has to be kept from changing meanwhile.
        let since = Instant::now();
        while directory.awaits_alias(tenant, version) {
            if since.elapsed() > ALIASES_WITHIN {
                let detail = "calls recognised with this version are still on their way: try again in a moment";
                return Err(Refusal::new(Reason::Overloaded, detail));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        let counts = count(store, tenant, Some(version), progress)?;
        let callers: u64 = counts.values().sum();
        if callers > 0 && !force {
            let callers = if callers == 1 { "1 caller is".to_owned() } else { format!("{callers} callers are") };
            let detail = format!(
                "{callers} found through version {version} only and would be forgotten: wait until each has called \
                 again, or say --force"
            );
            return Err(Refusal::new(Reason::NotAllowed, detail));
        }
        let _changing = self.changing.lock();
        self.record(who, tenant, What::PseudonymKeyRetired { version, forgotten: callers })?;
        store.retire_pseudonym_version(tenant, version).map_err(refusal)?;
        self.put_in_force(directory)?;
        tracing::info!(%tenant, version, callers, "the pseudonym key is retired");
        Ok(callers)
    }

    /// What cannot be recorded is not done.
    fn record(&self, who: Who, tenant: &TenantId, what: What) -> Result<(), Refusal> {
        Ok(self.audit.record_blocking(Entry::new(who, what).of_tenant(tenant))?)
    }

    fn put_in_force(&self, directory: &Directory) -> Result<(), Refusal> {
        let keys = caller_keys(&self.root, &directory.settings().config, directory.store()).map_err(refusal)?;
        directory.set_keys(keys);
        Ok(())
    }
}

/// The keys of one tenant or of all. Counts all their aliases.
pub(super) fn status(
    directory: &Directory,
    tenant: Option<&TenantId>,
    progress: Progress<'_>,
) -> Result<Vec<TenantKeys>, Refusal> {
    let store = directory.store();
    let tenants = match tenant {
        Some(tenant) => {
            check_known(directory, tenant)?;
            vec![tenant.clone()]
        }
        None => store.tenants(),
    };
    tenants.into_iter().map(|tenant| figures(store, tenant, progress)).collect()
}

fn check_known(directory: &Directory, tenant: &TenantId) -> Result<(), Refusal> {
    let is_known = directory.store().tenants().contains(tenant);
    if is_known { Ok(()) } else { Err(refusal(StoreError::UnknownTenant(tenant.clone()))) }
}

fn figures(store: &Store, tenant: TenantId, progress: Progress<'_>) -> Result<TenantKeys, Refusal> {
    let counts = count(store, &tenant, None, progress)?;
    let versions = store.pseudonym_versions(&tenant).map_err(refusal)?;
    let of = |version: u32| counts.iter().filter(|((key, _), _)| *key == version).map(|(_, count)| count).sum();
    let pseudonym = versions
        .iter()
        .enumerate()
        .map(|(at, known)| PseudonymFigures {
            version: known.version,
            current: at == 0,
            stored: known.stored.is_some(),
            aliases: of(known.version),
        })
        .collect();
    let mut rules = BTreeMap::new();
    for ((_, rule), count) in &counts {
        *rules.entry(*rule).or_default() += count;
    }
    let data = match store.data_key_versions(&tenant) {
        Ok(versions) => Some(versions),
        Err(StoreError::KeyMissing(_)) => None,
        Err(error) => return Err(refusal(error)),
    };
    Ok(TenantKeys { tenant, pseudonym, rules, data })
}

fn count(
    store: &Store,
    tenant: &TenantId,
    version: Option<u32>,
    progress: Progress<'_>,
) -> Result<AliasCounts, Refusal> {
    let counted = store.count_aliases(tenant, version, &mut |counted| progress(tenant, counted)).map_err(refusal)?;
    counted.ok_or_else(|| Refusal::new(Reason::Overloaded, "the count was broken off"))
}

/// What recognises the callers of all configured tenants.
pub(super) fn caller_keys(root: &RootKey, config: &Config, store: &Store) -> Result<CallerKeys, StoreError> {
    let of = |tenant: &TenantId| -> Result<Arc<[PseudonymKey]>, StoreError> {
        let versions = store.pseudonym_versions(tenant)?;
        Ok(versions
            .into_iter()
            .map(|known| match known.stored {
                Some(key) => PseudonymKey::from_stored(known.version, key),
                None => root.pseudonym_key(tenant, known.version),
            })
            .collect())
    };
    config.tenants.iter().map(|tenant| Ok((tenant.id.clone(), of(&tenant.id)?))).collect()
}

fn refusal(error: StoreError) -> Refusal {
    match error {
        StoreError::UnknownTenant(_) => Refusal::new(Reason::InvalidParams, error.to_string()),
        error => {
            tracing::error!("{error}");
            Refusal::new(Reason::Internal, error.to_string())
        }
    }
}
