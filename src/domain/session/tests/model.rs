//! The rules once more, as plainly as they can be said: maps, copies of everything, no care for speed.
//! A command works on a copy from which the expired was swept out first; the copy is kept if the
//! command changed anything.

use std::collections::BTreeMap;

use crate::domain::caller::{Assurance, Presentation};
use crate::domain::ids::SessionId;
use crate::domain::refusal::Reason;
use crate::domain::session::*;
use crate::domain::time::Timestamp;

#[derive(Debug, Clone, PartialEq)]
pub struct ModelVariable {
    pub value: String,
    pub lifetime: Lifetime,
    pub revision: u64,
    pub set_at: i64,
    pub ttl_end: Option<i64>,
}

#[derive(Debug, Clone)]
pub struct ModelCall {
    pub id: String,
    pub legs: Vec<(String, String)>,
    pub presentation: Presentation,
    pub assurance: Assurance,
    pub state: CallState,
    pub started_at: i64,
    pub ended_at: Option<i64>,
    pub returning: bool,
    pub previous_contact: Option<i64>,
    pub reopened: bool,
    pub variables: BTreeMap<String, ModelVariable>,
}

#[derive(Debug, Clone)]
pub struct Model {
    pub anonymous: bool,
    pub revision: u64,
    pub commits: u64,
    pub contacts: u64,
    pub last_contact: Option<i64>,
    pub new_call_at: Option<i64>,
    pub last_activity: i64,
    pub variables: BTreeMap<String, ModelVariable>,
    pub calls: Vec<ModelCall>,
    pub past: Vec<ModelCall>,
}

/// What a reader sees: by name the value's text, lifetime, revision, time of setting and end; and the
/// names that are withheld.
pub type Seen = (BTreeMap<String, (String, Lifetime, u64, i64, Option<i64>)>, Vec<String>);

fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap()
}

fn demanded(rules: &Rules, name: &str) -> Assurance {
    rules.min_assurance_for.iter().find(|(known, _)| known.as_str() == name).map_or(rules.min_assurance, |(_, a)| *a)
}

impl Model {
    pub fn new(id: SessionId, now: Timestamp) -> Self {
        Self {
            anonymous: id.is_anonymous(),
            revision: 0,
            commits: 0,
            contacts: 0,
            last_contact: None,
            new_call_at: None,
            last_activity: now.unix_millis(),
            variables: BTreeMap::new(),
            calls: Vec::new(),
            past: Vec::new(),
        }
    }

    /// What happens, in the words of `world::in_words`; empty if nothing does.
    pub fn run(&mut self, command: &Command, rules: &Rules, now: Timestamp) -> Result<Vec<String>, Reason> {
        let now = now.unix_millis();
        let mut next = self.clone();
        let expired = next.sweep(rules, now);
        let (happened, activity) = next.obey(command, rules, now)?;
        if happened.is_empty() && !matches!(command, Command::Expire) {
            return Ok(vec![]);
        }
        let all: Vec<String> = expired.into_iter().chain(happened).collect();
        if all.is_empty() {
            return Ok(vec![]);
        }
        next.commits += 1;
        if all.iter().any(|word| word.starts_with("variable")) {
            next.revision += 1;
        }
        if activity && now > next.last_activity {
            next.last_activity = now;
        }
        // Forgotten for good, even if the clock goes back afterwards.
        next.past.retain(|call| now - call.ended_at.unwrap() <= 32_000);
        *self = next;
        Ok(all)
    }

    fn end_of(&self, variable: &ModelVariable, rules: &Rules) -> Option<i64> {
        let mut ends: Vec<i64> = variable.ttl_end.into_iter().collect();
        if self.calls.is_empty() {
            match (variable.lifetime, rules.user_idle_limit) {
                (Lifetime::Session, _) => ends.push(self.last_activity + millis(rules.session_retention)),
                (Lifetime::User, Some(limit)) => ends.push(self.last_activity + millis(limit)),
                _ => {}
            }
        }
        ends.into_iter().min()
    }

