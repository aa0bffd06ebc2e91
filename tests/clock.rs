//! Real jumps of the system clock, made with faketime, against the built daemon (PRODUCT.md 4.1): a jump forward deletes
//! nothing until an operator confirms it or the clock returns, a jump back never revives anything and deletes nothing
//! early, also where the daemon is killed in between. Limits that take minutes, and what an operator ends by hand. And a
//! retention that is shorter by mistake.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

mod support;

#[path = "clock/held.rs"]
mod held;
#[path = "clock/jumps.rs"]
mod jumps;
#[path = "clock/killed.rs"]
mod killed;
#[path = "clock/limits.rs"]
mod limits;
#[path = "clock/run.rs"]
mod run;

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use support::{Config, Daemon};

/// A daemon whose system clock the test moves. The clocks that count since the start of the machine are the real ones.
struct Moved {
    daemon: Daemon,
    /// Holds the file with the offset of the clock.
    place: TempDir,
}

impl Moved {
    /// Starts one at an offset from the real time, as in `-40d` or `+0`.
    fn start(offset: &str) -> Self {
        Self::with(Config::default(), offset)
    }

    /// The same with another configuration.
    fn with(config: Config, offset: &str) -> Self {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("offset");
        std::fs::write(&file, offset).unwrap();
        let config = config
            .environment("LD_PRELOAD", library().to_str().unwrap())
            .environment("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap())
            .environment("FAKETIME_NO_CACHE", "1")
            .environment("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        Self { daemon: Daemon::with(config), place }
    }

    /// Sets the clock of the running daemon, or of the next start.
    fn set(&self, offset: &str) {
        // In one step: a reader never finds half a line.
        let new = self.place.path().join("new");
        std::fs::write(&new, offset).unwrap();
        std::fs::rename(new, self.place.path().join("offset")).unwrap();
    }

    /// What the daemon says of itself.
    fn status(&self) -> Value {
        let (code, out) = support::cli::ask(&self.daemon, &["status", "--json"]);
        assert_eq!(code, 0, "{out}");
        serde_json::from_str(&out).unwrap()
    }

    /// Kills it, sets the clock, and starts it again.
    fn kill_and_set(&mut self, offset: &str) {
        self.daemon.kill();
        self.set(offset);
        self.daemon.restart();
    }

    fn is_doubted(&self) -> bool {
        self.status()["clock"]["doubted"].as_bool().unwrap()
    }
}

/// The names in a context, of a switch or of a voice app.
fn names_in(context: &Value) -> Vec<String> {
    context["variables"].as_object().unwrap().keys().cloned().collect()
}

/// The library that stands between the daemon and the system clock.
fn library() -> PathBuf {
    let places = std::fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let found = places.chain([Path::new("/usr/lib").to_owned()]).find_map(|place| {
        let library = place.join("faketime/libfaketimeMT.so.1");
        library.exists().then_some(library)
    });
    found.expect("faketime is installed: apt-get install faketime")
}
