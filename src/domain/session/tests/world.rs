//! One session, its rules and a clock that a test moves.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::caller::{Assurance, CallerSource, DtmfDigit, Presentation};
use crate::domain::ids::{CallId, ReleaseId, SessionId, VariableName};
use crate::domain::refusal::Reason;
use crate::domain::session::*;
use crate::domain::time::Timestamp;
use crate::domain::value::JsonText;

pub const DAY: Duration = Duration::from_secs(86_400);

pub struct World {
    pub session: Session,
    pub rules: Rules,
    pub now: Timestamp,
    pub commits: Vec<Commit>,
}

/// The reason of a refusal, or the commit if there is one.
pub type Answer = Result<Option<Commit>, Reason>;

pub fn rules() -> Rules {
    Rules {
        release: ReleaseId { tenant: "acme".parse().unwrap(), instance: "support-de".parse().unwrap() },
        session_retention: 30 * DAY,
        user_idle_limit: None,
        reset: Reset::NewCall,
        anonymous_sessions: AnonymousSessions::Drop,
        keep_number: false,
        min_assurance: Assurance::None,
        min_assurance_for: BTreeMap::new(),
        limits: Limits::default(),
    }
}

pub fn call(id: &str) -> CallId {
    id.parse().unwrap()
}

pub fn name(text: &str) -> VariableName {
    text.parse().unwrap()
}

pub fn json(text: &str) -> JsonText {
    JsonText::check(text, 1024 * 1024).unwrap()
}

/// `edge-1` at 192.0.2.1 is written `edge-1@1`.
pub fn leg(text: &str) -> Leg {
    let (switch, host) = text.split_once('@').unwrap();
    Leg { switch: switch.parse().unwrap(), peer: format!("192.0.2.{host}").parse().unwrap() }
}

pub fn start_command(id: &str, from: &str) -> Start {
    Start {
        call: call(id),
        leg: leg(from),
        direction: Direction::Inbound,
        presentation: Presentation::Allowed,
        source: CallerSource::From,
        assurance: Assurance::None,
        switch_at: None,
        details: None,
    }
}

pub fn set_variable(of: &str, value: &str) -> SetVariable {
    SetVariable { name: name(of), value: json(value), lifetime: None, ttl: None }
}

/// An empty change on behalf of a call, or of none.
pub fn change(on: Option<&str>) -> Change {
    Change { call: on.map(call), set: vec![], delete: vec![], condition: None, authority: Authority::OfCall }
}

impl World {
    pub fn caller() -> Self {
        Self::with(SessionId::Caller([7; 32]))
    }

    pub fn anonymous() -> Self {
        Self::with(SessionId::Anonymous([7; 16]))
    }

    fn with(id: SessionId) -> Self {
        let now = Timestamp::from_unix_millis(1_790_000_000_000);
        let rules = rules();
        let session = Session::unopened(id, rules.release.instance.clone(), now);
        Self { session, rules, now, commits: Vec::new() }
    }

    pub fn wait(&mut self, duration: Duration) {
        self.now = self.now.after(duration);
    }

    pub fn run(&mut self, command: &Command) -> Answer {
        let decided = decide(&self.session, command, &self.rules, self.now).map_err(|refusal| refusal.reason)?;
        if let Some(commit) = &decided {
            self.session.apply(commit);
            self.session.check_invariants();
            self.commits.push(commit.clone());
        }
        Ok(decided)
    }

    pub fn start(&mut self, id: &str, from: &str) -> Answer {
        self.run(&Command::Start(Box::new(start_command(id, from))))
    }

    pub fn ringing(&mut self, id: &str, code: u16) -> Answer {
        self.run(&Command::Ringing { call: call(id), code: Some(code) })
    }

    pub fn answer(&mut self, id: &str) -> Answer {
        self.run(&Command::Answer { call: call(id) })
    }

    pub fn dtmf(&mut self, id: &str) -> Answer {
        self.run(&Command::Dtmf { call: call(id), digit: DtmfDigit::new('5').unwrap(), duration_ms: Some(80) })
    }

    pub fn end(&mut self, id: &str, from: &str) -> Answer {
        self.end_with(id, Some(from), EndCause::Switch("ended".into()))
    }

    pub fn end_with(&mut self, id: &str, from: Option<&str>, cause: EndCause) -> Answer {
        self.run(&Command::End { call: call(id), leg: from.map(leg), cause, code: None })
    }

