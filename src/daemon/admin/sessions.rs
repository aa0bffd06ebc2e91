//! Sessions: the active ones as a list, any single one with the names of its variables. Values are for voice apps, not
//! for operators.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use super::calls::CallFigures;
use super::lines::line;
use super::request::{Part, key_of};
use crate::actors::{Directory, Scope, SessionView};
use crate::domain::ids::SessionId;
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::session::{Authority, Call, Lifetime, Session, VisibleVariable};
use crate::domain::time::Timestamp;

/// Sessions that are counted where a beginning of an ID is that of several.
const MOST_MATCHES: usize = 1_000;

#[derive(Serialize)]
struct List {
    sessions: Vec<Figures>,
    next: Option<String>,
}

#[derive(Serialize)]
struct One {
    session: Details,
}

#[derive(Serialize)]
struct Details {
    #[serde(flatten)]
    figures: Figures,
    calls: Vec<OneCall>,
    names: Vec<Variable>,
}

#[derive(Serialize)]
struct Figures {
    tenant: String,
    instance_id: String,
    session_id: String,
    active_calls: usize,
    contacts: u64,
    first_contact: Option<String>,
    last_contact: Option<String>,
    last_activity: String,
    revision: u64,
    variables: Variables,
}

#[derive(Default, Serialize)]
struct Variables {
    call: usize,
    session: usize,
    user: usize,
}

#[derive(Serialize)]
struct OneCall {
    call_id: String,
    #[serde(flatten)]
    call: CallFigures,
}

#[derive(Serialize)]
struct Variable {
    name: String,
    lifetime: &'static str,
    /// For a `call` variable: whose.
    call_id: Option<String>,
    revision: u64,
    set_at: String,
    expires_at: Option<String>,
}

/// The answer to `sessions`. Takes a while where there are many.
pub(super) fn list(directory: &Directory, part: &Part) -> Result<String, Refusal> {
    let tenant = part.tenant()?;
    let views = directory.active_sessions(&tenant.as_ref().map_or(Scope::All, Scope::Tenant));
    let keyed = views.into_iter().map(|view| (key_of(&view.release, &view.session.id), view)).collect();
    let (sessions, next) = part.take(keyed);
    line(&List { sessions: sessions.iter().map(|view| figures(directory, view)).collect(), next })
}

/// The answer to `session`, active or sleeping, by its ID or a beginning of it.
pub(super) async fn one(directory: &Arc<Directory>, tenant: &str, session: &str) -> Result<String, Refusal> {
    let tenant = tenant.parse()?;
    let unknown = || Refusal::new(Reason::UnknownSession, "no session of this tenant has this session_id");
    let session = match session.parse() {
        Ok(whole) => whole,
        Err(_) => {
            let found = directory.sessions_beginning(&tenant, &session.parse()?, MOST_MATCHES).await?;
            only_one(found)?.ok_or_else(unknown)?
        }
    };
    let view = directory.find_session(&tenant, &session).await?.ok_or_else(unknown)?;
    let calls = view.session.calls.iter();
    line(&One {
        session: Details {
            figures: figures(directory, &view),
            calls: calls.map(|call| OneCall { call_id: call.id.to_string(), call: CallFigures::of(call) }).collect(),
            names: each_variable(directory, &view, name),
        },
    })
}

/// The one session that was found, if there is one.
fn only_one(found: BTreeSet<SessionId>) -> Result<Option<SessionId>, Refusal> {
    match found.len() {
        0 | 1 => Ok(found.into_iter().next()),
        many => {
            let many = if many < MOST_MATCHES { many.to_string() } else { format!("{MOST_MATCHES} or more") };
            let detail = format!("the session_ids of {many} sessions of this tenant begin so: write more of it");
            Err(Refusal::new(Reason::InvalidParams, detail))
        }
    }
}

fn figures(directory: &Directory, view: &SessionView) -> Figures {
    let session: &Session = &view.session;
    let mut variables = Variables::default();
    for lifetime in each_variable(directory, view, |variable, _| variable.variable.lifetime) {
        match lifetime {
            Lifetime::Call => variables.call += 1,
            Lifetime::Session => variables.session += 1,
            Lifetime::User => variables.user += 1,
        }
    }
    Figures {
        tenant: view.release.tenant.to_string(),
        instance_id: view.release.instance.to_string(),
        session_id: session.id.to_string(),
        active_calls: session.calls.len(),
        contacts: session.contacts,
        first_contact: session.first_contact.as_ref().map(Timestamp::to_string),
        last_contact: session.last_contact.as_ref().map(Timestamp::to_string),
        last_activity: session.last_activity.to_string(),
        revision: session.revision,
        variables,
    }
}

fn name(visible: &VisibleVariable<'_>, call: Option<&Call>) -> Variable {
    Variable {
        name: visible.variable.name.to_string(),
        lifetime: visible.variable.lifetime.as_str(),
        call_id: call.map(|call| call.id.to_string()),
        revision: visible.variable.revision,
        set_at: visible.variable.set_at.to_string(),
        expires_at: visible.expires_at.as_ref().map(Timestamp::to_string),
    }
}

/// All unexpired variables: the session's, then those of each call.
fn each_variable<T>(
    directory: &Directory,
    view: &SessionView,
    told: impl Fn(&VisibleVariable<'_>, Option<&Call>) -> T,
) -> Vec<T> {
    let (rules, now) = (directory.rules(&view.release), directory.now());
    let seen_from = [None].into_iter().chain(view.session.calls.iter().map(|call| Some(&**call)));
    let mut all = Vec::new();
    for call in seen_from {
        let context = view.session.context(call, Authority::Trusted, &rules, now);
        let own = context.variables.iter().filter(|visible| {
            // Seen from a call the session's variables are there again.
            call.is_none() || visible.variable.lifetime == Lifetime::Call
        });
        all.extend(own.map(|visible| told(visible, call)));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_of_several_ids_is_refused_with_their_count() {
        let sessions =
            |count: u16| (0..count).map(|at| SessionId::Caller([at.to_be_bytes(); 16].concat().try_into().unwrap()));
        let refused = |count| only_one(sessions(count).collect()).unwrap_err().detail.into_owned();
        assert_eq!(only_one(sessions(0).collect()).unwrap(), None);
        assert_eq!(only_one(sessions(1).collect()).unwrap(), sessions(1).next());
        assert!(refused(2).starts_with("the session_ids of 2 sessions") && refused(2).contains("write more of it"));
        assert!(refused(1_001).contains("1000 or more"));
    }
}
