//! Keys change while calls go on (PRODUCT.md 3.2, 3.3, 7): every caller is recognised before, during and after, with the
//! same session ID and everything that was remembered; against the built daemon and its command line.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

mod support;

#[path = "rotation/data_keys.rs"]
mod data_keys;
#[path = "rotation/ledger.rs"]
mod ledger;
#[path = "rotation/operator.rs"]
mod operator;
#[path = "rotation/pseudonym_keys.rs"]
mod pseudonym_keys;
#[path = "rotation/root_key.rs"]
mod root_key;
