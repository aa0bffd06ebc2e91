//! What the writer promises to whoever hands something over, and what reads find afterwards.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::*;
use crate::store::families::{LOG, family};

fn alias(key_version: u32) -> AliasKey {
    AliasKey { key_version, rule_version: 1, value: [9; 32] }
}

#[test]
fn everybody_is_told_in_order_with_rising_sequences_and_a_barrier_after_what_came_before() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let house = House::open(place.path());
    let release = house.release("acme");
    let mut a = session(1);
    for ticket in 0..100 {
        let mut write = Write { ticket, ..item(&release, &a) };
        if ticket % 10 != 9 {
            let commit = set(&a);
            write.log = Some(release.seal_commit(&a.id, &commit));
            a.apply(&commit);
        }
        house.writer.submit(write);
    }
    let (mut tickets, mut sequence, mut finished) = (Vec::new(), 0, 0);
    while tickets.len() < 100 {
        match house.told.recv().expect("the writer lives") {
            Told::Written(ticket, given) => {
                assert_eq!(given, sequence + u64::from(ticket % 10 != 9), "ticket {ticket}");
                sequence = given;
                tickets.push(ticket);
            }
            Told::Finished => finished += 1,
            Told::Failed(_, error) => panic!("{error}"),
        }
    }
    assert_eq!(tickets, (0..100).collect::<Vec<_>>());
    house.writer.shutdown();
    finished += house.told.iter().filter(|told| *told == Told::Finished).count();
    let metrics = house.store.metrics();
    assert!((1..=100).contains(&finished));
    assert_eq!(metrics.queue_depth.load(Ordering::Relaxed), 0);
    assert_eq!(metrics.items.load(Ordering::Relaxed), 100);
}

#[test]
fn sessions_with_a_record_are_found_by_the_beginning_of_their_ids() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let house = House::open(place.path());
    let id = |last: u8| SessionId::Caller(std::array::from_fn(|at| if at < 5 { 0xab } else { last }));
    let alike = SessionId::Anonymous([0xab; 16]);
    let release = house.release("acme");
    for id in [id(1), id(2), alike, SessionId::Caller([0xff; 32])] {
        house.record(&release, &Session { id, ..session(1) });
    }
    let foreign = house.release("globex");
    house.record(&foreign, &Session { id: id(3), ..session(1) });
    let found = |start: &str, limit| {
        let (tenant, start) = (release_id("acme").tenant, start.parse().expect("the beginning of a session ID"));
        house.store.sessions_beginning(&tenant, &start, limit).expect("readable")
    };
    assert_eq!(found("abababab", 10), [id(1), id(2)]);
    assert_eq!(found("abababab", 1), [id(1)]);
    assert_eq!(found("ababababab02", 10), [id(2)]);
    assert_eq!(found("ababababab0", 10), [id(1), id(2)], "half a byte counts");
    assert_eq!(found("anon-abababab", 10), [alike]);
    assert_eq!(found("ffffffff", 10), [SessionId::Caller([0xff; 32])]);
    assert_eq!(found("00000000", 10), []);
    house.close();
}

#[test]
fn a_shutdown_writes_what_is_waiting_and_there_is_one_writer_only() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let house = House::open(place.path());
    let (release, a) = (house.release("acme"), session(1));
    let commit = set(&a);
    house.writer.submit(Write { log: Some(release.seal_commit(&a.id, &commit)), ..item(&release, &a) });
    house.writer.shutdown();
    assert_eq!(house.told.recv(), Ok(Told::Written(1, 1)));
    house.writer.submit(item(&release, &a));
    assert_eq!(house.told.iter().filter(|told| *told != Told::Finished).count(), 0, "the ticket was dropped");
    let (sender, _told) = channel();
    assert_eq!(house.store.spawn_writer(Listener(sender)).err(), Some(StoreError::WriterClosed));
}

