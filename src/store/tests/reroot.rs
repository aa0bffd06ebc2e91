//! Another root key: everything stays what it is, also when the change is interrupted anywhere.

use super::*;

fn derive(key: u8) -> impl Fn(&TenantId, u32) -> Zeroizing<[u8; 32]> {
    move |tenant, version| {
        let mut derived = [key; 32];
        derived[0] = u8::try_from(version).expect("a small version");
        derived[1] = *tenant.as_str().as_bytes().first().expect("a name");
        Zeroizing::new(derived)
    }
}

fn change(
    path: &Path,
    (old, new): (u8, u8),
    told: &mut dyn FnMut(RerootStep) -> Result<(), StoreError>,
) -> Result<Rerooted, StoreError> {
    let derive = derive(old);
    let audit_key = Zeroizing::new([100 + old; 32]);
    Reroot { path: path.to_owned(), old: root(old), new: root(new), derive: &derive, audit_key, audit_end: &audit_end }
        .run(told)
}

fn audit_end(last: Option<&AuditRow>) -> String {
    last.map_or(0, |row| row.sequence).to_string()
}

/// The earlier keys of the audit log, each with its end.
fn former(store: &Store) -> Vec<(u8, Option<String>)> {
    store.former_audit_keys().expect("are unwrapped").into_iter().map(|former| (former.key[0], former.end)).collect()
}

fn open_with(path: &Path, key: u8) -> House {
    House::open_with(StoreOptions { root: root(key), ..options(path) })
}

fn refusal(path: &Path, key: u8) -> Option<StoreError> {
    Store::open(StoreOptions { root: root(key), ..options(path) }).err()
}

/// The pseudonym keys of a tenant: none where they are derived.
fn stored(store: &Store, name: &str) -> Vec<(u32, Option<[u8; 32]>)> {
    let versions = store.pseudonym_versions(&tenant(name)).expect("there are versions");
    versions.into_iter().map(|known| (known.version, known.stored.map(|key| *key))).collect()
}

/// Two tenants with a session each, one with two versions of its pseudonym key.
fn furnish(path: &Path) -> (Session, Session) {
    let house = House::open(path);
    let (mut a, mut b) = (session(1), session(2));
    for (name, session) in [("acme", &mut a), ("other", &mut b)] {
        let release = house.release(name);
        house.log(&release, session, 2);
        house.record(&release, session);
    }
    house.store.add_pseudonym_version(&tenant("acme")).expect("a version is added");
    house.close();
    (a, b)
}

fn is_whole(house: &House, (a, b): &(Session, Session)) {
    for (name, session) in [("acme", a), ("other", b)] {
        let stored = house.store.load(&tenant(name), &session.id).expect("it opens").expect("it is there");
        assert_eq!(stored.1, *session);
    }
    let derive = derive(1);
    let was = |name: &str, version| Some(*derive(&tenant(name), version));
    assert_eq!(stored(&house.store, "acme"), [(2, was("acme", 2)), (1, was("acme", 1))]);
    assert_eq!(stored(&house.store, "other"), [(1, was("other", 1))]);
}

