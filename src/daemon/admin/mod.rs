//! The admin socket: what `recalld status`, `calls`, `sessions` and `watch` ask. One JSON object a line, question and
//! answer; `watch` is answered with a stream. No answer holds a number.
//!
//! | file | subject |
//! |---|---|
//! | `socket` | the file of the socket, who may use it |
//! | `connection` | lines in, lines out, with bounds |
//! | `request` | what can be asked |
//! | `status` | how the daemon is |
//! | `calls`, `sessions` | what is going on, in parts |
//! | `watch` | what happens from now on |

mod calls;
mod connection;
mod request;
mod sessions;
mod socket;
mod status;
mod watch;

pub(super) use connection::serve;
pub(super) use socket::AdminSocket;
