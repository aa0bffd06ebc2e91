//! The promises of the actors, on a real RocksDB with a real writer.

mod calls;
mod faults;
mod interleavings;
mod keys;
mod lifetimes;
mod retention;
mod watching;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::*;
use crate::config::{Config, Generation};
use crate::domain::caller::{Evidence, RULES, RuleSets, Trunk, identify_by};
use crate::domain::ids::{CallId, ReleaseId, SessionId};
use crate::domain::pseudonym::RootKey;
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::session::{
    Authority, Call, Change, Command, Direction, EndCause, Leg, Lifetime, Session, SetVariable, Start,
};
use crate::domain::value::JsonText;
use crate::store::{RootSecrets, Store, StoreOptions};

const CONFIG: &str = r#"
[[tenant]]
id = "acme"
[[tenant.release]]
instance_id = "support-de"
generation = "phone2"
numbers = ["+493023125000"]
[[tenant.release]]
instance_id = "sales"
generation = "phone1"
numbers = ["+493023125001"]
[[switch]]
name = "edge-1"
protocol = "jsonrpc"
listen = "127.0.0.1:9070"
tenant = "acme"
region = "DE"
"#;

/// What an event came to.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) session: Arc<Session>,
    pub(super) call: Option<Arc<Call>>,
}

struct Waiter {
    told: oneshot::Sender<Result<Told, Refusal>>,
    prepared: Option<Result<Told, Refusal>>,
}

impl Reply for Waiter {
    fn prepare(&mut self, outcome: Result<Outcome<'_>, Refusal>) {
        self.prepared =
            Some(outcome.map(|outcome| Told { session: outcome.session.clone(), call: outcome.call.cloned() }));
    }

    fn deliver(self: Box<Self>, _wakes: &mut Wakes) {
        if let Some(prepared) = self.prepared {
            let _ = self.told.send(prepared);
        }
    }
}

type Answer = oneshot::Receiver<Result<Told, Refusal>>;

pub(super) fn waiter() -> (Box<dyn Reply>, Answer) {
    let (told, answer) = oneshot::channel();
    (Box::new(Waiter { told, prepared: None }), answer)
}

pub(super) async fn answered(answer: Answer) -> Result<Told, Refusal> {
    tokio::time::timeout(Duration::from_secs(10), answer).await.expect("an answer comes").expect("nothing panicked")
}

/// A directory on a data directory.
pub(super) struct House {
    pub(super) directory: Arc<Directory>,
}

pub(super) fn id(text: &str) -> CallId {
    text.parse().expect("a call ID")
}

fn keys(config: &Config) -> CallerKeys {
    let root = RootKey::from_file(&[7; 32]).expect("a key");
    let tenants = config.tenants.iter();
    tenants.map(|tenant| (tenant.id.clone(), Arc::from([root.pseudonym_key(&tenant.id, 1)]))).collect()
}

impl House {
    pub(super) fn open(path: &Path) -> Self {
        Self::open_at(path, None)
    }

    pub(super) fn open_at(path: &Path, clock: Option<Clock>) -> Self {
        Self::open_with(path, clock, CONFIG)
    }

    pub(super) fn open_with(path: &Path, clock: Option<Clock>, config: &str) -> Self {
        let root = RootKey::from_file(&[7; 32]).expect("a key");
        let config = Config::parse(config).expect("a configuration");
        let secrets = RootSecrets { check_value: root.check_value(), wrapping_key: root.subkey(b"", "wrap") };
        let options = StoreOptions { cache_bytes: 4 << 20, ..StoreOptions::new(path, secrets) };
        let (store, recovered) = Store::open(options).expect("the store opens");
        let keys = keys(&config);
        let directory = Directory::open(DirectoryOptions { config, store, recovered, keys, arbiters: 2, clock });
        Self { directory: directory.expect("the directory opens") }
    }

    pub(super) fn reload(&self, config: &str) {
        let config = Config::parse(config).expect("a configuration");
        let keys = keys(&config);
        self.directory.reload(config, keys).expect("the configuration is put in force");
    }

    pub(super) fn release(instance: &str) -> ReleaseId {
        ReleaseId { tenant: "acme".parse().expect("a name"), instance: instance.parse().expect("a name") }
    }

