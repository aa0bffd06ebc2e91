//! What a client says on the WebSocket (PRODUCT.md 6.1).

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::changes::{SetMap, change, read_json};
use crate::domain::ids::InstanceId;
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::session::{Change, Condition};

/// Most bytes of an id that a client chooses.
const LONGEST_ID: usize = 128;

/// One message of a client.
#[derive(Debug)]
pub enum Operation<'a> {
    /// Watch something from now on, or from a cursor on.
    Subscribe {
        /// What.
        to: Wanted<'a>,
        /// The cursor.
        from: Option<Cow<'a, str>>,
    },
    /// Watch it no longer.
    Unsubscribe,
    /// A context.
    Get(One<'a>),
    /// Set and delete variables, in the session named or in that of the call.
    Set {
        /// Which session, or whose.
        of: One<'a>,
        /// The change.
        change: Change,
    },
}

/// What is to be watched.
#[derive(Debug)]
pub enum Wanted<'a> {
    /// All calls of a release.
    Release(InstanceId),
    /// One session or call.
    One(One<'a>),
}

/// A session or a call. Texts that cannot be an ID are kept: such a session or call is unknown.
#[derive(Debug)]
pub enum One<'a> {
    /// A session, by its ID.
    Session(Cow<'a, str>),
    /// A call, by its call ID.
    Call(Cow<'a, str>),
}

/// A refused message, with its id as far as it could be read.
#[derive(Debug)]
pub struct Refused {
    /// The id.
    pub id: Option<String>,
    /// Why.
    pub refusal: Refusal,
}

/// What every message has. The forms below allow these two members again and refuse what they do not know.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    op: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SubscribeForm<'a> {
    #[serde(rename = "op")]
    _op: IgnoredAny,
    #[serde(rename = "id")]
    _id: IgnoredAny,
    instance_id: Option<String>,
    #[serde(borrow)]
    session_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    call_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    from: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UnsubscribeForm {
    #[serde(rename = "op")]
    _op: IgnoredAny,
    #[serde(rename = "id")]
    _id: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GetForm<'a> {
    #[serde(rename = "op")]
    _op: IgnoredAny,
    #[serde(rename = "id")]
    _id: IgnoredAny,
    #[serde(borrow)]
    session_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    call_id: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetForm<'a> {
    #[serde(rename = "op")]
    _op: IgnoredAny,
    #[serde(rename = "id")]
    _id: IgnoredAny,
    #[serde(borrow)]
    session_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    call_id: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    set: SetMap<'a>,
    #[serde(default)]
    delete: Vec<String>,
    if_revision: Option<u64>,
}

/// Reads a message into its id and what is wanted. `value_limit` is the limit of a variable's value in bytes.
///
/// # Errors
/// `parse_error` for what is no JSON, `method_not_found` for an unknown operation, `invalid_params` or `limit_exceeded`
/// for members that cannot be taken.
pub fn read(text: &str, value_limit: usize) -> Result<(String, Operation<'_>), Refused> {
    let head: Head<'_> = read_json(text.as_bytes()).map_err(|refusal| Refused { id: None, refusal })?;
    let id = head.id.into_owned();
    if id.is_empty() || id.len() > LONGEST_ID {
        let refusal = Refusal::new(Reason::InvalidParams, "an id is 1 to 128 bytes long");
        return Err(Refused { id: None, refusal });
    }
    match read_operation(&head.op, text.as_bytes(), value_limit) {
        Ok(operation) => Ok((id, operation)),
        Err(refusal) => Err(Refused { id: Some(id), refusal }),
    }
}

fn read_operation<'a>(op: &str, text: &'a [u8], value_limit: usize) -> Result<Operation<'a>, Refusal> {
    match op {
        "subscribe" => {
            let SubscribeForm { instance_id, session_id, call_id, from, .. } = read_json(text)?;
            let to = match instance_id {
                Some(instance) if session_id.is_none() && call_id.is_none() => Wanted::Release(instance.parse()?),
                None => Wanted::One(one(session_id, call_id)?),
                Some(_) => return Err(Refusal::new(Reason::InvalidParams, NAME_ONE)),
            };
            Ok(Operation::Subscribe { to, from })
        }
        "unsubscribe" => {
            let UnsubscribeForm { .. } = read_json(text)?;
            Ok(Operation::Unsubscribe)
        }
        "get" => {
            let GetForm { session_id, call_id, .. } = read_json(text)?;
            Ok(Operation::Get(one(session_id, call_id)?))
        }
        "set" => {
            let SetForm { session_id, call_id, set, delete, if_revision, .. } = read_json(text)?;
            let condition = if_revision.map(Condition::Revision);
            let change = change(set, &delete, call_id.as_deref(), value_limit, condition)?;
            let of = match session_id {
                Some(session) => One::Session(session),
                None => one(None, call_id)?,
            };
            Ok(Operation::Set { of, change })
        }
        _ => Err(Refusal::new(Reason::MethodNotFound, "op is one of subscribe, unsubscribe, get, set")),
    }
}

const NAME_ONE: &str = "name one of instance_id (subscribe only), session_id and call_id";

fn one<'a>(session: Option<Cow<'a, str>>, call: Option<Cow<'a, str>>) -> Result<One<'a>, Refusal> {
    match (session, call) {
        (Some(session), None) => Ok(One::Session(session)),
        (None, Some(call)) => Ok(One::Call(call)),
        _ => Err(Refusal::new(Reason::InvalidParams, NAME_ONE)),
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
