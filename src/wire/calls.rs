//! The methods of the JSON-RPC channel and their parameters (PRODUCT.md 5.1), checked into the types
//! of the domain.
//!
//! - Unknown members are ignored; a known one that is there twice is refused.
//! - null counts as absent. In optional texts so do the empty string and `<null>`, which is what
//!   Kamailio writes for a variable that is not set: an empty `user_id` would make one caller of all.
//! - `at` is an RFC 3339 time, or a number: seconds since the Unix epoch below 10^11, else milliseconds.
//! - A refusal names the member, never its value.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::lists::{Entries, MAX_NAMES, Texts};
use super::member::{Member, integer, invalid, read, too_long};
use super::sync::{self, CallsSync};
use crate::domain::caller::{CallerNumber, DtmfDigit};
use crate::domain::duration;
use crate::domain::ids::{CallId, InstanceId, VariableName};
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::session::{Authority, Change, Condition, Direction, EndCause, Lifetime, SetVariable};
use crate::domain::time::Timestamp;
use crate::domain::value::JsonText;

/// Most bytes of one text of `call.start`, and of `headers` as JSON.
pub const MAX_TEXT: usize = 4 * 1024;
/// Most bytes of a `user_id`.
pub const MAX_USER_ID: usize = 255;
/// Most entries of `pai`.
pub const MAX_IDENTITIES: usize = 8;

/// What a switch asks for.
#[derive(Debug)]
pub enum Method<'a> {
    /// A call starts.
    CallStart(Box<CallStart<'a>>),
    /// The called party's phone rings.
    CallRinging {
        /// Which call.
        call: CallId,
        /// The SIP status, if said.
        code: Option<u16>,
    },
    /// The call is answered.
    CallAnswer {
        /// Which call.
        call: CallId,
    },
    /// A key was pressed.
    CallDtmf {
        /// Which call.
        call: CallId,
        /// The key.
        digit: DtmfDigit,
        /// How long, if said.
        duration_ms: Option<u32>,
    },
    /// The call is over for this switch.
    CallEnd {
        /// Which call.
        call: CallId,
        /// What the switch said, else `ended`.
        cause: EndCause,
        /// The SIP status of a failed call, if said.
        code: Option<u16>,
    },
    /// The context is asked for.
    ContextGet {
        /// Which call.
        call: CallId,
    },
    /// Variables are set. The values' size is checked by the release's limits, not here.
    VariablesSet(Change),
    /// Variables are deleted.
    VariablesDelete(Change),
    /// A part of the list of calls that the switch still has.
    CallsSync(CallsSync),
    /// Is anybody there.
    Ping,
}

/// What a switch says of a call that starts. The texts are strangers' texts; `Debug` tells none of them.
pub struct CallStart<'a> {
    /// The switch's identifier.
    pub call: CallId,
    /// The From URI or name-addr.
    pub from: Cow<'a, str>,
    /// The called party, usually the request URI.
    pub to: Cow<'a, str>,
    /// The display name.
    pub display: Option<Cow<'a, str>>,
    /// P-Asserted-Identity headers.
    pub pai: Vec<Cow<'a, str>>,
    /// The Remote-Party-ID header.
    pub rpid: Option<Cow<'a, str>>,
    /// The Privacy header.
    pub privacy: Option<Cow<'a, str>>,
    /// The outcome of STIR/SHAKEN verification.
    pub verstat: Option<Cow<'a, str>>,
    /// The switch's own identifier of the caller.
    pub user_id: Option<Cow<'a, str>>,
    /// The release, if the switch knows it.
    pub instance: Option<InstanceId>,
    /// Which side the caller is on.
    pub direction: Direction,
    /// SIP headers, as a JSON object.
    pub headers: Option<CallerNumber>,
    /// The switch's own time.
    pub at: Option<Timestamp>,
}

impl fmt::Debug for CallStart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallStart").field("call", &self.call).field("instance", &self.instance).finish_non_exhaustive()
    }
}

