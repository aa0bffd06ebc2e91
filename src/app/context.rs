//! The context as a voice app sees it (PRODUCT.md 6): that of a switch, with lifetime and end of each variable, the
//! session's calls, and the number, masked or not. Written by hand: values are checked JSON already and are spliced as
//! they are.

use std::fmt::Write as _;

use crate::domain::caller::{Assurance, CallerDetails, CallerNumber, Presentation, mask};
use crate::domain::ids::SessionId;
use crate::domain::session::{Authority, Call, Context, Direction, Rules, Session, Variable, VisibleVariable};
use crate::domain::time::Timestamp;
use crate::wire::json;

/// How much of a context the holder of an API key sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sight {
    /// `context:read`: variables at all.
    pub(super) variables: bool,
    /// `context:trusted`: user variables whatever the release demands, where no call is named.
    pub(super) trusted: bool,
    /// `number:reveal`: the plain number, the display name and the headers.
    pub(super) number: bool,
}

impl Sight {
    /// The same without variables.
    pub(super) const fn without_variables(self) -> Self {
        Self { variables: false, ..self }
    }

    /// Whose assurance counts in a request that names this call, or none.
    pub(super) const fn authority(self, names_call: bool) -> Authority {
        if self.trusted && !names_call { Authority::Trusted } else { Authority::OfCall }
    }
}

/// A session, and the call from which it is looked at.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) session: &'a Session,
    pub(super) call: Option<&'a Call>,
    pub(super) rules: &'a Rules,
    pub(super) now: Timestamp,
    /// Most calls of the session that are listed, the latest ones; `active_calls` tells their number anyway.
    pub(super) most_calls: usize,
}

/// Most calls that each context of a list or of a stream names: a number with hundreds of parallel calls would
/// otherwise name all of them with each of them.
pub(super) const FEW_CALLS: usize = 32;

/// Appends the context. Whether a plain number is in it tells [`revealed`].
pub(super) fn write(out: &mut String, seen: Seen<'_>, sight: Sight) {
    let Seen { session, call, rules, now, most_calls } = seen;
    let context = session.context(call, sight.authority(call.is_some()), rules, now);
    out.reserve(1024);
    out.push('{');
    write_ids(out, &session.id, call);
    out.push_str(",\"tenant\":\"");
    out.push_str(rules.release.tenant.as_str());
    out.push_str("\",\"instance_id\":\"");
    out.push_str(session.instance.as_str());
    out.push_str("\",\"returning\":");
    push_bool(out, call.map_or(session.first_contact.is_some(), |call| call.returning));
    out.push_str(",\"anonymous\":");
    push_bool(out, session.id.is_anonymous());
    out.push_str(",\"assurance\":\"");
    out.push_str(call.map_or(Assurance::None, |call| call.assurance).as_str());
    let _ = write!(out, "\",\"active_calls\":{}", context.active_calls);
    push_time(out, "first_contact", session.first_contact);
    push_time(out, "last_contact", call.map_or(session.last_contact, |call| call.previous_contact));
    let _ = write!(out, ",\"revision\":{}", session.revision);
    if let Some(call) = call {
        write_progress(out, call);
    }
    write_details(out, session, call, sight);
    out.push_str(",\"calls\":[");
    let listed = session.calls.iter().skip(session.calls.len().saturating_sub(most_calls));
    for (at, call) in listed.enumerate() {
        out.push_str(if at == 0 { "{" } else { ",{" });
        write_call_ids(out, &session.id, call);
        let _ = write!(out, ",\"assurance\":\"{}\"", call.assurance.as_str());
        write_progress(out, call);
        out.push('}');
    }
    out.push(']');
    if sight.variables {
        write_variables(out, &context);
    }
    out.push('}');
}

/// The call whose plain number, display name or headers are in the context; none if they are masked or not known.
pub(super) fn revealed<'a>(session: &'a Session, call: Option<&'a Call>, sight: Sight) -> Option<&'a Call> {
    let call = described(session, call)?;
    let details = call.details.as_deref()?;
    let has_some = details.number.is_some() || details.display.is_some() || details.headers.is_some();
    (sight.number && has_some).then_some(call)
}

/// The call whose number is shown. A session without a named call shows that of its first call that has one.
fn described<'a>(session: &'a Session, call: Option<&'a Call>) -> Option<&'a Call> {
    call.or_else(|| session.calls.iter().map(AsRef::as_ref).find(|call| call.details.is_some()))
}

