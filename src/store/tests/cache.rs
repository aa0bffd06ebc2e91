//! What a small cache holds of many sessions.

use super::*;

/// Sessions whose filters and index alone take more than the cache.
const SESSIONS: u32 = 60_000;

fn session_of(number: u32) -> SessionId {
    let mut id = [0x5a; 32];
    // Spread over the whole file.
    id[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b1).to_be_bytes());
    SessionId::Caller(id)
}

#[test]
fn what_was_read_a_moment_ago_is_in_memory_although_index_and_filter_of_its_file_are_larger() {
    let place = tempfile::tempdir().expect("a temporary directory");
    // One shard.
    let house = House::open_with(StoreOptions { cache_bytes: 128 << 10, ..options(place.path()) });
    let release = house.release("acme");
    let db = &house.store.inner.db;
    let sessions = families::family(db, families::SESSIONS).expect("it is there");
    let instance: crate::domain::ids::InstanceId = "support-de".parse().expect("a name");
    let mut batch = WriteBatch::default();
    for number in 0..SESSIONS {
        let session = Session::unopened(session_of(number), instance.clone(), Timestamp::from_unix_millis(1));
        let key = layout::session_key(release.tenant(), &session.id);
        batch.put_cf(sessions, key, release.seal_record(&session).value);
    }
    db.write(batch).expect("it is written");
    db.flush_cf(sessions).expect("it is flushed");
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
