//! The session's state machine: from a command to a commit, and from the commit to the next state. No event of a call is
//! cheaper than this.
//!
//! `cargo bench --bench session` prints it.
#![expect(clippy::expect_used, reason = "the inputs are written here")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use recalld::domain::caller::{Assurance, CallerSource, Presentation};
use recalld::domain::ids::{CallId, ReleaseId, SessionId};
use recalld::domain::session::{
    AnonymousSessions, Authority, Change, Command, Direction, EndCause, Leg, Limits, Reset, Rules, Session,
    SetVariable, Start, decide,
};
use recalld::domain::time::Timestamp;
use recalld::domain::value::JsonText;

fn now() -> Timestamp {
    Timestamp::from_unix_millis(1_790_000_000_000)
}

fn session(criterion: &mut Criterion) {
    let rules = rules();
    let life = life_of("1-22440@192.0.2.7");
    let new = || Session::unopened(SessionId::Caller([7; 32]), rules.release.instance.clone(), now());

    let mut group = criterion.benchmark_group("decide and apply");
    let mut before = new();
    for (name, command) in &life {
        group.bench_function(*name, |bencher| {
            bencher.iter_batched_ref(
                || before.clone(),
                |session| run(session, black_box(command), &rules),
                BatchSize::SmallInput,
            );
        });
        run(&mut before, command, &rules);
    }
    group.throughput(Throughput::Elements(u64::try_from(life.len()).expect("a length")));
    group.bench_function("a call's life, returning caller", |bencher| {
        bencher.iter_batched_ref(
            || before.clone(),
            |session| life.iter().for_each(|(_, command)| run(session, black_box(command), &rules)),
            BatchSize::SmallInput,
        );
    });
    group.finish();

    let mut busy = new();
    for number in 0..8 {
        for (_, command) in life_of(&format!("{number}@192.0.2.7")).iter().take(4) {
            run(&mut busy, command, &rules);
        }
    }
    let seen = busy.calls.first().cloned();
    criterion.bench_function("look at a context among 8 parallel calls", |bencher| {
        bencher.iter(|| {
            let context = busy.context(black_box(seen.as_deref()), Authority::OfCall, &rules, now());
            assert_eq!(context.variables.len(), 3);
        });
    });
}

fn run(session: &mut Session, command: &Command, rules: &Rules) {
    if let Some(commit) = decide(session, command, rules, now()).expect("no refusal") {
        session.apply(&commit);
    }
}

/// The commands of one call's life, in their order.
fn life_of(call_id: &str) -> [(&'static str, Command); 7] {
    let call: CallId = call_id.parse().expect("a call ID");
    let leg = Leg { switch: "edge-1".parse().expect("a switch"), peer: IpAddr::V4(Ipv4Addr::LOCALHOST) };
    let start = Start {
        call: call.clone(),
        leg: leg.clone(),
        direction: Direction::Inbound,
        presentation: Presentation::Allowed,
        source: CallerSource::From,
        assurance: Assurance::None,
        switch_at: None,
        details: None,
    };
    let set = |name: &str, value: &str| {
        let variable = SetVariable {
            name: name.parse().expect("a name"),
            value: JsonText::check(value, 1024).expect("JSON"),
            lifetime: None,
            ttl: None,
        };
        Command::Change(Change {
            call: Some(call.clone()),
            set: vec![variable],
            delete: Vec::new(),
            condition: None,
            authority: Authority::OfCall,
        })
    };
    [
        ("start", Command::Start(Box::new(start))),
        ("set the first variable", set("language", "\"de\"")),
        ("set the second variable", set("ticket", r#"{"id":4711,"queue":"support"}"#)),
        ("set the third variable", set("last_choice", "\"billing\"")),
        ("ringing", Command::Ringing { call: call.clone(), code: Some(180) }),
        ("answer", Command::Answer { call: call.clone() }),
        ("end", Command::End { call: call.clone(), leg: Some(leg), cause: EndCause::Switch("bye".into()), code: None }),
    ]
}

fn rules() -> Rules {
    Rules {
        release: ReleaseId { tenant: "acme".parse().expect("a name"), instance: "support-de".parse().expect("a name") },
        session_retention: Duration::from_secs(30 * 86_400),
        user_idle_limit: None,
        reset: Reset::NewCall,
        anonymous_sessions: AnonymousSessions::Drop,
        keep_number: false,
        min_assurance: Assurance::None,
        min_assurance_for: BTreeMap::new(),
        limits: Limits::default(),
    }
}

criterion_group!(benches, session);
criterion_main!(benches);
