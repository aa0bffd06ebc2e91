//! Pseudonym keys (PRODUCT.md 3.3).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::ledger::{Callers, meanwhile};
use crate::operator::{audited, callers, done, key, refused, rotate, status};
use crate::support::{Config, Daemon, Framing, Rpc, wait};

#[test]
fn every_caller_is_recognised_before_during_and_after_rotations_under_load() {
    let mut daemon = Daemon::with(Config::default());
    let mut all = [Callers::new("a", "1", 25), Callers::new("b", "2", 25), Callers::new("c", "3", 25)];
    // The third are new while the key rotates.
    for callers in &mut all[..2] {
        callers.round(&mut daemon.edge());
    }
    meanwhile(&daemon, &mut all, || {
        for expected in 2..=5 {
            std::thread::sleep(Duration::from_millis(400));
            assert_eq!(rotate(&daemon), expected);
        }
        std::thread::sleep(Duration::from_millis(400));
    });
    assert!(all.iter().all(|callers| callers.rounds() > 2), "there was load");
    for callers in &mut all {
        callers.all_are_recognised(&daemon);
    }
    let sessions: u64 = all.iter().map(Callers::sessions).sum();
    assert_eq!(callers(&daemon), [(5, sessions), (4, 0), (3, 0), (2, 0), (1, 0)], "all have moved on");
    for version in 1..=4 {
        let version = version.to_string();
        let retired = done(&daemon, &["retire", "--tenant", "acme", "--version", &version]);
        assert_eq!(retired["forgotten"], 0);
    }
    daemon.kill();
    daemon.restart();
    assert_eq!(callers(&daemon), [(5, sessions)]);
    for callers in &mut all {
        callers.all_are_recognised(&daemon);
    }
}

#[test]
fn a_version_is_retired_while_calls_go_on_and_nobody_is_lost() {
    let mut daemon = Daemon::with(Config::default());
    let mut all = [Callers::new("a", "1", 25), Callers::new("b", "2", 25)];
    // The second are new while versions go.
    all[0].round(&mut daemon.edge());
    meanwhile(&daemon, &mut all, || {
        for newest in 2..=4 {
            assert_eq!(rotate(&daemon), newest);
            let version = (newest - 1).to_string();
            let retired = wait::within(Duration::from_secs(60), || {
                let retired = key(&daemon, &["retire", "--tenant", "acme", "--version", &version, "--json"]);
                // Refused as long as somebody is found by it only: each one calls again soon.
                retired.status.success().then(|| serde_json::from_slice::<Value>(&retired.stdout).unwrap())
            });
            assert_eq!(retired.expect("all have moved on")["forgotten"], 0);
        }
        std::thread::sleep(Duration::from_millis(400));
    });
    assert!(all.iter().all(|callers| callers.rounds() > 2), "there was load");
    let sessions: u64 = all.iter().map(Callers::sessions).sum();
    for restarted in [false, true] {
        if restarted {
            daemon.kill();
            daemon.restart();
        }
        for callers in &mut all {
            callers.all_are_recognised(&daemon);
        }
        assert_eq!(callers(&daemon), [(4, sessions)]);
    }
}

#[test]
fn two_simultaneous_first_calls_around_a_rotation_are_one_session() {
    const CALLERS: usize = 150;
    let daemon = Daemon::with(Config::default());
    let next = AtomicUsize::new(0);
    let edges = ["edge-1", "edge-2"].map(|name| daemon.switch_address(name));
    let sessions = std::thread::scope(|scope| {
        let both = edges.map(|edge| {
            let next = &next;
            scope.spawn(move || {
                let mut edge = Rpc::connect(edge, Framing::Netstring);
                let mut sessions = Vec::new();
                for caller in 0..CALLERS {
                    next.fetch_add(1, Ordering::SeqCst);
                    // Both switches report the caller as nearly at the same moment as two processes can.
                    while next.load(Ordering::SeqCst) < 2 * (caller + 1) {
                        std::hint::spin_loop();
                    }
                    let call = format!("{caller}-{}@lab", edge.stream().local_addr().unwrap().port());
                    let context = edge.start(&call, &format!("+493023125{caller:03}"));
                    sessions.push(context["session_id"].as_str().unwrap().to_owned());
                    edge.end(&call);
                }
                sessions
            })
        });
        while next.load(Ordering::SeqCst) < 2 * CALLERS {
            rotate(&daemon);
        }
        both.map(|sessions| sessions.join().unwrap())
    });
    assert_eq!(sessions[0], sessions[1]);
    let left: u64 = callers(&daemon).iter().map(|(_, callers)| callers).sum();
    assert_eq!(left, u64::try_from(CALLERS).unwrap(), "one alias each: {:?}", callers(&daemon));
}

