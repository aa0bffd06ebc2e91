//! HTTP and WebSocket for voice apps (PRODUCT.md 6): who asks, what is asked, what it looks like as JSON. Knows no
//! dialect of a switch and no database.
//!
//! | file | subject |
//! |---|---|
//! | `server` | routes, limits of connections |
//! | `closing` | when connections are closed that would not end by themselves |
//! | `api_key` | who is asking, and what the key may do |
//! | `house` | what every request needs: settings, sessions and calls as far as the key may see them |
//! | `lookups` | how often each key has asked for numbers |
//! | `problem` | refusals as `application/problem+json` |
//! | `context` | the context as JSON |
//! | `calls`, `sessions`, `variables`, `assurance`, `lookup` | the requests |
//! | [`watch`] | `GET /v1/watch`: subscriptions with snapshots, changes, cursors |

mod api_key;
mod assurance;
mod calls;
mod closing;
mod context;
mod house;
mod lookup;
mod lookups;
mod problem;
#[cfg(test)]
mod samples;
mod server;
mod sessions;
mod variables;
pub mod watch;

pub use closing::Drain;
pub use server::{ServerOptions, server};
pub use watch::CursorKeys;
