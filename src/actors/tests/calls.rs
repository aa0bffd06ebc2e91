//! One session for one caller, whatever happens at the same instant; the same call ID again.

use super::*;

#[test]
fn a_returning_caller_has_the_same_session_in_both_generations() {
    run(|path| async move {
        let house = House::open(&path);
        for instance in ["support-de", "sales"] {
            let first = answered(house.start(instance, "1", anna())).await.expect("a context");
            assert!(!first.call.as_ref().expect("the call is active").returning);
            answered(house.end("1")).await.expect("the end is answered");
            house.rests().await;
            let second = answered(house.start(instance, "2", anna())).await.expect("a context");
            assert_eq!(first.session.id, second.session.id);
            assert!(second.call.as_ref().expect("the call is active").returning);
            answered(house.end("2")).await.expect("the end is answered");
            house.rests().await;
        }
        house.directory.shutdown();
    });
}

#[test]
fn first_calls_of_one_caller_at_the_same_instant_make_one_session() {
    run(|path| async move {
        let house = House::open(&path);
        for instance in ["support-de", "sales"] {
            let answers: Vec<_> =
                (0..50).map(|call| house.start(instance, &format!("{instance}-{call}"), anna())).collect();
            let mut sessions = std::collections::BTreeSet::new();
            let mut firsts = 0;
            for answer in answers {
                let told = answered(answer).await.expect("a context");
                sessions.insert(told.session.id);
                firsts += usize::from(!told.call.expect("the call is active").returning);
            }
            assert_eq!((sessions.len(), firsts), (1, 1), "{instance}");
        }
        house.directory.shutdown();
    });
}

#[test]
fn a_session_and_its_calls_live_on_one_arbiter_whichever_connection_reports_them() {
    run(|path| async move {
        let house = House::open(&path);
        for (arbiter, call) in [(1, "1"), (0, "2")] {
            let there = House { directory: house.directory.clone() };
            let (told, answer) = oneshot::channel();
            let start = move || assert!(told.send(there.start("support-de", call, anna())).is_ok());
            assert!(house.directory.arbiters()[arbiter].spawn_fn(start));
            answered(answer.await.expect("it is reported")).await.expect("a context");
        }
        let tenant = House::release("support-de").tenant;
        let shards = ["1", "2"].map(|call| house.directory.call_slot(&tenant, &id(call)).map(|slot| slot.shard()));
        assert_eq!(shards, [Some(1), Some(1)]);
        house.directory.shutdown();
    });
}

#[test]
fn calls_of_one_caller_on_two_arbiters_at_once_lose_nothing() {
    const ROUNDS: usize = 300;
    run(|path| async move {
        let house = House::open(&path);
        let together = Arc::new(std::sync::Barrier::new(2));
        let mut reports = Vec::new();
        for (arbiter, switch) in ["edge-1", "edge-2"].into_iter().enumerate() {
            let (there, together) = (House { directory: house.directory.clone() }, together.clone());
            let (told, answers) = oneshot::channel();
            let report = async move {
                let mut answers = Vec::new();
                for round in 0..ROUNDS {
                    together.wait();
                    // Every third call is reported by both, the others are each one's own.
                    let call = if round % 3 == 0 { format!("both-{round}") } else { format!("{switch}-{round}") };
                    let value = round.to_string();
                    answers.push([
                        there.start_from(switch, "support-de", &call, anna()),
                        there.set(&call, switch, &value, Lifetime::Session),
                        there.end_from(switch, &call),
                    ]);
                    tokio::task::yield_now().await;
                }
                assert!(told.send(answers).is_ok());
            };
            assert!(house.directory.arbiters()[arbiter].spawn(report));
            reports.push(answers);
        }
        let (mut sessions, mut revisions) = (std::collections::BTreeSet::new(), Vec::new());
        for report in reports {
            for [start, set, end] in report.await.expect("they are reported") {
                let started = answered(start).await.expect("a context");
                sessions.insert(started.session.id);
                revisions.push(answered(set).await.expect("it is set").session.revision);
                answered(end).await.expect("the end is answered");
            }
        }
        assert_eq!(sessions.len(), 1);
        revisions.sort_unstable();
        assert!(revisions.windows(2).all(|pair| pair[0] < pair[1]), "two changes have one revision");
        house.rests().await;
        house.directory.shutdown();
    });
}