    fn sweep(&mut self, rules: &Rules, now: i64) -> Vec<String> {
        let mut words = vec![];
        let before = self.clone();
        for (name, variable) in &before.variables {
            if before.end_of(variable, rules).is_some_and(|end| now >= end) {
                self.variables.remove(name);
                words.push(format!("variable - {name} expired"));
            }
        }
        for call in &mut self.calls {
            for (name, variable) in call.variables.clone() {
                if variable.ttl_end.is_some_and(|end| now >= end) {
                    call.variables.remove(&name);
                    words.push(format!("variable {} {name} expired", call.id));
                }
            }
        }
        words
    }

    fn active(&mut self, id: &crate::domain::ids::CallId) -> Result<&mut ModelCall, Reason> {
        self.calls.iter_mut().find(|call| call.id == id.as_str()).ok_or(Reason::UnknownCall)
    }

    /// The effects of the command itself and whether they are activity.
    fn obey(&mut self, command: &Command, rules: &Rules, now: i64) -> Result<(Vec<String>, bool), Reason> {
        let mut words = vec![];
        match command {
            Command::Expire => return Ok((words, false)),
            Command::Start(start) => words = self.start(start, rules, now)?,
            Command::Ringing { call, code } => {
                let call = self.active(call)?;
                if call.state == CallState::Started {
                    call.state = CallState::Ringing;
                    words.push(format!("call {} ringing {code:?}", call.id));
                }
            }
            Command::Answer { call } => {
                let call = self.active(call)?;
                if call.state != CallState::Answered {
                    call.state = CallState::Answered;
                    words.push(format!("call {} answered", call.id));
                }
            }
            Command::Dtmf { call, duration_ms, .. } => {
                words.push(format!("call {} dtmf {duration_ms:?}", self.active(call)?.id));
            }
            Command::Assert { call, level } => {
                let call = self.active(call)?;
                if call.assurance != *level {
                    call.assurance = *level;
                    words.push(format!("call {} assurance {}", call.id, level.as_str()));
                }
                return Ok((words, false));
            }
            Command::End { call, leg, cause, code } => {
                let leg = leg.as_ref().map(|leg| (leg.switch.to_string(), leg.peer.to_string()));
                words = self.end(call.as_str(), leg, cause, *code, now);
                return Ok((words, !matches!(cause, EndCause::Reaped | EndCause::Lost)));
            }
            Command::Change(change) => words = self.change(change, rules, now)?,
        }
        Ok((words, true))
    }

    fn start(&mut self, start: &Start, rules: &Rules, now: i64) -> Result<Vec<String>, Reason> {
        let id = start.call.to_string();
        let leg = (start.leg.switch.to_string(), start.leg.peer.to_string());
        let anonymous = self.anonymous;
        let same = |call: &ModelCall| {
            if anonymous {
                call.legs.iter().any(|(switch, _)| *switch == leg.0)
            } else {
                call.presentation == start.presentation
            }
        };
        if let Some(call) = self.calls.iter_mut().find(|call| call.id == id) {
            if !same(call) {
                return Err(Reason::CallIdInUse);
            }
            if call.legs.contains(&leg) {
                return Ok(vec![]);
            }
            call.legs.push(leg.clone());
            return Ok(vec![format!("call {id} joined by {}@{}", leg.0, leg.1)]);
        }
        let before = self.past.iter().find(|call| call.id == id).cloned();
        let before = before.filter(|call| now - call.ended_at.unwrap() <= 32_000 && same(call));
        self.past.retain(|call| call.id != id);
        let mut words = vec![];
        let new_call = before.is_none() && self.calls.is_empty();
        if new_call || (before.is_none() && rules.reset == Reset::EveryCall) {
            for (name, variable) in self.variables.clone() {
                if variable.lifetime == Lifetime::Session {
                    self.variables.remove(&name);
                    words.push(format!("variable - {name} new_call"));
                }
            }
        }
        if new_call {
            self.new_call_at = Some(now);
        }
        let returning = self.contacts > 0 && !anonymous;
        self.calls.push(ModelCall {
            id: id.clone(),
            legs: vec![leg.clone()],
            presentation: start.presentation,
            assurance: start.assurance,
            state: CallState::Started,
            started_at: before.as_ref().map_or(now, |call| call.started_at),
            ended_at: None,
            returning: before.as_ref().map_or(returning, |call| call.returning),
            previous_contact: before
                .as_ref()
                .map_or(if returning { self.last_contact } else { None }, |call| call.previous_contact),
            reopened: before.is_some(),
            variables: BTreeMap::new(),
        });
        if before.is_none() {
            self.contacts += 1;
            self.last_contact = Some(now);
        }
        words.push(format!(
            "call {id} {} by {}@{} {:?} {}",
            if before.is_some() { "reopened" } else { "started" },
            leg.0,
            leg.1,
            start.presentation,
            start.assurance.as_str()
        ));
        Ok(words)
    }

