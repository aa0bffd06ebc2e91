//! What happened: a plain value that is written to the log, replayed after a crash and shown to watchers.

use serde::{Deserialize, Serialize};

use super::state::{Direction, EndCause, Leg, Lifetime};
use crate::domain::caller::{Assurance, CallerSource, Presentation};
use crate::domain::ids::{CallId, VariableName};
use crate::domain::time::Timestamp;
use crate::domain::value::JsonText;

/// All effects of one command on one session. Numbers, display names, headers and DTMF digits are not in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    /// The session's count of commits including this one.
    pub ordinal: u64,
    /// The session's revision after this commit.
    pub revision: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// Whether it counts as activity of the session (PRODUCT.md 4.1).
    pub activity: bool,
    /// What happens, in this order.
    pub effects: Vec<Effect>,
}

/// One thing that happens to a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Effect {
    /// A call is added.
    CallStarted {
        /// The new call.
        call: CallId,
        /// Who reports it.
        leg: Leg,
        /// Which side the caller is on.
        direction: Direction,
        /// May the caller ID be shown.
        presentation: Presentation,
        /// Where the caller ID was taken from.
        source: CallerSource,
        /// How far the caller ID can be trusted.
        assurance: Assurance,
        /// The switch's own time.
        switch_at: Option<Timestamp>,
        /// Started again within 32 s of its end: not counted, no reset.
        reopened: bool,
    },
    /// Another switch reports the same call.
    LegAdded {
        /// Which call.
        call: CallId,
        /// The new leg.
        leg: Leg,
    },
    /// One of several legs is over.
    LegEnded {
        /// Which call.
        call: CallId,
        /// The leg that is gone.
        leg: Leg,
    },
    /// The called party's phone rings.
    CallRinging {
        /// Which call.
        call: CallId,
        /// The SIP status, if said.
        code: Option<u16>,
    },
    /// The call is answered.
    CallAnswered {
        /// Which call.
        call: CallId,
    },
    /// A key was pressed; which one is not stored.
    CallDtmf {
        /// Which call.
        call: CallId,
        /// How long, if said.
        duration_ms: Option<u32>,
    },
    /// The voice app vouched for the caller.
    AssuranceSet {
        /// Which call.
        call: CallId,
        /// The new assurance.
        level: Assurance,
    },
    /// The call is over, its `call` variables with it.
    CallEnded {
        /// Which call.
        call: CallId,
        /// Why.
        cause: EndCause,
        /// The SIP status of a failed call, if said.
        code: Option<u16>,
    },
    /// A variable has a new value at the commit's revision.
    VariableSet {
        /// The call, for a `call` variable.
        call: Option<CallId>,
        /// Its name.
        name: VariableName,
        /// Its value.
        value: JsonText,
        /// Its lifetime.
        lifetime: Lifetime,
        /// The end by its own `ttl`.
        ttl_end: Option<Timestamp>,
    },
    /// A variable is gone.
    VariableDeleted {
        /// The call, for a `call` variable.
        call: Option<CallId>,
        /// Its name.
        name: VariableName,
        /// Why.
        cause: ChangeCause,
    },
}

/// Why a variable changed (PRODUCT.md 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChangeCause {
    /// Set.
    Set,
    /// Deleted by hand.
    Deleted,
    /// Its end was reached.
    Expired,
    /// A new call started.
    NewCall,
    /// Its call ended.
    CallEnded,
    /// The caller was erased.
    Erased,
    /// The tenant was purged.
    Purged,
}

impl ChangeCause {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ChangeCause::Set => "set",
            ChangeCause::Deleted => "deleted",
            ChangeCause::Expired => "expired",
            ChangeCause::NewCall => "new_call",
            ChangeCause::CallEnded => "call_ended",
            ChangeCause::Erased => "erased",
            ChangeCause::Purged => "purged",
        }
    }
}