fn write_variables(out: &mut String, context: &Context<'_>) {
    out.push_str(",\"withheld\":[");
    for (at, name) in context.withheld.iter().enumerate() {
        out.push_str(if at == 0 { "\"" } else { ",\"" });
        out.push_str(name.as_str());
        out.push('"');
    }
    out.push_str("],\"variables\":{");
    for (at, VisibleVariable { variable, expires_at }) in context.variables.iter().enumerate() {
        out.push_str(if at == 0 { "\"" } else { ",\"" });
        out.push_str(variable.name.as_str());
        out.push_str("\":");
        write_variable(out, variable, *expires_at);
    }
    out.push('}');
}

/// Appends a variable with its lifetime and its end.
pub(super) fn write_variable(out: &mut String, variable: &Variable, expires_at: Option<Timestamp>) {
    out.push_str("{\"value\":");
    out.push_str(variable.value.as_str());
    let _ = write!(out, ",\"lifetime\":\"{}\",\"revision\":{}", variable.lifetime.as_str(), variable.revision);
    push_time(out, "set_at", Some(variable.set_at));
    push_time(out, "expires_at", expires_at);
    out.push('}');
}

/// Appends `session_id`, `call_id` and `callerid`.
pub(super) fn write_ids(out: &mut String, session: &SessionId, call: Option<&Call>) {
    out.push_str("\"session_id\":\"");
    session.write_text(out);
    match call {
        Some(call) => {
            out.push_str("\",");
            write_call_ids(out, session, call);
        }
        None => out.push_str("\",\"call_id\":null,\"callerid\":null"),
    }
}

fn write_call_ids(out: &mut String, session: &SessionId, call: &Call) {
    out.push_str("\"call_id\":");
    let begin = out.len();
    json::push_string(out, call.id.as_str());
    let literal = begin + 1..out.len();
    out.push_str(",\"callerid\":\"");
    session.write_text(out);
    out.push('/');
    out.extend_from_within(literal);
}

/// How far a call is, and when it got there.
fn write_progress(out: &mut String, call: &Call) {
    let direction = match call.direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    };
    let presentation = match call.presentation {
        Presentation::Allowed => "allowed",
        Presentation::Restricted => "restricted",
        Presentation::Unavailable => "unavailable",
    };
    let state = call.state.as_str();
    let _ = write!(
        out,
        ",\"state\":\"{state}\",\"direction\":\"{direction}\",\"presentation\":\"{presentation}\",\"reopened\":{}",
        call.reopened
    );
    push_time(out, "started_at", Some(call.started_at));
    push_time(out, "ringing_at", call.ringing_at);
    push_time(out, "answered_at", call.answered_at);
    push_time(out, "ended_at", call.ended_at);
    push_time(out, "switch_at", call.switch_at);
    out.push_str(",\"cause\":");
    match &call.end_cause {
        Some(cause) => json::push_string(out, cause.as_str()),
        None => out.push_str("null"),
    }
    push_code(out, call.end_code);
}

/// Appends `code`, a SIP status.
pub(super) fn push_code(out: &mut String, code: Option<u16>) {
    match code {
        Some(code) => {
            let _ = write!(out, ",\"code\":{code}");
        }
        None => out.push_str(",\"code\":null"),
    }
}

/// Number, display name and headers, as far as they are known and may be seen (PRODUCT.md 3.6).
fn write_details(out: &mut String, session: &Session, call: Option<&Call>, sight: Sight) {
    let known: Option<&CallerDetails> = described(session, call).and_then(|call| call.details.as_deref());
    let number = known.and_then(|details| details.number.as_ref());
    out.push_str(",\"number\":");
    let Some(details) = known.filter(|_| sight.number) else {
        match number {
            Some(number) => json::push_string(out, &mask(number)),
            None => out.push_str("null"),
        }
        return;
    };
    push_plain(out, number);
    out.push_str(",\"display\":");
    push_plain(out, details.display.as_ref());
    out.push_str(",\"headers\":");
    // JSON text since it was read from the switch.
    out.push_str(details.headers.as_ref().map_or("null", CallerNumber::reveal));
}

fn push_plain(out: &mut String, text: Option<&CallerNumber>) {
    match text {
        Some(text) => json::push_string(out, text.reveal()),
        None => out.push_str("null"),
    }
}

fn push_bool(out: &mut String, value: bool) {
    out.push_str(if value { "true" } else { "false" });
}

/// Appends a member with a point in time, or null.
pub(super) fn push_time(out: &mut String, name: &str, time: Option<Timestamp>) {
    out.push_str(",\"");
    out.push_str(name);
    match time {
        Some(time) => {
            out.push_str("\":\"");
            time.write_rfc3339(out);
            out.push('"');
        }
        None => out.push_str("\":null"),
    }
}

#[cfg(test)]
#[path = "context_tests.rs"]
mod tests;
