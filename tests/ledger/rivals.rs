//! Several connections that write to one session, each through a call of its own: no update is lost, and no revision
//! is given to two changes, over all restarts.

use std::collections::HashSet;
use std::net::{SocketAddr, TcpStream};
use std::thread::Scope;

use serde_json::json;

use super::pace::Pace;
use super::support::{Daemon, Framing, Incoming, Rpc, rpc, wait};

const NUMBER: &str = "+493023125190";

/// The connections, and what they know together.
pub struct Rivals {
    session_id: String,
    revision: u64,
    writers: Vec<Rival>,
    given: HashSet<u64>,
}

struct Rival {
    call: String,
    /// Value and revision of the last acknowledged change.
    acknowledged: (u64, u64),
    /// The value on its way.
    sent: u64,
    /// Revisions given since the last look.
    given: Vec<u64>,
}

impl Rivals {
    /// Starts the calls.
    pub fn new(daemon: &Daemon, many: usize) -> Self {
        let mut edge = daemon.edge();
        let mut session_id = String::new();
        let writers = (0..many)
            .map(|number| {
                let call = format!("rival-{number}");
                edge.start(&call, NUMBER)["session_id"].as_str().unwrap().clone_into(&mut session_id);
                Rival { call, acknowledged: (0, 0), sent: 0, given: Vec::new() }
            })
            .collect();
        Self { session_id, revision: 0, writers, given: HashSet::new() }
    }

    /// Changes until the daemon is gone.
    pub fn run<'scope>(&'scope mut self, scope: &'scope Scope<'scope, '_>, edge: SocketAddr, pace: &'scope Pace) {
        for rival in &mut self.writers {
            scope.spawn(move || rival.run(edge, pace));
        }
    }

    /// Compares with what the daemon has after its restart.
    pub fn reconcile(&mut self, daemon: &Daemon) {
        for rival in &mut self.writers {
            for revision in rival.given.drain(..) {
                assert!(self.given.insert(revision), "revision {revision} was given to two changes");
            }
            let context = daemon.edge().context(&rival.call);
            let value = context["variables"].get(&rival.call).map_or(0, |value| value.as_u64().unwrap());
            let (acknowledged, at) = rival.acknowledged;
            assert!(
                value == acknowledged || value == rival.sent,
                "{} is {value} after the restart: {acknowledged} was acknowledged, {} was sent",
                rival.call,
                rival.sent
            );
            self.revision = context["revision"].as_u64().unwrap();
            assert!(self.revision >= at, "revision {} after the restart, {at} was acknowledged", self.revision);
            rival.sent = value;
            rival.acknowledged.0 = value;
        }
    }

    /// The session and its revision.
    pub fn session(&self) -> (&str, u64) {
        (&self.session_id, self.revision)
    }

    /// How many changes were acknowledged.
    pub fn acknowledged(&self) -> u64 {
        u64::try_from(self.given.len()).unwrap()
    }
}

impl Rival {
    fn run(&mut self, edge: SocketAddr, pace: &Pace) {
        let Ok(stream) = TcpStream::connect(edge) else { return };
        let mut edge = Rpc::over(stream, Framing::Netstring);
        loop {
            let next = self.acknowledged.0 + 1;
            let set = json!({"call_id": self.call, "set": {self.call.as_str(): next}});
            let (_, frame) = edge.request("variables.set", &set);
            self.sent = next;
            if edge.try_send_raw(&frame).is_err() {
                return;
            }
            let document = match edge.poll_document(wait::LONG) {
                Incoming::Document(document) => document,
                Incoming::Closed => return,
                Incoming::Nothing => panic!("no answer within {:?}", wait::LONG),
            };
            let revision = rpc::read_answer(&document).1.unwrap()["revision"].as_u64().unwrap();
            assert!(revision > self.acknowledged.1, "revisions of one writer grow");
            self.acknowledged = (next, revision);
            self.given.push(revision);
            pace.acknowledge(1);
            pace.keep();
        }
    }
}