#[test]
fn a_session_and_its_alias_are_found_again_and_memory_is_asked_before_the_disk() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let house = House::open(place.path());
    let release = house.release("acme");
    let mut a = session(1);
    house.log(&release, &mut a, 3);
    assert_eq!(house.store.load(&tenant("acme"), &a.id), Ok(None), "the log comes first");
    house.record(&release, &a);
    house.write(Write { aliases: vec![AliasChange::Put(alias(1))], ..item(&release, &a) });
    let known = (release_id("acme"), a.clone());
    assert_eq!(house.store.load_cached(&tenant("acme"), &a.id), Ok(Cached::Known(Some(known.clone()))));
    assert_eq!(house.store.alias_cached(&tenant("acme"), &alias(1)), Ok(Cached::Known(Some(a.id))));
    assert_eq!(house.store.load(&tenant("other"), &a.id), Ok(None));
    house.close();

    let house = House::open(place.path());
    assert_eq!(house.store.load_cached(&tenant("acme"), &a.id), Ok(Cached::WouldBlock));
    assert_eq!(house.store.load(&tenant("acme"), &a.id), Ok(Some(known.clone())));
    assert_eq!(house.store.load_cached(&tenant("acme"), &a.id), Ok(Cached::Known(Some(known))));
    assert_eq!(house.store.alias(&tenant("acme"), &alias(1)), Ok(Some(a.id)));
    let aliases = vec![AliasChange::Put(alias(2)), AliasChange::Delete(alias(1))];
    house.write(Write { aliases, ..item(&release, &a) });
    assert_eq!(house.store.alias(&tenant("acme"), &alias(1)), Ok(None));
    assert_eq!(house.store.alias(&tenant("acme"), &alias(2)), Ok(Some(a.id)));
    assert_eq!(house.store.alias(&tenant("other"), &alias(2)), Ok(None));
}

#[test]
fn a_watcher_reads_the_log_of_its_release_from_where_it_was() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let house = House::open(place.path());
    let (acme, other) = (house.release("acme"), house.release("other"));
    let (mut a, mut b) = (session(1), session(2));
    house.log(&acme, &mut a, 2);
    house.log(&other, &mut b, 2);
    house.log(&acme, &mut a, 2);
    house.write(Write { forget: true, ..item(&acme, &a) });
    let read_of = |of, after, limit| {
        let part = house.store.read_log(&acme, of, after, limit).expect("the log reads");
        let records = part.records.iter().map(|record| (record.sequence, record.commit.ordinal)).collect::<Vec<_>>();
        (records, part.read_to)
    };
    let read = |after, limit| read_of(None, after, limit);
    assert_eq!(read(0, 9), (vec![(1, 1), (2, 2), (5, 3), (6, 4)], Some(7)));
    assert_eq!(read(2, 1), (vec![(5, 3)], Some(5)));
    assert_eq!(read(6, 9), (vec![], Some(7)));
    assert_eq!(read(7, 9), (vec![], None));
    assert_eq!(read_of(Some(&a.id), 4, 9), (vec![(5, 3), (6, 4)], Some(7)));
    assert_eq!(read_of(Some(&b.id), 0, 9), (vec![], Some(7)), "it is not of this release");
}

#[test]
fn a_watcher_passes_over_what_others_wrote_a_part_at_a_time() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let house = House::open(place.path());
    let (acme, other) = (house.release("acme"), house.release("other"));
    let mut a = session(1);
    house.log(&acme, &mut a, 1);
    let db = &house.store.inner.db;
    let log = family(db, LOG).expect("is there");
    let mut batch = WriteBatch::default();
    for sequence in 2..=45_001 {
        batch.put_cf(log, layout::log_key(sequence, other.tenant(), other.number()), "is not opened");
    }
    let commit = acme.seal_commit(&a.id, &set(&a));
    batch.put_cf(log, layout::log_key(45_002, acme.tenant(), acme.number()), &commit.value);
    sync_write(db, batch).expect("is written");
    let (mut after, mut found, mut reads) = (1, Vec::new(), 0);
    loop {
        let part = house.store.read_log(&acme, None, after, 500).expect("the log reads");
        found.extend(part.records.iter().map(|record| record.sequence));
        reads += 1;
        let Some(read_to) = part.read_to else { break };
        assert!(read_to > after, "it goes on");
        after = read_to;
    }
    assert_eq!((found, after), (vec![45_002], 45_002));
    assert!(reads > 2, "no read takes long");
}

