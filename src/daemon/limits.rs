//! What the process may, whoever starts it: files for many connections, files that are its user's alone, no core dump,
//! small pages of memory.

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};
use rustix::thread::disable_transparent_huge_pages;

/// Sets the limits of the process.
pub(super) fn set() {
    umask(Mode::from_raw_mode(0o077));
    let files = getrlimit(Resource::Nofile);
    set_limit(Resource::Nofile, Rlimit { current: files.maximum, ..files });
    // It would hold keys and numbers.
    set_limit(Resource::Core, Rlimit { current: Some(0), ..getrlimit(Resource::Core) });
    // A huge page is 2 MiB of memory for the few kilobytes of a call that are left in it.
    if let Err(error) = disable_transparent_huge_pages(true) {
        tracing::warn!("transparent huge pages cannot be disabled, calls may take more memory: {error}");
    }
}

fn set_limit(resource: Resource, limit: Rlimit) {
    if let Err(error) = setrlimit(resource, limit) {
        tracing::warn!("the limit {resource:?} of the process cannot be set: {error}");
    }
}
