//! What the cache holds of what was written and read.

use super::*;

/// Sessions whose index alone, and filter alone, take more than the small cache.
const SESSIONS: u32 = 150_000;
/// One shard.
const SMALL: usize = 64 << 10;

fn value_of(number: u32) -> [u8; 32] {
    let mut value = [0x5a; 32];
    // Spread over the whole file.
    value[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b1).to_be_bytes());
    value
}

fn session_of(number: u32) -> SessionId {
    SessionId::Caller(value_of(number))
}

/// Writes records of sessions into one new file.
fn fill(house: &House, release: &Release, numbers: impl Iterator<Item = u32>) {
    let db = &house.store.inner.db;
    let sessions = families::family(db, families::SESSIONS).expect("it is there");
    let instance: crate::domain::ids::InstanceId = "support-de".parse().expect("a name");
    let mut batch = WriteBatch::default();
    for number in numbers {
        let session = Session::unopened(session_of(number), instance.clone(), Timestamp::from_unix_millis(1));
        let key = layout::session_key(release.tenant(), &session.id);
        batch.put_cf(sessions, key, release.seal_record(&session).value);
    }
    db.write(batch).expect("it is written");
    db.flush_cf(sessions).expect("it is flushed");
}

/// Writes records of [`SESSIONS`] into a file where most of the data lies: index and filter of a file that a flush wrote
/// are kept in memory anyway.
fn fill_and_compact(house: &House, release: &Release) {
    // Two files that overlap are not moved as they are.
    fill(house, release, (0..SESSIONS).step_by(2));
    fill(house, release, (1..SESSIONS).step_by(2));
    let db = &house.store.inner.db;
    let sessions = families::family(db, families::SESSIONS).expect("it is there");
    db.compact_range_cf(sessions, None::<&[u8]>, None::<&[u8]>);
    let files = db.live_files().expect("they are known");
    let mut files = files.iter().filter(|file| file.column_family_name == families::SESSIONS);
    assert!(files.all(|file| file.level > 0));
}

fn is_in_memory(house: &House, number: u32) -> bool {
    matches!(house.store.load_cached(&tenant("acme"), &session_of(number)), Ok(Cached::Known(Some(_))))
}

#[test]
fn what_was_read_a_moment_ago_is_in_memory_although_index_and_filter_of_its_file_are_larger() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let house = House::open_with(StoreOptions { cache_bytes: SMALL, ..options(place.path()) });
    let release = house.release("acme");
    fill_and_compact(&house, &release);
    let metrics = house.store.metrics();
    let misses = || metrics.cache_misses.load(std::sync::atomic::Ordering::Relaxed);
    for number in (0..SESSIONS).step_by(1_000) {
        let id = session_of(number);
        let read = house.store.load(&tenant("acme"), &id).expect("readable").expect("it is there");
        let before = misses();
        assert_eq!(house.store.load_cached(&tenant("acme"), &id), Ok(Cached::Known(Some(read))), "session {number}");
        assert_eq!(misses(), before);
    }
    house.close();
}

#[test]
fn what_a_flush_wrote_a_moment_ago_is_in_memory() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let house = House::open_with(options(place.path()));
    let release = house.release("acme");
    fill(&house, &release, 0..1_000);
    assert!((0..1_000).all(|number| is_in_memory(&house, number)));
    let db = &house.store.inner.db;
    let aliases = families::family(db, families::ALIASES).expect("it is there");
    let alias = |number| AliasKey { key_version: 1, rule_version: 1, value: value_of(number) };
    for number in 0..1_000 {
        let key = layout::alias_key(release.tenant(), 1, 1, &value_of(number));
        db.put_cf(aliases, key, session_of(number).as_bytes()).expect("it is written");
    }
    db.flush_cf(aliases).expect("it is flushed");
    for number in 0..1_000 {
        let found = house.store.alias_cached(&tenant("acme"), &alias(number));
        assert_eq!(found, Ok(Cached::Known(Some(session_of(number)))));
    }
    house.close();
}

#[test]
fn records_of_sessions_that_end_take_no_room_from_what_calls_read() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let house = House::open_with(StoreOptions { cache_bytes: SMALL, ..options(place.path()) });
    let release = house.release("acme");
    fill_and_compact(&house, &release);
    let of_a_call = 7;
    house.store.load(&tenant("acme"), &session_of(of_a_call)).expect("readable").expect("it is there");
    let ends: Vec<_> = (0..SESSIONS).step_by(100).map(|number| (release.clone(), session_of(number))).collect();
    assert!(house.store.load_all(&ends).iter().all(|loaded| matches!(loaded, Ok(Some(_)))));
    assert!(is_in_memory(&house, of_a_call));
    house.close();
}
