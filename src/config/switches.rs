//! Links to SIP switches.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::domain::caller::Region;
use crate::domain::ids::{SwitchName, TenantId, VariableName};

/// `[[switch]]`: a link to a SIP switch, and what is trusted on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    /// Its name, unique.
    pub name: SwitchName,
    /// What is spoken on it.
    pub protocol: Protocol,
    /// Where the switch connects to.
    pub listen: SocketAddr,
    /// Networks that may connect. Loopback.
    pub allow: Vec<IpNet>,
    /// The tenants its calls can belong to: one, or several told apart by the called number.
    pub tenants: Vec<TenantId>,
    /// Whether P-Asserted-Identity, Remote-Party-ID and verstat of this switch are believed. `false`.
    pub trust_identity: bool,
    /// The country whose way of writing numbers is meant where a number has no country code.
    pub region: Region,
    /// What tells the extensions of this switch from those of others (`ext:<domain>:<digits>`). The switch's name.
    pub domain: String,
    /// The variables the switch sees, in the order in which they survive `max_answer`. None: all.
    pub expose: Option<Vec<VariableName>>,
    /// Most bytes of an answer with a context. None: no limit.
    pub max_answer: Option<usize>,
}

impl Switch {
    /// Whether a peer at this address may connect. An IPv4 peer of a dual-stack listener counts as IPv4.
    #[must_use]
    pub fn allows(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.allow.iter().any(|network| network.contains(&peer))
    }
}

/// What is spoken with a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// JSON-RPC 2.0 over TCP: Kamailio, OpenSIPS, anything else.
    JsonRpc,
    /// FreeSWITCH connects per call.
    FreeswitchOutbound,
    /// recalld connects to FreeSWITCH.
    FreeswitchInbound,
    /// Asterisk connects per request.
    FastAgi,
    /// Asterisk connects by WebSocket.
    Ari,
}

impl Protocol {
    /// All protocols a file may name.
    pub const ALL: [Protocol; 5] = [
        Protocol::JsonRpc,
        Protocol::FreeswitchOutbound,
        Protocol::FreeswitchInbound,
        Protocol::FastAgi,
        Protocol::Ari,
    ];

    /// The word in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Protocol::JsonRpc => "jsonrpc",
            Protocol::FreeswitchOutbound => "freeswitch-outbound",
            Protocol::FreeswitchInbound => "freeswitch-inbound",
            Protocol::FastAgi => "fastagi",
            Protocol::Ari => "ari",
        }
    }

    /// Whether this version of recalld speaks it.
    #[must_use]
    pub const fn is_available(self) -> bool {
        matches!(self, Protocol::JsonRpc)
    }
}
