//! Peers that say nothing, send slowly or never read.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};
use serde_json::json;

use super::support::{Config, Daemon, Framing, Incoming, Rpc, rpc, wait};
use super::{ANNA, Bystander};

/// How long a slow sender may hold its connection at most.
const SLOW: Duration = Duration::from_secs(90);

#[test]
fn ten_thousand_connections_that_say_nothing_harm_nobody() {
    // Both ends need a descriptor each, in processes with the same limit, beside what they need for themselves.
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let many = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(1_000).min(10_000);
    let daemon = Daemon::start();
    let mut bystander = Bystander::of(&daemon);
    let before = daemon.resident_bytes();
    let address = daemon.switch_address("edge-1");
    let mut silent = Vec::with_capacity(many);
    for _ in 0..many {
        silent.push(TcpStream::connect(address).unwrap());
        if silent.len() % 1_000 == 0 {
            bystander.is_unharmed();
        }
    }
    bystander.is_unharmed();
    let mut late_comer = daemon.switch("edge-1", Framing::Bare);
    assert_eq!(late_comer.start("late-comer", ANNA)["active_calls"], 1);
    let taken = daemon.resident_bytes().saturating_sub(before);
    assert!(taken < 400 * 1024 * 1024, "{many} silent connections take {taken} bytes");
    drop(silent);
    bystander.is_unharmed();
}

#[test]
fn connections_above_the_limit_are_turned_away_and_the_others_stay() {
    let daemon = Daemon::with(Config::default().limits("connections = 4"));
    let mut bystander = Bystander::of(&daemon);
    let address = daemon.switch_address("edge-1");
    let mut waiting: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
    bystander.is_unharmed();
    let ping = Framing::Netstring.frame(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    for stream in &mut waiting {
        // Turned away ones may be closed already.
        let _ = stream.write_all(&ping);
    }
    bystander.is_unharmed();
    drop(waiting);
    wait::until("there is room again", || {
        let Ok(mut stream) = TcpStream::connect(address) else { return false };
        let _ = stream.write_all(&ping);
        let mut edge = Rpc::over(stream, Framing::Netstring);
        matches!(edge.poll_document(Duration::from_millis(500)), Incoming::Document(answer) if answer["result"]["pong"] == true)
    });
}

#[test]
fn a_sender_of_half_a_frame_is_timed_out_and_an_idle_connection_is_not() {
    let daemon = Daemon::start();
    let mut bystander = Bystander::of(&daemon);
    let mut idle = daemon.edge();
    assert_eq!(idle.ok("ping", &json!({})), json!({"pong": true}));
    let halves: [(Framing, &[u8]); 3] =
        [(Framing::Netstring, b"60:{\"jsonrpc\""), (Framing::Netstring, b"6"), (Framing::Bare, b"{\"jsonrpc\":")];
    let mut slow: Vec<_> = halves
        .iter()
        .map(|(framing, half)| {
            let mut edge = daemon.switch("edge-1", *framing);
            edge.send_raw(half);
            edge
        })
        .collect();
    let begin = Instant::now();
    for edge in &mut slow {
        loop {
            match edge.poll_document(SLOW.saturating_sub(begin.elapsed())) {
                Incoming::Nothing => panic!("a slow sender still holds its connection after {SLOW:?}"),
                Incoming::Closed => break,
                Incoming::Document(document) => {
                    let reason = super::reason(&document);
                    assert!(matches!(reason.as_str(), "parse_error" | "late" | "not_allowed"), "{reason}");
                }
            }
        }
    }
    bystander.is_unharmed();
    assert_eq!(idle.ok("ping", &json!({})), json!({"pong": true}), "the pause between two frames is no slow frame");
}

#[test]
fn a_frame_in_many_small_pieces_is_served() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    let (id, frame) = edge.request("call.start", &rpc::start("pieces", ANNA));
    for byte in frame {
        edge.send_raw(&[byte]);
    }
    assert_eq!(edge.answer(id).unwrap()["active_calls"], 1);
}

#[test]
fn a_connection_whose_reads_always_end_within_a_frame_is_not_slow() {
    const BUSY: Duration = Duration::from_secs(12);
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    let begin = Instant::now();
    let mut rest = Vec::new();
    let mut last = 0;
    while begin.elapsed() < BUSY {
        let (id, frame) = edge.request("ping", &json!({}));
        let (one, other) = frame.split_at(frame.len() / 2);
        rest.extend_from_slice(one);
        edge.send_raw(&rest);
        rest = other.to_vec();
        if last > 0 {
            assert_eq!(edge.answer(last), Ok(json!({"pong": true})), "after {:?}", begin.elapsed());
        }
        last = id;
        // The pace of a switch, not a synchronisation.
        std::thread::sleep(Duration::from_millis(20));
    }
    edge.send_raw(&rest);
    assert_eq!(edge.answer(last), Ok(json!({"pong": true})));
}

#[test]
fn readers_that_never_read_take_bounded_memory_and_harm_nobody() {
    const READERS: usize = 6;
    const REQUESTS: usize = 20_000;
    const MOST: u64 = 64 * 1024 * 1024;
    let daemon = Daemon::start();
    let mut bystander = Bystander::of(&daemon);
    let mut edge = daemon.edge();
    edge.start("large", ANNA);
    for at in 0..10 {
        edge.set("large", "session", json!({format!("v{at}"): "v".repeat(15_000)}));
    }
    bystander.is_unharmed();
    let before = daemon.resident_bytes();
    let mut most = before;
    // 20,000 answers of 150 KB each are 3 GB: nobody can hold them.
    let readers: Vec<Rpc> = (0..READERS)
        .map(|_| {
            let mut deaf = daemon.edge();
            let (_, frame) = deaf.request("context.get", &json!({"call_id": "large"}));
            deaf.stream().set_write_timeout(Some(Duration::from_secs(1))).unwrap();
            // A large frame first: the daemon reads many small ones at once after it.
            deaf.send("ping", &json!({"padding": "x".repeat(60_000)}));
            let requests = frame.repeat(100);
            for _ in 0..REQUESTS / 100 {
                if deaf.try_send_raw(&requests).is_err() {
                    break;
                }
            }
            bystander.is_unharmed();
            most = most.max(daemon.resident_bytes());
            deaf
        })
        .collect();
    for _ in 0..20 {
        bystander.is_unharmed();
        most = most.max(daemon.resident_bytes());
    }
    let taken = most - before;
    println!("{READERS} readers that never read take {} MiB", taken >> 20);
    assert!(taken < MOST, "{READERS} readers that never read take {} MiB", taken >> 20);
    assert_eq!(edge.context("large")["active_calls"], 1);
    drop(readers);
}

#[test]
fn a_connection_that_vanishes_in_mid_request_leaves_calls_and_others_as_they_are() {
    let daemon = Daemon::start();
    let mut bystander = Bystander::of(&daemon);
    for times in 0..50 {
        let mut edge = daemon.edge();
        edge.send("call.start", &rpc::start("left", ANNA));
        edge.send("variables.set", &json!({"call_id": "left", "set": {"times": times}}));
        drop(edge);
    }
    bystander.is_unharmed();
    let mut edge = daemon.edge();
    edge.start("left", ANNA);
    assert_eq!(edge.context("left")["active_calls"], 1, "a lost connection ends no call");
}
