//! What can be asked.

use serde::Deserialize;

use super::{audit, session_id};
use crate::domain::ids::{InstanceId, ReleaseId, TenantId};
use crate::domain::refusal::{Reason, Refusal};

/// Most entries of one part of a list, and how many it has if nobody says.
const MOST_ENTRIES: usize = 10_000;
const ENTRIES: usize = 1_000;

/// One line of a client.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(super) enum Request {
    Status,
    Calls(Part),
    Sessions(Part),
    Session {
        tenant: String,
        session_id: String,
    },
    Watch(Wanted),
    Audit(audit::Part),
    AuditVerify(audit::Against),
    SessionId(session_id::Asked),
    KeyStatus {
        /// Of this tenant; none: of all.
        tenant: Option<String>,
    },
    KeyRotate {
        tenant: String,
    },
    KeyRotateData {
        tenant: String,
    },
    KeyRetire {
        tenant: String,
        version: u32,
        #[serde(default)]
        force: bool,
    },
    RetentionReview(Reviewed),
    RetentionRun,
    RetentionConfirm {
        what: Option<Doubted>,
    },
}

/// What is to be reviewed.
#[derive(Debug, Deserialize)]
pub(super) struct Reviewed {
    /// Of this tenant; none: of all.
    pub(super) tenant: Option<String>,
    /// Up to when, RFC 3339; none: what is due now.
    pub(super) as_of: Option<String>,
    /// As if a held retention had been confirmed.
    #[serde(default)]
    pub(super) held: bool,
    /// As if this text were the configuration.
    pub(super) config: Option<String>,
    /// Without the rows: counts only.
    #[serde(default)]
    pub(super) counts_only: bool,
}

/// What can wait for an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Doubted {
    Clock,
    Retention,
}

/// One part of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Part {
    /// Of this tenant; none: of all.
    tenant: Option<String>,
    /// The `next` of the part before.
    from: Option<String>,
    limit: Option<usize>,
}

/// What is to be watched; a member that is not there means all.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    pub(super) tenant: Option<String>,
    pub(super) instance_id: Option<String>,
    #[serde(default)]
    pub(super) values: bool,
}

impl Request {
    /// Reads a line.
    pub(super) fn read(line: &str) -> Result<Self, Refusal> {
        serde_json::from_str(line).map_err(|error| {
            // What serde says of a wrong value repeats it.
            let place = format!("the request cannot be read at column {}: ", error.column());
            let known = "it is an object with `op`: status, calls, sessions, session, watch, audit, audit_verify, \
                         session_id, key_status, key_rotate, key_rotate_data, key_retire, retention_review, \
                         retention_run or retention_confirm";
            Refusal::new(Reason::InvalidParams, place + known)
        })
    }
}

impl Part {
    /// Whose entries are asked for.
    pub(super) fn tenant(&self) -> Result<Option<TenantId>, Refusal> {
        self.tenant.as_deref().map(str::parse).transpose()
    }

    /// Takes this part out of all entries, each with the key it is sorted by, and gives it with the key of the next.
    pub(super) fn take<T>(&self, mut entries: Vec<(String, T)>) -> (Vec<T>, Option<String>) {
        entries.retain(|(key, _)| self.from.as_ref().is_none_or(|from| key >= from));
        entries.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        let rest = entries.split_off(self.limit.unwrap_or(ENTRIES).clamp(1, MOST_ENTRIES).min(entries.len()));
        let next = rest.into_iter().next().map(|(key, _)| key);
        (entries.into_iter().map(|(_, entry)| entry).collect(), next)
    }
}

impl Wanted {
    /// The release, if both its names are said.
    pub(super) fn release(&self) -> Result<(Option<TenantId>, Option<InstanceId>), Refusal> {
        let tenant = self.tenant.as_deref().map(str::parse).transpose()?;
        let instance = self.instance_id.as_deref().map(str::parse).transpose()?;
        Ok((tenant, instance))
    }
}

/// The key by which lists are sorted: a name of a tenant holds no slash.
pub(super) fn key_of(release: &ReleaseId, id: &impl std::fmt::Display) -> String {
    format!("{}/{id}", release.tenant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::admin::lines::refused;

    #[test]
    fn a_list_comes_in_parts_without_gap_or_repetition() {
        let entries = || ["b", "a", "d", "c", "e"].map(|key| (key.to_owned(), key)).to_vec();
        let mut part = Part { tenant: None, from: None, limit: Some(2) };
        let mut all = Vec::new();
        loop {
            let (entries, next) = part.take(entries());
            all.extend(entries);
            part.from = next;
            if part.from.is_none() {
                break;
            }
        }
        assert_eq!(all, ["a", "b", "c", "d", "e"]);
    }

    #[test]
    fn a_request_that_cannot_be_read_is_refused_without_repeating_it() {
        for line in ["", "{}", "[]", r#"{"op":"secret"}"#, r#"{"op":"calls","limit":"secret"}"#] {
            let refusal = Request::read(line).unwrap_err();
            assert_eq!(refusal.reason, Reason::InvalidParams);
            assert!(!refused(&refusal).contains("secret"));
        }
        assert!(matches!(Request::read(r#"{"op":"status","more":1}"#), Ok(Request::Status)));
        assert!(matches!(Request::read(r#"{"op":"calls"}"#), Ok(Request::Calls(_))));
        let watch = Request::read(r#"{"op":"watch","tenant":null,"instance_id":null}"#);
        assert!(matches!(watch, Ok(Request::Watch(Wanted { values: false, .. }))));
    }
}
