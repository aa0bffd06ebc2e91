//! The promises of the chain, on rows in memory and on a real store.

use std::path::Path;

use zeroize::Zeroizing;

use super::chain::append;
use super::*;
use crate::store::{RootSecrets, StoreOptions};

const NONE: [u64; 0] = [];

fn keys(key: u8) -> AuditKeys {
    AuditKeys::new(AuditKey::new(Zeroizing::new([key; 32])))
}

fn rows(keys: &AuditKeys, count: u64) -> (Vec<AuditRow>, Head) {
    let mut head = Head::default();
    let rows = (0..count).map(|count| {
        let body = Entry::new(Who::Daemon, What::ApiKeysRefused { count }).body();
        let (row, next) = append(head, keys, Timestamp::from_unix_millis(1_000), &body);
        head = next;
        row
    });
    (rows.collect(), head)
}

fn look(rows: &[AuditRow], keys: &AuditKeys, noted: Option<Head>) -> Verdict {
    let read = |after: u64, limit: usize| {
        Ok(rows.iter().filter(|row| row.sequence > after).take(limit).cloned().collect::<Vec<_>>())
    };
    verify(read, keys, noted).expect("memory can be read")
}

fn faults(rows: &[AuditRow], noted: Option<Head>) -> Vec<u64> {
    look(rows, &keys(1), noted).faults.iter().map(|fault| fault.sequence).collect()
}

#[test]
fn an_untouched_log_is_sound_against_every_head_it_had() {
    let (rows, head) = rows(&keys(1), 2_500);
    let verdict = look(&rows, &keys(1), None);
    assert!(verdict.is_sound() && !verdict.against_head);
    assert_eq!((verdict.entries, verdict.head), (2_500, head));
    for noted in [Head::of(&rows[0]), Head::of(&rows[1_700]), head] {
        let verdict = look(&rows, &keys(1), Some(noted));
        assert!(verdict.is_sound() && verdict.against_head);
    }
    assert!(look(&[], &keys(1), None).is_sound());
}

#[test]
fn every_single_changed_byte_of_an_entry_is_found() {
    let (rows, _) = rows(&keys(1), 3);
    for at in 0..rows[1].value.len() {
        let mut changed = rows.clone();
        changed[1].value[at] ^= 1;
        assert!(faults(&changed, None).contains(&2) || faults(&changed, None).contains(&3), "byte {at}");
    }
}

#[test]
fn removed_and_reordered_entries_are_found() {
    let (rows, _) = rows(&keys(1), 6);
    for gone in 0..5 {
        let mut removed = rows.clone();
        removed.remove(gone);
        assert_eq!(faults(&removed, None), [gone as u64 + 1], "a gap is seen");
        for (row, sequence) in removed.iter_mut().zip(1..) {
            row.sequence = sequence;
        }
        assert!(!faults(&removed, None).is_empty(), "closing the gap is seen, too");
    }
    let mut swapped = rows.clone();
    let (one, other) = (swapped[2].value.clone(), swapped[3].value.clone());
    (swapped[2].value, swapped[3].value) = (other, one);
    assert!(faults(&swapped, None).contains(&3));
}

#[test]
fn entries_that_were_cut_off_are_found_with_a_head_and_not_without() {
    let (all, head) = rows(&keys(1), 6);
    assert_eq!(faults(&all[..4], None), NONE);
    assert_eq!(faults(&all[..4], Some(head)), [6]);
    assert_eq!(faults(&[], Some(head)), [6]);
    // Cut off and written on by the daemon: other entries have the same numbers.
    let mut at = Head::of(&all[3]);
    let mut rewritten = all[..4].to_vec();
    for _ in 0..3 {
        let (row, next) = append(at, &keys(1), Timestamp::from_unix_millis(2_000), b"{}");
        at = next;
        rewritten.push(row);
    }
    assert_eq!(faults(&rewritten, None), NONE);
    assert_eq!(faults(&rewritten, Some(head)), [6]);
}

