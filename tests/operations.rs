//! What operators rely on (PRODUCT.md 8): what a start refuses, health and metrics, reload, the admin socket, the end.
//! And that sessions that sleep take no memory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

mod support;

#[path = "operations/admin.rs"]
mod admin;
#[path = "operations/asleep.rs"]
mod asleep;
#[path = "operations/end.rs"]
mod end;
#[path = "operations/health.rs"]
mod health;
#[path = "operations/limits.rs"]
mod limits;
#[path = "operations/log.rs"]
mod log;
#[path = "operations/refused.rs"]
mod refused;
#[path = "operations/reload.rs"]
mod reload;

const ANNA: &str = "+493023125101";
