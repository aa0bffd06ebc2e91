//! Retention under the operator's eye (PRODUCT.md 4.1): what is in force for each release, a change that waits because
//! it would end many sessions at once, and the work that a change leaves behind.
//!
//! | file | subject |
//! |---|---|
//! | `keeper` | what is in force, what is held, what is confirmed |
//! | `count` | how many sessions a change would end, before it is in force |
//! | `sweep` | entries of the expiry index are brought forward; what is due is ended now |
//! | `review` | what goes when and by which rule, without changing anything |

mod count;
mod keeper;
mod review;
mod sweep;

use std::time::{Duration, Instant};

pub use count::ReleaseChange;
pub(super) use keeper::Keeper;
pub use keeper::{ChangeStatus, RetentionStatus};
pub use review::Review;
pub use sweep::{RunProgress, SweepStatus};

/// A change that would end more sessions than this at once is held (PRODUCT.md 4.1).
pub const MOST_ENDED_AT_ONCE: u64 = 1_000;

/// Records of one part of a scan.
const PART: usize = 2_000;
/// How fast records are read in the background, in records a second.
const READ_RATE: u64 = 100_000;
/// Sessions that are told at the same time in the background.
const TOLD_TOGETHER: usize = 64;
/// How fast sessions are told in the background, in sessions a second.
pub const SWEEP_RATE: u64 = 2_000;

/// How long `count` things have to take at a rate, less what they took.
fn rest_of(count: u64, rate: u64, since: Instant) -> Duration {
    Duration::from_millis(count.saturating_mul(1_000) / rate).saturating_sub(since.elapsed())
}
