//! From a caller to the session ID (PRODUCT.md 3.2, 3.3). An alias leads to it; a caller without an alias is a first
//! contact. First contacts are serialised per caller, so that two of them at the same instant make one session, and a
//! session ID that is not durable yet is found by the second one.

use std::borrow::Cow;
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
use crate::domain::caller::CanonicalCallerId;
use crate::domain::ids::{InstanceId, ReleaseId, SessionId, TenantId};
use crate::domain::pseudonym::PseudonymKey;
use crate::domain::refusal::{Reason, Refusal};
use crate::store::{AliasChange, AliasKey, Cached, Store, StoreError};

/// The pseudonym keys of the tenants, the newest version of each first.
pub type CallerKeys = HashMap<TenantId, Arc<[PseudonymKey]>>;

/// A caller with everything that leads to her session. Lives until the session is found: the keys may change until
/// then, so the canonical form goes along.
#[derive(Debug, Clone)]
pub struct KnownCaller {
    contact: u128,
    caller: CanonicalCallerId,
    instance: InstanceId,
    generation: Generation,
    /// What the aliases were made with.
    keys: Arc<[PseudonymKey]>,
    /// By falling rule version, and for each by falling key version.
    aliases: Vec<AliasKey>,
}

impl KnownCaller {
    fn new(
        contact: u128,
        caller: CanonicalCallerId,
        instance: InstanceId,
        generation: Generation,
        keys: Arc<[PseudonymKey]>,
    ) -> Self {
        let aliases = caller
            .forms()
            .flat_map(|form| keys.iter().map(move |key| (form, key)))
            .map(|(form, key)| AliasKey {
                key_version: key.version(),
                rule_version: form.rule_version(),
                value: key.keyed_value(form, &instance).0,
            })
            .collect();
        Self { contact, caller, instance, generation, keys, aliases }
    }

    /// The same caller under the keys in force, if those are others by now.
    fn under<'a>(&'a self, in_force: Option<&Arc<[PseudonymKey]>>) -> Cow<'a, Self> {
        match in_force {
            Some(keys) if !Arc::ptr_eq(keys, &self.keys) => {
                let (caller, instance) = (self.caller.clone(), self.instance.clone());
                Cow::Owned(Self::new(self.contact, caller, instance, self.generation, keys.clone()))
            }
            _ => Cow::Borrowed(self),
        }
    }

    /// Spreads callers over the arbiters.
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

/// Aliases that have to become durable with the start of a call. Keeps the session ID known until they are.
#[derive(Debug)]
pub(super) struct Contact {
    pending: Arc<DashMap<u128, Pending>>,
    contact: u128,
}

impl Contact {
    /// The changes of aliases that go with the next commit of the session. They are asked for when the commit is handed
    /// to the writer and not before: a call that was recognised before a rotation then never writes an older alias
    /// behind a newer one. `written` are the aliases that were handed over already.
    pub(super) fn changes(&self, written: &mut Vec<AliasKey>) -> Vec<AliasChange> {
        let Some(pending) = self.pending.get(&self.contact) else { return Vec::new() };
        if written.contains(&pending.put) {
            return Vec::new();
        }
        // One is all that nearly every session ever has.
        written.reserve_exact(1);
        written.push(pending.put.clone());
        let put = AliasChange::Put(pending.put.clone());
        std::iter::once(put).chain(pending.delete.iter().cloned().map(AliasChange::Delete)).collect()
    }
}

impl Drop for Contact {
    fn drop(&mut self) {
        if let Entry::Occupied(mut entry) = self.pending.entry(self.contact) {
            entry.get_mut().users -= 1;
            if entry.get().users == 0 {
                entry.remove();
            }
        }
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
    tenant: TenantId,
    session: SessionId,
    /// The alias that leads to the session from now on.
    put: AliasKey,
    /// Those that it replaces.
    delete: Vec<AliasKey>,
    users: usize,
}

impl FirstContacts {
    pub(super) fn new(keys: CallerKeys) -> Self {
        Self {
            keys: ArcSwap::from_pointee(keys),
            pending: Arc::default(),
            secret: (RandomState::new(), RandomState::new()),
        }
    }

