//! Tenants and releases as the store knows them: their numbers in keys and their data keys.

use std::collections::HashMap;
use std::sync::Arc;

use rocksdb::{DB, WriteBatch};

use super::data_keys::KeyDirectory;
use super::error::StoreError;
use super::families::{META, family};
use super::kept::{self, Keeping, Kept};
use super::meta::{self, RELEASE_PREFIX, TENANT_PREFIX};
use super::seal::{Binding, CannotOpen, DataKeys, Nonces, OVERHEAD, Purpose, Ring};
use super::{layout, sync_write};
use crate::domain::ids::{InstanceId, ReleaseId, SessionId, TenantId};
use crate::domain::session::{Commit, Session};

/// A commit or a record, sealed: what the writer puts into the database.
#[derive(Debug)]
pub struct Sealed {
    /// The whole value, its clear part in front.
    pub(super) value: Vec<u8>,
    /// The session's count of commits it contains, so that the writer knows what a record covers.
    pub(super) ordinal: u64,
    pub(super) purpose: Purpose,
    /// The keys it is sealed with, held until it is handed to the database.
    _ring: Arc<Ring>,
}

/// The numbers of a release in keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleaseNumbers {
    pub(super) tenant: u32,
    pub(super) release: u32,
}

/// One release at run time: its numbers in keys and its tenant's data key.
pub struct Release {
    id: ReleaseId,
    number: u32,
    tenant: u32,
    keys: DataKeys,
}

impl std::fmt::Debug for Release {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Release").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Release {
    /// Which release this is.
    #[must_use]
    pub const fn id(&self) -> &ReleaseId {
        &self.id
    }

    /// Its numbers in keys.
    #[must_use]
    pub const fn numbers(&self) -> ReleaseNumbers {
        ReleaseNumbers { tenant: self.tenant, release: self.number }
    }

    pub(super) const fn number(&self) -> u32 {
        self.number
    }

    pub(super) const fn tenant(&self) -> u32 {
        self.tenant
    }

    /// Seals a commit for the log.
    #[must_use]
    pub fn seal_commit(&self, session: &SessionId, commit: &Commit) -> Sealed {
        let value = layout::start_log_value(session, 96 + OVERHEAD + 64 * commit.effects.len());
        let (value, ring) = self.keys.seal(&self.binding(Purpose::Commit, session), commit, value);
        Sealed { value, ordinal: commit.ordinal, purpose: Purpose::Commit, _ring: ring }
    }

    /// Seals a session's record, without the numbers of its calls.
    #[must_use]
    pub fn seal_record(&self, session: &Session) -> Sealed {
        self.seal_record_with(session, &[])
    }

    /// Seals a session's record with the numbers, display names and headers of its calls.
    #[must_use]
    pub fn seal_record_with_numbers(&self, session: &Session) -> Sealed {
        self.seal_record_with(session, &kept::of(session))
    }

