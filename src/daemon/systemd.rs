//! What is told to the service manager (`Type=notify`). Without one nothing is told.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// How often a long start asks for more time, and for how much.
const ASK_EVERY: Duration = Duration::from_secs(5);
const ASK_FOR: Duration = Duration::from_secs(60);

/// Tells the service manager.
pub(super) fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("the service manager cannot be told: {error}");
    }
}

/// The start is over, or a reload.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// A reload begins. Newer versions of systemd fail a reload that does not tell the time.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// The drain begins.
pub(super) fn stopping(status: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

/// What `systemctl status` shows.
pub(super) fn status(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

/// Asks for more time as long as it lives: a replay takes as long as the log is. A thread of its own, because the start
/// blocks.
pub(super) struct LongStart {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl LongStart {
    pub(super) fn begin(what: &'static str) -> std::io::Result<Self> {
        let (end, ended) = channel();
        let begun = Instant::now();
        let thread = std::thread::Builder::new().name("long-start".to_owned()).spawn(move || {
            while ended.recv_timeout(ASK_EVERY) == Err(RecvTimeoutError::Timeout) {
                let micros = u32::try_from(ASK_FOR.as_micros()).unwrap_or(u32::MAX);
                let status = format!("{what} for {} s", begun.elapsed().as_secs());
                tell(&[NotifyState::ExtendTimeoutUsec(micros), NotifyState::Status(&status)]);
            }
        })?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for LongStart {
    fn drop(&mut self) {
        drop(self.end.take());
        // So that no line of the start follows one of what comes after it.
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}
