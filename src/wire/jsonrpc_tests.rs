use std::path::Path;

use bytes::BytesMut;
use proptest::prelude::*;
use tokio_util::codec::Decoder;

use super::*;
use crate::wire::framing::{DEFAULT_FRAME_LIMIT, FrameCodec, Framing};

fn refused(frame: &[u8]) -> (ReplyTo, Reason) {
    match parse_request(frame) {
        Ok(request) => panic!("taken: {request:?}"),
        Err(wrong) => (wrong.reply_to, wrong.refusal.reason),
    }
}

fn id_of(frame: &str) -> Option<RequestId> {
    parse_request(frame.as_bytes()).expect("a good request").id
}

#[test]
fn an_id_is_kept_as_it_came() {
    assert_eq!(id_of(r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#), Some(RequestId::Integer(2)));
    assert_eq!(
        id_of(r#"{"id":-9223372036854775808,"jsonrpc":"2.0","method":"ping"}"#),
        Some(RequestId::Integer(i64::MIN))
    );
    assert_eq!(id_of(r#"{"jsonrpc":"2.0","id":"2","method":"ping"}"#), Some(RequestId::Text("2".into())));
    assert_eq!(id_of(r#"{"jsonrpc":"2.0","id":"a\u0041\n","method":"ping"}"#), Some(RequestId::Text("aA\n".into())));
}

#[test]
fn without_an_id_it_is_a_notification() {
    assert_eq!(id_of(r#"{"jsonrpc":"2.0","method":"ping","params":{}}"#), None);
    assert_eq!(id_of(" {\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"} \n"), None);
    let wrong = refused(br#"{"jsonrpc":"2.0","method":"E_UNNAMED","params":[7]}"#);
    assert_eq!(wrong, (ReplyTo::Nobody, Reason::MethodNotFound));
}

#[test]
fn other_ids_are_no_ids() {
    let long = format!("\"{}\"", "x".repeat(256));
    for id in
        ["1.0", "1e3", "true", "[]", "[1]", "{}", "{\"a\":{}}", "9223372036854775808", "-9223372036854775809", &long]
    {
        let frame = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"ping\"}}");
        assert_eq!(refused(frame.as_bytes()), (ReplyTo::Unknown, Reason::InvalidRequest), "{id}");
    }
}

#[test]
fn a_request_is_one_object_of_version_2() {
    let five = || ReplyTo::Request(RequestId::Integer(5));
    for (frame, reply_to) in [
        (r#"{"id":5,"method":"ping"}"#, five()),
        (r#"{"jsonrpc":"1.0","id":5,"method":"ping"}"#, five()),
        (r#"{"jsonrpc":2.0,"id":5,"method":"ping"}"#, five()),
        (r#"{"jsonrpc":"2.0","id":5}"#, five()),
        (r#"{"jsonrpc":"2.0","id":5,"method":7}"#, five()),
        (r#"{"jsonrpc":"2.0","id":5,"method":"ping","method":"ping"}"#, five()),
        (r#"{"jsonrpc":"2.0","id":5,"id":6,"method":"ping"}"#, ReplyTo::Unknown),
        (r#"[{"jsonrpc":"2.0","id":5,"method":"ping"}]"#, ReplyTo::Unknown),
        (r#"["2.0",5,"ping",{}]"#, ReplyTo::Unknown),
        ("5", ReplyTo::Unknown),
        ("\"ping\"", ReplyTo::Unknown),
        ("{}", ReplyTo::Nobody),
    ] {
        assert_eq!(refused(frame.as_bytes()), (reply_to, Reason::InvalidRequest), "{frame}");
    }
}

#[test]
fn what_is_no_json_is_a_parse_error() {
    let frames: [&[u8]; 13] = [
        b"{1:2}",
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"pi\xc3",
        b"",
        b" ",
        b"{",
        b"{]",
        b"{}{}",
        b"[1,",
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",}",
        b"{\"jsonrpc\":\"2.0\",\"id\":01,\"method\":\"ping\"}",
        b"{\"a\":\"\xff\"}",
        b"{\"id\":1,\"jsonrpc\":\"2.0\n\"}",
        b"{\"id\":1,\0\"jsonrpc\":\"2.0\"}",
    ];
    for frame in frames {
        assert_eq!(refused(frame), (ReplyTo::Unknown, Reason::ParseError), "{}", String::from_utf8_lossy(frame));
    }
}

#[test]
fn a_deep_frame_is_refused_by_its_id_and_the_framing_is_kept() {
    let frame = |depth: usize| {
        let nested = "[".repeat(depth - 1) + &"]".repeat(depth - 1);
        format!("{{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"ping\",\"x\":{nested}}}")
    };
    assert!(parse_request(frame(32).as_bytes()).is_ok());
    let five = ReplyTo::Request(RequestId::Integer(5));
    assert_eq!(refused(frame(33).as_bytes()), (five.clone(), Reason::LimitExceeded));
    assert_eq!(refused(frame(30_000).as_bytes()), (five, Reason::LimitExceeded));
    assert!(!Framing::Bare.is_lost_after(Reason::LimitExceeded));
    assert!(Framing::Bare.is_lost_after(Reason::ParseError));
    assert!(!Framing::Netstring.is_lost_after(Reason::ParseError));
}

#[test]
fn a_method_that_is_not_there_is_told_by_the_word() {
    for method in ["calls.list", "call.failed", "Ping", "ping ", ""] {
        let frame = format!("{{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"{method}\"}}");
        assert_eq!(refused(frame.as_bytes()), (ReplyTo::Request(RequestId::Integer(5)), Reason::MethodNotFound));
    }
}

/// The recorded bytes of a switch, the number of its frames, and the methods of ours among them.
const RECORDED: [(&str, Framing, &[&str]); 11] = [
    ("kamailio/answered-1", Framing::Netstring, &["call.start", "call.ringing", "call.answer", "call.end"]),
    ("kamailio/withheld-1", Framing::Netstring, &["call.start", "call.ringing", "call.answer", "call.end"]),
    ("kamailio/busy-486-1", Framing::Netstring, &["call.start", "call.ringing", "?", "?"]),
    (
        "kamailio/parallel-1",
        Framing::Netstring,
        &[
            "call.start",
            "call.ringing",
            "call.start",
            "call.ringing",
            "call.answer",
            "call.answer",
            "call.end",
            "call.end",
        ],
    ),
    ("opensips/notify-answered.event-1", Framing::Bare, &["call.start", "?", "call.ringing", "?", "?", "?", "?", "?"]),
    ("opensips/notify-withheld.event-1", Framing::Bare, &["call.start", "?", "call.ringing", "?", "?", "?", "?", "?"]),
    (
        "opensips/notify-eventparam.event-1",
        Framing::Bare,
        &["call.start", "?", "call.ringing", "?", "?", "?", "?", "?"],
    ),
    (
        "opensips/reliable-answered.event-1",
        Framing::Bare,
        &["call.start", "?", "call.ringing", "?", "?", "?", "?", "?"],
    ),
    ("opensips/notify-answered.query-1", Framing::Bare, &["?"]),
    ("opensips/notify-answered.query-2", Framing::Bare, &["?"]),
    ("opensips/query-nl.query-1", Framing::Bare, &["?"]),
];

/// The word of a request as it was understood. The recordings name the parties `from_uri` and
/// `to_uri`, so their `call.start` lacks `from`; everything else of it is read.
fn understood(frame: &[u8]) -> &'static str {
    match parse_request(frame) {
        Ok(Request { method, .. }) => match method {
            Method::CallRinging { code: Some(180), .. } => "call.ringing",
            Method::CallAnswer { .. } => "call.answer",
            Method::CallEnd { .. } => "call.end",
            other => panic!("not in the recordings: {other:?}"),
        },
        Err(wrong) if wrong.refusal.reason == Reason::MethodNotFound => "?",
        Err(wrong) => {
            assert_eq!(wrong.refusal, Refusal::new(Reason::InvalidParams, "from is missing"));
            let with_names =
                String::from_utf8_lossy(frame).replace("\"from_uri\"", "\"from\"").replace("\"to_uri\"", "\"to\"");
            let request = parse_request(with_names.as_bytes()).expect("a start with its parties");
            let Method::CallStart(start) = request.method else { panic!("not a start") };
            assert!(start.from.starts_with("sip:") && start.to.starts_with("sip:+4930231251"));
            assert_eq!(start.pai.is_empty(), start.privacy.is_none());
            "call.start"
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn recorded_switches_are_understood_under_every_cut(cuts in prop::collection::vec(any::<usize>(), 0..40)) {
        for (name, framing, methods) in RECORDED {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/captures").join(format!("{name}.in"));
            let bytes = std::fs::read(path).expect("the recording is there");
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
            places.push(bytes.len());
            places.sort_unstable();
            let (mut codec, mut buffer, mut from, mut read) = (FrameCodec::new(DEFAULT_FRAME_LIMIT), BytesMut::new(), 0, Vec::new());
            for to in places {
                buffer.extend_from_slice(&bytes[from..to]);
                from = to;
                while let Some(item) = codec.decode(&mut buffer).expect("no input or output here") {
                    read.push(understood(&item.expect("a good frame").bytes));
                }
            }
            prop_assert!(codec.decode_eof(&mut buffer).expect("no input or output here").is_none());
            prop_assert_eq!(codec.framing(), Some(framing));
            prop_assert_eq!(&read[..], methods, "{}", name);
        }
    }

    #[test]
    fn no_frame_makes_it_panic(frame in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_request(&frame);
    }
}
