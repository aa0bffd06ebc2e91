//! Who may know who is calling (PRODUCT.md 3.5, 3.6, 7), against the built daemon: the number and where it goes, the
//! audit log, tenants that see nothing of each other, and what the assurance of a caller ID allows.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

mod support;

#[path = "identity/assurance.rs"]
mod assurance;
#[path = "identity/audit_log.rs"]
mod audit_log;
#[path = "identity/hidden.rs"]
mod hidden;
#[path = "identity/kept_number.rs"]
mod kept_number;
#[path = "identity/lookup.rs"]
mod lookup;
#[path = "identity/numbers.rs"]
mod numbers;
#[path = "identity/reveal.rs"]
mod reveal;
#[path = "identity/tenants.rs"]
mod tenants;

use serde_json::Value;

use support::Daemon;

/// Callers of the tests.
const ANNA: &str = "+493023125101";
const BERT: &str = "+493023125102";

/// A key of `acme` that sees masked numbers only.
const PLAIN: &str = "rk_plain";

/// The session of a context.
fn session_id(context: &Value) -> String {
    context["session_id"].as_str().expect("a context has a session ID").to_owned()
}

/// The default configuration, and for `acme` a key without `number:reveal`, `number:lookup` and `context:trusted`.
fn config() -> support::Config {
    let mut config = support::Config::default();
    let second = config.tenants.rfind("[[tenant]]").expect("there are two tenants");
    let scopes = r#"["context:read", "context:write", "assurance:assert", "calls:watch"]"#;
    config.tenants.insert_str(second, &support::config::api_key("plain", PLAIN, scopes));
    config
}

/// The entries of the audit log, without number, time and MAC.
fn audited(daemon: &Daemon) -> Vec<Value> {
    let mut entries = daemon.recalld(&["audit", "show", "--json"]).json()["entries"].take();
    let entries = entries.as_array_mut().expect("a list");
    for entry in entries.iter_mut() {
        let entry = entry.as_object_mut().expect("an entry is an object");
        for member in ["sequence", "at", "mac"] {
            assert!(entry.remove(member).is_some(), "{member} is missing");
        }
    }
    std::mem::take(entries)
}

/// The entries of one kind.
fn audited_of(daemon: &Daemon, what: &str) -> Vec<Value> {
    let mut entries = audited(daemon);
    entries.retain(|entry| entry["what"] == what);
    entries
}
