//! Who may connect, and on which arbiter a connection runs.

use std::net::{IpAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::{Link, connection};

/// Pause after a failed accept: when descriptors have run out, trying at once again helps nobody.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections on the first arbiter and spreads them over all.
pub(super) fn spawn(listener: StdListener, link: Arc<Link>) {
    let directory = link.shared.directory.clone();
    if let Some(first) = directory.arbiters().first() {
        let accepting = async move {
            if let Err(error) = accept(listener, &link).await {
                tracing::error!(switch = %link.name, "the link cannot be served: {error}");
            }
        };
        if !first.spawn(accepting) {
            tracing::error!("the arbiters have ended before the links were served");
        }
    }
}

async fn accept(listener: StdListener, link: &Arc<Link>) -> std::io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut stop = link.shared.stop.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
        };
        match accepted {
            Ok((stream, peer)) => admit(stream, peer.ip().to_canonical(), link),
            Err(error) => {
                tracing::warn!(switch = %link.name, "a connection cannot be accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn admit(stream: TcpStream, peer: IpAddr, link: &Arc<Link>) {
    let shared = &link.shared;
    let trunk = link.trunk.settings(&shared.directory.settings());
    let refuse = |why: &str| {
        shared.metrics.refused_connections.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(switch = %link.name, %peer, "a connection is refused: {why}");
    };
    if !trunk.switch().allows(peer) {
        return refuse("its address is not in `allow`");
    }
    if shared.connections.load(Ordering::SeqCst) >= trunk.config().limits.connections {
        return refuse("there are as many connections as limits.connections allows");
    }
    shared.metrics.accepted.fetch_add(1, Ordering::Relaxed);
    let open = Open::new(link.clone());
    let arbiters = shared.directory.arbiters();
    let turn = shared.turn.fetch_add(1, Ordering::Relaxed);
    let Some(arbiter) = arbiters.get(turn % arbiters.len().max(1)) else { return };
    // A socket belongs to the runtime it is used on.
    let Ok(stream) = stream.into_std() else { return };
    arbiter.spawn(async move {
        let Ok(stream) = TcpStream::from_std(stream) else { return };
        if let Err(error) = connection::run(stream, peer, open.0.clone()).await {
            tracing::debug!(switch = %open.0.name, %peer, "a connection has ended: {error}");
        }
    });
}

/// Counts a connection while it is open.
struct Open(Arc<Link>);

impl Open {
    fn new(link: Arc<Link>) -> Self {
        link.connections.fetch_add(1, Ordering::SeqCst);
        link.shared.connections.fetch_add(1, Ordering::SeqCst);
        Self(link)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::SeqCst);
        self.0.shared.connections.fetch_sub(1, Ordering::SeqCst);
    }
}