#[test]
fn an_end_right_behind_the_start_of_a_cold_session_ends_the_call() {
    run(|path| async move {
        {
            let house = House::open(&path);
            answered(house.start("support-de", "1", anna())).await.expect("a context");
            answered(house.end("1")).await.expect("the end is answered");
            house.rests().await;
            house.directory.shutdown();
        }
    });
    run(|path| async move {
        let house = House::open(&path);
        let start = house.start("support-de", "2", anna());
        let ring = house.happens("2", Command::Ringing { call: id("2"), code: None });
        let end = house.end("2");
        assert!(answered(start).await.expect("a context").call.is_some());
        answered(ring).await.expect("it rings");
        assert!(answered(end).await.expect("the end is answered").call.is_none());
        house.rests().await;
        house.directory.shutdown();
    });
}

#[test]
fn a_call_id_in_use_is_refused_to_another_caller_and_free_when_its_call_is_over() {
    run(|path| async move {
        let house = House::open(&path);
        let bob = "sip:+442079460123@example.com";
        let first = answered(house.start("support-de", "1", anna())).await.expect("a context");
        assert_eq!(reason(answered(house.start("support-de", "1", bob)).await), Reason::CallIdInUse);
        assert_eq!(
            reason(answered(house.start("support-de", "1", "sip:x@anonymous.invalid")).await),
            Reason::CallIdInUse
        );
        let again = answered(house.start("support-de", "1", anna())).await.expect("the same call");
        assert_eq!(again.session.ordinal, first.session.ordinal, "a repeated start changes nothing");
        // The end and the next caller's start are on their way at the same time.
        let end = house.end("1");
        let next = answered(house.start("support-de", "1", bob)).await.expect("a context");
        answered(end).await.expect("the end is answered");
        assert_ne!(next.session.id, first.session.id);
        assert_eq!(next.session.calls.len(), 1);
        answered(house.end("1")).await.expect("the end is answered");
        house.rests().await;
        house.directory.shutdown();
    });
}

#[test]
fn withheld_callers_share_nothing_but_a_call_id_of_one_switch_is_one_call() {
    run(|path| async move {
        let house = House::open(&path);
        let withheld = "sip:anonymous@anonymous.invalid";
        let one = answered(house.start("support-de", "1", withheld)).await.expect("a context");
        let two = answered(house.start("support-de", "2", withheld)).await.expect("a context");
        assert!(one.session.id.is_anonymous() && one.session.id != two.session.id);
        let again = answered(house.start("support-de", "1", withheld)).await.expect("the same call");
        assert_eq!(again.session.id, one.session.id);
        let other = house.start_from("edge-2", "support-de", "1", withheld);
        assert_eq!(reason(answered(other).await), Reason::CallIdInUse);
        // An INVITE repeated with credentials.
        answered(house.end("1")).await.expect("the end is answered");
        let reopened = answered(house.start("support-de", "1", withheld)).await.expect("a context");
        assert_eq!(reopened.session.id, one.session.id);
        assert!(reopened.call.expect("the call is active").reopened);
        house.directory.shutdown();
    });
}

#[test]
fn after_a_restart_calls_variables_and_revisions_are_there_again() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let path = place.path().to_owned();
    let before = std::sync::Mutex::new(None);
    actix_rt::System::new().block_on(async {
        let house = House::open(&path);
        answered(house.start("support-de", "1", anna())).await.expect("a context");
        answered(house.set("1", "language", "\"de\"", Lifetime::User)).await.expect("a revision");
        let told = answered(house.set("1", "step", "3", Lifetime::Call)).await.expect("a revision");
        *before.lock().expect("one thread") = Some(told.session);
        house.directory.shutdown();
    });
    let before = before.into_inner().expect("one thread").expect("a session");
    actix_rt::System::new().block_on(async {
        let house = House::open(&path);
        let view = house.directory.find_call(&House::release("support-de").tenant, &id("1")).await;
        let view = view.expect("readable").expect("the call is active");
        assert_eq!((view.session.revision, &view.session.variables), (before.revision, &before.variables));
        assert_eq!(view.call.variables, before.calls[0].variables);
        let told = answered(house.set("1", "language", "\"fr\"", Lifetime::User)).await.expect("a revision");
        assert_eq!(told.session.revision, before.revision + 1);
        answered(house.end("1")).await.expect("the end is answered");
        house.rests().await;
        house.directory.shutdown();
    });
}

#[test]
fn a_voice_app_changes_a_sleeping_session_and_reads_it() {
    run(|path| async move {
        let house = House::open(&path);
        let told = answered(house.start("support-de", "1", anna())).await.expect("a context");
        answered(house.end("1")).await.expect("the end is answered");
        house.rests().await;
        let tenant = House::release("support-de").tenant;
        let session = told.session.id;
        let view = house.directory.change(&tenant, &session, change(None, "a", "1", Lifetime::User)).await;
        assert_eq!(view.expect("a revision").session.revision, 1);
        house.rests().await;
        let view = house.directory.find_session(&tenant, &session).await.expect("readable").expect("it is stored");
        assert_eq!(view.session.variables.len(), 1);
        assert_eq!(house.directory.counts().session_actors, 0, "a read starts no actor");
        let nobody = SessionId::Caller([9; 32]);
        let refused = house.directory.change(&tenant, &nobody, change(None, "a", "1", Lifetime::User)).await;
        assert_eq!(reason(refused), Reason::UnknownSession);
        let ended = house.directory.find_call(&tenant, &id("1")).await.expect("readable").expect("it lingers");
        assert_eq!(ended.call.state, crate::domain::session::CallState::Ended);
        house.directory.shutdown();
    });
}

