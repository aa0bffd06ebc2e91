//! Operations on keys, for operators. Counting aliases takes its time, so it tells now and then how far it is:
//! `{"progress":{"tenant":…,"aliases":…}}` before the answer.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc;

use super::lines::line;
use super::request::Request;
use crate::daemon::keys::{self, TenantKeys};
use crate::daemon::lifecycle::Running;
use crate::domain::ids::TenantId;
use crate::domain::refusal::Refusal;
use crate::privacy::audit::Who;
use crate::store::DataKeyVersions;

/// Between two lines that tell how far it is.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What blocks for a while.
pub(super) enum Task {
    Status { tenant: Option<String> },
    Rotate { tenant: String },
    RotateData { tenant: String },
    Retire { tenant: String, version: u32, force: bool },
}

#[derive(Serialize)]
struct Tenants {
    tenants: Vec<OfTenant>,
}

#[derive(Serialize)]
struct OfTenant {
    tenant: String,
    pseudonym: Vec<Pseudonym>,
    rules: Vec<Rules>,
    data: Option<Data>,
}

#[derive(Serialize)]
struct Pseudonym {
    version: u32,
    current: bool,
    stored: bool,
    aliases: u64,
}

#[derive(Serialize)]
struct Rules {
    version: u16,
    aliases: u64,
}

#[derive(Serialize)]
struct Data {
    current: u32,
    older: Vec<u32>,
    looked_at: u64,
    rewritten: u64,
    damaged: u64,
}

impl Task {
    /// What is asked for if it is one; else the request again.
    pub(super) fn of(request: Request) -> Result<Self, Request> {
        match request {
            Request::KeyStatus { tenant } => Ok(Self::Status { tenant }),
            Request::KeyRotate { tenant } => Ok(Self::Rotate { tenant }),
            Request::KeyRotateData { tenant } => Ok(Self::RotateData { tenant }),
            Request::KeyRetire { tenant, version, force } => Ok(Self::Retire { tenant, version, force }),
            other => Err(other),
        }
    }

    /// Does it and gives the answer. Blocks.
    pub(super) fn run(self, running: &Running, who: Who, told: &mpsc::Sender<String>) -> Result<String, Refusal> {
        let (keys, directory) = (&running.keys, &*running.directory);
        let mut last = Instant::now();
        let mut progress = |tenant: &TenantId, aliases: u64| {
            if last.elapsed() >= TELL_EVERY {
                last = Instant::now();
                let progress = json!({ "progress": { "tenant": tenant.as_str(), "aliases": aliases } });
                // Whoever reads slowly misses one of these lines.
                let _ = told.try_send(format!("{progress}\n"));
            }
            !told.is_closed()
        };
        match self {
            Self::Status { tenant } => {
                let tenant = tenant.as_deref().map(str::parse).transpose()?;
                let tenants = keys::status(directory, tenant.as_ref(), &mut progress)?;
                line(&Tenants { tenants: tenants.into_iter().map(OfTenant::from).collect() })
            }
            Self::Rotate { tenant } => {
                let version = keys.rotate(directory, who, &tenant.parse()?)?;
                line(&json!({ "tenant": tenant, "version": version }))
            }
            Self::RotateData { tenant } => {
                let version = keys.rotate_data(directory, who, &tenant.parse()?)?;
                line(&json!({ "tenant": tenant, "version": version }))
            }
            Self::Retire { tenant, version, force } => {
                let forgotten = keys.retire(directory, who, (&tenant.parse()?, version), force, &mut progress)?;
                line(&json!({ "tenant": tenant, "version": version, "forgotten": forgotten }))
            }
        }
    }
}

impl From<TenantKeys> for OfTenant {
    fn from(keys: TenantKeys) -> Self {
        let pseudonym = keys.pseudonym.into_iter().map(|known| Pseudonym {
            version: known.version,
            current: known.current,
            stored: known.stored,
            aliases: known.aliases,
        });
        let rules = keys.rules.into_iter().rev().map(|(version, aliases)| Rules { version, aliases });
        let data = keys.data.map(|DataKeyVersions { current, older, looked_at, rewritten, damaged }| Data {
            current,
            older,
            looked_at,
            rewritten,
            damaged,
        });
        Self { tenant: keys.tenant.to_string(), pseudonym: pseudonym.collect(), rules: rules.collect(), data }
    }
}