    pub(super) fn start(&self, instance: &str, call: &str, from: &str) -> Answer {
        self.start_from("edge-1", instance, call, from)
    }

    pub(super) fn start_from(&self, switch: &str, instance: &str, call: &str, from: &str) -> Answer {
        self.begin(self.recognise(&RULES, switch, instance, call, from))
    }

    /// Recognises the caller, and nothing more.
    pub(super) fn recognise(
        &self,
        rules: &RuleSets<'_>,
        switch: &str,
        instance: &str,
        call: &str,
        from: &str,
    ) -> StartCall {
        let id = Self::release(instance);
        let region = "DE".parse().expect("a region");
        let trunk = Trunk { trust_identity: true, region: &region, domain: "edge-1" };
        let evidence = Evidence {
            user_id: None,
            party: from,
            display: None,
            pai: &[],
            rpid: None,
            privacy: None,
            verstat: None,
            hidden_by_switch: false,
        };
        let caller = identify_by(rules, &evidence, &trunk);
        let generation = if instance == "sales" { Generation::Phone1 } else { Generation::Phone2 };
        let known = caller
            .canonical
            .as_ref()
            .map(|canonical| self.directory.know(&id, generation, canonical).expect("the tenant has a key"));
        let start = Start {
            call: call.parse().expect("a call ID"),
            leg: Leg { switch: switch.parse().expect("a name"), peer: [127, 0, 0, 1].into() },
            direction: Direction::Inbound,
            presentation: caller.presentation,
            source: caller.source,
            assurance: caller.assurance,
            switch_at: None,
            details: None,
        };
        let release = self.directory.store().release(&id).expect("the release is registered");
        let caller = known.map_or(Caller::Withheld, Caller::Known);
        StartCall { release, caller, start: Box::new(start) }
    }

    pub(super) fn begin(&self, call: StartCall) -> Answer {
        let (reply, answer) = waiter();
        self.directory.start_call(call, reply);
        answer
    }

    pub(super) fn happens(&self, call: &str, command: Command) -> Answer {
        let (reply, answer) = waiter();
        self.directory.call_event(&Self::release("support-de").tenant, &id(call), command, reply);
        answer
    }

    pub(super) fn end(&self, call: &str) -> Answer {
        self.end_from("edge-1", call)
    }

    pub(super) fn end_from(&self, switch: &str, call: &str) -> Answer {
        let leg = Leg { switch: switch.parse().expect("a name"), peer: [127, 0, 0, 1].into() };
        let cause = EndCause::Switch("bye".into());
        self.happens(call, Command::End { call: id(call), leg: Some(leg), cause, code: None })
    }

    pub(super) fn set(&self, call: &str, name: &str, value: &str, lifetime: Lifetime) -> Answer {
        self.happens(call, Command::Change(change(Some(call), name, value, lifetime)))
    }

    /// Waits until nothing is active any more.
    pub(super) async fn rests(&self) {
        for _ in 0..2_000 {
            let counts = self.directory.counts();
            // An actor counts its memory out a moment after it has left the directory.
            if counts.active_calls == 0 && counts.session_actors == 0 && counts.session_memory == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("still active: {:?}", self.directory.counts());
    }
}

pub(super) fn change(call: Option<&str>, name: &str, value: &str, lifetime: Lifetime) -> Change {
    Change {
        call: call.map(id),
        set: vec![SetVariable {
            name: name.parse().expect("a name"),
            value: JsonText::check(value, 1_024).expect("a value"),
            lifetime: Some(lifetime),
            ttl: None,
        }],
        delete: Vec::new(),
        condition: None,
        authority: Authority::OfCall,
    }
}

/// Runs a test inside the actor runtime.
pub(super) fn run<F: Future<Output = ()>>(test: impl FnOnce(std::path::PathBuf) -> F) {
    let place = tempfile::tempdir().expect("a temporary directory");
    actix_rt::System::new().block_on(test(place.path().to_owned()));
}

pub(super) fn anna() -> &'static str {
    "sip:+493023125042@example.com"
}

pub(super) fn reason<T: std::fmt::Debug>(answer: Result<T, Refusal>) -> Reason {
    answer.expect_err("a refusal").reason
}
