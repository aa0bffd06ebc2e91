//! The promises of PRODUCT.md 3.4, 3.5 and 4, one by one and against a model.

mod calls;
pub(crate) mod interleavings;
mod lifetimes;
mod model;
mod model_test;
mod names;
mod record;
mod simulation;
mod world;
