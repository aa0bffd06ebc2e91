//! What a client hears on the WebSocket (PRODUCT.md 6.1), as JSON text.

use std::fmt::Write as _;

use crate::app::context::{push_code, push_time, write_variable};
use crate::domain::caller::DtmfDigit;
use crate::domain::ids::{CallId, SessionId};
use crate::domain::refusal::Refusal;
use crate::domain::session::{Commit, Effect, Variable};
use crate::domain::time::Timestamp;
use crate::wire::json;

/// One visible effect of one commit, live or from the log.
#[derive(Clone, Copy)]
pub(super) struct Happening<'a> {
    pub(super) session: &'a SessionId,
    pub(super) commit: &'a Commit,
    pub(super) effect: &'a Effect,
    /// The pressed key: live only.
    pub(super) digit: Option<DtmfDigit>,
}

/// What of a variable that was set may be told.
pub(super) enum Told<'a> {
    /// All of it, with its end.
    Value(&'a Variable, Option<Timestamp>),
    /// It has another value since, or none.
    Gone,
    /// The release demands more assurance.
    Withheld,
}

/// Begins a message about a subscription or an operation.
pub(super) fn begin(kind: &str, id: &str) -> String {
    let mut out = String::with_capacity(256);
    out.push_str("{\"type\":\"");
    out.push_str(kind);
    out.push_str("\",\"id\":");
    json::push_string(&mut out, id);
    out
}

/// Begins a message that has a cursor.
pub(super) fn begin_at(kind: &str, id: &str, cursor: &str) -> String {
    let mut out = begin(kind, id);
    out.push_str(",\"cursor\":\"");
    out.push_str(cursor);
    out.push('"');
    out
}

/// A message without more.
pub(super) fn end(mut message: String) -> String {
    message.push('}');
    message
}

/// The answer to a `set`.
pub(super) fn revision(id: &str, revision: u64) -> String {
    let mut out = begin("result", id);
    let _ = write!(out, ",\"revision\":{revision}}}");
    out
}

/// The answer to a `get`.
pub(super) fn context(id: &str, revision: u64, context: &str) -> String {
    let mut out = begin("result", id);
    let _ = write!(out, ",\"revision\":{revision},\"context\":{context}}}");
    out
}

/// A refused operation, or a subscription that cannot go on; after a conflict with the current context.
pub(super) fn error(id: Option<&str>, refusal: &Refusal, current: Option<&str>) -> String {
    let mut out = match id {
        Some(id) => begin("error", id),
        None => "{\"type\":\"error\",\"id\":null".to_owned(),
    };
    let _ = write!(out, ",\"reason\":\"{}\",\"detail\":", refusal.reason);
    json::push_string(&mut out, &refusal.detail);
    if let Some(context) = current {
        out.push_str(",\"context\":");
        out.push_str(context);
    }
    end(out)
}

/// The event of a call; none for an effect that is no such event. `context` writes that of a started call.
pub(super) fn call(mut out: String, happening: Happening<'_>, context: impl FnOnce(&mut String)) -> Option<String> {
    let Happening { session, commit, effect, digit } = happening;
    let (id, word) = match effect {
        Effect::CallStarted { call, .. } => (call, "started"),
        Effect::CallRinging { call, .. } => (call, "ringing"),
        Effect::CallAnswered { call } => (call, "answered"),
        Effect::CallDtmf { call, .. } => (call, "dtmf"),
        Effect::CallEnded { call, .. } => (call, "ended"),
        _ => return None,
    };
    out.push_str(",\"event\":\"");
    out.push_str(word);
    out.push('"');
    push_place(&mut out, session, Some(id), commit.at);
    match effect {
        Effect::CallStarted { reopened, .. } => {
            let _ = write!(out, ",\"reopened\":{reopened},\"context\":");
            context(&mut out);
        }
        Effect::CallRinging { code, .. } => push_code(&mut out, *code),
        Effect::CallDtmf { duration_ms, .. } => {
            if let Some(digit) = digit {
                let _ = write!(out, ",\"digit\":\"{}\"", digit.reveal());
            }
            match duration_ms {
                Some(duration) => {
                    let _ = write!(out, ",\"duration_ms\":{duration}");
                }
                None => out.push_str(",\"duration_ms\":null"),
            }
        }
        Effect::CallEnded { cause, code, .. } => {
            out.push_str(",\"cause\":");
            json::push_string(&mut out, cause.as_str());
            push_code(&mut out, *code);
        }
        _ => {}
    }
    Some(end(out))
}

/// The change of a variable; none for an effect that is no such change.
pub(super) fn change(mut out: String, happening: Happening<'_>, told: Told<'_>) -> Option<String> {
    let Happening { session, commit, effect, digit: _ } = happening;
    let (call, name, cause) = match effect {
        Effect::VariableSet { call, name, .. } => (call, name, "set"),
        Effect::VariableDeleted { call, name, cause } => (call, name, cause.as_str()),
        _ => return None,
    };
    push_place(&mut out, session, call.as_ref(), commit.at);
    let _ = write!(out, ",\"revision\":{},\"cause\":\"{cause}\",\"name\":\"{name}\",\"variable\":", commit.revision);
    match (effect, told) {
        (Effect::VariableSet { .. }, Told::Value(variable, end)) => write_variable(&mut out, variable, end),
        (Effect::VariableSet { .. }, Told::Gone) => out.push_str("null,\"gone\":true"),
        (Effect::VariableSet { .. }, Told::Withheld) => out.push_str("null,\"withheld\":true"),
        _ => out.push_str("null"),
    }
    Some(end(out))
}

/// Which session and call, and when.
fn push_place(out: &mut String, session: &SessionId, call: Option<&CallId>, at: Timestamp) {
    out.push_str(",\"session_id\":\"");
    session.write_text(out);
    out.push_str("\",\"call_id\":");
    match call {
        Some(call) => json::push_string(out, call.as_str()),
        None => out.push_str("null"),
    }
    push_time(out, "at", Some(at));
}

#[cfg(test)]
#[path = "messages_tests.rs"]
mod tests;