    fn end(
        &mut self,
        id: &str,
        leg: Option<(String, String)>,
        cause: &EndCause,
        code: Option<u16>,
        now: i64,
    ) -> Vec<String> {
        let Some(place) = self.calls.iter().position(|call| call.id == id) else {
            return vec![];
        };
        if let Some(leg) = leg {
            let call = &mut self.calls[place];
            let same_switch: Vec<_> = call.legs.iter().filter(|known| known.0 == leg.0).cloned().collect();
            let meant = if call.legs.contains(&leg) {
                leg
            } else if same_switch.len() == 1 && *cause != EndCause::Lost {
                same_switch[0].clone()
            } else {
                return vec![];
            };
            if call.legs.len() > 1 {
                call.legs.retain(|known| *known != meant);
                return vec![format!("call {id} left by {}@{}", meant.0, meant.1)];
            }
        }
        let mut call = self.calls.remove(place);
        let mut words: Vec<String> =
            call.variables.keys().map(|name| format!("variable {id} {name} call_ended")).collect();
        words.push(format!("call {id} ended {} {code:?}", cause.as_str()));
        call.variables.clear();
        call.state = CallState::Ended;
        call.ended_at = Some(now);
        self.past.push(call);
        words
    }

    fn all_sizes(&self) -> Vec<usize> {
        let of_calls = self.calls.iter().flat_map(|call| &call.variables);
        self.variables.iter().chain(of_calls).map(|(name, variable)| name.len() + variable.value.len()).collect()
    }