    /// Other keys from now on: a tenant was added, or a version.
    pub(super) fn set_keys(&self, keys: CallerKeys) {
        self.keys.store(Arc::new(keys));
    }

    /// Whether a call is on its way to write an alias of this version. Once the version is not the newest any more, no
    /// further one sets out: whoever finds a caller looks at the keys under the lock that this takes too.
    pub(super) fn is_awaited(&self, tenant: &TenantId, key_version: u32) -> bool {
        self.pending.iter().any(|pending| pending.put.key_version == key_version && pending.tenant == *tenant)
    }

    /// What leads to a caller's session, under each version of the rules and of the tenant's key.
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
        let hash = |state: &RandomState| {
            let whole = (release.tenant.as_str(), release.instance.as_str(), caller.reveal());
            let mut hasher = state.build_hasher();
            whole.hash(&mut hasher);
            std::hash::Hasher::finish(&hasher)
        };
        let contact = u128::from(hash(&self.secret.0)) << 64 | u128::from(hash(&self.secret.1));
        Ok(KnownCaller::new(contact, caller.clone(), release.instance.clone(), generation, keys.clone()))
    }

    /// Finds the caller's session without touching the disk.
    pub(super) fn find_cached(
        &self,
        store: &Store,
        tenant: &TenantId,
        caller: &KnownCaller,
    ) -> Result<Cached<Found>, StoreError> {
        self.find(tenant, caller, |alias| store.alias_cached(tenant, alias))
    }

    /// Finds the caller's session. May block on the disk: the aliases are read once without the lock first, so that
    /// nobody waits for the disk behind it.
    pub(super) fn find_on_disk(
        &self,
        store: &Store,
        tenant: &TenantId,
        caller: &KnownCaller,
    ) -> Result<Found, StoreError> {
        let caller = caller.under(self.keys.load().get(tenant));
        for alias in &caller.aliases {
            store.alias(tenant, alias)?;
        }
        match self.find(tenant, &caller, |alias| store.alias(tenant, alias).map(Cached::Known))? {
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
        let caller = caller.under(self.keys.load().get(tenant));
        // The newest once more: the caller may have moved to it after it was looked at.
        for alias in caller.aliases.iter().chain(caller.aliases.first()) {
            if let Some(session) = store.alias(tenant, alias)? {
                return Ok(Some(session));
            }
        }
        Ok(None)
    }

    fn find(
        &self,
        tenant: &TenantId,
        caller: &KnownCaller,
        read: impl Fn(&AliasKey) -> Result<Cached<Option<SessionId>>, StoreError>,
    ) -> Result<Cached<Found>, StoreError> {
        let entry = self.pending.entry(caller.contact);
        // Under the lock: of two calls of one caller the later one never goes by older keys.
        let caller = caller.under(self.keys.load().get(tenant));
        let newest = caller.aliases.first().ok_or(StoreError::Incomplete("a tenant's keys"))?;
        let session = match entry {
            Entry::Occupied(mut pending) => {
                let pending = pending.get_mut();
                pending.users += 1;
                if pending.put != *newest {
                    let before = std::mem::replace(&mut pending.put, newest.clone());
                    pending.delete.push(before);
                }
                pending.session
            }
            Entry::Vacant(vacant) => {
                let mut found = None;
                let mut delete = Vec::new();
                for alias in &caller.aliases {
                    match read(alias)? {
                        Cached::WouldBlock => return Ok(Cached::WouldBlock),
                        Cached::Known(None) => {}
                        Cached::Known(Some(session)) if alias == newest => {
                            return Ok(Cached::Known(Found { session, contact: None }));
                        }
                        Cached::Known(Some(session)) => {
                            // One that leads elsewhere is another caller's, whom newer rules hold for the same.
                            if *found.get_or_insert(session) == session {
                                delete.push(alias.clone());
                            }
                        }
                    }
                }
                let session = match found {
                    Some(session) => session,
                    None => new_session_id(caller.generation, newest)?,
                };
                let tenant = tenant.clone();
                vacant.insert(Pending { tenant, session, put: newest.clone(), delete, users: 1 });
                session
            }
        };
        let contact = Contact { pending: self.pending.clone(), contact: caller.contact };
        Ok(Cached::Known(Found { session, contact: Some(contact) }))
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
