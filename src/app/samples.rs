//! Sessions and calls for the tests of this layer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::caller::{Assurance, CallerDetails, CallerNumber, CallerSource, Presentation};
use crate::domain::ids::{ReleaseId, SessionId};
use crate::domain::refusal::Refusal;
use crate::domain::session::{
    AnonymousSessions, Call, CallState, Direction, Lifetime, Limits, Reset, Rules, Session, Variable,
};
use crate::domain::time::Timestamp;
use crate::domain::value::JsonText;

pub(super) fn parsed<T: std::str::FromStr<Err = Refusal>>(text: &str) -> T {
    text.parse().expect("a good name")
}

pub(super) fn time(millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(millis)
}

pub(super) fn release() -> ReleaseId {
    ReleaseId { tenant: parsed("acme"), instance: parsed("support") }
}

pub(super) fn rules() -> Rules {
    Rules {
        release: release(),
        session_retention: Duration::from_secs(60),
        user_idle_limit: None,
        reset: Reset::NewCall,
        anonymous_sessions: AnonymousSessions::Drop,
        keep_number: false,
        min_assurance: Assurance::None,
        min_assurance_for: BTreeMap::new(),
        limits: Limits::default(),
    }
}

/// A session at revision 17 whose last activity was at 1 s.
pub(super) fn session() -> Session {
    let mut session = Session::unopened(SessionId::Caller([0x5f; 32]), parsed("support"), time(1_000));
    session.first_contact = Some(time(1_790_842_364_120));
    session.contacts = 2;
    session.revision = 17;
    session.ordinal = 40;
    session
}

/// A call whose caller is known by number and name.
pub(super) fn call(id: &str) -> Call {
    Call {
        id: parsed(id),
        state: CallState::Ringing,
        started_at: time(1_000),
        ringing_at: Some(time(2_000)),
        answered_at: None,
        ended_at: None,
        end_cause: None,
        end_code: None,
        switch_at: None,
        legs: Arc::default(),
        direction: Direction::Inbound,
        presentation: Presentation::Allowed,
        source: CallerSource::From,
        assurance: Assurance::Trunk,
        returning: true,
        previous_contact: Some(time(500)),
        reopened: false,
        variables: Vec::new(),
        details: Some(Arc::new(CallerDetails {
            number: Some(CallerNumber::new("+493023125001".to_owned())),
            display: Some(CallerNumber::new("Eve \"E\"".to_owned())),
            headers: Some(CallerNumber::new("{\"X-A\":\"1\"}".to_owned())),
        })),
    }
}

/// A variable set at 1 s by revision 12.
pub(super) fn variable(name: &str, value: &str, lifetime: Lifetime) -> Arc<Variable> {
    Arc::new(Variable {
        name: parsed(name),
        value: JsonText::check(value, 16 * 1024).expect("a good value"),
        lifetime,
        revision: 12,
        set_at: time(1_000),
        ttl_end: None,
    })
}
