//! HTTP and WebSocket for voice apps (PRODUCT.md 6): who asks, what is asked, what it looks like as JSON. Knows no
//! dialect of a switch and no database.
//!
//! | file | subject |
//! |---|---|
//! | `server` | routes, limits of connections, drain |
//! | `api_key` | who is asking, and what the key may do |
//! | `house` | what every request needs: settings, sessions and calls as far as the key may see them |
//! | `problem` | refusals as `application/problem+json` |
//! | `context` | the context as JSON |
//! | `calls`, `sessions`, `variables`, `assurance`, `lookup` | the requests |
//! | [`watch`] | `GET /v1/watch`: subscriptions with snapshots, changes, cursors |

mod api_key;
mod assurance;
mod calls;
mod context;
mod house;
mod lookup;
mod problem;
#[cfg(test)]
mod samples;
mod server;
mod sessions;
mod variables;
pub mod watch;

pub use server::{Drain, ServerOptions, server};
pub use watch::CursorKeys;