#[test]
fn the_log_is_trimmed_behind_records_and_window_and_a_watcher_is_told() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let fast = || StoreOptions {
        log_window: Duration::from_millis(1),
        tick: Duration::from_millis(10),
        ..options(place.path())
    };
    let house = House::open_with(fast());
    let release = house.release("acme");
    let (mut a, mut b) = (session(1), session(2));
    house.log(&release, &mut a, 5);
    house.log(&release, &mut b, 1);
    house.record(&release, &a);
    house.log(&release, &mut a, 1);
    assert_eq!(house.store.oldest_unrecorded(Duration::ZERO), [(tenant("acme"), b.id), (tenant("acme"), a.id)]);
    assert_eq!(house.store.oldest_unrecorded(Duration::from_secs(3_600)), []);
    let patience = Instant::now() + Duration::from_secs(20);
    let trimmed = loop {
        match house.store.read_log(&release, None, 0, 1) {
            Err(StoreError::Trimmed { trimmed }) => break trimmed,
            _ if Instant::now() > patience => panic!("the log is not trimmed"),
            _ => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    assert!(trimmed <= 6, "6 is in no record: {trimmed}");
    let kept = house.store.read_log(&release, None, 5, 9).expect("reads").records.first().map(|record| record.sequence);
    assert_eq!(kept, Some(6));
    house.crash();
    let house = House::open_with(fast());
    assert_eq!(house.found(&a).map(|found| &found.session), Some(&a));
    assert_eq!(house.found(&b).map(|found| &found.session), Some(&b));
    house.record(&release, &a);
    house.record(&release, &b);
    house.close();
    let house = House::open(place.path());
    assert_eq!(house.recovered.sessions, []);
    assert_eq!(house.log(&release, &mut a, 1), 8, "no sequence is used again");
}

#[test]
fn after_a_failed_write_nothing_is_written_any_more_and_everybody_is_told() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let small = place.path().join("small");
    std::fs::create_dir(&small).expect("a directory");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "none"]).arg(&small).status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("skipped: needs the right to mount a small tmpfs");
        return;
    }
    let fallen = Arc::new(AtomicUsize::new(0));
    let count = fallen.clone();
    let on_failure: OnFailure = Arc::new(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let house = House::open_with(StoreOptions { on_failure: Some(on_failure), ..options(&small) });
    let release = house.release("acme");
    let mut a = session(1);
    house.log(&release, &mut a, 3);
    let filler = vec![0; 1 << 20];
    let fill = (0..24).take_while(|n| std::fs::write(small.join(format!("filler-{n}")), &filler).is_ok()).count();
    assert!(fill < 24);
    let mut answered = 3;
    let failure = loop {
        let commit = set(&a);
        house.writer.submit(Write { log: Some(release.seal_commit(&a.id, &commit)), ..item(&release, &a) });
        match house.told.iter().find(|told| *told != Told::Finished) {
            Some(Told::Written(..)) => {
                a.apply(&commit);
                answered += 1;
                assert!(answered < 1_000_000, "the disk never gets full");
            }
            Some(Told::Failed(1, error)) => break error,
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(failure, StoreError::Database(_)), "{failure}");
    for n in 0..fill {
        std::fs::remove_file(small.join(format!("filler-{n}"))).expect("a filler");
    }
    house.writer.submit(Write { ticket: 2, ..item(&release, &a) });
    let later = house.told.iter().find(|told| *told != Told::Finished);
    assert!(matches!(later, Some(Told::Failed(2, StoreError::Poisoned(_)))), "{later:?}");
    assert!(house.store.failure().is_some());
    assert_eq!(fallen.load(Ordering::SeqCst), 1);
    drop(release);
    house.close();

    let house = House::open(&small);
    assert_eq!(house.found(&a).map(|found| found.session.ordinal), Some(answered), "nothing answered is lost");
    house.close();
    let _ = Command::new("umount").arg(&small).status();
}

/// A listener that breaks at its second item.
struct Breaking(Sender<Told>);

impl Group for Breaking {
    type Ticket = Sender<Told>;

    fn written(&mut self, ticket: Sender<Told>, sequence: u64) {
        assert!(sequence < 2, "breaks");
        ticket.send(Told::Written(0, sequence)).expect("the test listens");
    }

    fn failed(&mut self, _ticket: Sender<Told>, reason: &StoreError) {
        self.0.send(Told::Failed(0, reason.clone())).expect("the test listens");
    }

    fn finished(&mut self) {}
}

#[test]
fn a_writer_that_panics_poisons_the_store_and_lets_nobody_wait_for_ever() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let (store, _) = Store::open(options(place.path())).expect("the store opens");
    let (sender, _failed) = channel();
    let writer = store.spawn_writer(Breaking(sender)).expect("the writer starts");
    let release = store.release(&release_id("acme")).expect("the release is registered");
    let mut a = session(1);
    let mut answers = Vec::new();
    for _ in 0..3 {
        let commit = set(&a);
        let (ticket, answer) = channel();
        let log = Some(release.seal_commit(&a.id, &commit));
        let Write { release, session, record, forget, aliases, .. } = item(&release, &a);
        writer.submit(Write { release, session, log, record, forget, aliases, ticket });
        a.apply(&commit);
        answers.push(answer.recv().ok());
    }
    assert_eq!(answers, [Some(Told::Written(0, 1)), None, None]);
    writer.shutdown();
    assert!(store.failure().is_some());
}

