//! The running daemon: start order, drain order, systemd, reload, metrics, health, the admin socket. Leaves to others
//! what calls and sessions are.
//!
//! | file | subject |
//! |---|---|
//! | `start`, `listeners`, [`root_key`] | from files to a running directory |
//! | `serve`, `upkeep` | what happens between start and end: signals, what is done again and again |
//! | `drain` | the end, in order and with a deadline |
//! | `reload` | `SIGHUP` |
//! | `keys` | rotate, status and retire of keys while calls go on |
//! | `rewriting` | the pace at which old records are sealed anew |
//! | `lifecycle` | how far the daemon is, and what runs |
//! | `systemd`, `watchdog` | what the service manager is told, and when the watchdog is fed |
//! | `free_space` | writes are refused before the disk is full |
//! | `health`, `metrics` | `/livez`, `/readyz`, `/metrics` |
//! | `admin` | the admin socket |
//! | `limits` | what the process may |
//! | `logging` | lines on standard error |
//! | `error` | why it does not start, or ended |

mod admin;
mod drain;
mod error;
mod free_space;
mod health;
mod keys;
mod lifecycle;
mod limits;
mod listeners;
mod logging;
mod metrics;
mod reload;
mod rewriting;
pub mod root_key;
mod serve;
mod start;
mod systemd;
mod upkeep;
mod watchdog;

pub use error::ServeError;
pub use serve::{ServeOptions, serve};
