//! From what a switch reports of a call that starts to a recognised caller: the number goes no further than the memory
//! of the call.

use std::net::IpAddr;
use std::sync::Arc;

use super::trunk::TrunkSettings;
use crate::actors::{self, Directory, StartCall};
use crate::domain::caller::{CallerDetails, Evidence, Presentation, identify};
use crate::domain::ids::SwitchName;
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::session::{Direction, Leg, Start};
use crate::wire::calls::CallStart;

/// Recognises the caller of a call as far as that is possible without the disk.
///
/// # Errors
/// `unknown_release`, or `internal` for a tenant whose data key is missing.
pub(super) fn report(
    directory: &Directory,
    trunk: &TrunkSettings,
    switch: &SwitchName,
    peer: IpAddr,
    reported: CallStart<'_>,
) -> Result<StartCall, Refusal> {
    let is_inbound = reported.direction == Direction::Inbound;
    let (party, called) = if is_inbound { (&reported.from, &reported.to) } else { (&reported.to, &reported.from) };
    let id = trunk.release(reported.instance.as_ref(), called)?;
    let evidence = Evidence {
        user_id: reported.user_id.as_deref(),
        party,
        // These speak of the calling side.
        display: reported.display.as_deref().filter(|_| is_inbound),
        pai: if is_inbound { &reported.pai } else { &[] },
        rpid: reported.rpid.as_deref().filter(|_| is_inbound),
        privacy: reported.privacy.as_deref().filter(|_| is_inbound),
        verstat: reported.verstat.as_deref().filter(|_| is_inbound),
        hidden_by_switch: false,
    };
    let caller = identify(&evidence, &trunk.reading());
    let unknown = || Refusal::new(Reason::UnknownRelease, "the release is not configured any more");
    let generation = trunk.settings().release(&id).ok_or_else(unknown)?.generation;
    let known = match &caller.canonical {
        Some(canonical) => actors::Caller::Known(directory.know(&id, generation, canonical)?),
        None => actors::Caller::Withheld,
    };
    let release = directory.store().release(&id).map_err(|error| {
        tracing::error!("{error}");
        Refusal::new(Reason::Internal, "the data of this tenant cannot be used: see the daemon's log")
    })?;
    // Headers may repeat what the caller asked to hide.
    let is_shown = caller.presentation == Presentation::Allowed;
    let details = CallerDetails {
        number: caller.number.filter(|_| is_shown),
        display: caller.display.filter(|_| is_shown),
        headers: reported.headers.filter(|_| is_shown),
    };
    let start = Start {
        call: reported.call,
        leg: Leg { switch: switch.clone(), peer },
        direction: reported.direction,
        presentation: caller.presentation,
        source: caller.source,
        assurance: caller.assurance,
        switch_at: reported.at,
        details: (details != CallerDetails::default()).then(|| Arc::new(details)),
    };
    Ok(StartCall { release, caller: known, start: Box::new(start) })
}
