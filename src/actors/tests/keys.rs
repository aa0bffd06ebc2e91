//! No caller is lost at a rotation, and no two sessions are made of one (PRODUCT.md 3.3).

use std::collections::BTreeSet;

use super::*;
use crate::domain::caller::{CanonicalCallerId, RuleSet, uri};
use crate::store::AliasCounts;

impl House {
    /// What an operator's rotation comes to.
    fn rotate(&self) -> u32 {
        let tenant = Self::release("sales").tenant;
        let version = self.directory.store().add_pseudonym_version(&tenant).expect("a version is added");
        let root = RootKey::from_file(&[7; 32]).expect("a key");
        let versions = self.directory.store().pseudonym_versions(&tenant).expect("there are versions");
        let keys = versions.iter().map(|known| root.pseudonym_key(&tenant, known.version)).collect();
        self.directory.set_keys([(tenant, keys)].into());
        version
    }

    fn aliases(&self) -> AliasCounts {
        let tenant = Self::release("sales").tenant;
        let counted = self.directory.store().count_aliases(&tenant, None, &mut |_| true);
        counted.expect("they are counted").expect("it was not broken off")
    }

    async fn has_called(&self, call: &str, answer: Answer) -> SessionId {
        let session = answered(answer).await.expect("a context").session.id;
        answered(self.end(call)).await.expect("the end is answered");
        session
    }
}

fn caller(number: usize) -> String {
    format!("sip:+49302312{:04}@example.com", 5_000 + number)
}

#[test]
fn a_caller_moves_to_the_new_key_at_her_next_call_and_keeps_her_session() {
    run(|path| async move {
        let house = House::open(&path);
        for instance in ["support-de", "sales"] {
            let before = house.has_called("1", house.start(instance, "1", anna())).await;
            house.rests().await;
            let version = house.rotate();
            let after = house.has_called("2", house.start(instance, "2", anna())).await;
            assert_eq!(before, after, "{instance}");
            house.rests().await;
            assert_eq!(house.aliases().get(&(version, 1)), Some(&1), "{instance}");
            assert_eq!(house.has_called("3", house.start(instance, "3", anna())).await, before);
            house.rests().await;
        }
        // Both rotations are behind the first release's caller, who has called before the second only.
        assert_eq!(house.aliases(), AliasCounts::from([((2, 1), 1), ((3, 1), 1)]));
        let tenant = House::release("sales").tenant;
        assert!(!house.directory.awaits_alias(&tenant, 2) && !house.directory.awaits_alias(&tenant, 3));
        house.directory.shutdown();
    });
}

#[test]
fn a_call_recognised_before_a_rotation_and_one_recognised_after_it_make_one_session() {
    run(|path| async move {
        let house = House::open(&path);
        for instance in ["support-de", "sales"] {
            for number in 0..40 {
                let from = caller(number);
                let (first, second, third) = (format!("a{number}"), format!("b{number}"), format!("c{number}"));
                let older = house.recognise(&RULES, "edge-1", instance, &first, &from);
                let oldest = house.recognise(&RULES, "edge-1", instance, &third, &from);
                house.rotate();
                // Both orders, and both at the same instant or one after the other.
                let newer = house.recognise(&RULES, "edge-1", instance, &second, &from);
                let sessions: BTreeSet<_> = match number % 4 {
                    0 => {
                        let answers = [house.begin(older), house.begin(newer)];
                        let mut sessions = BTreeSet::new();
                        for answer in answers {
                            sessions.insert(answered(answer).await.expect("a context").session.id);
                        }
                        sessions
                    }
                    1 => {
                        let answers = [house.begin(newer), house.begin(older)];
                        let mut sessions = BTreeSet::new();
                        for answer in answers {
                            sessions.insert(answered(answer).await.expect("a context").session.id);
                        }
                        sessions
                    }
                    2 => {
                        let session = answered(house.begin(newer)).await.expect("a context").session.id;
                        [session, answered(house.begin(older)).await.expect("a context").session.id].into()
                    }
                    _ => {
                        let session = answered(house.begin(older)).await.expect("a context").session.id;
                        [session, answered(house.begin(newer)).await.expect("a context").session.id].into()
                    }
                };
                let last = answered(house.begin(oldest)).await.expect("a context").session.id;
                assert_eq!(sessions, BTreeSet::from([last]), "{instance}, caller {number}");
                for call in [&first, &second, &third] {
                    answered(house.end(call)).await.expect("the end is answered");
                }
                house.rests().await;
            }
            let counts = house.aliases();
            let callers: u64 = counts.values().sum();
            assert_eq!(callers, if instance == "sales" { 80 } else { 40 }, "one alias each: {counts:?}");
        }
        house.directory.shutdown();
    });
}

#[test]
fn many_calls_of_one_new_caller_around_a_rotation_leave_one_session_and_one_alias() {
    run(|path| async move {
        let house = House::open(&path);
        for instance in ["support-de", "sales"] {
            let before = house.aliases().values().sum::<u64>();
            let mut answers = Vec::new();
            for call in 0..60 {
                if call % 20 == 10 {
                    house.rotate();
                }
                answers.push((call, house.start(instance, &format!("{instance}{call}"), anna())));
            }
            let mut sessions = BTreeSet::new();
            for (_, answer) in &mut answers {
                let told = tokio::time::timeout(Duration::from_secs(10), answer).await.expect("an answer comes");
                sessions.insert(told.expect("nothing panicked").expect("a context").session.id);
            }
            assert_eq!(sessions.len(), 1, "{instance}");
            for (call, _) in answers {
                answered(house.end(&format!("{instance}{call}"))).await.expect("the end is answered");
            }
            house.rests().await;
            assert_eq!(house.aliases().values().sum::<u64>(), before + 1, "{instance}");
        }
        house.directory.shutdown();
    });
}

/// Rules that never asked the number parser.
fn verbatim(address: &uri::Address<'_>, trunk: &Trunk<'_>) -> Option<CanonicalCallerId> {
    let user = format!("sip:{}@verbatim.example.com", address.user);
    let address = uri::Address::parse(&user)?;
    (RULES.newest.of_address)(&address, &Trunk { region: &"US".parse().ok()?, ..*trunk })
}

const BEFORE: RuleSets<'static> =
    RuleSets { newest: RuleSet { version: 1, of_address: verbatim, ..RULES.newest }, older: &[] };
const RAISED: RuleSets<'static> = RuleSets { newest: RuleSet { version: 2, ..RULES.newest }, older: &[BEFORE.newest] };

#[test]
fn raised_rules_migrate_a_caller_like_a_key_and_together_with_it() {
    run(|path| async move {
        let house = House::open(&path);
        // As a national number it is another caller by the rules before.
        let from = "sip:03023125042@example.com";
        for instance in ["support-de", "sales"] {
            let before = house.begin(house.recognise(&BEFORE, "edge-1", instance, "1", from));
            let before = house.has_called("1", before).await;
            house.rests().await;
            let newest = house.rotate();
            let after = house.begin(house.recognise(&RAISED, "edge-1", instance, "2", from));
            assert_eq!(house.has_called("2", after).await, before, "{instance}");
            house.rests().await;
            assert_eq!(house.aliases().get(&(newest, 2)), Some(&1), "{instance}: {:?}", house.aliases());
            let again = house.begin(house.recognise(&RAISED, "edge-1", instance, "3", anna()));
            assert_eq!(house.has_called("3", again).await, before, "by the raised rules she is the same caller");
            house.rests().await;
        }
        assert!(house.aliases().keys().all(|(_, rules)| *rules == 2), "{:?}", house.aliases());
        house.directory.shutdown();
    });
}
