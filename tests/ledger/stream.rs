//! A watcher of the release that comes back with its cursor after each restart, and what it saw.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use super::model::Model;
use super::pace::Pace;
use super::support::{Daemon, KEY, Watcher, wait};

/// The watching thread.
pub struct Stream {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

struct Shared {
    stop: AtomicBool,
    seen: Mutex<Seen>,
    pace: Arc<Pace>,
}

/// Everything the watcher was told.
#[derive(Default)]
struct Seen {
    cursor: Option<String>,
    sessions: HashMap<String, SeenSession>,
    events: u64,
    /// What must not happen; told by the test's thread.
    fault: Option<String>,
}

#[derive(Debug, Default)]
struct SeenSession {
    revision: u64,
    /// Variables that were told at this revision: call ID, name.
    at_revision: BTreeSet<(String, String)>,
    /// Names and values, as the changes told them.
    variables: BTreeMap<String, u64>,
    /// Calls that were started and not ended.
    calls: BTreeMap<String, SeenCall>,
}

#[derive(Debug, Default)]
struct SeenCall {
    answered: bool,
    variables: BTreeMap<String, u64>,
}

impl Stream {
    /// Subscribes, and returns when the stream is live.
    pub fn start(daemon: &Daemon, pace: Arc<Pace>) -> Self {
        let shared = Arc::new(Shared { stop: AtomicBool::default(), seen: Mutex::default(), pace });
        let address = daemon.listen().api;
        let thread = std::thread::spawn({
            let shared = shared.clone();
            move || shared.watch(address)
        });
        wait::until("the watcher is live", || shared.seen.lock().unwrap().cursor.is_some());
        Self { shared, thread }
    }

    /// Waits until the watcher has heard of the last revision of this session, and fails if it has heard of more, or
    /// of something else than is there.
    pub fn has_caught_up(&self, id: &str, revision: u64, model: Option<&Model>) {
        let caught_up = wait::within(wait::LONG, || {
            let seen = self.shared.seen.lock().unwrap();
            assert!(seen.fault.is_none(), "{}", seen.fault.as_deref().unwrap_or_default());
            let session = seen.sessions.get(id)?;
            let heard = session.revision;
            assert!(heard <= revision, "revision {heard} of {id} was told, {revision} is on the disk");
            // Events without a revision may still follow the last change.
            (heard == revision && model.is_none_or(|model| session.is(model))).then_some(())
        });
        let seen = self.shared.seen.lock().unwrap();
        assert!(caught_up.is_some(), "of {id} the watcher knows\n{:#?}\nthere is\n{model:#?}", seen.sessions.get(id));
    }

    /// How many call events and changes were told.
    pub fn events(&self) -> u64 {
        self.shared.seen.lock().unwrap().events
    }

    /// Ends the thread.
    pub fn stop(self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        let seen = self.shared.seen.lock().unwrap();
        assert!(seen.fault.is_none(), "{}", seen.fault.as_deref().unwrap_or_default());
    }
}

impl Shared {
    fn watch(&self, address: SocketAddr) {
        while !self.stop.load(Ordering::Relaxed) {
            let Ok(mut watcher) = Watcher::try_connect(address, KEY) else {
                std::thread::sleep(wait::PAUSE);
                continue;
            };
            let mut subscribe = json!({"op": "subscribe", "id": "all", "instance_id": "support-de"});
            if let Some(cursor) = &self.seen.lock().unwrap().cursor {
                subscribe["from"] = json!(cursor);
            }
            if watcher.try_send(&subscribe).is_err() {
                continue;
            }
            while !self.stop.load(Ordering::Relaxed) {
                match watcher.poll(Duration::from_millis(100)) {
                    Ok(Some(message)) => self.pace.tell(self.seen.lock().unwrap().take(&message)),
                    Ok(None) => {}
                    Err(_) => break,
                }
            }
        }
    }
}

impl SeenSession {
    fn is(&self, model: &Model) -> bool {
        let shared = model.variables.iter().map(|(name, (_, value))| (name, value));
        shared.eq(&self.variables)
            && model.calls.len() == self.calls.len()
            && model.calls.iter().zip(&self.calls).all(|((id, call), (seen_id, seen))| {
                id == seen_id && call.answered == seen.answered && call.variables == seen.variables
            })
    }
}

impl Seen {
    /// Takes a message; the result is how many revisions it told.
    fn take(&mut self, message: &Value) -> u64 {
        let resumed = self.cursor.is_some();
        let mut revisions = 0;
        match message["type"].as_str().unwrap_or_default() {
            "call" => self.call(message),
            "change" => revisions = self.change(message),
            "synced" | "bookmark" => {}
            "snapshot" if !resumed => {}
            _ => self.fail(format!("this came instead of what was missed: {message}")),
        }
        match message["cursor"].as_str() {
            Some(cursor) => self.cursor = Some(cursor.to_owned()),
            None => self.fail(format!("no cursor: {message}")),
        }
        revisions
    }

    fn fail(&mut self, fault: String) {
        self.fault.get_or_insert(fault);
    }

    fn session(&mut self, id: &Value) -> &mut SeenSession {
        self.events += 1;
        self.sessions.entry(id.as_str().unwrap_or_default().to_owned()).or_default()
    }

    fn change(&mut self, message: &Value) -> u64 {
        let revision = message["revision"].as_u64().unwrap_or_default();
        let call = message["call_id"].as_str().unwrap_or_default().to_owned();
        let name = message["name"].as_str().unwrap_or_default().to_owned();
        let session = self.session(&message["session_id"]);
        let variables = match session.calls.get_mut(&call) {
            Some(call) => Some(&mut call.variables),
            None if call.is_empty() => Some(&mut session.variables),
            None => None,
        };
        // A set that was overtaken comes without its value when it is told from the log.
        let value = message["variable"]["value"].as_u64().filter(|_| message["cause"] == "set");
        let before = session.revision;
        let fault = match (variables, value) {
            (None, _) => Some("a variable of a call that is not up"),
            (Some(variables), Some(value)) => {
                variables.insert(name.clone(), value);
                None
            }
            (Some(variables), None) => {
                variables.remove(&name);
                None
            }
        };
        let fault = fault.or(match revision {
            _ if revision == before => (!session.at_revision.insert((call, name))).then_some("told twice"),
            _ if revision == before + 1 => {
                session.revision = revision;
                session.at_revision = BTreeSet::from([(call, name)]);
                None
            }
            _ => Some("a revision is missing, or comes again"),
        });
        if let Some(fault) = fault {
            self.fail(format!("{fault}: after revision {before} came {message}"));
        }
        u64::from(revision > before)
    }

    fn call(&mut self, message: &Value) {
        // A start carries the whole context, the other events say which call is meant.
        let subject = message.get("context").unwrap_or(message);
        let call = subject["call_id"].as_str().unwrap_or_default().to_owned();
        let session = self.session(&subject["session_id"]);
        let is_right = match message["event"].as_str().unwrap_or_default() {
            "started" => session.calls.insert(call, SeenCall::default()).is_none(),
            "answered" => session.calls.get_mut(&call).is_some_and(|call| !std::mem::replace(&mut call.answered, true)),
            "ended" => session.calls.remove(&call).is_some_and(|call| call.variables.is_empty()),
            _ => false,
        };
        if !is_right {
            self.fail(format!("out of place: {message}"));
        }
    }
}
