//! From the file as written to checked values: defaults, ranges, and what must hold across tables. What is wrong is
//! noted; the values that are given then are of no use.

mod ranges;
mod switches;
mod tenants;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;

use self::ranges::{DAY, HOUR, MINUTE, bytes, count, size, time};
use super::error::Faults;
use super::file::{AdminTable, ApiTable, DataTable, File, LimitsTable, Unread};
use super::read::{FilePath, Origin};
use super::written::{Entry, List};
use super::{Admin, Api, Config, Data, Keys, Limits, Privacy};
use crate::domain::duration;
use crate::domain::session;

const NO_TLS: &str = "TLS is not available in this version: remove this key, keep the listener on loopback or in a \
                      protected network, or put a TLS proxy in front";

/// Checks a whole file.
pub(super) fn check(file: File, faults: &mut Faults) -> Config {
    let mut taken = Listeners::default();
    let erase_within = time(file.privacy.erase_within, &(HOUR..=30 * DAY), faults);
    let data = data(file.data, &erase_within, faults);
    let api = api(file.api, &mut taken, faults);
    let admin = admin(file.admin, &mut taken, faults);
    let limits = limits(file.limits, faults);
    let tenants = tenants::check(file.tenant, faults);
    let switches = switches::check(file.switch, &tenants, &mut taken, faults);
    let keys = Keys { root: path(file.keys.root).unwrap_or(Keys::default().root) };
    let privacy = Privacy { erase_within: erase_within.or(Privacy::default().erase_within) };
    Config { data, keys, api, admin, limits, privacy, tenants: tenants.read, switches }
}

fn path(written: Entry<FilePath>) -> Option<std::path::PathBuf> {
    written.given().map(|path| path.0)
}

fn data(table: DataTable, erase_within: &Entry<Duration>, faults: &mut Faults) -> Data {
    let default = Data::default();
    let log_window = time(table.log_window, &(MINUTE..=15 * DAY), faults);
    if let (Some(window), Some(within)) =
        (log_window.value_or(default.log_window), erase_within.value_or(Privacy::default().erase_within))
        && window > within / 2
    {
        faults.add(
            log_window.span().or(erase_within.span()).unwrap_or_default(),
            format!(
                "log_window may be half of privacy.erase_within at most ({}), so that what is erased leaves the log in time",
                duration::format(within / 2)
            ),
        );
    }
    Data {
        path: path(table.path).unwrap_or(default.path),
        durability: table.durability.or(default.durability),
        log_window: log_window.or(default.log_window),
        log_bytes: bytes(table.log_bytes, &(1 << 20..=1 << 50), faults).or(default.log_bytes),
        min_free: bytes(table.min_free, &(0..=1 << 50), faults).or(default.min_free),
        cache: bytes(table.cache, &(8 << 20..=1 << 40), faults).or(default.cache),
    }
}

fn api(table: ApiTable, taken: &mut Listeners, faults: &mut Faults) -> Api {
    refuse([table.tls_cert, table.tls_key], NO_TLS, faults);
    let origins = table.origins.given().map(listed).unwrap_or_default();
    Api {
        listen: taken.claim_or(table.listen, Api::default().listen, faults),
        origins: origins.into_iter().map(|Origin(origin)| origin).collect(),
    }
}

fn admin(table: AdminTable, taken: &mut Listeners, faults: &mut Faults) -> Admin {
    let default = Admin::default();
    let socket = table.socket.checked(faults, |FilePath(socket)| {
        let is_short = socket.as_os_str().len() <= 107;
        is_short
            .then_some(socket)
            .ok_or("the path of a socket is 107 bytes long at most: choose a shorter one".to_owned())
    });
    Admin { listen: taken.claim_or(table.listen, default.listen, faults), socket: socket.or(default.socket) }
}