    fn seal_record_with(&self, session: &Session, keeping: &[Keeping<'_>]) -> Sealed {
        let size = session.variables.iter().map(|variable| 64 + variable.value.len()).sum::<usize>()
            + keeping.iter().map(Keeping::size).sum::<usize>();
        let value = layout::start_record_value(self.number, 192 + OVERHEAD + size + 256 * session.calls.len());
        let content = &(session, keeping);
        let (value, ring) = self.keys.seal(&self.binding(Purpose::Record, &session.id), content, value);
        Sealed { value, ordinal: session.ordinal, purpose: Purpose::Record, _ring: ring }
    }

    /// What a sealed commit says, read as a replay reads it; none if it is of another release.
    #[must_use]
    pub fn read_commit(&self, sealed: &Sealed) -> Option<Commit> {
        let (session, sealed) = layout::read_log_value(&sealed.value)?;
        self.open_commit(&session, sealed).ok()
    }

    pub(super) fn open_commit(&self, session: &SessionId, sealed: &[u8]) -> Result<Commit, CannotOpen> {
        self.keys.open(&self.binding(Purpose::Commit, session), sealed)
    }

    pub(super) fn open_record(&self, session: &SessionId, sealed: &[u8]) -> Result<Session, CannotOpen> {
        let (mut record, kept): (Session, Vec<Kept>) =
            self.keys.open(&self.binding(Purpose::Record, session), sealed)?;
        kept::give_back(&mut record, kept);
        record.id = *session;
        if record.instance == self.id.instance { Ok(record) } else { Err(CannotOpen("it names another release")) }
    }

    /// The sealed part of a stored value sealed with the newest key, behind its clear part.
    pub(super) fn reseal(
        &self,
        purpose: Purpose,
        session: &SessionId,
        sealed: &[u8],
        clear: Vec<u8>,
    ) -> Result<Vec<u8>, CannotOpen> {
        self.keys.reseal(&self.binding(purpose, session), sealed, clear)
    }

    fn binding<'a>(&self, purpose: Purpose, session: &'a SessionId) -> Binding<'a> {
        Binding { purpose, tenant: self.tenant, release: self.number, session }
    }
}

/// A release that has a number.
pub(super) struct Known {
    pub(super) id: ReleaseId,
    pub(super) tenant: u32,
    /// None if the tenant's data key is gone: nothing of it can be read.
    pub(super) release: Option<Arc<Release>>,
}

struct Tenant {
    number: u32,
    keys: Option<DataKeys>,
}

/// All tenants and releases that ever wrote something.
pub(super) struct Registry {
    directory: Arc<KeyDirectory>,
    nonces: Arc<Nonces>,
    tenants: HashMap<TenantId, Tenant>,
    names: HashMap<u32, TenantId>,
    numbers: HashMap<ReleaseId, u32>,
    releases: HashMap<u32, Known>,
    next: u32,
}

impl Registry {
    pub(super) fn load(db: &DB, directory: KeyDirectory, nonces: Nonces) -> Result<Self, StoreError> {
        let mut registry = Self {
            directory: Arc::new(directory),
            nonces: Arc::new(nonces),
            tenants: HashMap::new(),
            names: HashMap::new(),
            numbers: HashMap::new(),
            releases: HashMap::new(),
            next: meta::next_number(db)?,
        };
        for (number, value) in meta::numbered(db, TENANT_PREFIX)? {
            let id: TenantId = text(&value)?.parse().map_err(|_| UNREADABLE)?;
            let keys = match registry.directory.load(number, &id) {
                Ok(None) => None,
                Ok(Some(keys)) => {
                    let usable = DataKeys::new(&keys, registry.nonces.clone());
                    if usable.is_none() {
                        tracing::error!(tenant = %id, "its key file holds no key, or two of one version: restore it from a backup");
                    }
                    usable
                }
                // One tenant's broken key file must not keep the others from starting.
                Err(error @ StoreError::KeyMissing(_)) => {
                    tracing::error!(tenant = %id, "{error}");
                    None
                }
                Err(error) => return Err(error),
            };
            registry.names.insert(number, id.clone());
            registry.tenants.insert(id, Tenant { number, keys });
        }
        for (number, value) in meta::numbered(db, RELEASE_PREFIX)? {
            let tenant = layout::read_u32(&value, 0).and_then(|tenant| registry.names.get(&tenant)).cloned();
            let instance: InstanceId = text(value.get(4..).unwrap_or_default())?.parse().map_err(|_| UNREADABLE)?;
            registry.add(number, ReleaseId { tenant: tenant.ok_or(UNREADABLE)?, instance });
        }
        Ok(registry)
    }

    fn add(&mut self, number: u32, id: ReleaseId) -> Option<Arc<Release>> {
        let tenant = self.tenants.get(&id.tenant)?;
        let release =
            tenant.keys.clone().map(|keys| Arc::new(Release { id: id.clone(), number, tenant: tenant.number, keys }));
        self.numbers.insert(id.clone(), number);
        self.releases.insert(number, Known { id, tenant: tenant.number, release: release.clone() });
        release
    }

