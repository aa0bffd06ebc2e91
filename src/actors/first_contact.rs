//! From a caller to the session ID (PRODUCT.md 3.2, 3.3). An alias leads to it; a caller without an alias is a first
//! contact. First contacts are serialised per caller, so that two of them at the same instant make one session, and a
//! session ID that is not durable yet is found by the second one.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use arc_swap::ArcSwap;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use rand::TryRng;
use rand::rngs::SysRng;

use crate::config::Generation;
use crate::domain::caller::{CanonicalCallerId, RULE_VERSION};
use crate::domain::ids::{ReleaseId, SessionId, TenantId};
use crate::domain::pseudonym::PseudonymKey;
use crate::domain::refusal::{Reason, Refusal};
use crate::store::{AliasChange, AliasKey, Cached, Store, StoreError};

/// The pseudonym keys of the tenants, the newest version of each first.
pub type CallerKeys = HashMap<TenantId, Arc<[PseudonymKey]>>;

/// A caller with everything that leads to her session, numbers left behind.
#[derive(Debug, Clone)]
pub struct KnownCaller {
    contact: u128,
    /// The newest first.
    aliases: Vec<AliasKey>,
    generation: Generation,
}

impl KnownCaller {
    /// Spreads callers over the arbiters: the same caller always comes to the same one.
    pub(super) fn spread(&self) -> usize {
        usize::try_from(self.contact & 0xffff_ffff).unwrap_or(0)
    }

    /// The session ID that a first contact would get now; none where it would be random.
    #[must_use]
    pub fn first_session_id(&self) -> Option<SessionId> {
        let derived = self.aliases.first().map(|newest| SessionId::Caller(newest.value));
        derived.filter(|_| self.generation == Generation::Phone2)
    }
}

/// Where a caller's session is.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) session: SessionId,
    /// What is to be written with the caller's next call; none if the newest alias is durable.
    pub(super) contact: Option<Contact>,
}

/// Aliases that have to become durable with the start of a call.
#[derive(Debug)]
pub(super) struct Contact {
    put: AliasKey,
    delete: Option<AliasKey>,
    /// Keeps the session ID known until the aliases are durable.
    _lease: ContactLease,
}

impl Contact {
    /// The alias that leads to the session from now on.
    pub(super) const fn alias(&self) -> &AliasKey {
        &self.put
    }

    pub(super) fn changes(&self) -> Vec<AliasChange> {
        let put = AliasChange::Put(self.put.clone());
        [Some(put), self.delete.clone().map(AliasChange::Delete)].into_iter().flatten().collect()
    }
}

/// Callers on their way to a durable alias.
pub struct FirstContacts {
    keys: ArcSwap<CallerKeys>,
    pending: Arc<DashMap<u128, Pending>>,
    /// Two keyed hashes of the process: together too long for two callers ever to share one.
    secret: (RandomState, RandomState),
}

#[derive(Debug)]
struct Pending {
    session: SessionId,
    delete: Option<AliasKey>,
    users: usize,
}

#[derive(Debug)]
struct ContactLease {
    pending: Arc<DashMap<u128, Pending>>,
    contact: u128,
}

impl Drop for ContactLease {
    fn drop(&mut self) {
        if let Entry::Occupied(mut entry) = self.pending.entry(self.contact) {
            entry.get_mut().users -= 1;
            if entry.get().users == 0 {
                entry.remove();
            }
        }
    }
}

impl FirstContacts {
    pub(super) fn new(keys: CallerKeys) -> Self {
        Self {
            keys: ArcSwap::from_pointee(keys),
            pending: Arc::default(),
            secret: (RandomState::new(), RandomState::new()),
        }
    }

    /// Other keys from now on: a tenant was added.
    pub(super) fn set_keys(&self, keys: CallerKeys) {
        self.keys.store(Arc::new(keys));
    }