    pub fn change(&mut self, change: Change) -> Answer {
        self.run(&Command::Change(change))
    }

    pub fn set(&mut self, on: Option<&str>, of: &str, value: &str, lifetime: impl Into<Option<Lifetime>>) -> Answer {
        let set = SetVariable { lifetime: lifetime.into(), ..set_variable(of, value) };
        self.change(Change { set: vec![set], ..change(on) })
    }

    pub fn set_for(&mut self, on: Option<&str>, of: &str, lifetime: Lifetime, ttl: Duration) -> Answer {
        let set = SetVariable { lifetime: Some(lifetime), ttl: Some(ttl), ..set_variable(of, "1") };
        self.change(Change { set: vec![set], ..change(on) })
    }

    pub fn delete(&mut self, on: Option<&str>, of: &str) -> Answer {
        self.change(Change { delete: vec![name(of)], ..change(on) })
    }

    /// What an active or remembered call sees, or a reader that names none: `name=value` in one line.
    pub fn sees(&self, on: Option<&str>) -> String {
        let context = self.session.context(on.map(|id| self.known(id)), Authority::OfCall, &self.rules, self.now);
        let shown: Vec<String> =
            context.variables.iter().map(|v| format!("{}={}", v.variable.name, v.variable.value.as_str())).collect();
        shown.join(" ")
    }

    pub fn withheld(&self, on: Option<&str>) -> Vec<String> {
        let context = self.session.context(on.map(|id| self.known(id)), Authority::OfCall, &self.rules, self.now);
        context.withheld.iter().map(ToString::to_string).collect()
    }

    pub fn expires_at(&self, on: Option<&str>, of: &str) -> Option<Timestamp> {
        let context = self.session.context(on.map(|id| self.known(id)), Authority::OfCall, &self.rules, self.now);
        context.variables.iter().find(|v| v.variable.name.as_str() == of).unwrap().expires_at
    }

    pub fn known(&self, id: &str) -> &Call {
        self.session.calls.iter().chain(self.session.ended.iter()).find(|known| known.id.as_str() == id).unwrap()
    }
}

/// The effects in words, one each, in their order.
pub fn told(answer: &Answer) -> Vec<String> {
    let effects = answer.as_ref().unwrap().as_ref().map_or(&[][..], |commit| &commit.effects);
    effects.iter().map(in_words).collect()
}

pub fn in_words(effect: &Effect) -> String {
    let of = |call: &Option<CallId>| call.as_ref().map_or("-".to_owned(), ToString::to_string);
    match effect {
        Effect::CallStarted { call, leg, presentation, assurance, reopened, .. } => format!(
            "call {call} {} by {}@{} {presentation:?} {}",
            if *reopened { "reopened" } else { "started" },
            leg.switch,
            leg.peer,
            assurance.as_str()
        ),
        Effect::LegAdded { call, leg } => format!("call {call} joined by {}@{}", leg.switch, leg.peer),
        Effect::LegEnded { call, leg } => format!("call {call} left by {}@{}", leg.switch, leg.peer),
        Effect::CallRinging { call, code } => format!("call {call} ringing {code:?}"),
        Effect::CallAnswered { call } => format!("call {call} answered"),
        Effect::CallDtmf { call, duration_ms } => format!("call {call} dtmf {duration_ms:?}"),
        Effect::AssuranceSet { call, level } => format!("call {call} assurance {}", level.as_str()),
        Effect::CallEnded { call, cause, code } => format!("call {call} ended {} {code:?}", cause.as_str()),
        Effect::VariableSet { call, name, value, lifetime, ttl_end } => format!(
            "variable {} {name} set {} {} {:?}",
            of(call),
            value.as_str(),
            lifetime.as_str(),
            ttl_end.map(Timestamp::unix_millis)
        ),
        Effect::VariableDeleted { call, name, cause } => format!("variable {} {name} {}", of(call), cause.as_str()),
    }
}

/// A session as it comes back from what was stored of it.
pub fn read_session(id: SessionId, stored: &[u8]) -> Session {
    Session { id, ..postcard::from_bytes(stored).unwrap() }
}

/// A session written down and read.
pub fn written_down(session: &Session) -> Session {
    read_session(session.id, &postcard::to_stdvec(session).unwrap())
}
