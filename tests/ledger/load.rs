//! One connection with callers of its own: what it asked for, what was acknowledged, and whether that is there.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;

use super::model::{CallModel, Lifetime, Model, Request};
use super::pace::Pace;
use super::support::{Daemon, Framing, Incoming, KEY, Rpc, rpc, wait};

/// Callers of one worker.
const CALLERS: usize = 5;

/// Most calls of one caller at one time.
const MOST_CALLS: usize = 3;

/// Most requests in flight for one caller.
const MOST_IN_FLIGHT: usize = 5;

const NAMES: [&str; 6] = ["language", "ticket", "step", "menu", "queue", "note"];

/// A connection and its callers.
pub struct Worker {
    number: usize,
    rng: StdRng,
    callers: Vec<Caller>,
    acknowledged: u64,
}

/// One caller's session as the worker knows it.
struct Caller {
    number: String,
    session_id: String,
    /// After everything that was acknowledged.
    known: Model,
    /// What is on its way for one call, with the state after each.
    in_flight: Vec<InFlight>,
    calls_made: usize,
    values_set: u64,
}

struct InFlight {
    call: String,
    request: Request,
    after: Model,
}

impl Worker {
    /// Makes each caller's session, so that its identifier is known.
    pub fn new(daemon: &Daemon, number: usize, seed: u64) -> Self {
        let mut edge = daemon.edge();
        let callers = (0..CALLERS)
            .map(|caller| {
                let phone = format!("+49302312{}", 5200 + number * CALLERS + caller);
                let call = format!("first-{number}-{caller}");
                let context = edge.start(&call, &phone);
                edge.end(&call);
                Caller {
                    number: phone,
                    session_id: context["session_id"].as_str().unwrap().to_owned(),
                    known: Model::default(),
                    in_flight: Vec::new(),
                    calls_made: 0,
                    values_set: 0,
                }
            })
            .collect();
        Self { number, rng: StdRng::seed_from_u64(seed), callers, acknowledged: 0 }
    }

    /// Requests until the daemon is gone.
    pub fn run(&mut self, edge: SocketAddr, pace: &Pace) {
        let Ok(stream) = TcpStream::connect(edge) else { return };
        let framing = if self.number.is_multiple_of(2) { Framing::Netstring } else { Framing::Bare };
        let mut edge = Rpc::over(stream, framing);
        while self.window(&mut edge, pace) {
            pace.keep();
        }
    }

    /// Sends some requests for each caller, all in one write, and takes the answers. The requests for one caller concern
    /// one call, so their order is promised. False when the daemon is gone.
    fn window(&mut self, edge: &mut Rpc, pace: &Pace) -> bool {
        let mut bytes = Vec::new();
        let mut whose = BTreeMap::new();
        for (at, caller) in self.callers.iter_mut().enumerate() {
            caller.plan(self.number, &mut self.rng);
            for (place, planned) in caller.in_flight.iter().enumerate() {
                let (method, params) = planned.request.message(&planned.call, &caller.number);
                let (id, frame) = edge.request(method, &params);
                bytes.extend_from_slice(&frame);
                whose.insert(id, (at, place));
            }
        }
        if edge.try_send_raw(&bytes).is_err() {
            return false;
        }
        // How many requests of each caller are known to have taken effect.
        let mut acknowledged = [0; CALLERS];
        let mut left = whose.len();
        let all = loop {
            if left == 0 {
                break true;
            }
            let document = match edge.poll_document(wait::LONG) {
                Incoming::Document(document) => document,
                Incoming::Closed => break false,
                Incoming::Nothing => panic!("no answer within {:?}", wait::LONG),
            };
            let (id, answer) = rpc::read_answer(&document);
            let (at, place) = whose[&id.expect("an answer to a request")];
            let planned = &self.callers[at].in_flight[place];
            let result = answer.unwrap_or_else(|error| panic!("{:?} is refused: {error:?}", planned.request));
            assert!(
                planned.after.agrees(&planned.call, &planned.request, &result),
                "{:?} of {} should have led to {:?}: {result}",
                planned.request,
                planned.call,
                planned.after
            );
            acknowledged[at] = acknowledged[at].max(place + 1);
            left -= 1;
            self.acknowledged += 1;
        };
        for (caller, acknowledged) in self.callers.iter_mut().zip(acknowledged) {
            if let Some(last) = caller.in_flight.drain(..acknowledged).next_back() {
                pace.acknowledge(last.after.revision - caller.known.revision);
                caller.known = last.after;
            }
        }
        all
    }

