//! A service manager, as far as the daemon can tell.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::support::{Config, wait};

/// The socket that the daemon is given as `NOTIFY_SOCKET`.
pub struct Manager {
    place: tempfile::TempDir,
    socket: UnixDatagram,
}

impl Manager {
    pub fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(place.path().join("notify")).unwrap();
        Self { place, socket }
    }

    /// A configuration of a daemon that is started by this manager.
    pub fn of(&self, config: Config) -> Config {
        config.environment("NOTIFY_SOCKET", self.place.path().join("notify").to_str().unwrap())
    }

    /// Waits until a message with this line comes, and gives its lines.
    pub fn until(&self, line: &str) -> Vec<String> {
        self.within(wait::LONG, line).unwrap_or_else(|| panic!("the daemon did not say {line}"))
    }

    /// Whether such a message has come by now, and was not taken.
    pub fn has_heard(&self, line: &str) -> bool {
        self.within(Duration::from_millis(1), line).is_some()
    }

    /// Forgets what has come by now.
    pub fn forget(&self) {
        while self.next(Duration::from_millis(1)).is_some() {}
    }

    fn within(&self, most: Duration, line: &str) -> Option<Vec<String>> {
        wait::within(most, || {
            let message = self.next(Duration::from_millis(20))?;
            Some(message).filter(|message| message.iter().any(|said| said == line))
        })
    }

    fn next(&self, most: Duration) -> Option<Vec<String>> {
        let mut message = [0; 4096];
        self.socket.set_read_timeout(Some(most)).unwrap();
        let length = self.socket.recv(&mut message).ok()?;
        Some(String::from_utf8_lossy(&message[..length]).lines().map(str::to_owned).collect())
    }
}
