//! Bytes of the switch protocols in, typed messages out (PRODUCT.md 5). Knows no actor and no store.
//!
//! | module | what lives there |
//! |---|---|
//! | [`framing`] | netstrings and bare JSON of one connection into frames |
//! | [`jsonrpc`] | a frame into a request: envelope and id |
//! | [`calls`] | methods and their parameters into checked types |
//! | [`sync`] | the calls a switch still has, in parts |
//! | [`answer`] | results and errors |
//! | [`context`] | the context as a switch sees it |
//! | [`json`] | string literals |

pub mod answer;
pub mod calls;
pub mod context;
pub mod framing;
pub mod json;
pub mod jsonrpc;
mod lists;
pub mod sync;