#[test]
fn sessions_and_pseudonym_keys_stay_and_later_versions_come_from_the_new_key() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let sessions = furnish(place.path());
    let done = change(place.path(), (1, 2), &mut |_| Ok(()));
    assert_eq!(done, Ok(Rerooted { tenants: 2, had_it: false }));
    assert_eq!(change(place.path(), (1, 2), &mut |_| Ok(())), Ok(Rerooted { tenants: 2, had_it: true }));
    assert_eq!(refusal(place.path(), 1), Some(StoreError::WrongRootKey));
    let house = open_with(place.path(), 2);
    is_whole(&house, &sessions);
    house.store.add_pseudonym_version(&tenant("acme")).expect("a version is added");
    assert_eq!(stored(&house.store, "acme").first(), Some(&(3, None)), "derived from the key in force");
    assert_eq!(stored(&house.store, "later"), [(1, None)]);
    assert_eq!(former(&house.store), [(101, Some("0".to_owned()))]);
    house.store.append_audit(&[AuditRow { sequence: 1, value: Vec::new() }]).expect("is written");
    assert_eq!(house.store.has_untold_reroot(), Ok(true));
    house.store.note_reroot_told().expect("is noted");
    assert_eq!(house.store.has_untold_reroot(), Ok(false));
    house.close();
    // And once more.
    change(place.path(), (2, 3), &mut |_| Ok(())).expect("is changed");
    let house = open_with(place.path(), 3);
    assert_eq!(former(&house.store), [(101, Some("0".to_owned())), (102, Some("1".to_owned()))]);
    assert_eq!(house.store.has_untold_reroot(), Ok(true));
    let stored = stored(&house.store, "acme");
    assert_eq!(stored.first(), Some(&(3, Some(*derive(2)(&tenant("acme"), 3)))));
    assert_eq!(stored.last(), Some(&(1, Some(*derive(1)(&tenant("acme"), 1)))), "wrapped anew, the same key");
}

#[test]
fn an_interrupted_change_keeps_every_daemon_out_and_goes_on() {
    for steps in 1..=6 {
        let place = tempfile::tempdir().expect("a temporary directory");
        let sessions = furnish(place.path());
        let mut left = steps;
        let mut last = None;
        let interrupted = change(place.path(), (1, 2), &mut |step| {
            last = Some(step);
            left -= 1;
            if left == 0 { Err(StoreError::WriterClosed) } else { Ok(()) }
        });
        assert_eq!(interrupted, Err(StoreError::WriterClosed));
        match last {
            Some(RerootStep::Checked) => assert_eq!(refusal(place.path(), 1), None, "nothing was changed"),
            Some(RerootStep::Finished) => assert_eq!(refusal(place.path(), 1), Some(StoreError::WrongRootKey)),
            _ => {
                assert_eq!(refusal(place.path(), 1), Some(StoreError::RerootUnfinished), "{last:?}");
                assert_eq!(refusal(place.path(), 2), Some(StoreError::RerootUnfinished), "{last:?}");
                let elsewhere = change(place.path(), (1, 3), &mut |_| Ok(()));
                assert_eq!(elsewhere, Err(StoreError::RerootUnfinished), "not with a third key");
            }
        }
        // Twice more it comes only one step further.
        for _ in 0..2 {
            let mut left = steps + 1;
            let _ = change(place.path(), (1, 2), &mut |_| {
                left -= 1;
                if left == 0 { Err(StoreError::WriterClosed) } else { Ok(()) }
            });
        }
        change(place.path(), (1, 2), &mut |_| Ok(())).expect("is changed");
        is_whole(&open_with(place.path(), 2), &sessions);
    }
}

#[test]
fn a_wrong_old_key_data_in_use_and_a_broken_key_file_are_refused_before_anything_is_written() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let sessions = furnish(place.path());
    assert_eq!(change(place.path(), (7, 2), &mut |_| Ok(())), Err(StoreError::WrongRootKey));
    let empty = tempfile::tempdir().expect("a temporary directory");
    assert!(matches!(change(empty.path(), (1, 2), &mut |_| Ok(())), Err(StoreError::Incomplete(_))));

    let house = House::open(place.path());
    assert_eq!(change(place.path(), (1, 2), &mut |_| Ok(())), Err(StoreError::InUse));
    let file = place.path().join(format!("keys/{:08x}.key", house.release("other").tenant()));
    house.close();
    let whole = std::fs::read(&file).expect("is read");
    let mut broken = whole.clone();
    *broken.last_mut().expect("bytes") ^= 1;
    std::fs::write(&file, broken).expect("is written");
    assert_eq!(change(place.path(), (1, 2), &mut |_| Ok(())), Err(StoreError::KeyMissing(tenant("other"))));
    std::fs::write(&file, whole).expect("is written");
    assert_eq!(refusal(place.path(), 1), None);
    change(place.path(), (1, 2), &mut |_| Ok(())).expect("is changed");
    is_whole(&open_with(place.path(), 2), &sessions);
}
