//! The file as it is written: the keys of each table, nothing checked across keys.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde::de::IgnoredAny;
use toml::Spanned;

use super::error::Faults;
use super::read::{Bytes, FilePath, Label, Origin};
use super::written::{ByName, Entries, Entry, FromTable, List, Needed};
use super::{Durability, Generation, Protocol, Scope};
use crate::domain::caller::{Assurance, Region};
use crate::domain::ids::{InstanceId, SwitchName, TenantId, VariableName};
use crate::domain::number_plan::NumberPattern;
use crate::domain::session::{AnonymousSessions, Reset};

/// A key whose value is not looked at.
pub(super) type Unread = Entry<IgnoredAny>;

/// Tables by their keys, each with what can stand there.
macro_rules! tables {
    ($($table:ident { $($key:ident: $kind:ty,)* })*) => {$(
        pub(super) struct $table {
            $(pub $key: $kind,)*
        }

        impl FromTable for $table {
            const KEYS: &'static [&'static str] = &[$(stringify!($key)),*];

            fn take_from(entries: &mut Entries<'_>, faults: &mut Faults) -> Self {
                Self { $($key: entries.take(stringify!($key), faults),)* }
            }
        }
    )*};
}

tables! {
    File {
        data: DataTable,
        keys: KeysTable,
        api: ApiTable,
        admin: AdminTable,
        limits: LimitsTable,
        privacy: PrivacyTable,
        tenant: Vec<Spanned<TenantTable>>,
        switch: Vec<Spanned<SwitchTable>>,
    }

    DataTable {
        path: Entry<FilePath>,
        durability: Entry<Durability>,
        log_window: Entry<Duration>,
        log_bytes: Entry<Bytes>,
        min_free: Entry<Bytes>,
        cache: Entry<Bytes>,
    }

    KeysTable {
        root: Entry<FilePath>,
    }

    ApiTable {
        listen: Entry<SocketAddr>,
        tls_cert: Unread,
        tls_key: Unread,
        origins: Entry<List<Origin>>,
    }

    AdminTable {
        listen: Entry<SocketAddr>,
        socket: Entry<FilePath>,
    }

    LimitsTable {
        max_call_age: Entry<Duration>,
        call_linger: Entry<Duration>,
        answer_within: Entry<Duration>,
        frame: Entry<Bytes>,
        value: Entry<Bytes>,
        variables: Entry<u64>,
        session_bytes: Entry<Bytes>,
        active_calls: Entry<u64>,
        session_memory: Entry<Bytes>,
        connections: Entry<u64>,
        arbiters: Entry<u64>,
    }

    PrivacyTable {
        erase_within: Entry<Duration>,
    }

    TenantTable {
        id: Needed<TenantId>,
        session_retention: Entry<Duration>,
        user_idle_limit: Entry<Duration>,
        release: Vec<Spanned<ReleaseTable>>,
        api_key: Vec<Spanned<ApiKeyTable>>,
    }

    ReleaseTable {
        instance_id: Needed<InstanceId>,
        generation: Needed<Generation>,
        numbers: Entry<List<NumberPattern>>,
        session_retention: Entry<Duration>,
        user_idle_limit: Entry<Duration>,
        reset: Entry<Reset>,
        anonymous_sessions: Entry<AnonymousSessions>,
        keep_number: Entry<bool>,
        min_assurance: Entry<Assurance>,
        min_assurance_for: Entry<ByName<VariableName, Assurance>>,
    }

    ApiKeyTable {
        name: Needed<Label>,
        sha256: Needed<[u8; 32]>,
        scopes: Needed<List<Scope>>,
        releases: Entry<List<InstanceId>>,
    }

    SwitchTable {
        name: Needed<SwitchName>,
        protocol: Needed<Protocol>,
        listen: Entry<SocketAddr>,
        connect: Unread,
        secret: Unread,
        allow: Entry<List<IpNet>>,
        tenant: Entry<TenantId>,
        tenants: Entry<List<TenantId>>,
        trust_identity: Entry<bool>,
        region: Needed<Region>,
        domain: Entry<Label>,
        expose: Entry<List<VariableName>>,
        max_answer: Entry<Bytes>,
        call_id: Unread,
        mode: Unread,
        tls_cert: Unread,
        tls_key: Unread,
        tls_client_ca: Unread,
    }
}
