//! What a start finds again.

use super::*;
use crate::domain::caller::{CallerDetails, CallerNumber};

#[test]
fn every_answered_commit_is_there_after_a_crash_whatever_its_record_contains() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let house = House::open(place.path());
    let release = house.release("acme");
    let (mut a, mut b, mut asleep) = (session(1), session(2), session(3));
    house.log(&release, &mut a, 2);
    house.record(&release, &a);
    house.log(&release, &mut a, 3);
    house.log(&release, &mut b, 1);
    house.log(&release, &mut asleep, 2);
    let last = house.record(&release, &asleep);
    let epoch = house.store.epoch();
    house.crash();

    let house = House::open(place.path());
    let found = |session| house.found(session).map(|found| (found.session.clone(), found.unrecorded));
    assert_eq!(found(&a), Some((a.clone(), true)));
    assert_eq!(found(&b), Some((b.clone(), true)));
    assert_eq!(found(&asleep), None, "its record contains everything");
    assert_eq!((house.recovered.damaged.len(), house.recovered.last_sequence), (0, last));
    assert_eq!(house.store.epoch(), epoch);
    let release = house.release("acme");
    assert_eq!(house.log(&release, &mut a, 1), last + 1);
    house.record(&release, &a);
    house.record(&release, &b);
    house.close();
    let house = House::open(place.path());
    assert_eq!((house.recovered.sessions.len(), house.recovered.replayed), (0, 0));
}

#[test]
fn a_session_with_an_active_call_is_there_again_also_without_any_log_to_replay() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let house = House::open(place.path());
    let release = house.release("acme");
    let mut a = session(1);
    let commit = start(&a);
    let log = Some(release.seal_commit(&a.id, &commit));
    a.apply(&commit);
    house.write(Write { log, record: Some(record(&release, &a)), ..item(&release, &a) });
    house.close();
    let house = House::open(place.path());
    assert_eq!(house.recovered.replayed, 0);
    let found = house.found(&a).expect("the call is up");
    assert_eq!((&found.session, found.unrecorded, &found.release), (&a, false, &release_id("acme")));
    let ended = Session { calls: Vec::new(), ordinal: 2, ..a };
    house.record(&release, &ended);
    house.close();
    assert_eq!(House::open(place.path()).recovered.sessions, []);
}

#[test]
fn numbers_of_running_calls_are_there_again_only_from_a_record_that_keeps_them() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let house = House::open(place.path());
    let release = house.release("acme");
    let text = |text: &str| Some(CallerNumber::new(text.to_owned()));
    let details = CallerDetails { number: text("+493023125101"), display: None, headers: text("{\"X-A\":1}") };
    let with_call = |number| {
        let mut session = session(number);
        let commit = start(&session);
        session.apply(&commit);
        let call = session.calls[0].id.clone();
        session.attach_details(&call, Some(Arc::new(details.clone())));
        (session, commit)
    };
    let (kept, commit) = with_call(1);
    let log = Some(release.seal_commit(&kept.id, &commit));
    let keeping = Record { sealed: release.seal_record_with_numbers(&kept), ..record(&release, &kept) };
    house.write(Write { log, record: Some(keeping), ..item(&release, &kept) });
    let (not_kept, commit) = with_call(2);
    let log = Some(release.seal_commit(&not_kept.id, &commit));
    house.write(Write { log, record: Some(record(&release, &not_kept)), ..item(&release, &not_kept) });
    house.crash();

    let house = House::open(place.path());
    let found = |session| house.found(session).expect("the call is up").session.calls[0].details.as_deref().cloned();
    assert_eq!(found(&kept), Some(details.clone()));
    assert_eq!(found(&not_kept), None);
    let release = house.release("acme");
    house.record(&release, &kept);
    house.crash();
    let house = House::open(place.path());
    assert_eq!(house.found(&kept).expect("the call is up").session.calls[0].details, None, "not kept any more");
}

#[test]
fn a_record_sealed_before_a_later_commit_does_not_hide_it() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let house = House::open(place.path());
    let release = house.release("acme");
    let mut a = session(1);
    house.log(&release, &mut a, 1);
    let early = record(&release, &a);
    house.log(&release, &mut a, 1);
    house.write(Write { record: Some(early), ..item(&release, &a) });
    house.close();
    let house = House::open(place.path());
    assert_eq!(house.found(&a).map(|found| &found.session), Some(&a));
}

#[test]
fn a_forgotten_session_does_not_come_back_and_may_begin_anew() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let house = House::open(place.path());
    let release = house.release("acme");
    let (mut held, mut a) = (session(1), session(2));
    house.log(&release, &mut held, 1);
    house.log(&release, &mut a, 2);
    house.record(&release, &a);
    house.log(&release, &mut a, 2);
    house.write(Write { forget: true, ..item(&release, &a) });
    house.crash();
    let house = House::open(place.path());
    assert_eq!((house.found(&a), house.recovered.damaged.len()), (None, 0));
    assert_eq!(house.store.load(&tenant("acme"), &a.id), Ok(None));
    let mut anew = session(2);
    house.log(&release, &mut anew, 1);
    house.record(&release, &anew);
    house.log(&release, &mut anew, 1);
    house.crash();
    let house = House::open(place.path());
    assert_eq!(house.found(&anew).map(|found| &found.session), Some(&anew));
    assert_eq!(house.found(&held).map(|found| &found.session), Some(&held));
}

#[test]
fn a_long_group_of_many_sessions_survives() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let house = House::open(place.path());
    let release = house.release("acme");
    let sessions: Vec<_> = (0..=255_u8).map(session).collect();
    for round in 0..40 {
        for a in &sessions {
            let commit = Commit { ordinal: round + 1, revision: round + 1, ..set(a) };
            house.writer.submit(Write { log: Some(release.seal_commit(&a.id, &commit)), ..item(&release, a) });
        }
    }
    house.writer.shutdown();
    assert_eq!(house.told.iter().filter(|told| matches!(told, Told::Written(..))).count(), 256 * 40);
    drop(house);
    let house = House::open(place.path());
    assert_eq!(house.recovered.sessions.len(), 256);
    assert!(house.recovered.sessions.iter().all(|found| found.session.ordinal == 40));
}
