//! Who does what while a call is up: one actor per active session, one per active call ID under it, and the directory
//! that finds them. Thin shells over `domain`: they know neither JSON nor HTTP nor any dialect of a switch.
//!
//! | file | subject |
//! |---|---|
//! | `directory` | the shared house: finds or starts actors, answers reads |
//! | `shards` | the threads on which actors live, and which of them a call goes to |
//! | `slot` | the entry of a session or a call in the directory, and the leases that keep it there |
//! | `call_actor` | everything about one call ID: finds its session, keeps the order of its events |
//! | `session_actor` | decides, seals, hands to the writer; the only one who changes a session |
//! | `first_contact` | from a caller to a session ID; two first contacts make one session |
//! | `acknowledge` | what happens on the writer's thread once a commit is durable |
//! | `reply` | how an answer is rendered with the state in hand and sent after the fsync |
//! | `publisher`, `subscription` | one stream of changes for all watchers, in the order of the log |
//! | `lingering` | calls that ended a short while ago |
//! | `loader` | reads of aliases and session records that may touch the disk |
//! | `lost` | calls that a switch does not have any more |
//! | `requests` | what voice apps ask, as futures |
//! | `timer_wheel`, `wheel`, `pace` | tells sessions that something of them ends |
//! | `retention` | what is in force and what is held; reviews, and sweeps over the records |
//! | `probe` | an event through actor and writer, to see whether they work |
//! | `settings`, `clock` | the configuration in force, the one clock |

mod acknowledge;
mod call_actor;
mod clock;
mod directory;
mod first_contact;
mod lingering;
mod loader;
mod lost;
mod pace;
mod probe;
mod publisher;
mod reply;
mod requests;
mod retention;
mod session_actor;
mod settings;
mod shards;
mod slot;
mod subscription;
#[cfg(test)]
mod tests;
mod timer_wheel;
mod wheel;

pub use call_actor::{Caller, StartCall};
pub use clock::{Clock, WallClock};
pub use directory::{Counts, Directory, DirectoryOptions, Glance, Scope};
pub use first_contact::{CallerKeys, KnownCaller};
pub use lost::{Reported, Reporter};
pub use publisher::{Filter, Publisher};
pub use reply::{Outcome, Reply, Wake, Wakes};
pub use requests::{CallView, SessionView};
pub use retention::{
    ChangeStatus, MOST_ENDED_AT_ONCE, ReleaseChange, RetentionStatus, Review, RunProgress, SWEEP_RATE, SweepStatus,
};
pub use settings::{ReleaseSettings, Settings};
pub use subscription::{Delivery, Event, Subscription};
pub use timer_wheel::TimerMetrics;
