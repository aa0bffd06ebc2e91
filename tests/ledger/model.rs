//! What one session holds, and what each request makes of it: the rules of the contract once more, in the simplest way.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Lifetimes of variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    Call,
    Session,
    User,
}

impl Lifetime {
    pub fn word(self) -> &'static str {
        match self {
            Lifetime::Call => "call",
            Lifetime::Session => "session",
            Lifetime::User => "user",
        }
    }
}

/// One active call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallModel {
    pub answered: bool,
    pub variables: BTreeMap<String, u64>,
}

/// One session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Model {
    pub revision: u64,
    pub variables: BTreeMap<String, (&'static str, u64)>,
    pub calls: BTreeMap<String, CallModel>,
}

/// One request of a switch.
#[derive(Debug, Clone)]
pub enum Request {
    Start,
    Answer,
    Set { lifetime: Lifetime, set: Vec<(String, u64)> },
    Delete { names: Vec<String> },
    Get,
    End,
}

impl Request {
    /// The request as JSON-RPC.
    pub fn message(&self, call: &str, number: &str) -> (&'static str, Value) {
        match self {
            Request::Start => ("call.start", super::support::rpc::start(call, number)),
            Request::Answer => ("call.answer", json!({"call_id": call})),
            Request::Set { lifetime, set } => {
                let set: serde_json::Map<_, _> = set.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
                ("variables.set", json!({"call_id": call, "lifetime": lifetime.word(), "set": set}))
            }
            Request::Delete { names } => ("variables.delete", json!({"call_id": call, "names": names})),
            Request::Get => ("context.get", json!({"call_id": call})),
            Request::End => ("call.end", json!({"call_id": call})),
        }
    }
}

impl Model {
    /// What the request makes of the session.
    pub fn apply(&mut self, call: &str, request: &Request) {
        let changes = match request {
            Request::Start => {
                let before = self.variables.len();
                if self.calls.is_empty() {
                    self.variables.retain(|_, (lifetime, _)| *lifetime == "user");
                }
                self.calls.entry(call.to_owned()).or_default();
                self.variables.len() < before
            }
            Request::Answer => {
                self.call(call).answered = true;
                false
            }
            Request::Set { lifetime: Lifetime::Call, set } => {
                self.call(call).variables.extend(set.iter().cloned());
                true
            }
            Request::Set { lifetime, set } => {
                self.variables.extend(set.iter().map(|(name, value)| (name.clone(), (lifetime.word(), *value))));
                true
            }
            Request::Delete { names } => {
                let mut any = false;
                for name in names {
                    any |= self.call(call).variables.remove(name).is_some() || self.variables.remove(name).is_some();
                }
                any
            }
            Request::Get => false,
            Request::End => self.calls.remove(call).is_some_and(|ended| !ended.variables.is_empty()),
        };
        self.revision += u64::from(changes);
    }

    fn call(&mut self, call: &str) -> &mut CallModel {
        self.calls.get_mut(call).expect("the load speaks of active calls only")
    }

    /// Whether an answer says what this state, right after the request, says.
    pub fn agrees(&self, call: &str, request: &Request, result: &Value) -> bool {
        match request {
            Request::Start | Request::Get => {
                result["revision"] == self.revision
                    && result["active_calls"] == self.calls.len()
                    && result["variables"] == self.seen_by(call)
            }
            Request::Set { .. } | Request::Delete { .. } => result["revision"] == self.revision,
            Request::Answer | Request::End => *result == json!({}),
        }
    }

    /// The flat variables of a call's context.
    pub fn seen_by(&self, call: &str) -> Value {
        let shared = self.variables.iter().map(|(name, (_, value))| (name.clone(), json!(value)));
        let own = self.calls.get(call).into_iter().flat_map(|call| &call.variables);
        shared.chain(own.map(|(name, value)| (name.clone(), json!(value)))).collect::<serde_json::Map<_, _>>().into()
    }
}
