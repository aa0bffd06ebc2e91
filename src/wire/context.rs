//! The context as a switch sees it (PRODUCT.md 5.2): flat variables, no number, only what the switch
//! is to see. Written by hand: values are checked JSON already and are spliced as they are.

use super::json;
use crate::domain::caller::Assurance;
use crate::domain::ids::VariableName;
use crate::domain::session::{Context, Rules, Variable};
use crate::domain::time::Timestamp;

/// Which variables a switch sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expose {
    /// All, in the order of their names.
    All,
    /// These, the most important first.
    Only(Vec<VariableName>),
}

/// What is left of `max_answer` for the envelope around the context, with an integer id.
const ENVELOPE: usize = 72;
const TRUNCATED: &str = ",\"truncated\":true";

/// Appends the context. With `max_answer` a variable that does not fit is left out, those after it in
/// the order of `expose` that fit are not; the rest of the context is always there.
pub fn write_context(
    out: &mut String,
    context: &Context<'_>,
    rules: &Rules,
    expose: &Expose,
    max_answer: Option<usize>,
) {
    let begin = out.len();
    out.reserve(640);
    let session = context.session;

    out.push_str("{\"session_id\":\"");
    let session_id = out.len();
    session.id.write_text(out);
    let session_id = session_id..out.len();
    if let Some(call) = context.call {
        out.push_str("\",\"call_id\":");
        let call_id = out.len();
        json::push_string(out, call.id.as_str());
        let call_id = call_id + 1..out.len();
        out.push_str(",\"callerid\":\"");
        out.extend_from_within(session_id);
        out.push('/');
        out.extend_from_within(call_id);
    } else {
        out.push_str("\",\"call_id\":null,\"callerid\":null");
    }
    out.push_str(",\"tenant\":\"");
    out.push_str(rules.release.tenant.as_str());
    out.push_str("\",\"instance_id\":\"");
    out.push_str(session.instance.as_str());
    out.push_str("\",\"returning\":");
    push_bool(out, context.call.map_or(session.first_contact.is_some(), |call| call.returning));
    out.push_str(",\"anonymous\":");
    push_bool(out, session.id.is_anonymous());
    out.push_str(",\"assurance\":\"");
    out.push_str(context.call.map_or(Assurance::None, |call| call.assurance).as_str());
    out.push_str("\",\"active_calls\":");
    out.push_str(json::Integer::length(context.active_calls).as_str());
    out.push_str(",\"first_contact\":");
    push_time(out, session.first_contact);
    out.push_str(",\"last_contact\":");
    push_time(out, context.call.map_or(session.last_contact, |call| call.previous_contact));
    out.push_str(",\"revision\":");
    out.push_str(json::Integer::unsigned(session.revision).as_str());
    push_withheld(out, context, expose);

    out.push_str(",\"variables\":{");
    let most = max_answer
        .map_or(usize::MAX, |most| most.saturating_sub(ENVELOPE + TRUNCATED.len() + "}}".len()).saturating_add(begin));
    let mut variables = Variables { first: true, most, truncated: false };
    match expose {
        Expose::All => {
            for visible in &context.variables {
                variables.push(out, visible.variable);
            }
        }
        Expose::Only(names) => {
            for name in names {
                if let Ok(at) = context.variables.binary_search_by(|visible| visible.variable.name.cmp(name))
                    && let Some(visible) = context.variables.get(at)
                {
                    variables.push(out, visible.variable);
                }
            }
        }
    }
    out.push('}');
    if variables.truncated {
        out.push_str(TRUNCATED);
    }
    out.push('}');
}

struct Variables {
    first: bool,
    most: usize,
    truncated: bool,
}

impl Variables {
    fn push(&mut self, out: &mut String, variable: &Variable) {
        let name = variable.name.as_str();
        let value = variable.value.as_str();
        let length = name.len() + value.len() + ",\"\":".len();
        if out.len().saturating_add(length) > self.most {
            self.truncated = true;
            return;
        }
        out.reserve(length);
        out.push_str(if self.first { "\"" } else { ",\"" });
        out.push_str(name);
        out.push_str("\":");
        out.push_str(value);
        self.first = false;
    }
}

/// Names of `user` variables that need more assurance, as far as the switch is to see them.
fn push_withheld(out: &mut String, context: &Context<'_>, expose: &Expose) {
    let mut first = true;
    for name in &context.withheld {
        if matches!(expose, Expose::Only(names) if !names.contains(name)) {
            continue;
        }
        out.push_str(if first { ",\"withheld\":[\"" } else { ",\"" });
        out.push_str(name.as_str());
        out.push('"');
        first = false;
    }
    if !first {
        out.push(']');
    }
}

fn push_bool(out: &mut String, value: bool) {
    out.push_str(if value { "true" } else { "false" });
}

fn push_time(out: &mut String, time: Option<Timestamp>) {
    match time {
        Some(time) => {
            out.push('"');
            time.write_rfc3339(out);
            out.push('"');
        }
        None => out.push_str("null"),
    }
}

#[cfg(test)]
#[path = "context_tests.rs"]
mod tests;
