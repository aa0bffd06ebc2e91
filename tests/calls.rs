//! Calls and variables as a switch sees them: sessions, lifetimes, the same call ID again, order, limits, restarts
//! (PRODUCT.md 3.4, 4.1 to 4.3, 5.1, 5.2), against the built daemon over TCP.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

mod support;

#[path = "calls/access.rs"]
mod access;
#[path = "calls/answers.rs"]
mod answers;
#[path = "calls/captures.rs"]
mod captures;
#[path = "calls/lifetimes.rs"]
mod lifetimes;
#[path = "calls/order.rs"]
mod order;
#[path = "calls/recognised.rs"]
mod recognised;
#[path = "calls/restart.rs"]
mod restart;
#[path = "calls/same_call.rs"]
mod same_call;
#[path = "calls/sync.rs"]
mod sync;
#[path = "calls/withheld.rs"]
mod withheld;

/// Callers of the tests.
const ANNA: &str = "+493023125101";
const BERT: &str = "+493023125102";
