//! From the file as written to checked values: defaults, ranges, and what must hold across tables.

mod ranges;
mod switches;
mod tenants;

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;

use self::ranges::{DAY, HOUR, MINUTE, bytes, count, size, time};
use super::error::Fault;
use super::file::{AdminTable, ApiTable, DataTable, File, LimitsTable, Maybe, Unread};
use super::read::Bytes;
use super::{Admin, Api, Config, Data, Keys, Limits, Privacy};
use crate::domain::duration;
use crate::domain::session;

const NO_TLS: &str = "TLS is not available in this version: remove this key, keep the listener on loopback or in a \
                      protected network, or put a TLS proxy in front";

/// Checks a whole file.
pub(super) fn check(file: File) -> Result<Config, Fault> {
    let mut taken = Listeners::default();
    let erase_span = file.privacy.erase_within.as_ref().map(Spanned::span).unwrap_or_default();
    let privacy = Privacy {
        erase_within: time(file.privacy.erase_within.as_ref(), &(HOUR..=30 * DAY))?
            .unwrap_or(Privacy::default().erase_within),
    };
    let data = data(file.data, &privacy, erase_span)?;
    let keys = Keys { root: file.keys.root.map_or_else(|| Keys::default().root, |path| path.into_inner().0.0) };
    let api = api(file.api, &mut taken)?;
    let admin = admin(file.admin, &mut taken)?;
    let limits = limits(&file.limits)?;
    let tenants = tenants::check(file.tenant)?;
    let switches = switches::check(file.switch, &tenants, &mut taken)?;
    Ok(Config { data, keys, api, admin, limits, privacy, tenants, switches })
}

fn data(table: DataTable, privacy: &Privacy, erase_span: Range<usize>) -> Result<Data, Fault> {
    let default = Data::default();
    let window_span = table.log_window.as_ref().map_or(erase_span, Spanned::span);
    let log_window = time(table.log_window.as_ref(), &(MINUTE..=15 * DAY))?.unwrap_or(default.log_window);
    if log_window > privacy.erase_within / 2 {
        return Err(Fault::new(
            window_span,
            format!(
                "log_window may be half of privacy.erase_within at most ({}), so that what is erased leaves the log in time",
                duration::format(privacy.erase_within / 2)
            ),
        ));
    }
    Ok(Data {
        path: table.path.map_or(default.path, |path| path.into_inner().0.0),
        durability: table.durability.map_or(default.durability, |word| word.into_inner().0),
        log_window,
        log_bytes: bytes(table.log_bytes.as_ref(), default.log_bytes, &(1 << 20..=1 << 50))?,
        min_free: bytes(table.min_free.as_ref(), default.min_free, &(0..=1 << 50))?,
        cache: bytes(table.cache.as_ref(), default.cache, &(8 << 20..=1 << 40))?,
    })
}

fn api(table: ApiTable, taken: &mut Listeners) -> Result<Api, Fault> {
    refuse(&[&table.tls_cert, &table.tls_key], NO_TLS)?;
    Ok(Api {
        listen: taken.claim_or(table.listen, Api::default().listen)?,
        origins: table.origins.into_iter().map(|origin| origin.into_inner().0.0).collect(),
    })
}

fn admin(table: AdminTable, taken: &mut Listeners) -> Result<Admin, Fault> {
    let default = Admin::default();
    let listen = taken.claim_or(table.listen, default.listen)?;
    let Some(socket) = table.socket else { return Ok(Admin { listen, socket: default.socket }) };
    let span = socket.span();
    let socket = socket.into_inner().0.0;
    if socket.as_os_str().len() > 107 {
        return Err(Fault::new(span, "the path of a socket is 107 bytes long at most: choose a shorter one"));
    }
    Ok(Admin { listen, socket })
}

fn limits(table: &LimitsTable) -> Result<Limits, Fault> {
    let default = Limits::default();
    let limits = Limits {
        max_call_age: time(table.max_call_age.as_ref(), &(MINUTE..=30 * DAY))?.unwrap_or(default.max_call_age),
        call_linger: time(table.call_linger.as_ref(), &(Duration::ZERO..=DAY))?.unwrap_or(default.call_linger),
        answer_within: time(table.answer_within.as_ref(), &(Duration::from_millis(10)..=MINUTE))?
            .unwrap_or(default.answer_within),
        frame: size(table.frame.as_ref(), default.frame, &(1 << 10..=1 << 24))?,
        session: session::Limits {
            value: size(table.value.as_ref(), default.session.value, &(1..=1 << 20))?,
            variables: count(table.variables.as_ref(), default.session.variables, &(1..=10_000))?,
            session_bytes: size(table.session_bytes.as_ref(), default.session.session_bytes, &(1..=1 << 24))?,
        },
        active_calls: count(table.active_calls.as_ref(), default.active_calls, &(1..=10_000_000))?,
        session_memory: bytes(table.session_memory.as_ref(), default.session_memory, &(1 << 20..=1 << 50))?,
        connections: count(table.connections.as_ref(), default.connections, &(1..=1_000_000))?,
        arbiters: match &table.arbiters {
            Some(arbiters) => Some(count(Some(arbiters), 1, &(1..=1_024))?),
            None => None,
        },
    };
    let span = |of: &Option<Spanned<Bytes>>| of.as_ref().map(Spanned::span).unwrap_or_default();
    if limits.session.value > limits.session.session_bytes {
        return Err(Fault::new(
            span(&table.value),
            "limits.value is larger than limits.session_bytes: no value of that size could be stored",
        ));
    }
    if limits.session.value > limits.frame {
        return Err(Fault::new(
            span(&table.value),
            "limits.value is larger than limits.frame: no switch could send a value of that size",
        ));
    }
    Ok(limits)
}

/// Refuses keys that this version cannot honour, rather than ignoring what their author relies on.
fn refuse(keys: &[&Unread], why: &str) -> Result<(), Fault> {
    match keys.iter().copied().flatten().next() {
        Some(key) => Err(Fault::new(key.span(), why)),
        None => Ok(()),
    }
}

/// The addresses that are listened on already.
#[derive(Default)]
struct Listeners(Vec<SocketAddr>);

impl Listeners {
    /// Takes the address that is written, or the default.
    fn claim_or(&mut self, written: Maybe<SocketAddr>, default: SocketAddr) -> Result<SocketAddr, Fault> {
        match written {
            Some(written) => self.claim(written.span(), written.into_inner().0),
            None => self.claim(0..0, default),
        }
    }

    /// Takes an address, or says that it cannot be had twice. Port 0 means any free port.
    fn claim(&mut self, span: Range<usize>, address: SocketAddr) -> Result<SocketAddr, Fault> {
        if let Some(other) = self.0.iter().find(|other| collide(address, **other)) {
            return Err(Fault::new(span, format!("{address} is taken by another listener of this file ({other})")));
        }
        self.0.push(address);
        Ok(address)
    }
}

fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let same_address = a.ip().to_canonical() == b.ip().to_canonical();
    a.port() == b.port() && a.port() != 0 && (same_address || a.ip().is_unspecified() || b.ip().is_unspecified())
}
