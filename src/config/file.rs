//! The file as it is written: one struct per table, one field per key, nothing checked across keys.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;

use super::read::{Bytes, FilePath, Label, Origin, Text};
use super::{Durability, Generation, Protocol, Scope};
use crate::domain::caller::Assurance;
use crate::domain::ids::{InstanceId, SwitchName, TenantId, VariableName};
use crate::domain::session::{AnonymousSessions, Reset};

/// An optional text with its place.
pub(super) type Maybe<T> = Option<Spanned<Text<T>>>;
/// A list of texts with their places.
pub(super) type List<T> = Vec<Spanned<Text<T>>>;
/// A key whose value is not looked at.
pub(super) type Unread = Option<Spanned<IgnoredAny>>;

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    pub data: DataTable,
    pub keys: KeysTable,
    pub api: ApiTable,
    pub admin: AdminTable,
    pub limits: LimitsTable,
    pub privacy: PrivacyTable,
    pub tenant: Vec<TenantTable>,
    pub switch: Vec<Spanned<SwitchTable>>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct DataTable {
    pub path: Maybe<FilePath>,
    pub durability: Maybe<Durability>,
    pub log_window: Maybe<Duration>,
    pub log_bytes: Option<Spanned<Bytes>>,
    pub min_free: Option<Spanned<Bytes>>,
    pub cache: Option<Spanned<Bytes>>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct KeysTable {
    pub root: Maybe<FilePath>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ApiTable {
    pub listen: Maybe<SocketAddr>,
    pub tls_cert: Unread,
    pub tls_key: Unread,
    pub origins: List<Origin>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AdminTable {
    pub listen: Maybe<SocketAddr>,
    pub socket: Maybe<FilePath>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LimitsTable {
    pub max_call_age: Maybe<Duration>,
    pub call_linger: Maybe<Duration>,
    pub answer_within: Maybe<Duration>,
    pub frame: Option<Spanned<Bytes>>,
    pub value: Option<Spanned<Bytes>>,
    pub variables: Option<Spanned<u64>>,
    pub session_bytes: Option<Spanned<Bytes>>,
    pub active_calls: Option<Spanned<u64>>,
    pub session_memory: Option<Spanned<Bytes>>,
    pub connections: Option<Spanned<u64>>,
    pub arbiters: Option<Spanned<u64>>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PrivacyTable {
    pub erase_within: Maybe<Duration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TenantTable {
    pub id: Spanned<Text<TenantId>>,
    pub session_retention: Maybe<Duration>,
    pub user_idle_limit: Maybe<Duration>,
    #[serde(default)]
    pub release: Vec<ReleaseTable>,
    #[serde(default)]
    pub api_key: Vec<Spanned<ApiKeyTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReleaseTable {
    pub instance_id: Spanned<Text<InstanceId>>,
    pub generation: Text<Generation>,
    #[serde(default)]
    pub numbers: Vec<Spanned<String>>,
    pub session_retention: Maybe<Duration>,
    pub user_idle_limit: Maybe<Duration>,
    pub reset: Option<Text<Reset>>,
    pub anonymous_sessions: Option<Text<AnonymousSessions>>,
    #[serde(default)]
    pub keep_number: bool,
    pub min_assurance: Option<Text<Assurance>>,
    #[serde(default)]
    pub min_assurance_for: BTreeMap<Text<VariableName>, Text<Assurance>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ApiKeyTable {
    pub name: Spanned<Text<Label>>,
    pub sha256: Spanned<Text<[u8; 32]>>,
    pub scopes: Spanned<Vec<Text<Scope>>>,
    pub releases: Option<List<InstanceId>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SwitchTable {
    pub name: Spanned<Text<SwitchName>>,
    pub protocol: Spanned<Text<Protocol>>,
    pub listen: Maybe<SocketAddr>,
    pub connect: Unread,
    pub secret: Unread,
    pub allow: Option<Vec<Text<IpNet>>>,
    pub tenant: Maybe<TenantId>,
    pub tenants: Option<Spanned<List<TenantId>>>,
    #[serde(default)]
    pub trust_identity: bool,
    pub region: Spanned<String>,
    pub domain: Option<Text<Label>>,
    pub expose: Option<List<VariableName>>,
    pub max_answer: Option<Spanned<Bytes>>,
    pub call_id: Unread,
    pub mode: Unread,
    pub tls_cert: Unread,
    pub tls_key: Unread,
    pub tls_client_ca: Unread,
}
