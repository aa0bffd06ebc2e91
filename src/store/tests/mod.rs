//! The promises of the store, on a real RocksDB in temporary directories.

mod cache;
mod damage;
mod keys;
mod recovery;
mod reroot;
mod writing;

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;
use crate::domain::caller::{Assurance, CallerSource, Presentation};
use crate::domain::ids::TenantId;
use crate::domain::session::{Commit, Direction, Effect, Leg, Lifetime, Session};
use crate::domain::time::Timestamp;
use crate::domain::value::JsonText;

/// What the writer told.
#[derive(Debug, Clone, PartialEq)]
enum Told {
    Written(u64, u64),
    Failed(u64, StoreError),
    Finished,
}

struct Listener(Sender<Told>);

impl Group for Listener {
    type Ticket = u64;

    fn written(&mut self, ticket: u64, sequence: u64) {
        self.0.send(Told::Written(ticket, sequence)).expect("the test listens");
    }

    fn failed(&mut self, ticket: u64, reason: &StoreError) {
        self.0.send(Told::Failed(ticket, reason.clone())).expect("the test listens");
    }

    fn finished(&mut self) {
        self.0.send(Told::Finished).expect("the test listens");
    }
}

fn root(key: u8) -> RootSecrets {
    RootSecrets { check_value: [key; 16], wrapping_key: Zeroizing::new([key; 32]) }
}

fn options(path: &Path) -> StoreOptions {
    StoreOptions { cache_bytes: 4 << 20, ..StoreOptions::new(path, root(1)) }
}

/// An open store with a writer and somebody who listens to it.
struct House {
    store: Store,
    recovered: Recovered,
    writer: WriterHandle<u64>,
    told: Receiver<Told>,
}

impl House {
    fn open(path: &Path) -> Self {
        Self::open_with(options(path))
    }

    fn open_with(options: StoreOptions) -> Self {
        let (store, recovered) = Store::open(options).expect("the store opens");
        let (sender, told) = channel();
        let writer = store.spawn_writer(Listener(sender)).expect("the writer starts");
        Self { store, recovered, writer, told }
    }

    fn release(&self, tenant: &str) -> Arc<Release> {
        self.store.release(&release_id(tenant)).expect("the release is registered")
    }

    /// Writes one item and waits for it; gives its sequence.
    fn write(&self, write: Write<u64>) -> u64 {
        let ticket = write.ticket;
        self.writer.submit(write);
        loop {
            match self.told.recv().expect("the writer lives") {
                Told::Written(told, sequence) if told == ticket => return sequence,
                Told::Failed(_, error) => panic!("not written: {error}"),
                _ => {}
            }
        }
    }

    /// The next commits of a session, each one logged.
    fn log(&self, release: &Arc<Release>, session: &mut Session, commits: usize) -> u64 {
        let mut sequence = 0;
        for _ in 0..commits {
            let commit = set(session);
            let log = Some(release.seal_commit(&session.id, &commit));
            session.apply(&commit);
            sequence = self.write(Write { log, ..item(release, session) });
        }
        sequence
    }

    fn record(&self, release: &Arc<Release>, session: &Session) -> u64 {
        self.write(Write { record: Some(record(release, session)), ..item(release, session) })
    }

    fn found(&self, session: &Session) -> Option<&RecoveredSession> {
        self.recovered.sessions.iter().find(|found| found.session.id == session.id)
    }

    /// Ends the writer and closes the files.
    fn close(self) {
        self.writer.shutdown();
    }

    /// Closes the files without telling the writer to note anything: what a crash of the program leaves,
    /// for everything that was answered.
    fn crash(self) {
        let Self { store, writer, .. } = self;
        // A writer that fails notes nothing at its end.
        let _ = store.inner.failure.set(StoreError::WriterClosed);
        writer.shutdown();
    }
}

fn release_id(tenant: &str) -> ReleaseId {
    ReleaseId { tenant: tenant.parse().expect("a name"), instance: "support-de".parse().expect("a name") }
}

fn tenant(name: &str) -> TenantId {
    name.parse().expect("a name")
}

fn session(number: u8) -> Session {
    let instance = "support-de".parse().expect("a name");
    Session::unopened(SessionId::Caller([number; 32]), instance, Timestamp::from_unix_millis(1))
}

fn item(release: &Arc<Release>, session: &Session) -> Write<u64> {
    Write {
        release: release.numbers(),
        session: session.id,
        log: None,
        record: None,
        forget: false,
        aliases: Vec::new(),
        ticket: 1,
    }
}

fn record(release: &Release, session: &Session) -> Record {
    Record { sealed: release.seal_record(session), has_active_call: !session.calls.is_empty(), expires: None }
}

fn commit(session: &Session, effects: Vec<Effect>) -> Commit {
    let ordinal = session.ordinal + 1;
    Commit { ordinal, revision: ordinal, at: Timestamp::from_unix_millis(1_000), activity: true, effects }
}

/// A commit that sets a variable to its ordinal.
fn set(session: &Session) -> Commit {
    let value = JsonText::check(&(session.ordinal + 1).to_string(), 64).expect("a number");
    let name = "zeta-variable".parse().expect("a name");
    commit(session, vec![Effect::VariableSet { call: None, name, value, lifetime: Lifetime::User, ttl_end: None }])
}

/// A commit that starts a call.
fn start(session: &Session) -> Commit {
    let leg = Leg { switch: "edge-1".parse().expect("a name"), peer: [192, 0, 2, 7].into() };
    let call = "1@192.0.2.7".parse().expect("a call ID");
    commit(
        session,
        vec![Effect::CallStarted {
            call,
            leg,
            direction: Direction::Inbound,
            presentation: Presentation::Allowed,
            source: CallerSource::From,
            assurance: Assurance::None,
            switch_at: None,
            reopened: false,
        }],
    )
}
