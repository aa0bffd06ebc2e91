//! The process itself, as the kernel tells it.

use std::fs;

use super::exposition::{Exposition, Kind};

pub(super) fn describe(out: &mut Exposition) {
    let version = [(env!("CARGO_PKG_VERSION"), 1)];
    out.family(Kind::Gauge, "recalld_build_info", "The program, always 1", "version", version);
    if let Some(resident) = resident_bytes() {
        out.one(Kind::Gauge, "process_resident_memory_bytes", "Memory of the process", resident);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        out.one(Kind::Gauge, "process_open_fds", "Open files and sockets", open.count());
    }
    if let Some(most) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        out.one(Kind::Gauge, "process_max_fds", "Most files and sockets", most);
    }
}

fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes << 10)
}