#[test]
fn nobody_without_the_key_writes_an_entry() {
    let (mut forged, _) = rows(&keys(1), 3);
    let (row, _) = append(Head::of(&forged[2]), &keys(2), Timestamp::from_unix_millis(1_000), b"{}");
    forged.push(row);
    assert_eq!(faults(&forged, None), [4]);
}

/// After as many changes of the root key as there are ends: the keys 1, 2 … and behind them the one in force.
fn changed(ends: &[Option<Head>]) -> AuditKeys {
    let older = (1..).zip(ends).map(|(key, end)| (AuditKey::new(Zeroizing::new([key; 32])), *end)).collect();
    keys(u8::try_from(ends.len()).expect("few") + 1).with_older(older)
}

fn write_on(rows: &mut Vec<AuditRow>, keys: &AuditKeys, count: usize) -> Head {
    let mut head = rows.last().map_or(Head::default(), Head::of);
    for _ in 0..count {
        let (row, next) = append(head, keys, Timestamp::from_unix_millis(1_000), b"{}");
        head = next;
        rows.push(row);
    }
    head
}

#[test]
fn entries_from_before_another_root_key_stay_verifiable() {
    let (mut all, first) = rows(&keys(1), 3);
    let once = changed(&[Some(first)]);
    let second = write_on(&mut all, &once, 2);
    let verdict = look(&all, &once, Some(second));
    assert!(verdict.is_sound() && verdict.unproved_up_to.is_none(), "{verdict:?}");
    let twice = changed(&[Some(first), Some(second)]);
    assert!(look(&all, &twice, None).is_sound(), "nothing is recorded yet with the third key");
    write_on(&mut all, &twice, 2);
    assert!(look(&all, &twice, None).is_sound());
    assert_eq!(look(&all, &keys(3), None).fault_count, 5);
    let empty = changed(&[Some(Head::default())]);
    assert!(look(&rows(&keys(2), 2).0, &empty, None).is_sound(), "the key was changed before the first entry");
}

#[test]
fn whoever_has_an_earlier_root_key_only_writes_no_entry() {
    let (mut all, end) = rows(&keys(1), 4);
    let known = changed(&[Some(end)]);
    write_on(&mut all, &known, 3);
    // Everything anew with the earlier key, as long as the log was, shorter, and as short as it was then.
    for count in [7, 6, 5, 4, 3, 0] {
        let mut forged = Vec::new();
        write_on(&mut forged, &keys(1), count);
        assert!(!look(&forged, &known, None).is_sound(), "{count} entries");
    }
    // Written on behind the change.
    let mut forged = all[..4].to_vec();
    write_on(&mut forged, &keys(1), 3);
    let at = |verdict: Verdict| verdict.faults.iter().map(|fault| fault.sequence).collect::<Vec<_>>();
    assert_eq!(at(look(&forged, &known, None)), [5, 6, 7]);
    // One entry of before changed, and those behind it up to the change.
    let mut forged = all[..2].to_vec();
    write_on(&mut forged, &keys(1), 2);
    forged.extend_from_slice(&all[4..]);
    assert_eq!(at(look(&forged, &known, None)), [4, 5]);
    // A second change proves what was before the first.
    let later = Head::of(&all[6]);
    let twice = changed(&[None, Some(later)]);
    assert!(look(&all, &twice, None).is_sound());
    let mut forged = Vec::new();
    write_on(&mut forged, &keys(1), 7);
    assert!(!look(&forged, &twice, None).is_sound());
}