/// Reads the parameters of a method.
pub(super) fn parse<'a>(method: &str, params: Option<&'a RawValue>) -> Result<Method<'a>, Refusal> {
    match method {
        "call.start" => call_start(params).map(|start| Method::CallStart(Box::new(start))),
        "call.ringing" => {
            let params: EventParams<'_> = read(params)?;
            Ok(Method::CallRinging { call: call_id(&params.call_id)?, code: status(&params.code)? })
        }
        "call.answer" => Ok(Method::CallAnswer { call: call_id(&read::<EventParams<'_>>(params)?.call_id)? }),
        "call.dtmf" => {
            let params: EventParams<'_> = read(params)?;
            Ok(Method::CallDtmf {
                call: call_id(&params.call_id)?,
                digit: digit(&params.digit)?,
                duration_ms: integer(&params.duration_ms, "duration_ms is a number of milliseconds")?,
            })
        }
        "call.end" => {
            let params: EventParams<'_> = read(params)?;
            Ok(Method::CallEnd {
                call: call_id(&params.call_id)?,
                cause: cause(params.cause)?,
                code: status(&params.code)?,
            })
        }
        "context.get" => Ok(Method::ContextGet { call: call_id(&read::<EventParams<'_>>(params)?.call_id)? }),
        "variables.set" => variables_set(read(params)?),
        "variables.delete" => variables_delete(read(params)?),
        "calls.sync" => sync::parse(params).map(Method::CallsSync),
        "ping" => Ok(Method::Ping),
        _ => Err(Refusal::new(Reason::MethodNotFound, "there is no such method")),
    }
}

#[derive(Deserialize)]
struct StartParams<'a> {
    #[serde(borrow, default)]
    call_id: Member<'a>,
    #[serde(borrow, default)]
    from: Member<'a>,
    #[serde(borrow, default)]
    to: Member<'a>,
    #[serde(borrow, default)]
    display: Member<'a>,
    #[serde(borrow, default)]
    pai: Texts<'a>,
    #[serde(borrow, default)]
    rpid: Member<'a>,
    #[serde(borrow, default)]
    privacy: Member<'a>,
    #[serde(borrow, default)]
    verstat: Member<'a>,
    #[serde(borrow, default)]
    user_id: Member<'a>,
    #[serde(borrow, default)]
    instance_id: Member<'a>,
    #[serde(borrow, default)]
    direction: Member<'a>,
    #[serde(borrow, default)]
    headers: Option<&'a RawValue>,
    #[serde(borrow, default)]
    at: Member<'a>,
}

/// The members of all events after the start; each method takes its own.
#[derive(Deserialize)]
struct EventParams<'a> {
    #[serde(borrow, default)]
    call_id: Member<'a>,
    #[serde(borrow, default)]
    code: Member<'a>,
    #[serde(borrow, default)]
    digit: Member<'a>,
    #[serde(borrow, default)]
    duration_ms: Member<'a>,
    #[serde(borrow, default)]
    cause: Member<'a>,
}

#[derive(Deserialize)]
struct ChangeParams<'a> {
    #[serde(borrow, default)]
    call_id: Member<'a>,
    #[serde(borrow, default)]
    set: Entries<'a>,
    #[serde(borrow, default)]
    names: Texts<'a>,
    #[serde(borrow, default)]
    lifetime: Member<'a>,
    #[serde(borrow, default)]
    ttl: Member<'a>,
    #[serde(borrow, default)]
    if_revision: Member<'a>,
}

fn call_start(params: Option<&RawValue>) -> Result<CallStart<'_>, Refusal> {
    let params: StartParams<'_> = read(params)?;
    Ok(CallStart {
        call: call_id(&params.call_id)?,
        from: needed(params.from, "from is missing", "from is a string", "from is too long")?,
        to: needed(params.to, "to is missing", "to is a string", "to is too long")?,
        display: text(params.display, MAX_TEXT, "display is a string", "display is too long")?,
        pai: identities(params.pai)?,
        rpid: text(params.rpid, MAX_TEXT, "rpid is a string", "rpid is too long")?,
        privacy: text(params.privacy, MAX_TEXT, "privacy is a string", "privacy is too long")?,
        verstat: text(params.verstat, MAX_TEXT, "verstat is a string", "verstat is too long")?,
        user_id: text(params.user_id, MAX_USER_ID, "user_id is a string", "a user_id is at most 255 bytes long")?,
        instance: text(params.instance_id, MAX_TEXT, "instance_id is a string", "instance_id is too long")?
            .map(|instance| instance.parse())
            .transpose()?,
        direction: direction(&params.direction)?,
        headers: params.headers.map(headers).transpose()?,
        at: time(&params.at)?,
    })
}

fn variables_set(params: ChangeParams<'_>) -> Result<Method<'static>, Refusal> {
    let entries = match params.set {
        Entries::Absent => return Err(invalid("set is missing")),
        Entries::Wrong => return Err(invalid("set is an object of names and values")),
        Entries::TooMany => return Err(too_long("set holds at most 256 variables")),
        Entries::Some(entries) => entries,
    };
    let lifetime = lifetime(&params.lifetime)?;
    let ttl = ttl(&params.ttl)?;
    let set = entries
        .into_iter()
        .map(|(name, value)| {
            let value = JsonText::check(value.get(), usize::MAX)?;
            Ok(SetVariable { name: name.parse()?, value, lifetime, ttl })
        })
        .collect::<Result<_, Refusal>>()?;
    change(&params.call_id, set, Vec::new(), &params.if_revision).map(Method::VariablesSet)
}

fn variables_delete(params: ChangeParams<'_>) -> Result<Method<'static>, Refusal> {
    let names: Vec<VariableName> = match params.names {
        Texts::Absent => return Err(invalid("names is missing")),
        Texts::Some(names) if names.len() > MAX_NAMES => return Err(too_long("names holds at most 256 names")),
        Texts::Some(names) => names.iter().map(|name| name.parse()).collect::<Result<_, Refusal>>()?,
        Texts::One(_) | Texts::Wrong => return Err(invalid("names is an array of strings")),
        Texts::TooMany => return Err(too_long("names holds at most 256 names")),
    };
    change(&params.call_id, Vec::new(), names, &params.if_revision).map(Method::VariablesDelete)
}

fn change(
    call: &Member<'_>,
    set: Vec<SetVariable>,
    delete: Vec<VariableName>,
    if_revision: &Member<'_>,
) -> Result<Change, Refusal> {
    let revision = integer(if_revision, "if_revision is a revision: a whole number")?;
    Ok(Change {
        call: Some(call_id(call)?),
        set,
        delete,
        condition: revision.map(Condition::Revision),
        authority: Authority::OfCall,
    })
}

fn call_id(member: &Member<'_>) -> Result<CallId, Refusal> {
    match member {
        Member::Text(text) => text.parse(),
        Member::Absent => Err(invalid("call_id is missing")),
        _ => Err(invalid("call_id is a string")),
    }
}

fn needed<'a>(
    member: Member<'a>,
    missing: &'static str,
    wrong_type: &'static str,
    long: &'static str,
) -> Result<Cow<'a, str>, Refusal> {
    match member {
        Member::Text(text) if text.len() <= MAX_TEXT => Ok(text),
        Member::Text(_) => Err(too_long(long)),
        Member::Absent => Err(invalid(missing)),
        _ => Err(invalid(wrong_type)),
    }
}

fn text<'a>(
    member: Member<'a>,
    most: usize,
    wrong_type: &'static str,
    long: &'static str,
) -> Result<Option<Cow<'a, str>>, Refusal> {
    match member {
        Member::Absent => Ok(None),
        Member::Text(text) if is_unset(&text) => Ok(None),
        Member::Text(text) if text.len() <= most => Ok(Some(text)),
        Member::Text(_) => Err(too_long(long)),
        _ => Err(invalid(wrong_type)),
    }
}

