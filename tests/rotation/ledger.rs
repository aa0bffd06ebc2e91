//! What was acknowledged of many callers who call all the time: session IDs that may never change, and how often each
//! has called, which the daemon has to remember.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::rpc;
use crate::support::{Daemon, Framing, Rpc};

/// Releases of the default configuration: one whose session IDs are derived, one whose are random.
const RELEASES: [&str; 2] = ["sip:+493023125000@192.0.2.1", "sip:+12025550100@192.0.2.1"];

/// The callers of one connection.
pub struct Callers {
    numbers: Vec<String>,
    /// By caller and release: session ID and the number of calls acknowledged.
    known: BTreeMap<(usize, usize), (String, u64)>,
    calls: u64,
    name: String,
}

impl Callers {
    /// As many callers whose numbers begin with `+493023125` and these digits; `name` is part of their call IDs.
    pub fn new(name: &str, digits: &str, count: usize) -> Self {
        let width = 3 - digits.len();
        let numbers = (0..count).map(|number| format!("+493023125{digits}{number:0width$}")).collect();
        Self { numbers, known: BTreeMap::new(), calls: 0, name: name.to_owned() }
    }

    /// One call of every caller to every release, all sent at once: counted if it ends well.
    pub fn round(&mut self, edge: &mut Rpc) {
        let all: Vec<_> =
            (0..self.numbers.len()).flat_map(|caller| (0..RELEASES.len()).map(move |at| (caller, at))).collect();
        self.calls += 1;
        let call_id = |caller: usize, at: usize| format!("{}-{}-{caller}-{at}@lab", self.name, self.calls);
        let starts = all.iter().map(|(caller, at)| {
            let call = call_id(*caller, *at);
            ("call.start", rpc::start_to(&call, &self.numbers[*caller], RELEASES[*at]))
        });
        let contexts: Vec<Value> = edge.pipeline(starts).into_iter().map(Result::unwrap).collect();
        let sets = all.iter().map(|(caller, at)| {
            let set = json!({"calls": self.calls_of(*caller, *at) + 1});
            ("variables.set", json!({"call_id": call_id(*caller, *at), "lifetime": "user", "set": set}))
        });
        let set = edge.pipeline(sets.collect::<Vec<_>>());
        let ends = all.iter().map(|(caller, at)| ("call.end", json!({"call_id": call_id(*caller, *at)})));
        let ended = edge.pipeline(ends.collect::<Vec<_>>());
        for (((caller, context), set), end) in all.into_iter().zip(contexts).zip(set).zip(ended) {
            set.unwrap();
            end.unwrap();
            let session = context["session_id"].as_str().unwrap().to_owned();
            match self.known.get_mut(&caller) {
                None => {
                    assert_eq!(context["returning"], false, "{caller:?}: {context}");
                    self.known.insert(caller, (session, 1));
                }
                Some((known, calls)) => {
                    assert_eq!(*known, session, "{caller:?} has another session");
                    assert_eq!(context["returning"], true, "{caller:?}: {context}");
                    assert_eq!(context["variables"]["calls"], *calls, "{caller:?}: {context}");
                    *calls += 1;
                }
            }
        }
    }

    fn calls_of(&self, caller: usize, at: usize) -> u64 {
        self.known.get(&(caller, at)).map_or(0, |(_, calls)| *calls)
    }

    /// Calls until told to stop.
    pub fn run(&mut self, edge: SocketAddr, stop: &AtomicBool) {
        let mut edge = Rpc::connect(edge, Framing::Netstring);
        while !stop.load(Ordering::Relaxed) {
            self.round(&mut edge);
        }
    }

    /// Each of them once more: nobody is lost.
    pub fn all_are_recognised(&mut self, daemon: &Daemon) {
        let known = self.known.len();
        self.round(&mut daemon.edge());
        assert_eq!(self.known.len(), known, "all have called before");
    }

    /// How many session IDs were given.
    pub fn sessions(&self) -> u64 {
        let mut sessions: Vec<_> = self.known.values().map(|(session, _)| session).collect();
        sessions.sort_unstable();
        sessions.dedup();
        assert_eq!(sessions.len(), self.known.len(), "no two callers share a session");
        u64::try_from(sessions.len()).unwrap()
    }

    /// Rounds that ended well.
    pub fn rounds(&self) -> u64 {
        self.calls
    }
}

/// Lets callers call while something is done.
pub fn meanwhile(daemon: &Daemon, callers: &mut [Callers], act: impl FnOnce()) {
    let edge = daemon.switch_address("edge-1");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let running: Vec<_> = callers.iter_mut().map(|callers| scope.spawn(|| callers.run(edge, &stop))).collect();
        // Whatever happens in `act`, the others come to an end.
        let acted = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
        stop.store(true, Ordering::Relaxed);
        for callers in running {
            callers.join().unwrap();
        }
        acted.unwrap();
    });
}
