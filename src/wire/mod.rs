//! Bytes of switches and voice apps in, typed messages out (PRODUCT.md 5, 6). Knows no actor and no store.
//!
//! | module | what lives there |
//! |---|---|
//! | [`framing`] | netstrings and bare JSON of one connection into frames |
//! | [`jsonrpc`] | a frame into a request: envelope and id |
//! | [`calls`] | methods and their parameters into checked types |
//! | [`sync`] | the calls a switch still has, in parts |
//! | [`answer`] | results and errors |
//! | [`context`] | the context as a switch sees it |
//! | [`changes`] | changes of variables as voice apps write them |
//! | [`watch`] | what voice apps say on the WebSocket |
//! | [`json`] | string literals |

pub mod answer;
pub mod calls;
pub mod changes;
pub mod context;
pub mod framing;
pub mod json;
pub mod jsonrpc;
mod lists;
mod member;
pub mod sync;
pub mod watch;
