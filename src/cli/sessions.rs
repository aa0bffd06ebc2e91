//! `recalld sessions`: the active sessions, or one of them, active or sleeping. Names of variables, never their values.

use serde::Deserialize;
use serde_json::json;

use super::listing::Listing;
use super::tables::Column::{Id, Number, Text};
use super::tables::{self, Look};
use super::{block_on, exit, out, words};

/// Arguments of `sessions`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Show this session, active or sleeping, with the names of its variables; needs --tenant. The first 8 digits of its
    /// ID or more are enough.
    #[arg(value_name = "SESSION_ID", requires = "tenant")]
    session: Option<String>,
    #[command(flatten)]
    listing: Listing,
}

#[derive(Deserialize)]
struct Shown {
    tenant: String,
    instance_id: String,
    session_id: String,
    active_calls: u64,
    contacts: u64,
    first_contact: Option<String>,
    last_contact: Option<String>,
    last_activity: Option<String>,
    revision: u64,
    variables: Counts,
    #[serde(default)]
    names: Vec<Variable>,
}

#[derive(Deserialize)]
struct Counts {
    call: u64,
    session: u64,
    user: u64,
}

#[derive(Deserialize)]
struct Variable {
    name: String,
    lifetime: String,
    revision: u64,
    set_at: String,
    expires_at: Option<String>,
}

/// Asks and prints.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if let Some(session) = &arguments.session {
        return one(&arguments.listing, session);
    }
    let columns = [
        Text("tenant"),
        Text("release"),
        Id("session"),
        Number("calls"),
        Number("contacts"),
        Text("first contact (UTC)"),
        Text("last activity (UTC)"),
        Number("rev."),
        Number("vars c/s/u"),
    ];
    arguments.listing.print("sessions", "no session is active", &columns, Shown::row)
}

fn one(arguments: &Listing, session: &str) -> anyhow::Result<()> {
    // As a table shows it, it may end with an ellipsis.
    let session = session.trim_end_matches('…');
    let request = json!({ "op": "session", "tenant": arguments.tenant, "session_id": session });
    let answer = block_on(async { arguments.daemon.connect().await?.ask(&request).await })?;
    if arguments.json {
        return out::json(&answer);
    }
    let session = answer.get("session").cloned().filter(|session| !session.is_null());
    let session = session.ok_or_else(|| exit::with(exit::FAILED, "there is no such session"))?;
    let session: Shown = serde_json::from_value(session)?;
    let look = Look::for_stdout(arguments.full);
    out::line(tables::fields(&session.fields()))?;
    if session.names.is_empty() {
        return Ok(());
    }
    let columns = [Text("variable"), Text("lifetime"), Number("revision"), Text("set (UTC)"), Text("expires (UTC)")];
    let rows = session.names.iter().map(Variable::row).collect();
    out::line(format!("\n{}", look.table(&columns, rows)))
}

impl Shown {
    fn row(&self, look: Look) -> Vec<String> {
        let Counts { call, session, user } = self.variables;
        vec![
            self.tenant.clone(),
            self.instance_id.clone(),
            look.id(&self.session_id),
            words::count(self.active_calls),
            words::count(self.contacts),
            moment(self.first_contact.as_deref()),
            moment(self.last_activity.as_deref()),
            self.revision.to_string(),
            format!("{call}/{session}/{user}"),
        ]
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        vec![
            ("session", words::printable(&self.session_id)),
            ("release", format!("{} of {}", self.instance_id, self.tenant)),
            ("active calls", words::count(self.active_calls)),
            ("contacts", words::count(self.contacts)),
            ("first contact", moment(self.first_contact.as_deref())),
            ("last contact", moment(self.last_contact.as_deref())),
            ("last activity", moment(self.last_activity.as_deref())),
            ("revision", self.revision.to_string()),
        ]
    }
}

impl Variable {
    fn row(&self) -> Vec<String> {
        vec![
            words::printable(&self.name),
            self.lifetime.clone(),
            self.revision.to_string(),
            words::moment(&self.set_at),
            moment(self.expires_at.as_deref()),
        ]
    }
}

fn moment(time: Option<&str>) -> String {
    time.map_or_else(|| "-".to_owned(), words::moment)
}