    pub(super) fn tenant(&self, id: &TenantId) -> Option<u32> {
        self.tenants.get(id).map(|tenant| tenant.number)
    }

    pub(super) fn by_number(&self, number: u32) -> Option<&Known> {
        self.releases.get(&number)
    }

    pub(super) fn by_id(&self, id: &ReleaseId) -> Option<Result<Arc<Release>, StoreError>> {
        let known = self.releases.get(self.numbers.get(id)?)?;
        Some(known.release.clone().ok_or_else(|| StoreError::KeyMissing(id.tenant.clone())))
    }

    /// All tenants with their numbers, by name.
    pub(super) fn tenants(&self) -> Vec<(TenantId, u32)> {
        let mut tenants: Vec<_> = self.tenants.iter().map(|(id, tenant)| (id.clone(), tenant.number)).collect();
        tenants.sort_unstable();
        tenants
    }

    /// The data keys of a tenant and the directory they lie in; none for a tenant whose key is gone.
    pub(super) fn data_keys(&self, id: &TenantId) -> Option<(DataKeys, Arc<KeyDirectory>)> {
        Some((self.tenants.get(id)?.keys.clone()?, self.directory.clone()))
    }

    /// Numbers of all releases with those of their tenants.
    pub(super) fn numbers(&self) -> impl Iterator<Item = (u32, u32)> {
        self.releases.iter().map(|(number, known)| (known.tenant, *number))
    }

    pub(super) fn tenant_names(&self) -> impl Iterator<Item = &TenantId> {
        self.tenants.keys()
    }

    pub(super) fn tenant_name(&self, number: u32) -> Option<&TenantId> {
        self.names.get(&number)
    }

    /// Gives a release its number, and its tenant a number and a data key if it has none. All of it is
    /// durable when this returns, the data key first: data without its key would be lost.
    pub(super) fn register(&mut self, db: &DB, id: &ReleaseId) -> Result<Arc<Release>, StoreError> {
        if let Some(known) = self.by_id(id) {
            return known;
        }
        let mut batch = WriteBatch::default();
        let mut next = self.next;
        let mut number = || {
            let given = next;
            next = next.checked_add(1).ok_or(StoreError::Incomplete("it has no numbers left for releases"))?;
            Ok::<u32, StoreError>(given)
        };
        let meta = family(db, META)?;
        let mut new_tenant = None;
        let tenant = match self.tenants.get(&id.tenant) {
            Some(Tenant { keys: None, .. }) => return Err(StoreError::KeyMissing(id.tenant.clone())),
            Some(tenant) => tenant.number,
            None => {
                let tenant = number()?;
                let keys = self.directory.create(tenant, &id.tenant)?;
                new_tenant = Some(Tenant { number: tenant, keys: DataKeys::new(&keys, self.nonces.clone()) });
                batch.put_cf(meta, layout::numbered_key(TENANT_PREFIX, tenant), id.tenant.as_str());
                tenant
            }
        };
        let release = number()?;
        let mut value = tenant.to_be_bytes().to_vec();
        value.extend_from_slice(id.instance.as_str().as_bytes());
        batch.put_cf(meta, layout::numbered_key(RELEASE_PREFIX, release), value);
        meta::put_next_number(db, &mut batch, next)?;
        sync_write(db, batch)?;
        self.next = next;
        if let Some(tenant) = new_tenant {
            self.names.insert(tenant.number, id.tenant.clone());
            self.tenants.insert(id.tenant.clone(), tenant);
        }
        self.add(release, id.clone()).ok_or_else(|| StoreError::KeyMissing(id.tenant.clone()))
    }
}

const UNREADABLE: StoreError = StoreError::Incomplete("the name of a tenant or release cannot be read");

fn text(bytes: &[u8]) -> Result<&str, StoreError> {
    std::str::from_utf8(bytes).map_err(|_| UNREADABLE)
}
