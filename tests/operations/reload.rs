//! `SIGHUP`.

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::json;

use crate::ANNA;
use crate::support::config::{ALL_SCOPES, api_key};
use crate::support::{Config, Daemon, Framing, KEY, Switch, wait};

const NEW_KEY: &str = "rk_1c37c2a4f1b8a0e9c4d7e2f3a65d0f6a5d0f6a1c37c2a4f1b8a0e9c4d7e2f3a7";

/// Asks for a reload and waits until the daemon has said something about it.
fn reload(daemon: &Daemon) -> String {
    let before = daemon.log().len();
    daemon.signal(Signal::HUP);
    let said = || daemon.log()[before..].to_owned();
    wait::until("the reload is told in the log", || said().contains("reloaded"));
    said()
}

fn answers(daemon: &Daemon, key: &str) -> u16 {
    daemon.http(key).get("/v1/calls?instance_id=support-de").status
}

#[test]
fn a_reload_takes_a_new_api_key_and_forgets_an_old_one() {
    let mut daemon = Daemon::start();
    assert_eq!((answers(&daemon, KEY), answers(&daemon, NEW_KEY)), (200, 401));
    daemon.configure(|config| {
        let (old, new) = (api_key("bot", KEY, ALL_SCOPES), api_key("bot", NEW_KEY, ALL_SCOPES));
        config.tenants = config.tenants.replace(&old, &new);
    });
    reload(&daemon);
    assert_eq!((answers(&daemon, KEY), answers(&daemon, NEW_KEY)), (401, 200));
}

#[test]
fn a_bad_file_is_refused_and_the_old_one_stays_in_force() {
    let mut daemon = Daemon::start();
    let mut edge = daemon.edge();
    edge.start("one", ANNA);
    daemon.configure(|config| {
        config.tenants = config.tenants.replace(&api_key("bot", KEY, ALL_SCOPES), "").replace("phone2", "phone3");
    });
    let said = reload(&daemon);
    assert!(said.contains("not reloaded") && said.contains("line "), "{said}");
    assert_eq!(answers(&daemon, KEY), 200);
    fs::remove_file(daemon.config_path()).unwrap();
    assert!(reload(&daemon).contains("not reloaded"));
    assert_eq!(answers(&daemon, KEY), 200);
    assert_eq!(edge.context("one")["call_id"], "one");
}

#[test]
fn a_new_release_takes_calls_on_a_connection_that_is_open() {
    let mut daemon = Daemon::start();
    let mut edge = daemon.edge();
    let start = json!({"call_id": "one", "from": ANNA, "to": "+493023125001", "instance_id": "sales-de"});
    assert_eq!(edge.refused("call.start", &start), "unknown_release");
    daemon.configure(|config| {
        let release = "[[tenant.release]]\ninstance_id = \"sales-de\"\ngeneration = \"phone2\"\n";
        config.tenants = config.tenants.replacen("[[tenant.api_key]]", &format!("{release}[[tenant.api_key]]"), 1);
    });
    reload(&daemon);
    assert_eq!(edge.ok("call.start", &start)["instance_id"], "sales-de");
}

#[test]
fn a_switch_that_is_no_longer_allowed_cannot_connect_nor_go_on() {
    let mut daemon = Daemon::with(Config::default().switches([Switch::trusted("edge-1")]));
    let mut open = daemon.edge();
    open.start("one", ANNA);
    daemon.configure(|config| config.switches[0].lines.push_str("allow = [\"192.0.2.7/32\"]\n"));
    reload(&daemon);
    assert!(daemon.switch("edge-1", Framing::Bare).until_closed().is_empty());
    open.send("context.get", &json!({"call_id": "one"}));
    assert!(open.until_closed().is_empty());
}

#[test]
fn keys_that_need_a_restart_are_named_and_keep_their_old_values() {
    let mut daemon = Daemon::start();
    let elsewhere = PathBuf::from("/nonexistent/recalld");
    daemon.configure(|config| {
        config.data_path = Some(elsewhere.clone());
        config.limits.push_str("active_calls = 1\n");
        config.tenants.push_str(&api_key("second", NEW_KEY, ALL_SCOPES));
    });
    let said = reload(&daemon);
    assert!(said.contains("data.path") && said.contains("limits.active_calls"), "{said}");
    // The rest has taken effect: the new key is the other tenant's.
    assert_eq!(daemon.http(NEW_KEY).get("/v1/calls?instance_id=helpdesk-uk").status, 200);
    let mut edge = daemon.edge();
    edge.start("one", ANNA);
    edge.start("two", ANNA);
    let warnings = crate::admin::ask(&daemon, &json!({"op": "status"}))["warnings"].to_string();
    assert!(warnings.contains("data.path"), "{warnings}");
}
