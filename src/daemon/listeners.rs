//! Every address is bound before anything else is done: a daemon that cannot listen changes nothing.

use std::net::{SocketAddr, TcpListener};

use super::admin::AdminSocket;
use super::error::ServeError;
use crate::config::Config;
use crate::switch;

/// Bound, not served yet.
pub(super) struct Listeners {
    pub(super) api: TcpListener,
    pub(super) health: TcpListener,
    pub(super) admin: AdminSocket,
    pub(super) switches: Vec<switch::Bound>,
}

impl Listeners {
    pub(super) fn bind(config: &Config) -> Result<Self, ServeError> {
        let socket = &config.admin.socket;
        Ok(Self {
            api: bind("[api]", config.api.listen)?,
            health: bind("[admin]", config.admin.listen)?,
            switches: switch::bind(config).map_err(ServeError::Links)?,
            admin: AdminSocket::bind(socket).map_err(|error| ServeError::Listen {
                what: "[admin] socket",
                place: socket.display().to_string(),
                error,
            })?,
        })
    }
}

fn bind(what: &'static str, address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).map_err(|error| ServeError::Listen { what, place: address.to_string(), error })
}
