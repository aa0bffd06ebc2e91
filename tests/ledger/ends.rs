//! Variables with a `ttl` of moments, set all the while, in a session with a call and in one that sleeps in between. At
//! no time and over no restart is one readable after its end, no acknowledged one is gone before it, none comes back, and
//! each is announced as expired once.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::support::{Daemon, Framing, Incoming, KEY, Rpc, rpc, wait};

/// In milliseconds: some end while the daemon runs, some while it is down.
const TTL: std::ops::Range<u64> = 30..3_000;

/// Variables of one caller that have not ended.
const MOST_OPEN: usize = 60;

/// Between the daemon's milliseconds and the test's clock.
const BLUR: Duration = Duration::from_millis(2);

/// A release apart from that of the other load, which expects to be the only cause of changes.
const RELEASE: &str = "sales-us";

/// The call that is up all the time.
const UP: &str = "ends-up";

/// A connection, what it has set, and what a watcher was told of it.
pub struct Ends {
    rng: StdRng,
    callers: [Caller; 2],
    cursor: String,
    acknowledged: u64,
}

struct Caller {
    number: &'static str,
    session: String,
    /// Whether its calls end at once.
    sleeps: bool,
    /// The call in progress, or the last one.
    call: String,
    variables: HashMap<String, Short>,
}

/// A variable with a `ttl`.
struct Short {
    value: usize,
    lifetime: &'static str,
    ttl: Duration,
    /// Between these moments it was set, if it was.
    sent: Instant,
    answered: Instant,
    is_acknowledged: bool,
    /// Somebody has looked and not found it.
    is_gone: bool,
    told: usize,
}

impl Short {
    fn may_be_there(&self, asked: Instant) -> bool {
        !self.is_gone && asked <= self.answered + self.ttl + BLUR
    }

    fn must_be_there(&self, answered: Instant) -> bool {
        self.is_acknowledged && !self.is_gone && answered + BLUR < self.sent + self.ttl
    }
}

impl Ends {
    pub fn new(daemon: &Daemon, seed: u64) -> Self {
        let mut edge = daemon.edge();
        let callers = [("+12025550151", false), ("+12025550152", true)].map(|(number, sleeps)| {
            let call = (if sleeps { "ends-first" } else { UP }).to_owned();
            let context = edge.ok("call.start", &start(&call, number));
            if sleeps {
                edge.end(&call);
            }
            let session = context["session_id"].as_str().unwrap().to_owned();
            Caller { number, session, sleeps, call, variables: HashMap::new() }
        });
        let (_, cursor) = daemon.watcher(KEY).subscribe("ends", &json!({"instance_id": RELEASE}));
        Self { rng: StdRng::seed_from_u64(seed), callers, cursor, acknowledged: 0 }
    }

    /// Sets and reads until the daemon is gone.
    pub fn run(&mut self, edge: SocketAddr) {
        let Ok(stream) = TcpStream::connect(edge) else { return };
        let mut edge = Rpc::over(stream, Framing::Netstring);
        for turn in 0.. {
            let caller = &mut self.callers[turn % 2];
            let now = Instant::now();
            let open = caller.variables.values().filter(|short| short.may_be_there(now)).count();
            let more = if open < MOST_OPEN { caller.set(&mut edge, &mut self.rng) } else { Some(0) };
            let Some(acknowledged) = more.filter(|_| caller.look(&mut edge).is_some()) else { return };
            self.acknowledged += acknowledged;
            std::thread::sleep(wait::PAUSE);
        }
    }

    /// Compares with what the daemon has after its restart.
    pub fn reconcile(&mut self, daemon: &Daemon) {
        let (http, mut edge) = (daemon.http(KEY), daemon.edge());
        for caller in &mut self.callers {
            if caller.sleeps {
                edge.end(&caller.call);
            } else {
                caller.look(&mut edge).expect("the daemon is there");
            }
            let asked = Instant::now();
            let session = http.get(&format!("/v1/sessions/{}", caller.session)).ok();
            let shown = session["variables"].as_object().unwrap();
            let shown: serde_json::Map<_, _> =
                shown.iter().map(|(name, variable)| (name.clone(), variable["value"].clone())).collect();
            caller.hold_to(&shown, false, asked);
        }
        self.hear(daemon);
    }

    /// Waits until everything has ended and is announced.
    pub fn end(&mut self, daemon: &Daemon) {
        let all_told = wait::within(wait::LONG, || {
            self.reconcile(daemon);
            let mut all = self.callers.iter().flat_map(|caller| caller.variables.values());
            all.all(|short| short.is_gone && (short.told == 1 || !short.is_acknowledged)).then_some(())
        });
        let open =
            |caller: &Caller| caller.variables.values().filter(|short| !short.is_gone || short.told == 0).count();
        assert!(all_told.is_some(), "not ended or not announced: {:?}", self.callers.each_ref().map(open));
    }