    fn change(&mut self, change: &Change, rules: &Rules, now: i64) -> Result<Vec<String>, Reason> {
        for (place, set) in change.set.iter().enumerate() {
            if change.set[..place].iter().any(|other| other.name == set.name)
                || change.delete.contains(&set.name)
                || (set.lifetime == Some(Lifetime::Call) && change.call.is_none())
            {
                return Err(Reason::InvalidParams);
            }
        }
        let mut call = match &change.call {
            Some(id) => Some(self.active(id)?.clone()),
            None => None,
        };
        let call_name = call.as_ref().map_or("-".to_owned(), |call| call.id.clone());
        let held = call.as_ref().map_or(Assurance::None, |call| call.assurance);
        let mut own = call.as_ref().map(|call| call.variables.clone()).unwrap_or_default();
        let sizes_before = self.all_sizes();

        let conflict = match change.condition {
            Some(Condition::Revision(revision)) => revision != self.revision,
            Some(Condition::Unset) => change
                .set
                .iter()
                .any(|set| own.contains_key(set.name.as_str()) || self.variables.contains_key(set.name.as_str())),
            None => false,
        };
        if conflict {
            return Err(Reason::RevisionConflict);
        }

        let may = |name: &str| change.authority == Authority::Trusted || held >= demanded(rules, name);
        let is_user = |variable: Option<&ModelVariable>| variable.is_some_and(|v| v.lifetime == Lifetime::User);
        let mut words = vec![];
        for name in &change.delete {
            let name = name.as_str();
            if own.remove(name).is_some() {
                words.push(format!("variable {call_name} {name} deleted"));
            } else if words.iter().any(|word: &String| word.ends_with(&format!(" {name} deleted"))) {
                // Named twice.
            } else if self.variables.contains_key(name) {
                if is_user(self.variables.get(name)) && !may(name) {
                    return Err(Reason::AssuranceTooLow);
                }
                self.variables.remove(name);
                words.push(format!("variable - {name} deleted"));
            }
        }
        for set in &change.set {
            let name = set.name.as_str();
            let lifetime = set
                .lifetime
                .or(own.get(name).map(|v| v.lifetime))
                .or(self.variables.get(name).map(|v| v.lifetime))
                .unwrap_or(Lifetime::Session);
            let variable = ModelVariable {
                value: set.value.as_str().to_owned(),
                lifetime,
                revision: self.revision + 1,
                set_at: now,
                ttl_end: set.ttl.map(|ttl| now + millis(ttl)),
            };
            let place = if lifetime == Lifetime::Call { call_name.as_str() } else { "-" };
            let (word, end) = (lifetime.as_str(), variable.ttl_end);
            words.push(format!("variable {place} {name} set {} {word} {end:?}", variable.value));
            if lifetime == Lifetime::Call {
                own.insert(name.to_owned(), variable);
                continue;
            }
            if lifetime == Lifetime::User && self.anonymous {
                return Err(Reason::UserLifetimeUnavailable);
            }
            if (lifetime == Lifetime::User || is_user(self.variables.get(name))) && !may(name) {
                return Err(Reason::AssuranceTooLow);
            }
            self.variables.insert(name.to_owned(), variable);
        }
        if let Some(call) = &mut call {
            call.variables = own;
            let place = self.calls.iter().position(|known| known.id == call.id).unwrap();
            self.calls[place] = call.clone();
        }

        let sizes = self.all_sizes();
        let (total, total_before): (usize, usize) = (sizes.iter().sum(), sizes_before.iter().sum());
        if change.set.iter().any(|set| set.value.len() > rules.limits.value)
            || (sizes.len() > rules.limits.variables && sizes.len() > sizes_before.len())
            || (total > rules.limits.session_bytes && total > total_before)
        {
            return Err(Reason::LimitExceeded);
        }
        Ok(words)
    }

    /// What is seen from a call (active or past), or from none.
    pub fn sees(&self, call: Option<&str>, authority: Authority, rules: &Rules, now: Timestamp) -> Seen {
        let mut swept = self.clone();
        swept.sweep(rules, now.unix_millis());
        let call = call.map(|id| swept.calls.iter().chain(&swept.past).find(|call| call.id == id).unwrap());
        if let Some(ended_at) = call.and_then(|call| call.ended_at) {
            let new_call_at = if rules.reset == Reset::EveryCall { self.last_contact } else { self.new_call_at };
            if new_call_at > Some(ended_at) {
                return Seen::default();
            }
        }
        let held = call.map_or(Assurance::None, |call| call.assurance);
        let mut view = swept.variables.clone();
        view.extend(call.map(|call| call.variables.clone()).unwrap_or_default());
        let mut seen = Seen::default();
        for (name, v) in view {
            if v.lifetime == Lifetime::User && authority == Authority::OfCall && held < demanded(rules, &name) {
                seen.1.push(name);
            } else {
                let end = swept.end_of(&v, rules);
                seen.0.insert(name, (v.value, v.lifetime, v.revision, v.set_at, end));
            }
        }
        seen
    }
}
