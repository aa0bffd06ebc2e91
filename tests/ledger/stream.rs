//! A watcher of the release that comes back with its cursor after each restart, and what it saw.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use super::support::{Daemon, KEY, Watcher, wait};

/// The watching thread.
pub struct Stream {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    seen: Mutex<Seen>,
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

#[derive(Default)]
struct SeenSession {
    revision: u64,
    /// Variables that were told at this revision: call ID, name.
    at_revision: BTreeSet<(String, String)>,
    /// Calls that were started and not ended.
    calls: BTreeMap<String, &'static str>,
}

impl Stream {
    /// Subscribes, and returns when the stream is live.
    pub fn start(daemon: &Daemon) -> Self {
        let shared = Arc::new(Shared::default());
        let address = daemon.listen().api;
        let thread = std::thread::spawn({
            let shared = shared.clone();
            move || shared.watch(address)
        });
        wait::until("the watcher is live", || shared.seen.lock().unwrap().cursor.is_some());
        Self { shared, thread }
    }

    /// Waits until the watcher has heard of these revisions, and fails if it has heard of more.
    pub fn has_caught_up(&self, sessions: &[(String, u64)]) {
        for (session, revision) in sessions {
            wait::until("the watcher hears of the last revision", || {
                let seen = self.shared.seen.lock().unwrap();
                assert!(seen.fault.is_none(), "{}", seen.fault.as_deref().unwrap_or_default());
                let heard = seen.sessions.get(session).map_or(0, |session| session.revision);
                assert!(heard <= *revision, "revision {heard} of {session} was told, {revision} is on the disk");
                heard == *revision
            });
        }
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
                    Ok(Some(message)) => self.seen.lock().unwrap().take(&message),
                    Ok(None) => {}
                    Err(_) => break,
                }
            }
        }
    }
}

impl Seen {
    fn take(&mut self, message: &Value) {
        let resumed = self.cursor.is_some();
        match message["type"].as_str().unwrap_or_default() {
            "call" => self.call(message),
            "change" => self.change(message),
            "synced" | "bookmark" => {}
            "snapshot" if !resumed => {}
            _ => self.fail(format!("this came instead of what was missed: {message}")),
        }
        match message["cursor"].as_str() {
            Some(cursor) => self.cursor = Some(cursor.to_owned()),
            None => self.fail(format!("no cursor: {message}")),
        }
    }

    fn fail(&mut self, fault: String) {
        self.fault.get_or_insert(fault);
    }

    fn session(&mut self, id: &Value) -> &mut SeenSession {
        self.events += 1;
        self.sessions.entry(id.as_str().unwrap_or_default().to_owned()).or_default()
    }

    fn change(&mut self, message: &Value) {
        let revision = message["revision"].as_u64().unwrap_or_default();
        let call = message["call_id"].as_str().unwrap_or_default().to_owned();
        let variable = (call, message["name"].as_str().unwrap_or_default().to_owned());
        let session = self.session(&message["session_id"]);
        let fault = match revision {
            _ if revision == session.revision => {
                (!session.at_revision.insert(variable)).then(|| format!("told twice: {message}"))
            }
            _ if revision == session.revision + 1 => {
                session.revision = revision;
                session.at_revision = BTreeSet::from([variable]);
                None
            }
            _ => Some(format!("after revision {} of its session came {message}", session.revision)),
        };
        if let Some(fault) = fault {
            self.fail(fault);
        }
    }

    fn call(&mut self, message: &Value) {
        // A start carries the whole context, the other events say which call is meant.
        let subject = message.get("context").unwrap_or(message);
        let call = subject["call_id"].as_str().unwrap_or_default().to_owned();
        let session = self.session(&subject["session_id"]);
        let is_right = match message["event"].as_str().unwrap_or_default() {
            "started" => session.calls.insert(call, "started").is_none(),
            "answered" => session.calls.insert(call, "answered") == Some("started"),
            "ended" => session.calls.remove(&call).is_some(),
            _ => false,
        };
        if !is_right {
            self.fail(format!("out of place: {message}"));
        }
    }
}
