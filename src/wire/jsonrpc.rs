//! The JSON-RPC 2.0 envelope (PRODUCT.md 5.1): one pass over the frame, nothing copied but the id.

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny};
use serde_json::value::RawValue;

use super::calls::{self, Method};
use super::json;
use super::member::Member;
use crate::domain::refusal::{Reason, Refusal};

/// Most bytes of an id that is a string.
pub const MAX_ID: usize = 255;

/// The id of a request, echoed as it came: an integer stays an integer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RequestId {
    /// What Kamailio and OpenSIPS send.
    Integer(i64),
    /// Allowed by the protocol, too; at most [`MAX_ID`] bytes.
    Text(Box<str>),
}

/// A request, or a notification if it has no id.
#[derive(Debug)]
pub struct Request<'a> {
    /// None for a notification, which is never answered.
    pub id: Option<RequestId>,
    /// What is asked for.
    pub method: Method<'a>,
}

/// A frame that is no request of this protocol, and who waits for the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongRequest {
    /// Who waits.
    pub reply_to: ReplyTo,
    /// What to answer.
    pub refusal: Refusal,
}

/// Who waits for the answer to a refused frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyTo {
    /// The request with this id.
    Request(RequestId),
    /// The id could not be read: the answer carries `"id":null`.
    Unknown,
    /// It was a notification: nobody.
    Nobody,
}

/// Reads one frame.
///
/// # Errors
/// `parse_error` for what is no JSON (after it bare framing is lost), `limit_exceeded` for nesting
/// deeper than 32, `invalid_request`, `method_not_found`, and what [`super::calls`] refuses.
pub fn parse_request(frame: &[u8]) -> Result<Request<'_>, WrongRequest> {
    let unreadable = |reason, detail: &'static str| WrongRequest {
        reply_to: ReplyTo::Unknown,
        refusal: Refusal::new(reason, detail),
    };
    let text = std::str::from_utf8(frame)
        .map_err(|_| unreadable(Reason::ParseError, "the frame is not UTF-8"))?
        .trim_start_matches([' ', '\t', '\r', '\n']);
    if json::is_too_deep(text) {
        return Err(WrongRequest {
            reply_to: find_id(text),
            refusal: Refusal::new(Reason::LimitExceeded, "a frame is nested at most 32 deep"),
        });
    }
    if text.starts_with('[') {
        // Valid JSON or not decides whether the frames after it can still be told apart.
        serde_json::from_str::<IgnoredAny>(text).map_err(|_| unreadable(Reason::ParseError, NO_JSON))?;
        return Err(unreadable(Reason::InvalidRequest, "batches are not supported: send one request per frame"));
    }
    let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|error| {
        if error.is_data() {
            WrongRequest {
                reply_to: find_id(text),
                refusal: Refusal::new(Reason::InvalidRequest, "a request is an object with each member once"),
            }
        } else {
            unreadable(Reason::ParseError, NO_JSON)
        }
    })?;
    let id = match envelope.id {
        Id::Absent => None,
        Id::Known(id) => Some(id),
        Id::Wrong => return Err(unreadable(Reason::InvalidRequest, ID_RULE)),
    };
    let method = match (&envelope.jsonrpc, &envelope.method) {
        (Member::Text(version), Member::Text(method)) if version == "2.0" => calls::parse(method, envelope.params),
        (Member::Text(version), _) if version == "2.0" => {
            Err(Refusal::new(Reason::InvalidRequest, "the method is a string"))
        }
        _ => Err(Refusal::new(Reason::InvalidRequest, "a request has \"jsonrpc\":\"2.0\"")),
    };
    match method {
        Ok(method) => Ok(Request { id, method }),
        Err(refusal) => Err(WrongRequest { reply_to: id.map_or(ReplyTo::Nobody, ReplyTo::Request), refusal }),
    }
}

const NO_JSON: &str = "the frame is not a JSON text";
const ID_RULE: &str = "an id is an integer of 64 bits or a string of at most 255 bytes";

/// Looks for the id alone in a frame whose other members are wrong. Slow, and only for errors.
fn find_id(text: &str) -> ReplyTo {
    #[derive(Deserialize)]
    struct OnlyId {
        #[serde(default)]
        id: Id,
    }
    match serde_json::from_str::<OnlyId>(text) {
        Ok(OnlyId { id: Id::Known(id) }) if text.starts_with('{') => ReplyTo::Request(id),
        Ok(OnlyId { id: Id::Absent }) if text.starts_with('{') => ReplyTo::Nobody,
        _ => ReplyTo::Unknown,
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    jsonrpc: Member<'a>,
    #[serde(default)]
    id: Id,
    #[serde(borrow, default)]
    method: Member<'a>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

#[derive(Default)]
enum Id {
    #[default]
    Absent,
    Known(RequestId),
    Wrong,
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Member::deserialize(deserializer)? {
            Member::Absent => Id::Absent,
            Member::Integer(id) => Id::Known(RequestId::Integer(id)),
            Member::Text(id) if id.len() <= MAX_ID => Id::Known(RequestId::Text(id.into())),
            Member::Text(_) | Member::Number(_) | Member::Other => Id::Wrong,
        })
    }
}

#[cfg(test)]
#[path = "jsonrpc_tests.rs"]
mod tests;
