//! The admin socket: what `recalld status`, `calls`, `sessions`, `watch`, `audit`, `session-id` and `key` ask. One JSON
//! object a line, question and answer; `watch` is answered with a stream. No answer holds a number.
//!
//! | file | subject |
//! |---|---|
//! | `socket` | the file of the socket, who may use it |
//! | `connection` | lines in, lines out, with bounds |
//! | `request` | what can be asked |
//! | `lines` | how an answer is written |
//! | `status` | how the daemon is |
//! | `calls`, `sessions` | what is going on, in parts |
//! | `keys` | rotate, status and retire of keys |
//! | `retention` | what goes when, what is held, what is confirmed |
//! | `watch` | what happens from now on |
//! | `audit` | the audit log, and whether its chain is whole |
//! | `session_id` | the session ID of a number |

mod audit;
mod calls;
mod connection;
mod keys;
mod lines;
mod request;
mod retention;
mod session_id;
mod sessions;
mod socket;
mod status;
mod watch;

pub(super) use connection::serve;
pub(super) use socket::AdminSocket;
