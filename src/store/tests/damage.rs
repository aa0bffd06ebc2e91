//! What is refused at the start, and how far damage reaches.

use std::collections::BTreeMap;

use super::families::{LOG, META, SESSIONS, family};
use super::*;
use crate::store::meta::{FORMAT, Progress};

/// Every file below a directory with its content.
fn files(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(path).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), std::fs::read(&path).expect("a file"));
        }
    }
    found
}

#[test]
fn a_wrong_root_key_is_refused_and_nothing_is_written() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let house = House::open(place.path());
    let mut a = session(1);
    house.log(&house.release("acme"), &mut a, 1);
    house.close();
    let before = files(place.path());
    let refused = Store::open(StoreOptions { root: root(2), ..options(place.path()) }).err();
    assert_eq!(refused, Some(StoreError::WrongRootKey));
    assert_eq!(files(place.path()), before);
    // The database itself knows its key too, should the file beside it come from elsewhere.
    std::fs::write(place.path().join("recalld-data"), format!("format {FORMAT}\nkey-check {}\n", "02".repeat(16)))
        .expect("is written");
    let refused = Store::open(StoreOptions { root: root(2), ..options(place.path()) }).err();
    assert_eq!(refused, Some(StoreError::WrongRootKey));
}

#[test]
fn another_format_is_refused_and_nothing_is_written() {
    let place = tempfile::tempdir().expect("a temporary directory");
    House::open(place.path()).close();
    let stamp = place.path().join("recalld-data");
    let text = std::fs::read_to_string(&stamp).expect("a stamp");
    for (found, refusal) in [
        (FORMAT + 1, StoreError::NewerFormat { found: FORMAT + 1, known: FORMAT }),
        (FORMAT - 1, StoreError::OlderFormat { found: FORMAT - 1, known: FORMAT }),
    ] {
        let other = text.replace(&format!("format {FORMAT}"), &format!("format {found}"));
        std::fs::write(&stamp, other).expect("is written");
        let before = files(place.path());
        assert_eq!(Store::open(options(place.path())).err(), Some(refusal));
        assert_eq!(files(place.path()), before);
    }
    std::fs::remove_file(&stamp).expect("is removed");
    assert!(matches!(Store::open(options(place.path())).err(), Some(StoreError::Incomplete(_))));
}

#[test]
fn a_log_that_ends_before_the_watermark_refuses_to_start() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let house = House::open(place.path());
    let mut a = session(1);
    let last = house.log(&house.release("acme"), &mut a, 3);
    let mut batch = WriteBatch::default();
    Progress { watermark: last + 1, ..Progress::default() }.put(&house.store.inner.db, &mut batch).expect("is put");
    sync_write(&house.store.inner.db, batch).expect("is written");
    house.crash();
    let refused = Store::open(options(place.path())).err();
    assert_eq!(refused, Some(StoreError::LogEndsEarly { end: last, watermark: last + 1 }));
}

#[test]
fn damage_of_one_session_stops_neither_the_start_nor_the_others_and_is_remembered() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let house = House::open(place.path());
    let release = house.release("acme");
    let (mut a, mut b) = (session(1), session(2));
    house.log(&release, &mut a, 2);
    house.record(&release, &a);
    let damaged = house.log(&release, &mut a, 1);
    house.log(&release, &mut a, 1);
    house.log(&release, &mut b, 2);
    damage_log(&house, &release, damaged);
    assert!(matches!(house.store.read_log(&release, None, 0, 9), Err(StoreError::Damaged { .. })));
    house.crash();

    for start in 0..2 {
        let house = House::open(place.path());
        assert_eq!(house.found(&b).map(|found| &found.session), Some(&b));
        assert_eq!(house.found(&a), None);
        let damaged: Vec<_> = house.recovered.damaged.iter().map(|damage| damage.session).collect();
        assert_eq!(damaged, [Some(a.id)], "start {start}");
        assert!(matches!(house.store.load(&tenant("acme"), &a.id), Err(StoreError::Damaged { .. })));
        house.record(&release, &b);
        house.log(&release, &mut b, 1);
        house.close();
    }
}

fn damage_log(house: &House, release: &Release, sequence: u64) {
    let db = &house.store.inner.db;
    let key = layout::log_key(sequence, release.tenant(), release.number());
    let mut value = db.get_cf(family(db, LOG).expect("is there"), key).expect("reads").expect("is there");
    *value.last_mut().expect("bytes") ^= 1;
    db.put_cf(family(db, LOG).expect("is there"), key, value).expect("is written");
}

#[test]
fn a_damaged_log_record_that_the_sessions_record_contains_is_no_damage() {
    // Also the first, the last, and two that follow each other.
    for (damaged, later) in [(&[1][..], 2), (&[2], 2), (&[3], 2), (&[3], 0), (&[1, 2], 0), (&[1, 2, 3], 1)] {
        let place = tempfile::tempdir().expect("a temporary directory");
        let house = House::open(place.path());
        let release = house.release("acme");
        let mut a = session(1);
        let first = house.log(&release, &mut a, 1);
        house.log(&release, &mut a, 2);
        house.record(&release, &a);
        house.log(&release, &mut a, later);
        for ordinal in damaged {
            damage_log(&house, &release, first - 1 + ordinal);
        }
        house.crash();
        for _ in 0..2 {
            let house = House::open(place.path());
            assert_eq!(house.recovered.damaged, [], "{damaged:?}");
            assert_eq!(house.found(&a).map(|found| &found.session), (later > 0).then_some(&a), "{damaged:?}");
            let stored = house.store.load(&tenant("acme"), &a.id).expect("it opens").expect("it is there");
            assert_eq!(stored.1.ordinal, 3, "{damaged:?}");
            house.crash();
        }
    }
}

