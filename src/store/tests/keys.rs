//! Keys change, and nothing that was answered becomes unreadable.

use rocksdb::IteratorMode;

use super::families::{ALIASES, LOG, SESSIONS, family};
use super::seal::key_version;
use super::*;

const SLOWLY: usize = 10_000;

fn aliases(versions: &[(u32, u8)]) -> Vec<AliasChange> {
    let key =
        |(key_version, value): &(u32, u8)| AliasKey { key_version: *key_version, rule_version: 1, value: [*value; 32] };
    versions.iter().map(|entry| AliasChange::Put(key(entry))).collect()
}

fn versions(store: &Store, name: &str) -> Vec<u32> {
    let versions = store.pseudonym_versions(&tenant(name)).expect("there are versions");
    versions.iter().map(|known| known.version).collect()
}

fn count(store: &Store, name: &str, version: Option<u32>) -> u64 {
    let counts = store.count_aliases(&tenant(name), version, &mut |_| true).expect("they are counted");
    counts.expect("it was not broken off").values().sum()
}

/// With which key versions the records and the log records of a tenant are sealed.
fn sealed_with(house: &House, release: &Release) -> (Vec<u32>, Vec<u32>) {
    let db = &house.store.inner.db;
    let all = |name, tenant_of: fn(&[u8]) -> Option<u32>| {
        let entries = db.iterator_cf(family(db, name).expect("is there"), IteratorMode::Start);
        let all = entries.map(|entry| entry.expect("reads"));
        all.filter(move |(key, _)| tenant_of(key) == Some(release.tenant())).map(|(_, value)| value)
    };
    let records = all(SESSIONS, |key| layout::read_u32(key, 0));
    let log = all(LOG, |key| layout::read_log_key(key).map(|(_, tenant, _)| tenant));
    let records = records.filter_map(|value| key_version(layout::read_record_value(&value)?.1)).collect();
    let log = log.filter_map(|value| key_version(layout::read_log_value(&value)?.1)).collect();
    (records, log)
}

fn step(store: &Store) -> Result<Rewritten, StoreError> {
    store.rewrite_some(&mut |_, _| Ok(()))
}

/// Goes on until nothing is left to do.
fn rewrite(store: &Store) {
    for _ in 0..SLOWLY {
        if step(store).expect("a step") == Rewritten::Nothing {
            return;
        }
    }
    panic!("it never ends");
}

#[test]
fn versions_of_a_pseudonym_key_are_durable_and_one_tenants_do_not_touch_anothers() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let house = House::open(place.path());
    assert_eq!(versions(&house.store, "acme"), [1]);
    assert_eq!(
        house.store.add_pseudonym_version(&tenant("acme")),
        Err(StoreError::UnknownTenant(tenant("acme"))),
        "a name that was mistyped"
    );
    let (acme, other) = (house.release("acme"), house.release("other"));
    assert_eq!(house.store.add_pseudonym_version(&tenant("acme")), Ok(2));
    assert_eq!(house.store.add_pseudonym_version(&tenant("acme")), Ok(3));
    let (a, b) = (session(1), session(2));
    house.write(Write { aliases: aliases(&[(1, 1), (1, 2), (2, 3), (3, 4)]), ..item(&acme, &a) });
    house.write(Write { aliases: aliases(&[(1, 1), (2, 2)]), ..item(&other, &b) });
    house.crash();

    let house = House::open(place.path());
    assert_eq!((versions(&house.store, "acme"), versions(&house.store, "other")), (vec![3, 2, 1], vec![1]));
    assert_eq!((count(&house.store, "acme", Some(1)), count(&house.store, "acme", None)), (2, 4));
    assert!(house.store.retire_pseudonym_version(&tenant("acme"), 3).is_err(), "the newest stays");
    assert!(house.store.retire_pseudonym_version(&tenant("acme"), 4).is_err());
    house.store.retire_pseudonym_version(&tenant("acme"), 1).expect("is retired");
    house.crash();

    let house = House::open(place.path());
    assert_eq!(versions(&house.store, "acme"), [3, 2]);
    assert_eq!((count(&house.store, "acme", Some(1)), count(&house.store, "acme", None)), (0, 2));
    assert_eq!(count(&house.store, "other", None), 2);
    assert_eq!(house.store.tenants(), [tenant("acme"), tenant("other")]);
    assert_eq!(house.store.add_pseudonym_version(&tenant("acme")), Ok(4), "no version is given twice");
}

#[test]
fn a_count_tells_how_far_it_is_and_can_be_broken_off() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let house = House::open(place.path());
    let release = house.release("acme");
    let db = &house.store.inner.db;
    let mut batch = WriteBatch::default();
    for number in 0..140_000_u32 {
        let mut value = [0; 32];
        value[..4].copy_from_slice(&number.to_be_bytes());
        let key = layout::alias_key(release.tenant(), 1 + number % 2, 1, &value);
        batch.put_cf(family(db, ALIASES).expect("is there"), key, [1; 32]);
    }
    sync_write(db, batch).expect("is written");
    let mut told = Vec::new();
    let counts = house.store.count_aliases(&tenant("acme"), None, &mut |so_far| {
        told.push(so_far);
        true
    });
    assert_eq!(counts, Ok(Some(AliasCounts::from([((1, 1), 70_000), ((2, 1), 70_000)]))));
    assert_eq!(told, [65_536, 131_072]);
    assert_eq!(house.store.count_aliases(&tenant("acme"), Some(1), &mut |_| false), Ok(None));
}

