//! The rules of the product, pure: time, randomness and keys are arguments. Knows no runtime, no
//! database, no socket and no clock.

pub mod caller;
pub mod duration;
pub mod ids;
pub mod number_plan;
pub mod pseudonym;
pub mod refusal;
pub mod session;
pub mod time;
pub mod value;
