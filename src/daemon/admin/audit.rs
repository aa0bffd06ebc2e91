//! The audit log: in parts, and whether its chain is whole.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::lines::line;
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::time::Timestamp;
use crate::privacy::audit::{Audit, Head, shown, verified};

/// Most entries of one part, and how many it has if nobody says.
const MOST_ENTRIES: usize = 10_000;
const ENTRIES: usize = 1_000;

/// Which part of the log.
#[derive(Debug, Deserialize)]
pub(super) struct Part {
    /// Behind the entry with this number.
    #[serde(default)]
    from: Option<u64>,
    /// Not older than this, in milliseconds since the Unix epoch.
    #[serde(default)]
    since: Option<i64>,
    limit: Option<usize>,
}

/// Against what the chain is verified.
#[derive(Debug, Deserialize)]
pub(super) struct Against {
    /// A head that was noted.
    head: Option<String>,
}

#[derive(Serialize)]
struct List {
    entries: Vec<Value>,
    next: Option<u64>,
}

/// The answer to `audit`. May block.
pub(super) fn list(audit: &Audit, part: &Part) -> Result<String, Refusal> {
    let limit = part.limit.unwrap_or(ENTRIES).clamp(1, MOST_ENTRIES);
    let since = part.since.map(Timestamp::from_unix_millis);
    let (entries, next) = audit.entries(part.from.unwrap_or(0), since, limit)?;
    line(&List { entries: entries.into_iter().map(shown).collect(), next })
}

/// The answer to `audit_verify`. May block for as long as the log is long.
pub(super) fn verify(audit: &Audit, against: &Against) -> Result<String, Refusal> {
    let noted = against.head.as_deref().map(str::parse::<Head>).transpose();
    let noted = noted.map_err(|error| Refusal::new(Reason::InvalidParams, error.to_string()))?;
    line(&verified(audit.verify(noted)?))
}