#[test]
fn a_rotated_data_key_seals_at_once_and_the_old_one_goes_when_nothing_needs_it() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let house = House::open(place.path());
    let (acme, other) = (house.release("acme"), house.release("other"));
    let mut sessions: Vec<_> = (1..=120).map(session).collect();
    for session in &mut sessions {
        house.log(&acme, session, 2);
        house.record(&acme, session);
    }
    let mut foreign = session(200);
    house.log(&other, &mut foreign, 1);
    let on_its_way = acme.seal_commit(&sessions[0].id, &set(&sessions[0]));

    assert_eq!(house.store.rotate_data_key(&tenant("acme")), Ok(2));
    let state = house.store.data_key_versions(&tenant("acme")).expect("there are keys");
    assert_eq!((state.current, state.older), (2, vec![1]));
    house.log(&acme, &mut sessions[1], 1);
    rewrite(&house.store);
    assert!(sealed_with(&house, &acme).0.contains(&1), "what is on its way is awaited first");

    let commit = set(&sessions[0]);
    house.write(Write { log: Some(on_its_way), ..item(&acme, &sessions[0]) });
    sessions[0].apply(&commit);
    rewrite(&house.store);
    let (records, log) = sealed_with(&house, &acme);
    assert_eq!((records.len(), log.len()), (120, 242));
    assert!(records.iter().chain(&log).all(|version| *version == 2));
    assert_eq!(sealed_with(&house, &other), (vec![], vec![1]));
    let state = house.store.data_key_versions(&tenant("acme")).expect("there are keys");
    assert_eq!((state.current, state.older, state.damaged), (2, vec![], 0));
    assert_eq!(step(&house.store), Ok(Rewritten::Nothing));
    assert_eq!(house.store.read_log(&acme, None, 0, 999).map(|part| part.records.len()), Ok(242));
    house.crash();

    let house = House::open(place.path());
    assert_eq!(house.recovered.damaged, []);
    let file = house.store.inner.registry.read().data_keys(&tenant("acme")).expect("there are keys").0;
    assert_eq!(file.ring().versions().collect::<Vec<_>>(), [2], "the old key is not in the file any more");
    for session in &sessions[2..] {
        let stored = house.store.load(&tenant("acme"), &session.id).expect("it opens").expect("it is there");
        assert_eq!(stored.1, *session);
    }
    for session in &sessions[..2] {
        assert_eq!(house.found(session).map(|found| &found.session), Some(session), "the log is replayed");
    }
}

#[test]
fn a_key_is_destroyed_only_after_that_was_told() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let house = House::open(place.path());
    let acme = house.release("acme");
    let mut a = session(1);
    house.log(&acme, &mut a, 1);
    house.record(&acme, &a);
    assert_eq!(house.store.rotate_data_key(&tenant("acme")), Ok(2));
    let directory = house.store.inner.registry.read().data_keys(&tenant("acme")).expect("there are keys").1;
    let in_file = || {
        let keys = directory.load(acme.tenant(), &tenant("acme")).expect("opens").expect("is there");
        keys.into_iter().map(|(version, _)| version).collect::<Vec<_>>()
    };
    let mut told = Vec::new();
    for refusals in (0..2).rev() {
        for _ in 0..SLOWLY {
            let step = house.store.rewrite_some(&mut |tenant, versions| {
                told.push((tenant.clone(), versions.to_vec(), in_file()));
                if refusals > 0 { Err(StoreError::WriterClosed) } else { Ok(()) }
            });
            match step {
                Ok(Rewritten::Some) => {}
                Ok(Rewritten::Nothing) => break,
                Err(error) => {
                    assert_eq!((error, in_file()), (StoreError::WriterClosed, vec![1, 2]));
                    break;
                }
            }
        }
    }
    let once = (tenant("acme"), vec![1], vec![1, 2]);
    assert_eq!(told, [once.clone(), once]);
    assert_eq!(in_file(), [2]);
}

#[test]
fn a_version_that_the_key_file_has_already_is_not_given_again() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let house = House::open(place.path());
    let acme = house.release("acme");
    let mut a = session(1);
    house.log(&acme, &mut a, 1);
    house.record(&acme, &a);
    let directory = house.store.inner.registry.read().data_keys(&tenant("acme")).expect("there are keys").1;
    let mut keys = directory.load(acme.tenant(), &tenant("acme")).expect("opens").expect("is there");
    keys.push((2, Zeroizing::new([2; 32])));
    directory.store(acme.tenant(), &tenant("acme"), &keys).expect("is stored");
    assert_eq!(house.store.rotate_data_key(&tenant("acme")), Ok(3));
    house.log(&acme, &mut a, 1);
    house.record(&acme, &a);
    house.crash();
    let house = House::open(place.path());
    assert_eq!(house.store.load(&tenant("acme"), &a.id).map(|found| found.map(|found| found.1)), Ok(Some(a)));
}

