//! The life of a session and its calls (PRODUCT.md 4), as an event-sourced state machine. The same
//! commits applied to the same state always give the same state, which is what recovery after a crash
//! lives on.
//!
//! | file | what it says |
//! |---|---|
//! | `state` | what is known of a session, its calls and its variables |
//! | `command`, `commit` | what is asked, what happened |
//! | `decide` | from a command to a commit; what has expired goes first |
//! | `moment` | a session at the time of a decision |
//! | `calls` | start, reset of `session` variables, legs, the same call ID again, end |
//! | `variables` | names, lifetimes, conditions, assurance, limits |
//! | `expiry` | when a variable ends, and what the expiry index has to know of it |
//! | `apply` | from a commit to the next state |
//! | `context` | what a reader sees |
//! | `invariants` | what always holds |

mod apply;
mod calls;
mod command;
mod commit;
mod context;
mod decide;
mod expiry;
mod invariants;
mod moment;
mod rules;
mod state;
#[cfg(test)]
pub(crate) mod tests;
mod variables;

pub use command::{Authority, Change, Command, Condition, SetVariable, Start};
pub use commit::{ChangeCause, Commit, Effect};
pub use context::{Context, VisibleVariable};
pub use decide::decide;
pub use expiry::{End, EndRule};
pub use rules::{AnonymousSessions, Limits, Reset, Retention, Rules};
pub use state::{Call, CallState, Direction, EndCause, Leg, Lifetime, Session, Variable};
