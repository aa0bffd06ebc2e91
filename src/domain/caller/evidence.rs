//! What a switch reports of a caller, what is configured of the switch, and which part of it counted.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::region::Region;

/// What a switch reports of the caller, as it came. Strangers' texts: there is no `Debug`.
///
/// For an outbound call the caller is the called party: `party` and `display` are those of `to`, and
/// the identity headers, which speak of the calling side, are left out.
#[derive(Clone, Copy)]
pub struct Evidence<'a> {
    /// The switch's own identifier of the caller.
    pub user_id: Option<&'a str>,
    /// From, or `to` of an outbound call.
    pub party: &'a str,
    /// The display name, where the switch gives it apart.
    pub display: Option<&'a str>,
    /// P-Asserted-Identity headers, each with one address or several.
    pub pai: &'a [Cow<'a, str>],
    /// The Remote-Party-ID header.
    pub rpid: Option<&'a str>,
    /// The Privacy header.
    pub privacy: Option<&'a str>,
    /// The outcome of STIR/SHAKEN verification.
    pub verstat: Option<&'a str>,
    /// The switch's own flag for a withheld number.
    pub hidden_by_switch: bool,
}

/// What is configured of the switch that reports.
#[derive(Clone, Copy)]
pub struct Trunk<'a> {
    /// Whether P-Asserted-Identity, Remote-Party-ID and verstat of this switch count.
    pub trust_identity: bool,
    /// What numbers without country code are read as.
    pub region: &'a Region,
    /// What extensions belong to.
    pub domain: &'a str,
}

/// Where the caller ID was taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CallerSource {
    /// The switch's unique alphanumeric user ID.
    UserId,
    /// P-Asserted-Identity (RFC 3325) of a trusted switch.
    PAssertedIdentity,
    /// Remote-Party-ID of a trusted switch.
    RemotePartyId,
    /// From (RFC 3261), or `to` of an outbound call.
    From,
    /// Nothing usable.
    None,
}