#[test]
fn a_rotation_goes_on_after_a_crash_wherever_it_was() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let house = House::open(place.path());
    let acme = house.release("acme");
    let mut sessions: Vec<_> = (1..=200).map(session).collect();
    for session in &mut sessions {
        house.log(&acme, session, 1);
        house.record(&acme, session);
    }
    drop(acme);
    assert_eq!(house.store.rotate_data_key(&tenant("acme")), Ok(2));
    house.crash();
    for steps in [0, 1, 2, 5] {
        let house = House::open(place.path());
        for _ in 0..steps {
            step(&house.store).expect("a step");
        }
        for session in &sessions {
            assert!(house.store.load(&tenant("acme"), &session.id).is_ok_and(|found| found.is_some()));
        }
        house.crash();
    }
    // A second rotation before the first one is finished.
    let house = House::open(place.path());
    assert_eq!(house.store.rotate_data_key(&tenant("acme")), Ok(3));
    let acme = house.release("acme");
    rewrite(&house.store);
    let (records, log) = sealed_with(&house, &acme);
    assert!(records.iter().chain(&log).all(|version| *version == 3));
    assert_eq!(house.store.data_key_versions(&tenant("acme")).map(|state| state.older), Ok(vec![]));
}

#[test]
fn a_record_written_during_the_rewriting_is_never_replaced_by_an_older_one() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let house = House::open(place.path());
    let acme = house.release("acme");
    let mut sessions: Vec<_> = (1..=100).map(session).collect();
    for session in &mut sessions {
        house.log(&acme, session, 1);
        house.record(&acme, session);
    }
    for _ in 0..3 {
        house.store.rotate_data_key(&tenant("acme")).expect("is rotated");
        let store = house.store.clone();
        std::thread::scope(|scope| {
            scope.spawn(move || rewrite(&store));
            for _ in 0..3 {
                for session in &mut sessions {
                    house.log(&acme, session, 1);
                    house.record(&acme, session);
                }
            }
        });
        rewrite(&house.store);
        for session in &sessions {
            let stored = house.store.load(&tenant("acme"), &session.id).expect("it opens").expect("it is there");
            assert_eq!(stored.1, *session);
        }
    }
    let newest = house.store.data_key_versions(&tenant("acme")).expect("there are keys");
    assert_eq!((newest.current, newest.older), (4, vec![]));
    let (records, log) = sealed_with(&house, &acme);
    assert!(records.iter().chain(&log).all(|version| *version == 4));
}

#[test]
fn a_damaged_record_keeps_the_old_key_and_stops_nothing() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let house = House::open(place.path());
    let acme = house.release("acme");
    let (mut a, mut b) = (session(1), session(2));
    for session in [&mut a, &mut b] {
        house.log(&acme, session, 1);
        house.record(&acme, session);
    }
    let db = &house.store.inner.db;
    let key = layout::session_key(acme.tenant(), &a.id);
    let sessions = family(db, SESSIONS).expect("is there");
    let whole = db.get_cf(sessions, key).expect("reads").expect("is there");
    let mut damaged = whole.clone();
    *damaged.last_mut().expect("bytes") ^= 1;
    db.put_cf(sessions, key, damaged).expect("is written");

    house.store.rotate_data_key(&tenant("acme")).expect("is rotated");
    rewrite(&house.store);
    let state = house.store.data_key_versions(&tenant("acme")).expect("there are keys");
    assert_eq!((state.current, state.older, state.damaged), (2, vec![1], 1));
    assert!(matches!(house.store.load(&tenant("acme"), &a.id), Err(StoreError::Damaged { .. })));
    assert!(house.store.load(&tenant("acme"), &b.id).is_ok_and(|found| found.is_some()));
    house.store.inner.rewriting.look_again();
    assert_eq!(step(&house.store), Ok(Rewritten::Some), "it is looked again");
    let state = house.store.data_key_versions(&tenant("acme")).expect("there are keys");
    assert_eq!((state.older, state.damaged), (vec![1], 1), "until it is known better");
    rewrite(&house.store);
    let state = house.store.data_key_versions(&tenant("acme")).expect("there are keys");
    assert_eq!((state.older, state.damaged), (vec![1], 1), "it is damaged still");
    // Restored, it opens, and the rotation is finished when it is looked the next time.
    db.put_cf(sessions, key, whole).expect("is written");
    assert!(house.store.load(&tenant("acme"), &a.id).is_ok_and(|found| found.is_some()));
    rewrite(&house.store);
    assert_eq!(house.store.data_key_versions(&tenant("acme")).map(|state| state.older), Ok(vec![1]));
    house.store.inner.rewriting.look_again();
    rewrite(&house.store);
    let state = house.store.data_key_versions(&tenant("acme")).expect("there are keys");
    assert_eq!((state.older, state.damaged), (vec![], 0));
    house.close();
    let house = House::open(place.path());
    assert_eq!(house.store.load(&tenant("acme"), &a.id).map(|found| found.map(|found| found.1)), Ok(Some(a)));
}