    /// What leads to a caller's session, under each version of the tenant's key.
    pub(super) fn know(
        &self,
        release: &ReleaseId,
        generation: Generation,
        caller: &CanonicalCallerId,
    ) -> Result<KnownCaller, Refusal> {
        let keys = self.keys.load();
        let keys = keys.get(&release.tenant).filter(|keys| !keys.is_empty()).ok_or_else(|| {
            Refusal::new(Reason::UnknownRelease, "the tenant of this release has no key: check the configuration")
        })?;
        let aliases = keys
            .iter()
            .map(|key| AliasKey {
                key_version: key.version(),
                rule_version: RULE_VERSION,
                value: key.keyed_value(caller, &release.instance).0,
            })
            .collect();
        let hash = |state: &RandomState| {
            let whole = (release.tenant.as_str(), release.instance.as_str(), caller.reveal());
            let mut hasher = state.build_hasher();
            whole.hash(&mut hasher);
            std::hash::Hasher::finish(&hasher)
        };
        let contact = u128::from(hash(&self.secret.0)) << 64 | u128::from(hash(&self.secret.1));
        Ok(KnownCaller { contact, aliases, generation })
    }

    /// Finds the caller's session without touching the disk.
    pub(super) fn find_cached(
        &self,
        store: &Store,
        tenant: &TenantId,
        caller: &KnownCaller,
    ) -> Result<Cached<Found>, StoreError> {
        self.find(caller, |alias| store.alias_cached(tenant, alias))
    }

    /// Finds the caller's session. May block on the disk: the aliases are read once without the lock first, so that
    /// nobody waits for the disk behind it.
    pub(super) fn find_on_disk(
        &self,
        store: &Store,
        tenant: &TenantId,
        caller: &KnownCaller,
    ) -> Result<Found, StoreError> {
        for alias in &caller.aliases {
            store.alias(tenant, alias)?;
        }
        match self.find(caller, |alias| store.alias(tenant, alias).map(Cached::Known))? {
            Cached::Known(found) => Ok(found),
            Cached::WouldBlock => Err(StoreError::Incomplete("an alias cannot be read")),
        }
    }

    /// The caller's session, if there is one: nothing is begun or changed. May block on the disk.
    pub(super) fn look_up(
        &self,
        store: &Store,
        tenant: &TenantId,
        caller: &KnownCaller,
    ) -> Result<Option<SessionId>, StoreError> {
        if let Some(pending) = self.pending.get(&caller.contact) {
            return Ok(Some(pending.session));
        }
        for alias in &caller.aliases {
            if let Some(session) = store.alias(tenant, alias)? {
                return Ok(Some(session));
            }
        }
        Ok(None)
    }

    fn find(
        &self,
        caller: &KnownCaller,
        read: impl Fn(&AliasKey) -> Result<Cached<Option<SessionId>>, StoreError>,
    ) -> Result<Cached<Found>, StoreError> {
        let newest = caller.aliases.first().ok_or(StoreError::Incomplete("a tenant's keys"))?;
        let (session, delete) = match self.pending.entry(caller.contact) {
            Entry::Occupied(mut pending) => {
                pending.get_mut().users += 1;
                (pending.get().session, pending.get().delete.clone())
            }
            Entry::Vacant(vacant) => {
                let mut older = None;
                for alias in &caller.aliases {
                    match read(alias)? {
                        Cached::WouldBlock => return Ok(Cached::WouldBlock),
                        Cached::Known(None) => {}
                        Cached::Known(Some(session)) if alias == newest => {
                            return Ok(Cached::Known(Found { session, contact: None }));
                        }
                        Cached::Known(Some(session)) => {
                            older = Some((session, Some(alias.clone())));
                            break;
                        }
                    }
                }
                let (session, delete) = match older {
                    Some(older) => older,
                    None => (new_session_id(caller.generation, newest)?, None),
                };
                vacant.insert(Pending { session, delete: delete.clone(), users: 1 });
                (session, delete)
            }
        };
        let lease = ContactLease { pending: self.pending.clone(), contact: caller.contact };
        Ok(Cached::Known(Found { session, contact: Some(Contact { put: newest.clone(), delete, _lease: lease }) }))
    }
}

/// The session ID of a first contact (PRODUCT.md 3.2): derived for `phone2`, random for `phone1`.
fn new_session_id(generation: Generation, newest: &AliasKey) -> Result<SessionId, StoreError> {
    match generation {
        Generation::Phone2 => Ok(SessionId::Caller(newest.value)),
        Generation::Phone1 => random().map(SessionId::Caller),
    }
}

/// The session ID of a withheld call (PRODUCT.md 3.4).
pub(super) fn anonymous_session_id() -> Result<SessionId, StoreError> {
    random().map(SessionId::Anonymous)
}

fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).map_err(|_| StoreError::Incomplete("random bytes of the system"))?;
    Ok(bytes)
}
