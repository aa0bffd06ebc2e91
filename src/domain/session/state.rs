//! What is known of a session: its calls and its variables.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::caller::{Assurance, CallerDetails, CallerSource, Presentation};
use crate::domain::ids::{CallId, InstanceId, SessionId, SwitchName, VariableName};
use crate::domain::time::Timestamp;
use crate::domain::value::JsonText;

/// How long after its end a call ID that starts again is the same call: an INVITE repeated with
/// credentials has the Call-ID of the first. 32 s is SIP's own timer of a transaction (RFC 3261, 64*T1).
pub(super) const REOPEN_WITHIN: Duration = Duration::from_secs(32);

/// One caller at one release, or one withheld call. Cheap to clone: what is large is shared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// The pseudonym; never changes. It is not repeated in what is stored: the seal binds a record to its session, and
    /// whoever reads it has looked it up by this ID.
    #[serde(skip, default = "unnamed")]
    pub id: SessionId,
    /// The release it belongs to.
    pub instance: InstanceId,
    /// Start of the first call; none before the first commit.
    pub first_contact: Option<Timestamp>,
    /// Start of the latest counted call.
    pub last_contact: Option<Timestamp>,
    /// Start of the latest new call: one that found no other call active (PRODUCT.md 4.1).
    pub new_call_at: Option<Timestamp>,
    /// Number of counted calls. A reopened call is not counted again.
    pub contacts: u64,
    /// Raised by one for every commit that changes variables; never reused.
    pub revision: u64,
    /// Number of commits of this session. Recovery finds by it what a record holds already.
    pub ordinal: u64,
    /// The latest real call event, or set or delete of a variable (PRODUCT.md 4.1).
    pub last_activity: Timestamp,
    /// Where the store's expiry index has the session. Not later than the earliest end of its variables when its record
    /// was written; activity since does not touch it.
    pub expiry_entry: Option<Timestamp>,
    /// `session` and `user` variables, sorted by name.
    pub variables: Vec<Arc<Variable>>,
    /// Active calls in the order of their start.
    pub calls: Vec<Arc<Call>>,
    /// Calls that ended in the last 32 s and may be reopened (PRODUCT.md 4.3); at most 8. Shared by the states between
    /// two ends.
    pub ended: Arc<Vec<Arc<Call>>>,
}

/// How long a variable lives (PRODUCT.md 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lifetime {
    /// Until the call ends; seen by that call only.
    Call,
    /// Until a new call starts or the session was idle for its retention.
    Session,
    /// Until deleted by hand, erasure or purge.
    User,
}

impl Lifetime {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Lifetime::Call => "call",
            Lifetime::Session => "session",
            Lifetime::User => "user",
        }
    }
}

/// A name with a value and an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Unique among the session's `session` and `user` variables, and among one call's.
    pub name: VariableName,
    /// Checked, compact JSON.
    pub value: JsonText,
    /// Where it is kept and how long.
    pub lifetime: Lifetime,
    /// The session's revision at which it was last set.
    pub revision: u64,
    /// When it was last set.
    pub set_at: Timestamp,
    /// The end by its own `ttl`, if it has one.
    pub ttl_end: Option<Timestamp>,
}

/// `started → ringing → answered → ended`; any may be skipped, none goes back (PRODUCT.md 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum CallState {
    /// Reported, nothing more.
    Started,
    /// The called party's phone rings.
    Ringing,
    /// Connected.
    Answered,
    /// Over.
    Ended,
}

impl CallState {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            CallState::Started => "started",
            CallState::Ringing => "ringing",
            CallState::Answered => "answered",
            CallState::Ended => "ended",
        }
    }
}

/// Which side the caller is on (PRODUCT.md 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Direction {
    /// The caller is in `from`, the release in `to`.
    #[default]
    Inbound,
    /// The caller is in `to`, the release in `from`.
    Outbound,
}

/// One switch reporting a call: its configured name and its peer address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Leg {
    /// The configured switch.
    pub switch: SwitchName,
    /// Where it connects from, without the port: a switch that reconnects is the same leg.
    pub peer: IpAddr,
}

/// One call of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// The switch's identifier.
    pub id: CallId,
    /// How far it is.
    pub state: CallState,
    /// When recalld heard of it first.
    pub started_at: Timestamp,
    /// When it first rang.
    pub ringing_at: Option<Timestamp>,
    /// When it was answered.
    pub answered_at: Option<Timestamp>,
    /// When its last leg ended.
    pub ended_at: Option<Timestamp>,
    /// Why it ended.
    pub end_cause: Option<EndCause>,
    /// The SIP status of a failed call, if the switch said one.
    pub end_code: Option<u16>,
    /// The switch's own time of the start; shown, never used for lifetimes.
    pub switch_at: Option<Timestamp>,
    /// The switches that report it. Shared by the states between two changes of them.
    pub legs: Arc<[Leg]>,
    /// Which side the caller is on.
    pub direction: Direction,
    /// May the caller ID be shown.
    pub presentation: Presentation,
    /// Where the caller ID was taken from.
    pub source: CallerSource,
    /// How far the caller ID can be trusted.
    pub assurance: Assurance,
    /// Whether the session existed before this call.
    pub returning: bool,
    /// The contact before this call.
    pub previous_contact: Option<Timestamp>,
    /// Whether this is an INVITE repeated with credentials.
    pub reopened: bool,
    /// `call` variables, sorted by name.
    pub variables: Vec<Arc<Variable>>,
    /// Number, display name and headers: in memory while the call is up (PRODUCT.md 3.6). They are no part of what is
    /// written down; a release that keeps them has them beside it in the session's record.
    #[serde(skip)]
    pub details: Option<Arc<CallerDetails>>,
}

/// Of a session that was read and has not got its name back.
const fn unnamed() -> SessionId {
    SessionId::Anonymous([0; 16])
}

impl Session {
    /// A session of which nothing is known yet.
    #[must_use]
    pub fn unopened(id: SessionId, instance: InstanceId, now: Timestamp) -> Self {
        Self {
            id,
            instance,
            first_contact: None,
            last_contact: None,
            new_call_at: None,
            contacts: 0,
            revision: 0,
            ordinal: 0,
            last_activity: now,
            expiry_entry: None,
            variables: Vec::new(),
            calls: Vec::new(),
            ended: Arc::default(),
        }
    }

    /// The active call with this call ID.
    #[must_use]
    pub fn call(&self, id: &CallId) -> Option<&Arc<Call>> {
        self.calls.iter().find(|call| call.id == *id)
    }
}

/// Why a call ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndCause {
    /// What the switch said: 1 to 64 bytes of `A-Z a-z 0-9 _ . -`; `ended` where it said nothing.
    Switch(Box<str>),
    /// No end came within `max_call_age`.
    Reaped,
    /// The switch no longer has it (`calls.sync`).
    Lost,
}

impl EndCause {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            EndCause::Switch(word) => word,
            EndCause::Reaped => "reaped",
            EndCause::Lost => "lost",
        }
    }
}
