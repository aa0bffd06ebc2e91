//! The output of `strace -f -y`: when a request was read, when its answer was written, and the syncs between them.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use super::support::wait;

/// A system call of the trace. The lines are numbered: a call begins at one line and may end at a later one, when another
/// thread's call came between.
struct SystemCall {
    name: String,
    text: String,
    begins: usize,
    ends: usize,
}

/// All system calls, in the order in which they began.
pub struct Trace {
    calls: Vec<SystemCall>,
}

impl Trace {
    /// Reads the trace of a process that has ended, when strace has written the end.
    pub fn of_finished(file: &Path, pid: u32) -> Self {
        let pid = pid.to_string();
        let is_end = |line: &str| line.split_once(' ').is_some_and(|(of, end)| of == pid && end.contains("+++ exited"));
        let text = wait::within(wait::LONG, || fs::read_to_string(file).ok().filter(|text| text.lines().any(is_end)));
        Self::parse(&text.expect("strace writes the trace to its end"))
    }

    fn parse(text: &str) -> Self {
        let mut calls: Vec<SystemCall> = Vec::new();
        let mut unfinished: HashMap<&str, usize> = HashMap::new();
        for (at, line) in text.lines().enumerate() {
            let Some((pid, rest)) = line.split_once(' ') else { continue };
            let rest = rest.trim_start();
            if let Some(resumed) = rest.strip_prefix("<... ") {
                if let Some(begun) = unfinished.remove(pid) {
                    calls[begun].text.push_str(resumed);
                    calls[begun].ends = at;
                }
                continue;
            }
            let Some((name, _)) = rest.split_once('(') else { continue };
            if rest.ends_with("<unfinished ...>") {
                unfinished.insert(pid, calls.len());
            }
            calls.push(SystemCall { name: name.to_owned(), text: rest.to_owned(), begins: at, ends: at });
        }
        Self { calls }
    }

    /// Whether the change of a JSON-RPC request was on the disk before its answer was written.
    pub fn is_synced_before_answer(&self, id: i64) -> bool {
        let id = format!("\\\"id\\\":{id},");
        let read = self.read_of(&id);
        self.has_sync_between(read, self.write_after(read, &id))
    }

    /// The line at which the read that brought this text had returned.
    pub fn read_of(&self, text: &str) -> usize {
        self.find(0, &["read", "readv", "recvfrom", "recvmsg"], text).ends
    }

    /// The line at which the first write of this text behind that line began.
    pub fn write_after(&self, line: usize, text: &str) -> usize {
        self.find(line, &["write", "writev", "sendto", "sendmsg"], text).begins
    }

    fn find(&self, from: usize, names: &[&str], text: &str) -> &SystemCall {
        let is_meant = |call: &&SystemCall| {
            call.begins >= from && names.contains(&call.name.as_str()) && is_socket(call) && call.text.contains(text)
        };
        self.calls.iter().find(is_meant).unwrap_or_else(|| panic!("no {names:?} of {text} in the trace"))
    }

    /// Whether the write-ahead log was written and then synced, wholly between these lines.
    pub fn has_sync_between(&self, read: usize, answer: usize) -> bool {
        let within = |call: &&SystemCall| call.begins > read && call.ends < answer && is_write_ahead_log(call);
        let writes = ["write", "writev", "pwrite64", "pwritev"];
        let write = self.calls.iter().filter(within).find(|call| writes.contains(&call.name.as_str()));
        let Some(write) = write else { return false };
        self.calls.iter().filter(within).any(|call| {
            matches!(call.name.as_str(), "fdatasync" | "fsync")
                && call.begins > write.ends
                && call.text.ends_with("= 0")
        })
    }
}

fn is_socket(call: &SystemCall) -> bool {
    file(call).is_some_and(|path| path.starts_with("socket:") || path.starts_with("TCP"))
}

/// RocksDB names it by a number: `000012.log`.
fn is_write_ahead_log(call: &SystemCall) -> bool {
    let stem = file(call).and_then(|path| path.rsplit_once('/')).and_then(|(_, name)| name.strip_suffix(".log"));
    stem.is_some_and(|stem| !stem.is_empty() && stem.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The first argument's file, as `-y` shows it: `fdatasync(7</var/lib/recalld/000012.log>`.
fn file(call: &SystemCall) -> Option<&str> {
    let (_, arguments) = call.text.split_once('(')?;
    let (descriptor, rest) = arguments.split_once('<')?;
    descriptor.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
    rest.split_once('>').map(|(path, _)| path)
}
