//! The HTTP API as a voice app uses it (PRODUCT.md 6), against the built daemon: contexts, writes with conditions,
//! keys and scopes, tenants that see nothing of each other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

mod support;

#[path = "http/assurance.rs"]
mod assurance;
#[path = "http/keys.rs"]
mod keys;
#[path = "http/reads.rs"]
mod reads;
#[path = "http/writes.rs"]
mod writes;

use serde_json::Value;

/// Callers of the tests.
const ANNA: &str = "+493023125101";
const BERT: &str = "+493023125102";

/// The session of a context.
fn session_id(context: &Value) -> String {
    context["session_id"].as_str().expect("a context has a session ID").to_owned()
}

/// The path of a session's variable.
fn variable(session: &str, name: &str) -> String {
    format!("/v1/sessions/{session}/variables/{name}")
}
