//! `calls.sync` (PRODUCT.md 5.1): what a switch has lost ends, and nothing else.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use serde_json::{Value, json};

use super::support::{Config, Daemon, Framing, KEY, Rpc, Switch, rpc};
use super::{ANNA, BERT};

fn part(sync: &str, part: u32, last: bool, calls: &[&str]) -> Value {
    json!({"sync": sync, "part": part, "last": last, "call_ids": calls})
}

/// Tells a whole list; how many calls have ended. A call that started within the same millisecond as the list is not
/// meant by it, so the list comes a moment later.
fn sync(edge: &mut Rpc, sync: &str, calls: &[&str]) -> u64 {
    std::thread::sleep(std::time::Duration::from_millis(2));
    edge.ok("calls.sync", &part(sync, 1, true, calls))["ended"].as_u64().expect("a number")
}

#[test]
fn a_call_that_is_missing_in_two_syncs_running_ends_as_lost() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    let told = edge.start("kept", ANNA);
    edge.start("lost", ANNA);
    edge.set("lost", "call", json!({"menu": 1}));
    edge.set("lost", "session", json!({"ticket": 4711}));
    assert_eq!(sync(&mut edge, "s1", &["kept"]), 0);
    assert_eq!(edge.context("lost")["active_calls"], 2);
    assert_eq!(sync(&mut edge, "s2", &["kept"]), 1);
    assert_eq!(edge.context_reason("lost"), "unknown_call");
    let ended = daemon.http(KEY).get("/v1/calls/lost").ok();
    assert_eq!((&ended["state"], &ended["cause"]), (&json!("ended"), &json!("lost")));
    let kept = edge.context("kept");
    assert_eq!((&kept["active_calls"], &kept["variables"]), (&json!(1), &json!({"ticket": 4711})));
    assert_eq!(kept["session_id"], told["session_id"]);
    assert_eq!(sync(&mut edge, "s3", &["kept"]), 0);
}

#[test]
fn a_call_that_comes_back_in_between_goes_on() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("one", ANNA);
    for (number, calls) in [&[][..], &["one"], &[], &["one"]].into_iter().enumerate() {
        assert_eq!(sync(&mut edge, &format!("s{number}"), calls), 0);
    }
    assert_eq!(edge.context("one")["active_calls"], 1);
}

#[test]
fn a_list_comes_in_parts_and_calls_started_since_its_first_one_are_not_missed() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("one", ANNA);
    edge.start("two", BERT);
    for round in 0..3 {
        let id = format!("s{round}");
        assert_eq!(edge.ok("calls.sync", &part(&id, 1, false, &["one"])), json!({"ended": 0}));
        let new = format!("new-{round}");
        edge.start(&new, ANNA);
        // Its answer may have been lost.
        assert_eq!(edge.ok("calls.sync", &part(&id, 1, false, &["one"])), json!({"ended": 0}));
        assert_eq!(edge.ok("calls.sync", &part(&id, 2, true, &["two"])), json!({"ended": 0}));
        assert_eq!(edge.context(&new)["active_calls"], 2);
        edge.end(&new);
    }
}

#[test]
fn parts_out_of_order_are_refused_and_nothing_ends() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("one", ANNA);
    assert_eq!(edge.refused("calls.sync", &part("s", 2, true, &[])), "invalid_params");
    assert_eq!(edge.ok("calls.sync", &part("t", 1, false, &[])), json!({"ended": 0}));
    assert_eq!(edge.refused("calls.sync", &part("t", 3, true, &[])), "invalid_params");
    assert_eq!(edge.ok("calls.sync", &part("u", 1, false, &[])), json!({"ended": 0}));
    // Abandoned by the next one.
    assert_eq!(sync(&mut edge, "v", &[]), 0);
    assert_eq!(edge.refused("calls.sync", &part("u", 2, true, &[])), "invalid_params");
    assert_eq!(edge.context("one")["active_calls"], 1);
    assert_eq!(sync(&mut edge, "w", &[]), 1);
}

#[test]
fn the_last_part_repeated_is_answered_the_same() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("one", ANNA);
    for expected in [0, 1] {
        for _ in 0..3 {
            assert_eq!(sync(&mut edge, &format!("s{expected}"), &[]), expected);
        }
    }
}

