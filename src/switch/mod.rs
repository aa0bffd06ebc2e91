//! Links to SIP switches (PRODUCT.md 5): listeners, connections, permits, what is trusted, and the way from a switch's
//! words to events of the domain. Knows no HTTP and no database.
//!
//! | file | subject |
//! |---|---|
//! | `listener` | who may connect, and on which arbiter a connection runs |
//! | `connection` | the life of one connection: reading, pausing, writing, closing |
//! | `outlet` | answers on their way out, each once and in time |
//! | `permits` | how much may be in progress |
//! | `dispatch` | from a request to the actors |
//! | `sync` | which calls a switch still has, and the end of those it has lost |
//! | `tenants` | whose call a switch of several tenants speaks of |
//! | `trunk` | what is configured of a link, and which release a call is for |
//! | `report` | from `call.start` to a recognised caller |
//! | `answer` | rendering answers |
//! | `metrics` | counters |

mod answer;
mod connection;
mod dispatch;
mod listener;
mod metrics;
mod outlet;
mod permits;
mod report;
mod sync;
mod tenants;
mod trunk;

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;

pub use metrics::SwitchMetrics;

use crate::actors::{CallView, Directory, Scope};
use crate::config::{self, Config};
use crate::domain::ids::{SwitchName, TenantId};
use permits::Permits;
use sync::Lists;
use tenants::Starts;
use trunk::Trunk;

/// A link whose address is taken but not served yet.
pub struct Bound {
    switch: config::Switch,
    listener: TcpListener,
}

/// Connections that may wait to be accepted. The standard library's 128 are fewer than the processes of a large switch,
/// which come back all at once after a restart; one that finds no room tries again only after a second.
const BACKLOG: i32 = 4_096;

/// Takes the addresses of all links, so that a wrong one is known before anything is started.
///
/// # Errors
/// The address that cannot be taken, and why.
pub fn bind(config: &Config) -> std::io::Result<Vec<Bound>> {
    config
        .switches
        .iter()
        .map(|switch| {
            let listener = TcpListener::bind(switch.listen).map_err(|error| {
                let what = format!("switch `{}`: {} cannot be listened on: {error}", switch.name, switch.listen);
                std::io::Error::new(error.kind(), what)
            })?;
            rustix::net::listen(&listener, BACKLOG)?;
            listener.set_nonblocking(true)?;
            Ok(Bound { switch: switch.clone(), listener })
        })
        .collect()
}

/// What all connections of all links share.
struct Shared {
    directory: Arc<Directory>,
    metrics: Arc<SwitchMetrics>,
    permits: Permits,
    /// Turns true when nothing more is to be read.
    stop: watch::Receiver<bool>,
    connections: AtomicUsize,
    /// Whose turn it is to get the next connection of any link: most links have one connection.
    turn: AtomicUsize,
}

/// One link at run time.
struct Link {
    name: SwitchName,
    shared: Arc<Shared>,
    trunk: Trunk,
    /// Which calls its peers say they still have.
    lists: Lists,
    /// Of a link with several tenants.
    starts: Arc<Starts>,
    connections: AtomicUsize,
}

/// One link as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkStatus {
    /// Its configured name.
    pub name: SwitchName,
    /// Where the switch connects to.
    pub listen: SocketAddr,
    /// Connections that are open.
    pub connections: usize,
}

/// The links that are served.
pub struct Links {
    shared: Arc<Shared>,
    served: Vec<(Arc<Link>, SocketAddr)>,
    stop: watch::Sender<bool>,
}

/// Serves links on the directory's arbiters.
///
/// # Errors
/// When a listener cannot be used.
pub fn serve(bound: Vec<Bound>, directory: &Arc<Directory>) -> std::io::Result<Links> {
    let (stop, stopped) = watch::channel(false);
    let shared = Arc::new(Shared {
        directory: directory.clone(),
        metrics: Arc::default(),
        permits: Permits::default(),
        stop: stopped,
        connections: AtomicUsize::new(0),
        turn: AtomicUsize::new(0),
    });
    let up = directory.active_calls(&Scope::All);
    let mut served = Vec::with_capacity(bound.len());
    for Bound { switch, listener } in bound {
        let address = listener.local_addr()?;
        let link = Arc::new(Link {
            name: switch.name.clone(),
            shared: shared.clone(),
            trunk: Trunk::new(&switch, former_tenants(&switch, &up), directory.settings()),
            lists: Lists::default(),
            starts: Arc::default(),
            connections: AtomicUsize::new(0),
        });
        listener::spawn(listener, link.clone());
        served.push((link, address));
    }
    Ok(Links { shared, served, stop })
}

/// The tenants of calls that are up since before the start, by this switch, which reports no calls of theirs any more.
fn former_tenants(switch: &config::Switch, up: &[CallView]) -> Vec<TenantId> {
    let reported = up.iter().filter(|view| view.call.legs.iter().any(|leg| leg.switch == switch.name));
    let tenants = reported.map(|view| view.release.tenant.clone()).filter(|tenant| !switch.tenants.contains(tenant));
    tenants.collect::<BTreeSet<_>>().into_iter().collect()
}

impl Links {
    /// Counters of all links.
    #[must_use]
    pub fn metrics(&self) -> &Arc<SwitchMetrics> {
        &self.shared.metrics
    }

    /// Each link as operators see it.
    #[must_use]
    pub fn status(&self) -> Vec<LinkStatus> {
        let status = |(link, listen): &(Arc<Link>, SocketAddr)| LinkStatus {
            name: link.name.clone(),
            listen: *listen,
            connections: link.connections.load(Ordering::Relaxed),
        };
        self.served.iter().map(status).collect()
    }

    /// Stops accepting and reading, and waits until everything that was read is answered and the connections are
    /// closed, or the deadline is over.
    pub async fn drain(&self, deadline: Duration) {
        let _nobody_listens = self.stop.send(true);
        let drained = async {
            while self.shared.connections.load(Ordering::SeqCst) > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(deadline, drained).await.is_err() {
            tracing::warn!("connections of switches are still open at the end of the drain: they are cut");
        }
    }
}