#[test]
fn a_damaged_log_record_is_damage_if_the_record_was_made_before_it() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let house = House::open(place.path());
    let release = house.release("acme");
    let mut a = session(1);
    house.log(&release, &mut a, 1);
    let early = record(&release, &a);
    let damaged = house.log(&release, &mut a, 1);
    house.write(Write { record: Some(early), ..item(&release, &a) });
    damage_log(&house, &release, damaged);
    house.crash();
    let house = House::open(place.path());
    assert_eq!(house.recovered.damaged.first().map(|damage| damage.session), Some(Some(a.id)));
    assert_eq!(house.found(&a), None);
}

#[test]
fn a_session_that_began_anew_does_without_damaged_log_records_that_its_record_contains() {
    for damaged in [1, 2, 4, 5] {
        let place = tempfile::tempdir().expect("a temporary directory");
        let house = House::open(place.path());
        let release = house.release("acme");
        let mut before = session(1);
        let first = house.log(&release, &mut before, 1);
        house.log(&release, &mut before, 1);
        house.write(Write { forget: true, ..item(&release, &before) });
        let mut anew = session(1);
        assert_eq!(house.log(&release, &mut anew, 2), first + 4);
        house.record(&release, &anew);
        house.log(&release, &mut anew, 1);
        damage_log(&house, &release, first - 1 + damaged);
        house.crash();
        let house = House::open(place.path());
        assert_eq!(house.recovered.damaged, [], "{damaged}");
        assert_eq!(house.found(&anew).map(|found| &found.session), Some(&anew), "{damaged}");
    }
}

#[test]
fn a_gap_in_a_sessions_log_is_damage_of_that_session() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let house = House::open(place.path());
    let release = house.release("acme");
    let mut a = session(1);
    house.log(&release, &mut a, 1);
    a.ordinal += 1;
    house.log(&release, &mut a, 1);
    house.crash();
    let house = House::open(place.path());
    assert_eq!(house.recovered.sessions, []);
    assert_eq!(house.recovered.damaged.first().map(|damage| damage.what), Some("its log has a gap"));
}

#[test]
fn a_record_moved_to_another_session_or_tenant_does_not_open() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let house = House::open(place.path());
    let (acme, other) = (house.release("acme"), house.release("other"));
    let (mut a, mut b) = (session(1), session(2));
    house.log(&acme, &mut a, 1);
    house.record(&acme, &a);
    house.log(&acme, &mut b, 1);
    house.record(&acme, &b);
    house.log(&other, &mut a.clone(), 1);
    let db = &house.store.inner.db;
    let sessions = family(db, SESSIONS).expect("is there");
    let value = db.get_cf(sessions, layout::session_key(acme.tenant(), &a.id)).expect("reads").expect("is there");
    for (release, name, session) in [(&acme, "acme", &b), (&other, "other", &a)] {
        db.put_cf(sessions, layout::session_key(release.tenant(), &session.id), &value).expect("is written");
        assert!(matches!(house.store.load(&tenant(name), &session.id), Err(StoreError::Damaged { .. })), "{name}");
    }
    assert!(house.store.load(&tenant("acme"), &a.id).is_ok_and(|found| found.is_some()));
}

#[test]
fn a_tenant_without_its_key_file_is_unreadable_and_its_log_waits_for_it() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let fast = || StoreOptions { log_window: Duration::ZERO, ..options(place.path()) };
    let house = House::open_with(fast());
    let (acme, other) = (house.release("acme"), house.release("other"));
    let (mut a, mut b) = (session(1), session(2));
    house.log(&acme, &mut a, 2);
    house.log(&other, &mut b, 2);
    let file = place.path().join(format!("keys/{:08x}.key", acme.tenant()));
    house.crash();
    let elsewhere = place.path().join("elsewhere");
    std::fs::rename(&file, &elsewhere).expect("is moved");

    let house = House::open_with(fast());
    assert_eq!(house.found(&b).map(|found| &found.session), Some(&b));
    assert_eq!(house.recovered.sessions.len(), 1);
    assert_eq!(house.store.release(&release_id("acme")).err(), Some(StoreError::KeyMissing(tenant("acme"))));
    house.record(&other, &b);
    house.close();
    std::fs::rename(&elsewhere, &file).expect("is moved");
    let house = House::open_with(fast());
    assert_eq!(house.found(&a).map(|found| &found.session), Some(&a));
}

#[test]
fn no_name_and_no_value_stands_in_clear_in_the_files() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let house = House::open(place.path());
    let release = house.release("acme");
    let mut a = session(1);
    house.log(&release, &mut a, 1);
    house.record(&release, &a);
    let keys = house
        .store
        .inner
        .db
        .iterator_cf(family(&house.store.inner.db, META).expect("is there"), rocksdb::IteratorMode::Start);
    for entry in keys {
        let (key, _) = entry.expect("reads");
        assert!(!String::from_utf8_lossy(&key).contains("acme"));
    }
    house.close();
    for (path, content) in files(place.path()) {
        assert!(!content.windows(13).any(|part| part == b"zeta-variable"), "{}", path.display());
    }
}
