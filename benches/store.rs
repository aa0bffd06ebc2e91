//! The pieces of the store: sealing, a group of the writer, a record read from memory.
//!
//! `cargo bench --bench store` prints them; the time of a group holds one sync of this machine's disk.
#![expect(clippy::expect_used, clippy::panic, reason = "a benchmark that cannot run has to say so")]

use std::hint::black_box;
use std::sync::mpsc::{Sender, channel};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use recalld::domain::ids::{ReleaseId, SessionId};
use recalld::domain::session::{Commit, Effect, Lifetime, Session};
use recalld::domain::time::Timestamp;
use recalld::domain::value::JsonText;
use recalld::store::{Group, Record, RootSecrets, Store, StoreError, StoreOptions, Write};

struct Listener(Sender<()>);

impl Group for Listener {
    type Ticket = ();

    fn written(&mut self, (): (), _sequence: u64) {
        let _ = self.0.send(());
    }

    fn failed(&mut self, (): (), reason: &StoreError) {
        panic!("not written: {reason}");
    }

    fn finished(&mut self) {}
}

/// A commit whose sealed form has about 100 bytes.
fn commit(ordinal: u64) -> Commit {
    let value = JsonText::check("\"de\"", 64).expect("a string");
    let name = "language".parse().expect("a name");
    let effect = Effect::VariableSet { call: None, name, value, lifetime: Lifetime::User, ttl_end: None };
    Commit {
        ordinal,
        revision: ordinal,
        at: Timestamp::from_unix_millis(1_790_000_000_000),
        activity: true,
        effects: vec![effect],
    }
}

fn session(number: u32) -> Session {
    let mut id = [0; 32];
    id[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b1).to_be_bytes());
    let instance = "support-de".parse().expect("a name");
    let mut session = Session::unopened(SessionId::Caller(id), instance, Timestamp::from_unix_millis(1));
    session.apply(&commit(1));
    session
}

fn store(criterion: &mut Criterion) {
    let place = tempfile::tempdir_in(".").expect("a temporary directory");
    let root = RootSecrets { check_value: [1; 16], wrapping_key: [1; 32].into() };
    let (store, _) = Store::open(StoreOptions::new(place.path(), root)).expect("the store opens");
    let (sender, told) = channel();
    let writer = store.spawn_writer(Listener(sender)).expect("the writer starts");
    let id = ReleaseId { tenant: "acme".parse().expect("a name"), instance: "support-de".parse().expect("a name") };
    let release = store.release(&id).expect("the release is registered");
    let (one, log) = (session(0), commit(1));

    criterion.bench_function("seal one commit", |bencher| {
        bencher.iter(|| black_box(release.seal_commit(&one.id, black_box(&log))));
    });
    let sealed = release.seal_commit(&one.id, &log);
    criterion.bench_function("open one commit", |bencher| {
        bencher.iter(|| black_box(release.read_commit(black_box(&sealed))));
    });
    criterion.bench_function("seal one record", |bencher| {
        bencher.iter(|| black_box(release.seal_record(black_box(&one))));
    });

    let mut group = criterion.benchmark_group("write a synced group");
    for (items, records) in [(1, false), (400, false), (400, true), (4_000, false)] {
        group.throughput(Throughput::Elements(items));
        let what = if records { "log and record" } else { "log" };
        let mut number = 0;
        group.bench_function(format!("{items} items, {what}"), |bencher| {
            bencher.iter(|| {
                for _ in 0..items {
                    number += 1;
                    let session = session(number);
                    writer.submit(Write {
                        release: release.numbers(),
                        session: session.id,
                        log: Some(release.seal_commit(&session.id, &log)),
                        record: records.then(|| Record {
                            sealed: release.seal_record(&session),
                            has_active_call: false,
                            expires: None,
                        }),
                        forget: false,
                        aliases: Vec::new(),
                        ticket: (),
                    });
                }
                for _ in 0..items {
                    told.recv().expect("the writer lives");
                }
            });
        });
    }
    group.finish();

    criterion.bench_function("load one record from memory", |bencher| {
        let known = session(1).id;
        bencher.iter(|| black_box(store.load_cached(&id.tenant, black_box(&known))));
    });
    writer.shutdown();
}

criterion_group!(benches, store);
criterion_main!(benches);
