//! A small file system of its own for a daemon, in a mount namespace that ends with the test: no mount is left behind.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::support::Config;

/// Holds the mount namespace as long as it lives.
pub struct SmallDisk {
    holder: Child,
    place: TempDir,
}

impl SmallDisk {
    /// A tmpfs of this size, or none where that is not allowed (it needs the rights of root).
    pub fn new(size: &str) -> Option<Self> {
        let place = tempfile::Builder::new().prefix("recalld-disk-").tempdir().unwrap();
        // `cat` ends when this process does, even if that is killed.
        let script = "mount -t tmpfs -o size=\"$1\",mode=0700 tmpfs \"$2\" && echo mounted && exec cat";
        let mut holder = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", script, "sh", size])
            .arg(place.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut line = String::new();
        BufReader::new(holder.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let disk = Self { holder, place };
        (line.trim() == "mounted").then_some(disk)
    }

    /// A configuration with the data directory on this disk, for a daemon in its mount namespace.
    pub fn config(&self) -> Config {
        let holder = self.holder.id().to_string();
        let mut config = Config::default().wrapper(&["nsenter", "--target", &holder, "--mount", "--"]);
        config.data_path = Some(self.place.path().join("data"));
        config
    }

    /// A file on this disk, as the test's own namespace reaches it.
    pub fn path(&self, name: &str) -> PathBuf {
        let inside = self.place.path().strip_prefix("/").unwrap();
        Path::new("/proc").join(self.holder.id().to_string()).join("root").join(inside).join(name)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