fn limits(table: LimitsTable, faults: &mut Faults) -> Limits {
    let default = Limits::default();
    let frame = size(table.frame, &(1 << 10..=1 << 24), faults);
    let value = size(table.value, &(1..=1 << 20), faults);
    let session_bytes = size(table.session_bytes, &(1..=1 << 24), faults);
    for (key, whole, default_whole, why) in [
        ("session_bytes", &session_bytes, default.session.session_bytes, "no value of that size could be stored"),
        ("frame", &frame, default.frame, "no switch could send a value of that size"),
    ] {
        if let (Some(most), Some(of)) = (value.value_or(default.session.value), whole.value_or(default_whole))
            && most > of
        {
            faults.add(
                value.span().or(whole.span()).unwrap_or_default(),
                format!("limits.value is larger than limits.{key}: {why}"),
            );
        }
    }
    Limits {
        max_call_age: time(table.max_call_age, &(MINUTE..=30 * DAY), faults).or(default.max_call_age),
        call_linger: time(table.call_linger, &(Duration::ZERO..=DAY), faults).or(default.call_linger),
        answer_within: time(table.answer_within, &(Duration::from_millis(10)..=MINUTE), faults)
            .or(default.answer_within),
        frame: frame.or(default.frame),
        session: session::Limits {
            value: value.or(default.session.value),
            variables: count(table.variables, &(1..=10_000), faults).or(default.session.variables),
            session_bytes: session_bytes.or(default.session.session_bytes),
        },
        active_calls: count(table.active_calls, &(1..=10_000_000), faults).or(default.active_calls),
        session_memory: bytes(table.session_memory, &(1 << 20..=1 << 50), faults).or(default.session_memory),
        connections: count(table.connections, &(1..=1_000_000), faults).or(default.connections),
        arbiters: count(table.arbiters, &(1..=1_024), faults).given(),
    }
}

/// The texts of a list without their places.
fn listed<T>(list: List<T>) -> Vec<T> {
    list.texts.into_iter().map(Spanned::into_inner).collect()
}

/// Refuses keys that this version cannot honour, rather than ignoring what their author relies on.
fn refuse<const N: usize>(keys: [Unread; N], why: &str, faults: &mut Faults) {
    for span in keys.iter().filter_map(Entry::span) {
        faults.add(span, why);
    }
}

/// Names that others refer to.
struct Names<T> {
    /// The ones that can be read.
    known: BTreeSet<T>,
    /// Whether these are all. If not, it cannot be told of a name that it is none of them.
    is_whole: bool,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { known: BTreeSet::new(), is_whole: true }
    }
}

impl<T: Clone + Ord> Names<T> {
    /// Notes a name among the others. One that was there already is refused, and none is given for it.
    fn add(&mut self, name: Option<Spanned<T>>, faults: &mut Faults, twice: impl FnOnce(&T) -> String) -> Option<T> {
        let Some(name) = name else {
            self.is_whole = false;
            return None;
        };
        if self.known.insert(name.get_ref().clone()) {
            return Some(name.into_inner());
        }
        faults.add(name.span(), twice(name.get_ref()));
        None
    }

    /// Whether it is told that the name is none of them.
    fn lack(&self, name: &T) -> bool {
        self.is_whole && !self.known.contains(name)
    }
}

/// The addresses that are listened on already, each with its place if it is written.
#[derive(Default)]
struct Listeners(Vec<(SocketAddr, Range<usize>)>);

impl Listeners {
    /// Takes the address that is written, or the default.
    fn claim_or(&mut self, written: Entry<SocketAddr>, default: SocketAddr, faults: &mut Faults) -> SocketAddr {
        if let Some(address) = written.value_or(default) {
            self.claim(written.span().unwrap_or_default(), address, faults);
        }
        written.or(default)
    }

    /// Takes an address, or says that it cannot be had twice. Port 0 means any free port.
    fn claim(&mut self, span: Range<usize>, address: SocketAddr, faults: &mut Faults) {
        match self.0.iter().find(|(other, _)| collide(address, *other)) {
            Some((other, place)) => {
                let place = if span.is_empty() { place.clone() } else { span };
                faults.add(place, format!("{address} is taken by another listener of this file ({other})"));
            }
            None => self.0.push((address, span)),
        }
    }
}

fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let same_address = a.ip().to_canonical() == b.ip().to_canonical();
    a.port() == b.port() && a.port() != 0 && (same_address || a.ip().is_unspecified() || b.ip().is_unspecified())
}