#[test]
fn a_call_with_another_leg_loses_only_this_one() {
    let daemon = Daemon::start();
    let (mut edge, mut media) = (daemon.edge(), daemon.switch("edge-2", Framing::Bare));
    edge.start("shared", ANNA);
    media.start("shared", ANNA);
    media.start("of-media", BERT);
    assert_eq!((sync(&mut edge, "s1", &[]), sync(&mut edge, "s2", &[])), (0, 0));
    assert_eq!(media.context("shared")["active_calls"], 1);
    assert_eq!(media.context("of-media")["active_calls"], 1);
    media.end("shared");
    assert_eq!(media.context_reason("shared"), "unknown_call");
    assert_eq!((sync(&mut media, "s1", &[]), sync(&mut media, "s2", &[])), (0, 1));
}

#[test]
fn another_peer_of_the_same_switch_has_calls_of_its_own() {
    let config = Config::default().switches([Switch::new(
        "edge-1",
        "tenant = \"acme\"\ntrust_identity = true\nregion = \"DE\"\nallow = [\"127.0.0.0/8\"]\n",
    )]);
    let daemon = Daemon::with(config);
    let mut edge = daemon.edge();
    let mut other = from(Ipv4Addr::new(127, 200, 1, 9), daemon.switch_address("edge-1"));
    edge.start("one", ANNA);
    other.start("two", BERT);
    assert_eq!((sync(&mut edge, "s1", &["one"]), sync(&mut edge, "s2", &["one"])), (0, 0));
    assert_eq!((sync(&mut other, "s1", &[]), sync(&mut other, "s2", &[])), (0, 1));
    assert_eq!(edge.context("one")["active_calls"], 1);
}

#[test]
fn a_sync_survives_a_new_connection_and_a_notification_counts_too() {
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("one", ANNA);
    edge.notify("calls.sync", &part("s1", 1, false, &[]));
    edge.ok("ping", &json!({}));
    drop(edge);
    let mut edge = daemon.edge();
    edge.notify("calls.sync", &part("s1", 2, true, &[]));
    assert_eq!(edge.context("one")["active_calls"], 1);
    edge.notify("calls.sync", &part("s2", 1, true, &[]));
    // Nobody is told when it is done.
    super::support::wait::until("the call ends", || edge.call("context.get", &json!({"call_id": "one"})).is_err());
}

#[test]
fn a_restart_forgets_what_was_missing() {
    let mut daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("one", ANNA);
    assert_eq!(sync(&mut edge, "s1", &[]), 0);
    daemon.kill();
    daemon.restart();
    let mut edge = daemon.edge();
    assert_eq!(sync(&mut edge, "s2", &[]), 0);
    assert_eq!(sync(&mut edge, "s3", &[]), 1);
}

#[test]
fn thousands_of_calls_of_a_switch_that_comes_back_empty_end() {
    const CALLS: usize = 3_000;
    let daemon = Daemon::start();
    let mut edge = daemon.edge();
    let starts = (0..CALLS).map(|number| {
        let mut start = rpc::start(&format!("call-{number}"), ANNA);
        start["user_id"] = json!(format!("u-{}", number / 2));
        ("call.start", start)
    });
    assert!(edge.pipeline(starts).iter().all(Result::is_ok));
    let listed: Vec<String> = (0..CALLS).step_by(3).map(|number| format!("call-{number}")).collect();
    for (round, expected) in [("s1", 0), ("s2", CALLS - listed.len())] {
        let parts: Vec<_> = listed.chunks(100).collect();
        for (number, calls) in parts.iter().enumerate() {
            let calls: Vec<&str> = calls.iter().map(String::as_str).collect();
            let number = u32::try_from(number).unwrap() + 1;
            let last = usize::try_from(number).unwrap() == parts.len();
            let told = edge.ok("calls.sync", &part(round, number, last, &calls));
            assert_eq!(told, json!({"ended": if last { expected } else { 0 }}));
        }
    }
    let metrics = daemon.metrics();
    assert!(metrics.contains("recalld_active_calls 1000"), "{metrics}");
    assert!(metrics.contains("recalld_switch_requests_total{method=\"calls.sync\"} 20"), "{metrics}");
}

/// A connection from an address of its own.
fn from(host: Ipv4Addr, to: SocketAddr) -> Rpc {
    let own = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&own, &SocketAddr::from((host, 0))).unwrap();
    connect(&own, &to).unwrap();
    Rpc::over(TcpStream::from(own), Framing::Netstring)
}