fn is_unset(text: &str) -> bool {
    text.is_empty() || text == "<null>"
}

fn identities(pai: Texts<'_>) -> Result<Vec<Cow<'_, str>>, Refusal> {
    let mut texts = match pai {
        Texts::Absent => return Ok(Vec::new()),
        Texts::One(text) => vec![text],
        Texts::Some(texts) => texts,
        Texts::TooMany => return Err(too_long("pai holds at most 8 identities")),
        Texts::Wrong => return Err(invalid("pai is a string or an array of strings")),
    };
    if texts.len() > MAX_IDENTITIES {
        return Err(too_long("pai holds at most 8 identities"));
    }
    if texts.iter().any(|text| text.len() > MAX_TEXT) {
        return Err(too_long("pai is too long"));
    }
    texts.retain(|text| !is_unset(text));
    Ok(texts)
}

fn headers(raw: &RawValue) -> Result<CallerNumber, Refusal> {
    if !raw.get().starts_with('{') {
        return Err(invalid("headers is an object"));
    }
    if raw.get().len() > MAX_TEXT {
        return Err(too_long("headers is too long"));
    }
    JsonText::check(raw.get(), MAX_TEXT).map(|checked| CallerNumber::new(checked.as_str().to_owned()))
}

fn direction(member: &Member<'_>) -> Result<Direction, Refusal> {
    match member {
        Member::Absent => Ok(Direction::Inbound),
        Member::Text(text) if text == "inbound" => Ok(Direction::Inbound),
        Member::Text(text) if text == "outbound" => Ok(Direction::Outbound),
        _ => Err(invalid("direction is inbound or outbound")),
    }
}

fn lifetime(member: &Member<'_>) -> Result<Option<Lifetime>, Refusal> {
    match member {
        Member::Absent => Ok(None),
        Member::Text(text) if text == "call" => Ok(Some(Lifetime::Call)),
        Member::Text(text) if text == "session" => Ok(Some(Lifetime::Session)),
        Member::Text(text) if text == "user" => Ok(Some(Lifetime::User)),
        _ => Err(invalid("lifetime is call, session or user")),
    }
}

fn ttl(member: &Member<'_>) -> Result<Option<Duration>, Refusal> {
    match member {
        Member::Absent => Ok(None),
        Member::Text(text) => duration::parse(text).map(Some).map_err(|_| invalid("ttl is a duration, as in 15m")),
        _ => Err(invalid("ttl is a duration in a string, as in \"15m\"")),
    }
}

fn status(member: &Member<'_>) -> Result<Option<u16>, Refusal> {
    let detail = "code is a SIP status from 100 to 699";
    match integer(member, detail)? {
        Some(code @ 100..=699) => Ok(Some(code)),
        Some(_) => Err(invalid(detail)),
        None => Ok(None),
    }
}

fn digit(member: &Member<'_>) -> Result<DtmfDigit, Refusal> {
    let Member::Text(text) = member else {
        return Err(invalid("digit is one of 0-9 A-D * #, in a string"));
    };
    let mut chars = text.chars();
    match (chars.next().and_then(DtmfDigit::new), chars.next()) {
        (Some(digit), None) => Ok(digit),
        _ => Err(invalid("digit is one of 0-9 A-D * #")),
    }
}

fn cause(member: Member<'_>) -> Result<EndCause, Refusal> {
    let is_word = |text: &str| {
        text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
    };
    match member {
        Member::Absent => Ok(EndCause::Switch("ended".into())),
        Member::Text(text) if is_unset(&text) => Ok(EndCause::Switch("ended".into())),
        Member::Text(text) if is_word(&text) => Ok(EndCause::Switch(text.into())),
        _ => Err(invalid("cause is a word of 1 to 64 bytes of A-Z a-z 0-9 _ . -")),
    }
}

fn time(member: &Member<'_>) -> Result<Option<Timestamp>, Refusal> {
    /// Below it a number is seconds (until the year 5138), from it on milliseconds (since 1973).
    const FIRST_MILLIS: i64 = 100_000_000_000;
    let detail = "at is an RFC 3339 time, or seconds or milliseconds since the Unix epoch";
    let millis = match member {
        Member::Absent => return Ok(None),
        Member::Integer(seconds @ 0..FIRST_MILLIS) => seconds * 1_000,
        Member::Integer(millis @ FIRST_MILLIS..) => *millis,
        #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
        Member::Number(seconds) if (0.0..1e11).contains(seconds) => (seconds * 1_000.0).round() as i64,
        Member::Text(text) if is_unset(text) => return Ok(None),
        Member::Text(text) if text.len() <= 64 => {
            text.parse::<jiff::Timestamp>().map_err(|_| invalid(detail))?.as_millisecond()
        }
        _ => return Err(invalid(detail)),
    };
    Ok(Some(Timestamp::from_unix_millis(millis)))
}

#[cfg(test)]
#[path = "calls_tests.rs"]
mod tests;