#[test]
fn what_was_written_right_before_a_crash_counts_against_the_bytes_of_the_log() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let with_tick = |tick| StoreOptions { log_bytes: 2_000, tick, ..options(place.path()) };
    let often = Duration::from_millis(10);
    let house = House::open_with(with_tick(often));
    let release = house.release("acme");
    let mut a = session(1);
    house.log(&release, &mut a, 2);
    house.record(&release, &a);
    std::thread::sleep(often * 10);
    house.log(&release, &mut a, 1);
    house.crash();
    // Never noted.
    let house = House::open_with(with_tick(Duration::from_secs(3_600)));
    house.log(&house.release("acme"), &mut a, 50);
    house.crash();
    let house = House::open_with(with_tick(often));
    let release = house.release("acme");
    house.record(&release, &a);
    let is_trimmed = || matches!(house.store.read_log(&release, None, 0, 1), Err(StoreError::Trimmed { .. }));
    until("the log is trimmed", is_trimmed);
}

/// The files of the log by their names: level, and the sequences they hold.
fn log_files(house: &House) -> BTreeMap<String, (i32, u64, u64)> {
    let sequence = |key: Option<Vec<u8>>| layout::read_u64(&key.expect("a key"), 0).expect("a sequence");
    let files = house.store.inner.db.live_files().expect("RocksDB tells");
    let of_log = files.into_iter().filter(|file| file.column_family_name == LOG);
    of_log.map(|file| (file.name, (file.level, sequence(file.start_key), sequence(file.end_key)))).collect()
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let patience = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < patience, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn files_of_the_log_are_written_once_and_go_as_a_whole_when_nothing_in_them_is_needed() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let house = House::open_with(StoreOptions {
        log_window: Duration::from_millis(1),
        tick: Duration::from_millis(10),
        ..options(place.path())
    });
    let releases = ["acme", "other"].map(|tenant| house.release(tenant));
    let (mut a, mut b) = (session(1), session(2));
    let flush =
        || house.store.inner.db.flush_cf(family(&house.store.inner.db, LOG).expect("is there")).expect("flushed");
    let mut written = BTreeMap::new();
    for _ in 0..8 {
        house.log(&releases[0], &mut a, 3);
        house.log(&releases[1], &mut b, 3);
        flush();
        written.extend(log_files(&house));
    }
    until("the files are moved", || log_files(&house).values().all(|(level, ..)| *level == 1));
    let span = |(_, first, last): &(i32, u64, u64)| (*first, *last);
    for (name, file) in log_files(&house) {
        assert_eq!(written.get(&name).map(span), Some(span(&file)), "{name} was written a second time");
    }

    // Nothing may go before it is in a record.
    house.store.remove_trimmed().expect("nothing is removed");
    let first =
        house.store.read_log(&releases[0], None, 0, 1).expect("reads").records.first().map(|record| record.sequence);
    assert_eq!(first, Some(1));
    house.record(&releases[0], &a);
    house.record(&releases[1], &b);
    let trimmed = || house.store.inner.removable.load(Ordering::SeqCst);
    until("the log is trimmed", || trimmed() >= 48);
    until("what is not needed is removed", || {
        house.store.remove_trimmed().expect("it is removed");
        log_files(&house).values().all(|(_, _, last)| *last >= trimmed())
    });
    house.crash();

    let house = House::open(place.path());
    assert_eq!(house.recovered.sessions, []);
    assert_eq!(house.recovered.damaged, []);
    assert_eq!(house.log(&house.release("acme"), &mut a, 1), 49, "no sequence is used again");
}
