//! Changes of variables as voice apps write them: bodies of PUT and PATCH, the `set` operation of the WebSocket, and
//! the conditions `If-Match` and `If-None-Match`. Unknown members are refused: a mistyped `lifetime` would otherwise
//! keep a value for longer than was meant.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::domain::duration;
use crate::domain::ids::{CallId, VariableName};
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::session::{Authority, Change, Condition, Lifetime, SetVariable};
use crate::domain::value::JsonText;

/// One variable as it is to be set.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetBody<'a> {
    #[serde(borrow)]
    value: &'a RawValue,
    #[serde(default)]
    lifetime: Option<Lifetime>,
    #[serde(default)]
    ttl: Option<String>,
}

/// Body of `PUT /v1/sessions/{session_id}/variables/{name}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutBody<'a> {
    #[serde(borrow)]
    value: &'a RawValue,
    #[serde(default)]
    lifetime: Option<Lifetime>,
    #[serde(default)]
    ttl: Option<String>,
    #[serde(default)]
    call_id: Option<String>,
}

/// Body of `PATCH /v1/sessions/{session_id}/variables`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatchBody<'a> {
    #[serde(default, borrow)]
    set: SetMap<'a>,
    #[serde(default)]
    delete: Vec<String>,
    #[serde(default)]
    call_id: Option<String>,
}

/// Names with what they are set to, in the order they came; a name that comes twice is there twice, so that it can be
/// refused.
#[derive(Default)]
pub struct SetMap<'a>(Vec<(String, SetBody<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for SetMap<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = SetMap<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with an entry for each variable")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SetMap<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(SetMap(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// Reads JSON of a request.
///
/// # Errors
/// `parse_error` for what is no JSON, `invalid_params` for JSON of another form.
pub fn read_json<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(text).map_err(|error| {
        // The message of a parser may quote what it read, which may be personal data.
        let place = format!("line {} column {}", error.line(), error.column());
        match error.classify() {
            serde_json::error::Category::Data => Refusal::new(
                Reason::InvalidParams,
                format!("a member is missing, unknown, given twice or of another type, at {place}"),
            ),
            _ => Refusal::new(Reason::ParseError, format!("this is not JSON, at {place}")),
        }
    })
}

/// Reads the call ID of a request that names a call for its assurance or its `call` variables.
///
/// # Errors
/// `invalid_params` for what cannot be a call ID.
pub fn read_call(call: Option<&str>) -> Result<Option<CallId>, Refusal> {
    call.map(str::parse).transpose()
}

impl PutBody<'_> {
    /// The change of setting this one variable. `most` is the limit of a value in bytes.
    ///
    /// # Errors
    /// `invalid_params` or `limit_exceeded` for a name, a value, a `ttl` or a call ID that cannot be taken.
    pub fn into_change(self, name: &str, most: usize, condition: Option<Condition>) -> Result<Change, Refusal> {
        let body = SetBody { value: self.value, lifetime: self.lifetime, ttl: self.ttl };
        Ok(Change {
            call: read_call(self.call_id.as_deref())?,
            set: vec![body.into_variable(name, most)?],
            delete: Vec::new(),
            condition,
            authority: Authority::OfCall,
        })
    }
}

impl PatchBody<'_> {
    /// The change of setting and deleting all of it. `most` is the limit of a value in bytes.
    ///
    /// # Errors
    /// `invalid_params` or `limit_exceeded` for a name, a value, a `ttl` or a call ID that cannot be taken.
    pub fn into_change(self, most: usize, condition: Option<Condition>) -> Result<Change, Refusal> {
        change(self.set, &self.delete, self.call_id.as_deref(), most, condition)
    }
}

/// Sets and deletes as one change. `most` is the limit of a value in bytes.
///
/// # Errors
/// `invalid_params` or `limit_exceeded` for a name, a value, a `ttl` or a call ID that cannot be taken.
pub fn change(
    set: SetMap<'_>,
    delete: &[String],
    call: Option<&str>,
    most: usize,
    condition: Option<Condition>,
) -> Result<Change, Refusal> {
    Ok(Change {
        call: read_call(call)?,
        set: set.0.into_iter().map(|(name, body)| body.into_variable(&name, most)).collect::<Result<_, _>>()?,
        delete: delete.iter().map(|name| name.parse()).collect::<Result<_, _>>()?,
        condition,
        authority: Authority::OfCall,
    })
}

/// The change of deleting one variable.
#[must_use]
pub fn deletion(name: VariableName, call: Option<CallId>, condition: Option<Condition>) -> Change {
    Change { call, set: Vec::new(), delete: vec![name], condition, authority: Authority::OfCall }
}

impl SetBody<'_> {
    fn into_variable(self, name: &str, most: usize) -> Result<SetVariable, Refusal> {
        Ok(SetVariable {
            name: name.parse()?,
            value: JsonText::check(self.value.get(), most)?,
            lifetime: self.lifetime,
            ttl: self.ttl.as_deref().map(read_ttl).transpose()?,
        })
    }
}

fn read_ttl(text: &str) -> Result<Duration, Refusal> {
    duration::parse(text).map_err(|error| Refusal::new(Reason::InvalidParams, format!("ttl is {error}")))
}

/// The condition of a write: `If-Match: "<revision>"` or `If-None-Match: *` (RFC 9110, section 13.1).
///
/// # Errors
/// `invalid_params` for both at once, and for anything but one revision or `*`.
pub fn condition(if_match: Option<&str>, if_none_match: Option<&str>) -> Result<Option<Condition>, Refusal> {
    let invalid = |detail| Err(Refusal::new(Reason::InvalidParams, detail));
    match (if_match.map(str::trim), if_none_match.map(str::trim)) {
        (Some(_), Some(_)) => invalid("If-Match and If-None-Match do not go together: send one of them"),
        // `If-Match: *` asks whether the session exists, and that is asked anyway.
        (None | Some("*"), None) => Ok(None),
        (Some(tag), None) => {
            let revision = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
            let revision = revision.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
            match revision.and_then(|digits| digits.parse().ok()) {
                Some(revision) => Ok(Some(Condition::Revision(revision))),
                None => invalid("If-Match holds one revision in quotes, as in \"17\""),
            }
        }
        (None, Some("*")) => Ok(Some(Condition::Unset)),
        (None, Some(_)) => invalid("If-None-Match holds * only: the variable is not set"),
    }
}

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;
