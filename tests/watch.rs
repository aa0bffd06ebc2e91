//! The WebSocket as a voice app uses it (PRODUCT.md 6.1), against the built daemon: snapshots and the stream behind
//! them, cursors over restarts, slow clients, keys and sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

mod support;

#[path = "watch/operations.rs"]
mod operations;
#[path = "watch/resume.rs"]
mod resume;
#[path = "watch/slow.rs"]
mod slow;
#[path = "watch/sockets.rs"]
mod sockets;
#[path = "watch/stream.rs"]
mod stream;

use serde_json::{Value, json};

/// Callers of the tests.
const ANNA: &str = "+493023125101";
const BERT: &str = "+493023125102";

/// The first release of the default configuration.
fn release() -> Value {
    json!({"instance_id": "support-de"})
}

/// The session of a context.
fn session_id(context: &Value) -> String {
    context["session_id"].as_str().expect("a context has a session ID").to_owned()
}

/// What a message says in short: `call started a`, `change set language`, or its type.
fn short(message: &Value) -> String {
    let text = |member: &str| message[member].as_str().unwrap_or_default().to_owned();
    match message["type"].as_str().expect("a message has a type") {
        "call" => format!("call {} {}", text("event"), text("call_id")),
        "change" => format!("change {} {}", text("cause"), text("name")),
        other => other.to_owned(),
    }
}
