//! Bytes of a switch into a request, and the context into an answer: what every request of a switch pays for.
//!
//! `cargo bench --bench wire` prints it.
#![expect(clippy::expect_used, reason = "the inputs are written here")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use recalld::domain::caller::{Assurance, CallerSource, Presentation};
use recalld::domain::ids::{ReleaseId, SessionId};
use recalld::domain::session::{
    AnonymousSessions, Authority, Command, Direction, Leg, Lifetime, Limits, Reset, Rules, Session, SetVariable, Start,
    decide,
};
use recalld::domain::session::{Change, Condition};
use recalld::domain::time::Timestamp;
use recalld::domain::value::JsonText;
use recalld::wire::answer::write_result;
use recalld::wire::context::{Expose, write_context};
use recalld::wire::framing::{DEFAULT_FRAME_LIMIT, FrameCodec, Framing, write_frame};
use recalld::wire::jsonrpc::{RequestId, parse_request};
use tokio_util::codec::Decoder;

const REQUESTS: [(&str, &str); 4] = [
    (
        "call.start",
        r#"{"jsonrpc":"2.0","id":7,"method":"call.start","params":{"call_id":"1-22440@192.0.2.7","from":"sip:+493023125001@trunk.example.net","to":"sip:+493023125100@pbx.example.com","instance_id":"support-de"}}"#,
    ),
    (
        "call.start with headers",
        r#"{"jsonrpc":"2.0","id":7,"method":"call.start","params":{"call_id":"1-22440@192.0.2.7","from":"\"Alice\" <sip:+493023125001@trunk.example.net>;tag=1","to":"sip:+493023125100@pbx.example.com","display":"Alice","pai":["<sip:+493023125001@trunk.example.net>","<tel:+493023125001>"],"headers":{"X-Campaign":"spring","User-Agent":"example"}}}"#,
    ),
    (
        "call.ringing",
        r#"{"jsonrpc":"2.0","id":8,"method":"call.ringing","params":{"call_id":"1-22440@192.0.2.7","code":180}}"#,
    ),
    (
        "variables.set",
        r#"{"jsonrpc":"2.0","id":9,"method":"variables.set","params":{"call_id":"1-22440@192.0.2.7","set":{"ticket":{"id":4711,"queue":"support"}}}}"#,
    ),
];

fn requests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse a request");
    for (name, text) in REQUESTS {
        group.throughput(Throughput::Bytes(u64::try_from(text.len()).expect("a length")));
        group.bench_function(name, |bencher| {
            bencher.iter(|| assert!(parse_request(black_box(text.as_bytes())).is_ok()));
        });
    }
    group.finish();
}

/// Sixteen frames in one read, as a busy connection brings them.
fn frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("split 16 frames");
    group.throughput(Throughput::Elements(16));
    for (name, framing) in [("netstrings", Framing::Netstring), ("bare JSON", Framing::Bare)] {
        let mut read = BytesMut::new();
        for (_, text) in REQUESTS.iter().cycle().take(16) {
            write_frame(&mut read, framing, text);
        }
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut codec = FrameCodec::new(DEFAULT_FRAME_LIMIT);
                let mut bytes = BytesMut::from(&read[..]);
                let mut frames = 0;
                while let Some(frame) = codec.decode(&mut bytes).expect("a decoder that does not read") {
                    black_box(frame.expect("a good frame"));
                    frames += 1;
                }
                assert_eq!(frames, 16);
            });
        });
    }
    group.finish();
}

fn answers(criterion: &mut Criterion) {
    let rules = rules();
    let now = Timestamp::from_unix_millis(1_790_000_000_000);
    let session = session(&rules, now);
    let call = session.calls.first().cloned();
    criterion.bench_function("write a context of 3 variables as an answer", |bencher| {
        let mut out = BytesMut::new();
        let mut result = String::new();
        bencher.iter(|| {
            out.clear();
            result.clear();
            let context = session.context(call.as_deref(), Authority::OfCall, &rules, now);
            write_context(&mut result, black_box(&context), &rules, &Expose::All, None);
            write_result(&mut out, Framing::Netstring, &RequestId::Integer(7), &result);
            black_box(&out);
        });
    });
}

fn session(rules: &Rules, now: Timestamp) -> Session {
    let mut session = Session::unopened(SessionId::Caller([7; 32]), rules.release.instance.clone(), now);
    let call: recalld::domain::ids::CallId = "1-22440@192.0.2.7".parse().expect("a call ID");
    let leg = Leg { switch: "edge-1".parse().expect("a switch"), peer: IpAddr::V4(Ipv4Addr::LOCALHOST) };
    let start = Start {
        call: call.clone(),
        leg,
        direction: Direction::Inbound,
        presentation: Presentation::Allowed,
        source: CallerSource::From,
        assurance: Assurance::None,
        switch_at: None,
        details: None,
    };
    let variable = |name: &str, value: &str| SetVariable {
        name: name.parse().expect("a name"),
        value: JsonText::check(value, 1024).expect("JSON"),
        lifetime: Some(Lifetime::Session),
        ttl: None,
    };
    let set = vec![
        variable("language", "\"de\""),
        variable("last_choice", "\"billing\""),
        variable("ticket", r#"{"id":4711,"queue":"support"}"#),
    ];
    let change = Change {
        call: Some(call),
        set,
        delete: Vec::new(),
        condition: Some(Condition::Revision(0)),
        authority: Authority::OfCall,
    };
    for command in [Command::Start(Box::new(start)), Command::Change(change)] {
        let commit = decide(&session, &command, rules, now).expect("no refusal").expect("a change");
        session.apply(&commit);
    }
    session
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

criterion_group!(benches, requests, frames, answers);
criterion_main!(benches);