#[test]
fn a_version_with_callers_is_retired_by_force_only_and_says_whom_it_costs() {
    let mut daemon = Daemon::with(Config::default());
    let mut edge = daemon.edge();
    let stays = edge.start("1@lab", "+493023125101")["session_id"].clone();
    let goes = edge.start("2@lab", "+493023125102")["session_id"].clone();
    edge.end("1@lab");
    edge.end("2@lab");
    assert!(refused(&daemon, &["retire", "--tenant", "acme", "--version", "1"]).contains("the current one"));
    rotate(&daemon);
    edge.start("3@lab", "+493023125101");
    edge.end("3@lab");
    assert_eq!(callers(&daemon), [(2, 1), (1, 1)]);
    let text = refused(&daemon, &["retire", "--tenant", "acme", "--version", "1"]);
    assert!(text.contains("1 caller is found through version 1 only"), "{text}");
    assert!(refused(&daemon, &["retire", "--tenant", "acme", "--version", "7"]).contains("no version 7"));
    assert!(refused(&daemon, &["rotate", "--tenant", "nobody"]).contains("check the name"));
    let output = key(&daemon, &["retire", "--tenant", "acme", "--version", "1", "--force"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 caller is forgotten"), "{output:?}");
    assert_eq!(callers(&daemon), [(2, 1)]);
    let entry = |what: &str, version: u64| (what.to_owned(), json!("acme"), json!(version));
    assert_eq!(audited(&daemon), [entry("pseudonym_key_rotated", 2), entry("pseudonym_key_retired", 1)]);
    for restarted in [false, true] {
        if restarted {
            daemon.kill();
            daemon.restart();
        }
        let mut edge = daemon.edge();
        let call = format!("4-{restarted}@lab");
        let context = edge.start(&call, "+493023125101");
        assert_eq!((&context["session_id"], &context["returning"]), (&stays, &json!(true)));
        edge.end(&call);
        let call = format!("5-{restarted}@lab");
        let context = edge.start(&call, "+493023125102");
        assert_ne!(context["session_id"], goes, "forgotten, and met anew");
        assert_eq!(context["returning"], restarted);
        edge.end(&call);
    }
}

#[test]
fn keys_of_one_tenant_leave_another_alone_and_a_reload_keeps_the_newest() {
    let daemon = Daemon::with(Config::default());
    daemon.edge().start("1@lab", "+493023125101");
    assert_eq!(rotate(&daemon), 2);
    let all = done(&daemon, &["status"]);
    let names: Vec<_> = all["tenants"].as_array().unwrap().iter().map(|tenant| tenant["tenant"].clone()).collect();
    assert_eq!(names, ["acme", "globex"]);
    assert_eq!(all["tenants"][1]["pseudonym"][0]["version"], 1);
    assert_eq!(all["tenants"][0]["rules"], json!([{"version": 1, "aliases": 1}]));
    daemon.signal(rustix::process::Signal::HUP);
    wait::until("the configuration is reloaded", || daemon.log().contains("the configuration is reloaded"));
    let mut edge = daemon.edge();
    edge.end("1@lab");
    edge.start("2@lab", "+493023125101");
    assert_eq!(callers(&daemon), [(2, 1), (1, 0)], "a reload goes back to no older key");
    let table = key(&daemon, &["status"]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("retire it") && table.contains("globex"), "{table}");
    assert_eq!(status(&daemon)["data"]["current"], 1);
}