#[test]
fn a_context_is_rendered_once_until_something_changes_or_ends_or_somebody_else_reads() {
    run(|place| async move {
        let clock = Clock::manual(crate::domain::time::Timestamp::from_unix_millis(1_790_000_000_000));
        let house = House::open_at(&place, Some(clock));
        let tenant = House::release("support-de").tenant;
        answered(house.start("support-de", "a", anna())).await.expect("starts");
        let look = |reader: u64| {
            let mut rendered = false;
            let mut said = String::new();
            for _ in 0..1_000 {
                let render = |outcome: &Outcome<'_>| {
                    rendered = true;
                    let context = outcome.session.context(None, Authority::OfCall, outcome.rules, outcome.now);
                    context.variables.iter().map(|seen| seen.variable.value.as_str()).collect()
                };
                match house.directory.glance(&tenant, &id("a"), reader, render, |text| said = text.to_owned()) {
                    Glance::Said => return (rendered, said),
                    // The lease of the event before goes a moment after its answer.
                    Glance::Changing => std::thread::sleep(Duration::from_millis(1)),
                    Glance::Unknown => panic!("the call is active"),
                }
            }
            panic!("the call keeps changing");
        };
        assert_eq!(look(1), (true, String::new()));
        assert_eq!(look(1), (false, String::new()));
        answered(house.set("a", "language", "1", Lifetime::Session)).await.expect("is set");
        assert_eq!(look(1), (true, "1".to_owned()));
        assert_eq!(look(2), (true, "1".to_owned()), "another reader may see something else");
        assert_eq!(look(1), (true, "1".to_owned()));
        assert_eq!(look(1), (false, "1".to_owned()));
        let mut short = change(Some("a"), "language", "2", Lifetime::Session);
        for set in &mut short.set {
            set.ttl = Some(Duration::from_millis(200));
        }
        answered(house.happens("a", Command::Change(short))).await.expect("is set");
        assert_eq!(look(1), (true, "2".to_owned()));
        assert_eq!(look(1), (false, "2".to_owned()));
        // Faster than the wheel, whose commit would make it be rendered anew.
        house.directory.clock().advance(Duration::from_millis(201));
        assert_eq!(look(1).1, "", "what has expired is never said");
        house.directory.shutdown();
    });
}

#[test]
fn a_call_that_began_with_the_list_of_its_switch_is_asked_for_and_a_later_one_is_not() {
    run(|path| async move {
        let house = House::open(&path);
        let started = answered(house.start("support-de", "a", anna())).await.expect("a context");
        let at = started.call.expect("the call is active").started_at;
        let leg = Leg { switch: "edge-1".parse().expect("a name"), peer: [127, 0, 0, 1].into() };
        let reported = house.directory.calls_of(&leg, at);
        assert_eq!(reported.iter().map(|call| call.call.as_str()).collect::<Vec<_>>(), ["a"]);
        let before = crate::domain::time::Timestamp::from_unix_millis(at.unix_millis() - 1);
        assert!(house.directory.calls_of(&leg, before).is_empty());
        house.directory.shutdown();
    });
}

#[test]
fn events_behind_the_start_of_another_caller_with_the_same_call_id_are_events_of_that_call() {
    run(|path| async move {
        let house = House::open(&path);
        for round in 0..50 {
            let call = format!("x-{round}");
            let first = house.start("support-de", &call, anna());
            let first_end = house.end(&call);
            let second = house.start("support-de", &call, "sip:+442079460123@example.com");
            let set = house.set(&call, "queue", "\"billing\"", Lifetime::Call);
            let second_end = house.end(&call);
            let first = answered(first).await.expect("a context");
            answered(first_end).await.expect("the end is answered");
            let second = answered(second).await.expect("a context");
            assert_ne!(first.session.id, second.session.id);
            assert_eq!(answered(set).await.expect("a revision").session.id, second.session.id);
            let over = answered(second_end).await.expect("the end is answered");
            assert_eq!((over.session.id, over.session.calls.len()), (second.session.id, 0));
        }
        house.rests().await;
        house.directory.shutdown();
    });
}