    /// Compares with what the daemon has after its restart: what was acknowledged is there, and of the rest a beginning.
    pub fn reconcile(&mut self, daemon: &Daemon) {
        let mut edge = daemon.edge();
        for caller in &mut self.callers {
            let found = caller.read(daemon, &mut edge);
            let possible = std::iter::once(&caller.known).chain(caller.in_flight.iter().map(|planned| &planned.after));
            let Some(state) = possible.into_iter().find(|state| **state == found).cloned() else {
                let sent: Vec<_> = caller.in_flight.iter().map(|planned| (&planned.call, &planned.request)).collect();
                panic!(
                    "after the restart session {} holds\n{found:#?}\nacknowledged was\n{:#?}\nand then was sent {sent:#?}",
                    caller.session_id, caller.known
                );
            };
            caller.known = state;
            caller.in_flight.clear();
        }
    }

    /// Session ID and state of each caller.
    pub fn sessions(&self) -> impl Iterator<Item = (&str, &Model)> {
        self.callers.iter().map(|caller| (caller.session_id.as_str(), &caller.known))
    }

    /// How many requests were acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }
}

impl Caller {
    /// Chooses a call and some requests for it.
    fn plan(&mut self, worker: usize, rng: &mut StdRng) {
        let mut state = self.known.clone();
        let new_call = state.calls.is_empty() || (state.calls.len() < MOST_CALLS && rng.random_bool(0.2));
        let call = if new_call {
            self.calls_made += 1;
            format!("{worker}-{}-{}@192.0.2.7", self.number.trim_start_matches('+'), self.calls_made)
        } else {
            let at = rng.random_range(0..state.calls.len());
            state.calls.keys().nth(at).unwrap().clone()
        };
        let most = rng.random_range(1..=MOST_IN_FLIGHT);
        let mut requests: Vec<Request> = Vec::with_capacity(most);
        if new_call {
            requests.push(Request::Start);
        }
        while requests.len() < most {
            requests.push(self.choose(rng));
            if matches!(requests.last(), Some(Request::End)) {
                break;
            }
        }
        for request in requests {
            state.apply(&call, &request);
            self.in_flight.push(InFlight { call: call.clone(), request, after: state.clone() });
        }
    }

    fn choose(&mut self, rng: &mut StdRng) -> Request {
        let name = |rng: &mut StdRng| NAMES[rng.random_range(0..NAMES.len())].to_owned();
        match rng.random_range(0..20) {
            0..10 => {
                let lifetimes = [Lifetime::Call, Lifetime::Session, Lifetime::User];
                let lifetime = lifetimes[rng.random_range(0..lifetimes.len())];
                let count = rng.random_range(1..=3);
                let mut set: BTreeMap<String, u64> = BTreeMap::new();
                for _ in 0..count {
                    self.values_set += 1;
                    set.insert(name(rng), self.values_set);
                }
                Request::Set { lifetime, set: set.into_iter().collect() }
            }
            10..13 => Request::Delete { names: vec![name(rng)] },
            13..15 => Request::Answer,
            15 => Request::Start,
            16 => Request::Get,
            _ => Request::End,
        }
    }

    /// The session as the daemon has it.
    fn read(&self, daemon: &Daemon, edge: &mut Rpc) -> Model {
        let session = daemon.http(KEY).get(&format!("/v1/sessions/{}", self.session_id)).ok();
        let variables = session["variables"].as_object().expect("variables").iter().map(|(name, variable)| {
            let lifetime = if variable["lifetime"] == "user" { "user" } else { "session" };
            (name.clone(), (lifetime, variable["value"].as_u64().unwrap()))
        });
        let mut model = Model {
            revision: session["revision"].as_u64().unwrap(),
            variables: variables.collect(),
            calls: BTreeMap::new(),
        };
        for call in session["calls"].as_array().expect("calls").iter().filter(|call| call["state"] != "ended") {
            let call_id = call["call_id"].as_str().unwrap().to_owned();
            let seen = edge.context(&call_id)["variables"].as_object().unwrap().clone();
            model
                .calls
                .insert(call_id, CallModel { answered: call["state"] == "answered", variables: own(&model, &seen) });
        }
        model
    }
}

/// The call's own variables: what it sees and the session does not hold in that way. Values are never used twice.
fn own(model: &Model, seen: &serde_json::Map<String, Value>) -> BTreeMap<String, u64> {
    let value = |value: &Value| value.as_u64().unwrap();
    seen.iter()
        .map(|(name, seen)| (name.clone(), value(seen)))
        .filter(|(name, seen)| model.variables.get(name).is_none_or(|(_, shared)| shared != seen))
        .collect()
}