#[test]
fn a_root_key_that_was_in_force_twice_proves_both_of_its_times() {
    let (mut all, first) = rows(&keys(1), 3);
    write_on(&mut all, &keys(2), 2);
    let second = Head::of(&all[4]);
    write_on(&mut all, &keys(1), 2);
    let third = Head::of(&all[6]);
    let key = |number| AuditKey::new(Zeroizing::new([number; 32]));
    let older = vec![(key(1), Some(first)), (key(2), Some(second)), (key(1), Some(third))];
    let known = keys(3).with_older(older);
    write_on(&mut all, &known, 1);
    assert!(look(&all, &known, None).is_sound());
    write_on(&mut all, &keys(1), 1);
    assert!(!look(&all, &known, None).is_sound(), "its times are over");
}

#[test]
fn where_the_end_of_an_earlier_key_was_not_noted_the_verdict_says_what_is_not_proved() {
    let (mut all, _) = rows(&keys(1), 4);
    let known = changed(&[None]);
    write_on(&mut all, &known, 2);
    let verdict = look(&all, &known, None);
    assert!(verdict.is_sound());
    assert_eq!(verdict.unproved_up_to, Some(4));
}

#[test]
fn a_head_is_read_as_it_is_written() {
    let (_, head) = rows(&keys(1), 3);
    assert_eq!(head.to_string().parse(), Ok(head));
    assert_eq!(head.to_string().to_uppercase().parse(), Ok(head));
    for text in ["", "3", "3:", ":", "x:00", &head.to_string()[1..], &format!("{head}0")] {
        assert_eq!(text.parse::<Head>(), Err(InvalidHead), "{text}");
    }
}

fn store(path: &Path) -> Store {
    let root = RootSecrets { check_value: [1; 16], wrapping_key: Zeroizing::new([1; 32]) };
    Store::open(StoreOptions { cache_bytes: 4 << 20, ..StoreOptions::new(path, root) }).expect("the store opens").0
}

fn open(path: &Path) -> Audit {
    Audit::open(store(path), keys(1), || Some(Timestamp::from_unix_millis(1_000))).expect("the log opens")
}

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(test)
}

#[test]
fn entries_are_on_the_disk_in_their_order_when_they_are_recorded() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let head = run(async {
        let audit = open(place.path());
        let started = audit.record(Entry::new(Who::Daemon, What::Started { version: "0" }));
        let reloaded = audit.record(Entry::new(Who::Daemon, What::ConfigurationReloaded { in_force: true }));
        let (first, second) = tokio::join!(started, reloaded);
        assert_eq!((first, second), (Ok(()), Ok(())));
        assert_eq!(audit.store.last_audit().map(|row| row.map(|row| Head::of(&row))), Ok(Some(audit.head())));
        audit.close().await;
        assert_eq!(audit.record(Entry::new(Who::Daemon, What::Stopped)).await, Err(AuditError::Closed));
        audit.head()
    });
    let audit = open(place.path());
    assert_eq!(audit.head(), head);
    let (entries, next) = audit.entries(0, None, 10).expect("is read");
    let told: Vec<_> = entries.iter().map(|told| (told.sequence, told.entry["what"].as_str().unwrap())).collect();
    assert_eq!(told, [(1, "started"), (2, "configuration_reloaded"), (3, "stopped")]);
    assert_eq!(next, None);
    assert_eq!(audit.entries(1, None, 1).expect("is read").1, Some(2));
    assert_eq!(audit.entries(0, Some(Timestamp::from_unix_millis(1_001)), 10).expect("is read").0, []);
    assert!(audit.verify(Some(head)).expect("is read").is_sound());
    run(audit.close());
}

#[test]
fn a_flood_of_unknown_keys_is_one_entry() {
    let place = tempfile::tempdir().expect("a temporary directory");
    run(async {
        let audit = open(place.path());
        assert_eq!(audit.record_refused_keys().await, Ok(()));
        for _ in 0..10_000 {
            audit.count_refused_key();
        }
        assert_eq!(audit.record_refused_keys().await, Ok(()));
        let (entries, _) = audit.entries(0, None, 10).expect("is read");
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].entry["count"], 10_000);
        audit.close().await;
    });
}
