//! Any order and repetition of commands of up to four calls, with the clock moving as it likes and the retention
//! changing, gives the same answers, effects, revisions and views as the model. A program that does not is told in its
//! smallest form, and `PROPTEST_RNG_SEED` with the seed beside it gives the same ones again.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;
use rand::TryRng as _;
use rand::rngs::SysRng;

use super::model::{Model, Seen};
use super::world::*;
use crate::domain::caller::{Assurance, CallerSource, DtmfDigit, Presentation};
use crate::domain::ids::{CallId, SessionId};
use crate::domain::session::*;
use crate::domain::time::Timestamp;

const SECOND: u64 = 1_000;

fn a_call() -> impl Strategy<Value = CallId> {
    select(vec!["a", "b", "c", "d"]).prop_map(call)
}

fn a_leg() -> impl Strategy<Value = Leg> {
    select(vec!["edge@1", "edge@1", "edge@2", "edge@3", "media@1"]).prop_map(leg)
}

fn an_assurance() -> impl Strategy<Value = Assurance> {
    select(vec![Assurance::None, Assurance::Trunk, Assurance::App])
}

fn a_start() -> impl Strategy<Value = Command> {
    let presentation = select(vec![Presentation::Allowed, Presentation::Allowed, Presentation::Restricted]);
    (a_call(), a_leg(), presentation, an_assurance()).prop_map(|(call, leg, presentation, assurance)| {
        Command::Start(Box::new(Start {
            call,
            leg,
            direction: Direction::Inbound,
            presentation,
            source: CallerSource::From,
            assurance,
            switch_at: None,
            details: None,
        }))
    })
}

fn an_end() -> impl Strategy<Value = Command> {
    let cause = select(vec![
        EndCause::Switch("ended".into()),
        EndCause::Switch("busy".into()),
        EndCause::Reaped,
        EndCause::Lost,
    ]);
    (a_call(), prop::option::weighted(0.7, a_leg()), cause, prop::option::of(Just(486)))
        .prop_map(|(call, leg, cause, code)| Command::End { call, leg, cause, code })
}

fn a_name() -> impl Strategy<Value = &'static str> {
    select(vec!["v", "w", "x", "pin"])
}

fn a_setting() -> impl Strategy<Value = SetVariable> {
    let value = select(vec!["1", "\"two\"", "[1,2,3,4]", "\"a long text\""]);
    let lifetime = prop::option::of(select(vec![Lifetime::Call, Lifetime::Session, Lifetime::User]));
    let ttl = prop::option::weighted(0.3, select(vec![1, 10 * SECOND, 45 * SECOND]));
    (a_name(), value, lifetime, ttl).prop_map(|(of, value, lifetime, ttl)| SetVariable {
        name: name(of),
        value: json(value),
        lifetime,
        ttl: ttl.map(Duration::from_millis),
    })
}

/// A revision in the condition is relative to that of the session when it is run.
fn a_change() -> impl Strategy<Value = Command> {
    (
        prop::option::of(a_call()),
        prop::collection::vec(a_setting(), 0..3),
        prop::collection::vec(a_name().prop_map(name), 0..3),
        prop::option::weighted(0.2, select(vec![Condition::Revision(0), Condition::Revision(1), Condition::Unset])),
        select(vec![Authority::OfCall, Authority::OfCall, Authority::Trusted]),
    )
        .prop_map(|(call, set, delete, condition, authority)| {
            Command::Change(Change { call, set, delete, condition, authority })
        })
}

fn a_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        5 => a_start(),
        1 => (a_call(), prop::option::of(select(vec![180, 183])))
            .prop_map(|(call, code)| Command::Ringing { call, code }),
        1 => a_call().prop_map(|call| Command::Answer { call }),
        1 => a_call().prop_map(|call| Command::Dtmf {
            call,
            digit: DtmfDigit::new('1').unwrap(),
            duration_ms: None,
        }),
        4 => an_end(),
        10 => a_change(),
        1 => (a_call(), an_assurance()).prop_map(|(call, level)| Command::Assert { call, level }),
        1 => Just(Command::Expire),
    ]
}

/// How far the clock moves before a command, back too, and often to where something ends.
fn a_wait() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => 0_i64..2_000,
        3 => select(vec![10_000, 31_999, 32_000, 32_001, 45_000, 59_999, 60_000, 60_001, 90_000]),
        1 => select(vec![-1, -5_000]),
    ]
}

/// A change of the retention before a command.
fn another_retention() -> impl Strategy<Value = Option<Retention>> {
    let retention = (select(vec![10, 60, 600]), prop::option::of(select(vec![20, 90])));
    let retention = retention.prop_map(|(session, user)| Retention {
        session_retention: Duration::from_secs(session),
        user_idle_limit: user.map(Duration::from_secs),
        anonymous_sessions: AnonymousSessions::Drop,
    });
    prop::option::weighted(0.05, retention)
}

fn some_rules() -> impl Strategy<Value = Rules> {
    (
        select(vec![Reset::NewCall, Reset::NewCall, Reset::EveryCall]),
        prop::option::of(Just(Duration::from_secs(90))),
        select(vec![Assurance::None, Assurance::Trunk]),
        prop::option::of(an_assurance()),
        select(vec![Limits::default(), Limits { value: 9, variables: 4, session_bytes: 30 }]),
    )
        .prop_map(|(reset, user_idle_limit, min_assurance, of_pin, limits)| Rules {
            session_retention: Duration::from_secs(60),
            user_idle_limit,
            reset,
            min_assurance,
            min_assurance_for: of_pin.into_iter().map(|level| (name("pin"), level)).collect(),
            limits,
            ..rules()
        })
}

