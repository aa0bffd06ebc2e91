//! Little free space, and none.

use std::fs;
use std::time::Duration;

use serde_json::json;

use super::ANNA;
use super::disk::SmallDisk;
use super::support::{Daemon, Incoming, KEY, rpc, wait};

/// More than the file system of the data directory has.
fn more_than_there_is() -> String {
    let figures = rustix::fs::statvfs(std::env::temp_dir()).unwrap();
    format!("min_free = {}\n", figures.f_blocks * figures.f_frsize)
}

#[test]
fn with_little_free_space_starts_and_sets_are_read_only_and_ends_and_reads_go_on() {
    let mut daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("running", ANNA);
    edge.set("running", "session", json!({"ticket": 1}));
    edge.start("second", ANNA);
    daemon.terminate();
    let enough = daemon.configure_data(&more_than_there_is());
    daemon.spawn();
    daemon.wait_listening("edge-1");

    let mut edge = daemon.edge();
    wait::until("the daemon notices how little room there is", || {
        let refused = edge.call("call.start", &rpc::start("new", "+493023125102"));
        refused.is_err_and(|error| (error.reason.as_str(), error.code) == ("read_only", -32011)) || {
            edge.end("new");
            false
        }
    });
    let set = json!({"call_id": "running", "set": {"ticket": 2}});
    assert_eq!(edge.refused("variables.set", &set), "read_only");
    let session = edge.context("running")["session_id"].as_str().unwrap().to_owned();
    let put = daemon.http(KEY).put(&format!("/v1/sessions/{session}/variables/ticket"), &json!({"value": 2}));
    assert_eq!(put.problem(), (503, "read_only".to_owned()));
    assert_eq!(edge.context("running")["variables"], json!({"ticket": 1}));
    edge.end("second");
    assert_eq!(edge.context("running")["active_calls"], 1);
    drop(edge);

    daemon.terminate();
    daemon.configure_data(&enough);
    daemon.restart();
    let mut edge = daemon.edge();
    assert_eq!(edge.context("running")["active_calls"], 1, "the end was written");
    assert_eq!(edge.context("running")["variables"], json!({"ticket": 1}));
    edge.set("running", "session", json!({"ticket": 2}));
}

#[test]
fn writes_resume_by_themselves_when_there_is_room_again() {
    let Some(disk) = SmallDisk::new("200m") else {
        println!("skipped: no file system can be mounted here");
        return;
    };
    let mut config = disk.config();
    config.data = "min_free = \"64MiB\"\n".to_owned();
    let daemon = Daemon::with(config);
    let mut edge = daemon.edge();
    edge.start("running", ANNA);
    let filler = disk.path("filler");
    fs::write(&filler, vec![0; 120 * 1024 * 1024]).unwrap();
    let set = json!({"call_id": "running", "set": {"a": 1}});
    wait::until("writes are refused", || {
        edge.call("variables.set", &set).is_err_and(|error| error.reason == "read_only")
    });
    fs::remove_file(&filler).unwrap();
    wait::until("writes are taken again", || edge.call("variables.set", &set).is_ok());
    edge.end("running");
}

#[test]
fn a_failed_write_ends_the_daemon_and_nothing_acknowledged_is_lost() {
    let Some(disk) = SmallDisk::new("48m") else {
        println!("skipped: no file system can be mounted here");
        return;
    };
    let mut config = disk.config();
    config.data = "min_free = 0\n".to_owned();
    let mut daemon = Daemon::with(config);
    let mut edge = daemon.edge();
    edge.start("running", ANNA);
    let filler = disk.path("filler");
    // As much as there is.
    assert!(fs::write(&filler, vec![0; 48 * 1024 * 1024]).is_err());
    let mut acknowledged = 0;
    for value in 1..200_000_u64 {
        let set = json!({"call_id": "running", "set": {"last": value, "pad": "p".repeat(8_000)}});
        let (_, frame) = edge.request("variables.set", &set);
        if edge.try_send_raw(&frame).is_err() {
            break;
        }
        let Incoming::Document(answer) = edge.poll_document(wait::LONG) else { break };
        match rpc::read_answer(&answer).1 {
            Ok(_) => acknowledged = value,
            Err(error) => assert!(matches!(error.reason.as_str(), "internal" | "read_only"), "{error:?}"),
        }
    }
    let status = daemon.wait_exit(Duration::from_secs(20)).expect("the daemon does not go on after a failed write");
    assert!(!status.success(), "{status}");
    fs::remove_file(&filler).unwrap();
    daemon.restart();
    let last = daemon.edge().context("running")["variables"]["last"].as_u64().unwrap_or_default();
    assert!(last == acknowledged || last == acknowledged + 1, "{last} is there, {acknowledged} was acknowledged");
}
