//! What a session is asked to do.

use std::sync::Arc;
use std::time::Duration;

use super::state::{Direction, EndCause, Leg, Lifetime};
use crate::domain::caller::{Assurance, CallerDetails, CallerSource, DtmfDigit, Presentation};
use crate::domain::ids::{CallId, VariableName};
use crate::domain::time::Timestamp;
use crate::domain::value::JsonText;

/// One event of a switch or one request of a voice app.
#[derive(Debug, Clone)]
pub enum Command {
    /// A call starts, or is reported by another leg, or is reported again.
    Start(Box<Start>),
    /// The called party's phone rings.
    Ringing {
        /// Which call.
        call: CallId,
        /// The SIP status, if said.
        code: Option<u16>,
    },
    /// The call is answered.
    Answer {
        /// Which call.
        call: CallId,
    },
    /// A key was pressed. Passed on to watchers; the digit is never stored.
    Dtmf {
        /// Which call.
        call: CallId,
        /// The key.
        digit: DtmfDigit,
        /// How long it was pressed, if said.
        duration_ms: Option<u32>,
    },
    /// A leg of the call is over.
    End {
        /// Which call.
        call: CallId,
        /// Who reports it; none ends the call whatever its legs.
        leg: Option<Leg>,
        /// Why.
        cause: EndCause,
        /// The SIP status of a failed call, if said.
        code: Option<u16>,
    },
    /// Variables are set and deleted, all or nothing.
    Change(Change),
    /// The voice app vouches for the caller after a PIN or a login.
    Assert {
        /// Which call.
        call: CallId,
        /// The new assurance.
        level: Assurance,
    },
    /// A timer fired: what has expired is deleted. Not activity.
    Expire,
}

/// The start of a call, the caller already recognised.
#[derive(Debug, Clone)]
pub struct Start {
    /// The switch's identifier.
    pub call: CallId,
    /// Who reports it.
    pub leg: Leg,
    /// Which side the caller is on.
    pub direction: Direction,
    /// May the caller ID be shown.
    pub presentation: Presentation,
    /// Where the caller ID was taken from.
    pub source: CallerSource,
    /// How far the caller ID can be trusted.
    pub assurance: Assurance,
    /// The switch's own time.
    pub switch_at: Option<Timestamp>,
    /// Number, display name, headers.
    pub details: Option<Arc<CallerDetails>>,
}

/// A change of variables in one revision.
#[derive(Debug, Clone)]
pub struct Change {
    /// The call on whose behalf it is made. `call` variables need one.
    pub call: Option<CallId>,
    /// What is set, each name once.
    pub set: Vec<SetVariable>,
    /// What is deleted; a missing name is no error.
    pub delete: Vec<VariableName>,
    /// What must hold for it to happen.
    pub condition: Option<Condition>,
    /// Whose word it is.
    pub authority: Authority,
}

/// One variable to be set.
#[derive(Debug, Clone)]
pub struct SetVariable {
    /// Its name.
    pub name: VariableName,
    /// Its value.
    pub value: JsonText,
    /// Omitted: the existing one, else `session`.
    pub lifetime: Option<Lifetime>,
    /// Its own end, counted from now.
    pub ttl: Option<Duration>,
}

/// What must hold for a change to happen (PRODUCT.md 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The session's revision is this one.
    Revision(u64),
    /// None of the variables to be set exists (`If-None-Match: *`).
    Unset,
}

/// Which assurance a reader or writer has (PRODUCT.md 3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// That of the call it names; `none` if it names no call.
    OfCall,
    /// An API key with `context:trusted`.
    Trusted,
}
