//! The fuzz targets: each takes bytes as they could come from outside, and panics if a promise is broken.
//!
//! The fuzzer runs them from `fuzz_targets`, and the tests of recalld run them over the seeds and mutations of these.

mod caller;
pub mod changes;
pub mod config;
pub mod duration;
pub mod framing;
pub mod jsonrpc;
pub mod number;
pub mod pai;
pub mod privacy;
pub mod rpid;
pub mod uri;
pub mod value;
pub mod watch;

/// One target: looks at one input.
pub type Target = fn(&[u8]);

/// All targets by their names.
pub const TARGETS: [(&str, Target); 12] = [
    ("changes", changes::run),
    ("config", config::run),
    ("duration", duration::run),
    ("framing", framing::run),
    ("jsonrpc", jsonrpc::run),
    ("number", number::run),
    ("pai", pai::run),
    ("privacy", privacy::run),
    ("rpid", rpid::run),
    ("uri", uri::run),
    ("value", value::run),
    ("watch", watch::run),
];

/// An input as a text, as far as it is one.
fn text(input: &[u8]) -> &str {
    input.utf8_chunks().next().map_or("", |chunk| chunk.valid())
}
