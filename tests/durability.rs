//! An answer leaves only after the change is on the disk, and a full disk is noticed before it is full (PRODUCT.md 4.5).
//! `kill -9` cannot see a missing fsync, since the page cache survives it: so the system calls are looked at.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

mod support;

#[path = "durability/disk.rs"]
mod disk;
#[path = "durability/full.rs"]
mod full;
#[path = "durability/trace.rs"]
mod trace;

use std::path::Path;

use serde_json::json;

use support::{Config, Daemon, KEY, Rpc, rpc};
use trace::Trace;

const ANNA: &str = "+493023125101";

/// What the daemon is traced with. The daemon stays the child of the test, so that a signal reaches it.
fn traced(config: Config, trace: &Path) -> Config {
    let calls = "trace=read,readv,recvfrom,recvmsg,write,writev,pwrite64,pwritev,sendto,sendmsg,fsync,fdatasync";
    config.wrapper(&["strace", "-D", "-f", "-y", "-s", "512", "-e", calls, "-o", trace.to_str().unwrap()])
}

/// Requests that change something, one in flight; the result is their ids.
fn changes(edge: &mut Rpc) -> Vec<i64> {
    let call = json!({"call_id": "traced"});
    let requests = [
        ("call.start", rpc::start("traced", ANNA)),
        ("call.ringing", json!({"call_id": "traced", "code": 180})),
        ("call.answer", call.clone()),
        ("variables.set", json!({"call_id": "traced", "lifetime": "call", "set": {"menu": 1}})),
        ("variables.set", json!({"call_id": "traced", "lifetime": "session", "set": {"ticket": 1}})),
        ("variables.set", json!({"call_id": "traced", "lifetime": "user", "set": {"language": "de"}})),
        ("variables.delete", json!({"call_id": "traced", "names": ["ticket"]})),
        ("call.start", rpc::start("parallel", ANNA)),
        ("call.end", call),
        ("call.end", json!({"call_id": "parallel"})),
        ("call.start", rpc::start("next", ANNA)),
    ];
    requests
        .into_iter()
        .map(|(method, params)| {
            let id = edge.send(method, &params);
            edge.answer(id).unwrap();
            id
        })
        .collect()
}

/// Runs the daemon under strace, and tells which requests were answered before their change was on the disk.
fn answered_too_early(config: Config) -> (Vec<i64>, usize) {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("trace");
    let mut daemon = Daemon::with(traced(config, &file));
    let mut edge = daemon.edge();
    let ids = changes(&mut edge);
    let pid = daemon.pid();
    daemon.terminate();
    let trace = Trace::of_finished(&file, pid);
    let early = ids.iter().copied().filter(|id| !trace.is_synced_before_answer(*id)).collect();
    (early, ids.len())
}

#[test]
fn a_sync_of_the_write_ahead_log_lies_between_each_request_and_its_answer() {
    let (early, of) = answered_too_early(Config::default());
    assert!(early.is_empty(), "{} of {of} requests were answered before the sync: {early:?}", early.len());
}

#[test]
fn the_check_of_the_sync_sees_that_relaxed_durability_has_none() {
    let (early, of) = answered_too_early(Config::default().data("durability = \"relaxed\""));
    // Something else may sync in the meantime: the audit log, the progress of the log.
    assert!(early.len() > of / 2, "the check must miss the sync of nearly all requests: of {} of {of}", early.len());
}

#[test]
fn a_change_by_http_is_synced_before_it_is_answered_too() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("trace");
    let mut daemon = Daemon::with(traced(Config::default(), &file));
    let session = daemon.edge().start("one", ANNA)["session_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/sessions/{session}/variables/language");
    daemon.http(KEY).put(&path, &json!({"value": "http-marker"})).ok();
    let pid = daemon.pid();
    daemon.terminate();
    let trace = Trace::of_finished(&file, pid);
    let read = trace.read_of("PUT /v1/sessions/");
    assert!(
        trace.has_sync_between(read, trace.write_after(read, "HTTP/1.1 20")),
        "the PUT was answered before the sync"
    );
}