fn seen(context: &Context<'_>) -> Seen {
    let variables = context.variables.iter().map(|visible| {
        let v = visible.variable;
        let end = visible.expires_at.map(Timestamp::unix_millis);
        (v.name.to_string(), (v.value.as_str().to_owned(), v.lifetime, v.revision, v.set_at.unix_millis(), end))
    });
    (variables.collect(), context.withheld.iter().map(ToString::to_string).collect())
}

fn same_views(world: &World, model: &Model, now: Timestamp) -> Result<(), TestCaseError> {
    let calls = world.session.calls.iter().chain(world.session.ended.iter()).map(|call| Some(call.as_ref()));
    for call in calls.chain([None]) {
        for authority in [Authority::OfCall, Authority::Trusted] {
            let context = world.session.context(call, authority, &world.rules, now);
            let id = call.map(|call| call.id.as_str());
            prop_assert_eq!(seen(&context), model.sees(id, authority, &world.rules, now), "{:?} {:?}", id, authority);
            prop_assert!(context.variables.is_sorted_by_key(|visible| &visible.variable.name));
            prop_assert_eq!(context.active_calls, model.calls.len());
        }
    }
    Ok(())
}

fn same_state(world: &World, model: &Model) -> Result<(), TestCaseError> {
    let session = &world.session;
    prop_assert_eq!(session.revision, model.revision);
    prop_assert_eq!(session.ordinal, model.commits);
    prop_assert_eq!(session.contacts, model.contacts);
    prop_assert_eq!(session.last_contact.map(Timestamp::unix_millis), model.last_contact);
    prop_assert_eq!(session.last_activity.unix_millis(), model.last_activity);
    prop_assert_eq!(session.calls.len(), model.calls.len());
    for (call, expected) in session.calls.iter().zip(&model.calls) {
        prop_assert_eq!(call.id.as_str(), expected.id.as_str());
        prop_assert_eq!(call.state, expected.state);
        prop_assert_eq!(call.started_at.unix_millis(), expected.started_at);
        prop_assert_eq!(call.assurance, expected.assurance);
        prop_assert_eq!(call.returning, expected.returning);
        prop_assert_eq!(call.previous_contact.map(Timestamp::unix_millis), expected.previous_contact);
        prop_assert_eq!(call.reopened, expected.reopened);
        let legs: Vec<_> = call.legs.iter().map(|leg| (leg.switch.to_string(), leg.peer.to_string())).collect();
        prop_assert_eq!(&legs, &expected.legs);
    }
    Ok(())
}

fn sorted(mut words: Vec<String>) -> Vec<String> {
    words.sort();
    words
}

/// Told before anything runs, and shown with a failure.
fn from_a_seed() -> ProptestConfig {
    let config = ProptestConfig::default();
    let seed = match config.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => SysRng.try_next_u64().unwrap(),
    };
    println!("PROPTEST_RNG_SEED={seed}");
    ProptestConfig {
        cases: config.cases.max(2_048),
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        ..config
    }
}

proptest! {
    #![proptest_config(from_a_seed())]

    #[test]
    fn a_session_does_what_the_model_does(
        anonymous in prop::bool::weighted(0.2),
        rules in some_rules(),
        script in prop::collection::vec((another_retention(), a_wait(), a_command()), 1..60),
    ) {
        let mut world = if anonymous { World::anonymous() } else { World::caller() };
        world.rules = rules;
        let unopened = world.session.clone();
        let mut model = Model::new(unopened.id, world.now);
        prop_assert_eq!(anonymous, matches!(unopened.id, SessionId::Anonymous(_)));

        for (retention, wait, mut command) in script {
            if let Some(retention) = retention {
                world.rules = world.rules.with_retention(retention);
            }
            world.now = Timestamp::from_unix_millis(world.now.unix_millis() + wait);
            if let Command::Change(Change { condition: Some(Condition::Revision(revision)), .. }) = &mut command {
                *revision += world.session.revision;
            }
            let before = world.session.clone();
            let answer = world.run(&command);
            let expected = model.run(&command, &world.rules, world.now);
            let happened = answer.as_ref().map(|_| sorted(told(&answer))).map_err(|reason| *reason);
            prop_assert_eq!(happened, expected.map(sorted), "{:?}", command);
            match &answer {
                Ok(Some(commit)) => {
                    let first_own = commit.effects.iter().position(|effect| !is_expiry(effect));
                    let after = &commit.effects[first_own.unwrap_or(commit.effects.len())..];
                    prop_assert!(!after.iter().any(is_expiry), "what has expired goes first: {:?}", commit);
                    prop_assert_eq!(commit.at, world.now);
                }
                _ => prop_assert_eq!(&world.session, &before),
            }
            same_state(&world, &model)?;
            for later in [0, 1, 10_000, 60_000] {
                same_views(&world, &model, world.now.after(Duration::from_millis(later)))?;
            }
        }

        let mut replayed = unopened;
        for commit in &world.commits {
            let bytes = postcard::to_stdvec(commit).unwrap();
            let read: Commit = postcard::from_bytes(&bytes).unwrap();
            prop_assert_eq!(&read, commit);
            replayed.apply(&read);
        }
        prop_assert_eq!(&replayed, &world.session);
        prop_assert_eq!(written_down(&replayed), replayed);
    }
}

fn is_expiry(effect: &Effect) -> bool {
    matches!(effect, Effect::VariableDeleted { cause: ChangeCause::Expired, .. })
}
