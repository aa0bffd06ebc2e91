//! The life of a session and its calls (PRODUCT.md 4), as an event-sourced state machine. The same
//! commits applied to the same state always give the same state, which is what recovery after a crash
//! lives on.

mod apply;
mod calls;
mod command;
mod commit;
mod context;
mod decide;
mod expiry;
mod invariants;
mod rules;
mod state;
mod variables;

pub use command::{Authority, Change, Command, Condition, SetVariable, Start};
pub use commit::{ChangeCause, Commit, Effect, EndCause};
pub use context::{Context, VisibleVariable};
pub use decide::decide;
pub use rules::{AnonymousSessions, Limits, Reset, Rules};
pub use state::{Call, CallState, Direction, Leg, Lifetime, Session, Variable};