    /// How many changes were acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// What has been announced since the last time.
    fn hear(&mut self, daemon: &Daemon) {
        let mut watcher = daemon.watcher(KEY);
        watcher.send(&json!({"op": "subscribe", "id": "ends", "instance_id": RELEASE, "from": self.cursor}));
        while let Some(message) = watcher.poll(wait::PAUSE * 5).unwrap() {
            assert!(!["resync", "lagged"].contains(&message["type"].as_str().unwrap()), "nothing is missed: {message}");
            if let Some(cursor) = message["cursor"].as_str() {
                cursor.clone_into(&mut self.cursor);
            }
            if message["cause"] != "expired" {
                continue;
            }
            let caller = self.callers.iter_mut().find(|caller| message["session_id"] == caller.session).unwrap();
            let short = caller.variables.get_mut(message["name"].as_str().unwrap()).expect("it was set");
            short.told += 1;
            assert_eq!(short.told, 1, "announced twice: {message}");
            assert!(Instant::now() + BLUR > short.sent + short.ttl, "announced early: {message}");
        }
    }
}

impl Caller {
    /// Sets a new variable, within a call; how many requests were acknowledged, or nothing if the daemon is gone.
    fn set(&mut self, edge: &mut Rpc, rng: &mut StdRng) -> Option<u64> {
        let value = self.variables.len();
        let name = format!("end_{value}");
        let lifetimes: &[&'static str] = if self.sleeps { &["user"] } else { &["call", "session", "user"] };
        let lifetime = lifetimes[rng.random_range(0..lifetimes.len())];
        let ttl = Duration::from_millis(rng.random_range(TTL));
        if self.sleeps {
            self.call = format!("ends-{value}");
            ask(edge, "call.start", &start(&self.call, self.number))?;
        }
        let sent = Instant::now();
        let params = json!({"call_id": self.call, "set": {name.as_str(): value}, "lifetime": lifetime,
            "ttl": format!("{}ms", ttl.as_millis())});
        let answer = ask(edge, "variables.set", &params);
        // One that was not acknowledged was set before the daemon was gone, or never.
        let (answered, is_acknowledged) = (Instant::now(), answer.is_some());
        let short = Short { value, lifetime, ttl, sent, answered, is_acknowledged, is_gone: false, told: 0 };
        self.variables.insert(name, short);
        answer?;
        if self.sleeps {
            ask(edge, "call.end", &json!({"call_id": self.call}))?;
        }
        Some(if self.sleeps { 3 } else { 1 })
    }

    /// Looks at what the call sees, if one is up; nothing if the daemon is gone.
    fn look(&mut self, edge: &mut Rpc) -> Option<()> {
        if self.sleeps {
            return Some(());
        }
        let asked = Instant::now();
        let context = ask(edge, "context.get", &json!({"call_id": self.call}))?;
        self.hold_to(context["variables"].as_object().unwrap(), true, asked);
        Some(())
    }

    /// Holds what a reader was shown to what may and what must be there.
    fn hold_to(&mut self, shown: &serde_json::Map<String, Value>, of_call: bool, asked: Instant) {
        let answered = Instant::now();
        for (name, short) in self.variables.iter_mut().filter(|(_, short)| of_call || short.lifetime != "call") {
            match shown.get(name) {
                Some(value) => {
                    assert!(short.may_be_there(asked), "{name} is readable after its end");
                    assert_eq!(*value, short.value);
                }
                None => {
                    assert!(!short.must_be_there(answered), "{name} was acknowledged and is gone before its end");
                    short.is_gone = true;
                }
            }
        }
        let unknown = shown.keys().find(|name| !self.variables.contains_key(*name));
        assert!(unknown.is_none(), "{unknown:?} was never set");
    }
}

fn start(call: &str, number: &str) -> Value {
    rpc::start_to(call, number, "tel:+12025550100")
}

/// The result of a request that must succeed, or nothing if the daemon is gone.
fn ask(edge: &mut Rpc, method: &str, params: &Value) -> Option<Value> {
    let (_, frame) = edge.request(method, params);
    edge.try_send_raw(&frame).ok()?;
    match edge.poll_document(wait::LONG) {
        Incoming::Document(document) => {
            let answer = rpc::read_answer(&document).1;
            Some(answer.unwrap_or_else(|error| panic!("{method} {params} is refused: {error:?}")))
        }
        Incoming::Closed => None,
        Incoming::Nothing => panic!("no answer within {:?}", wait::LONG),
    }
}
