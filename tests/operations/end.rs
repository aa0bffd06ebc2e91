//! The end: what is on its way is finished, nothing that was answered is lost.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::ANNA;
use crate::support::{Config, Daemon, KEY, http, wait};

#[test]
fn what_was_read_before_the_end_is_answered_and_kept() {
    let mut daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("one", ANNA);
    let session = edge.context("one")["session_id"].as_str().unwrap().to_owned();
    let mut bytes = Vec::new();
    for number in 0..200 {
        let set = json!({"call_id": "one", "lifetime": "user", "set": {"last": number}});
        bytes.extend(edge.request("variables.set", &set).1);
    }
    edge.send_raw(&bytes);
    daemon.signal(Signal::TERM);
    let answers = edge.until_closed();
    let revision = answers.iter().filter_map(|answer| answer["result"]["revision"].as_u64()).max().unwrap_or(0);
    assert!(daemon.wait_exit(wait::LONG).unwrap().success());
    daemon.restart();
    let kept = daemon.http(KEY).get(&format!("/v1/sessions/{session}")).ok();
    assert!(kept["revision"].as_u64().unwrap() >= revision, "{revision} was answered: {kept}");
}

#[test]
fn a_daemon_with_idle_connections_ends_quickly_and_with_success() {
    let mut daemon = Daemon::start();
    let (mut edge, _watcher) = (daemon.edge(), daemon.watcher(KEY));
    let mut admin = crate::admin::Client::connect(&daemon);
    admin.ask(&json!({"op": "watch", "tenant": null, "instance_id": null}));
    let begun = Instant::now();
    let status = daemon.terminate();
    assert!(status.success(), "{status}");
    assert!(begun.elapsed() < Duration::from_secs(8), "it took {:?}", begun.elapsed());
    assert!(edge.until_closed().is_empty());
    assert_eq!(admin.next(), None);
    // Of the end alone: at the start the daemon may warn of the machine it runs on.
    let log = daemon.log();
    let (_, end) = log.split_once("recalld ends").unwrap_or_else(|| panic!("{log}"));
    assert!(end.contains("recalld has ended") && !end.contains("WARN"), "{log}");
}

#[test]
fn during_the_drain_it_is_not_ready_and_a_second_signal_ends_it_at_once() {
    let mut daemon = Daemon::start();
    // A request whose body does not come to its end is waited for.
    let mut client = TcpStream::connect(daemon.listen().api).unwrap();
    let path = format!("/v1/sessions/{}/variables/language", "5f".repeat(32));
    let head =
        format!("PUT {path} HTTP/1.1\r\nhost: recalld\r\nauthorization: Bearer {KEY}\r\ncontent-length: 99\r\n\r\n");
    client.write_all(head.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    daemon.signal(Signal::TERM);
    wait::until("it is not ready", || http::status(daemon.listen().admin, "/readyz") == Some(503));
    assert!(daemon.is_running());
    daemon.signal(Signal::INT);
    let status = daemon.wait_exit(Duration::from_secs(3)).expect("a second signal ends it");
    assert!(!status.success(), "{status}");
}

#[test]
fn a_failed_sync_ends_the_daemon_and_is_not_answered_as_success() {
    let fault = "inject=fdatasync:error=EIO:when=60+";
    let mut daemon =
        Daemon::with(Config::default().wrapper(&["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", fault]));
    let mut edge = daemon.edge();
    edge.start("one", ANNA);
    let mut answered = 0;
    let failed = wait::within(wait::LONG, || {
        let set = json!({"call_id": "one", "set": {"language": "de"}});
        match edge.call("variables.set", &set) {
            Ok(result) => {
                answered = result["revision"].as_u64().unwrap();
                None
            }
            Err(error) => Some(error.reason),
        }
    });
    assert_eq!(failed.as_deref(), Some("internal"));
    let status = daemon.wait_exit(wait::LONG).expect("a failed sync ends it");
    assert_eq!(status.code(), Some(1), "{status}");
    daemon.configure(|config| config.wrapper.clear());
    daemon.restart();
    let kept = daemon.edge().context("one")["revision"].as_u64().unwrap();
    assert!(kept >= answered, "{answered} was answered, {kept} is kept");
}
