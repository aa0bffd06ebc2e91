//! The events of a call (PRODUCT.md 4.3): start, ringing, answer, keys, end, and who may vouch for it.

use std::sync::Arc;

use super::command::Start;
use super::commit::{ChangeCause, Effect};
use super::moment::{Moment, deleted};
use super::rules::Reset;
use super::state::{Call, CallState, EndCause, Leg, Lifetime, REOPEN_WITHIN, Session};
use crate::domain::caller::Assurance;
use crate::domain::ids::CallId;
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::time::Timestamp;

/// Whether an ended call could still be reopened.
pub(super) fn may_be_reopened(call: &Call, now: Timestamp) -> bool {
    call.ended_at.is_some_and(|ended_at| now.since(ended_at) <= REOPEN_WITHIN)
}

pub(super) fn start(moment: &Moment<'_>, start: &Start) -> Result<Vec<Effect>, Refusal> {
    let session = moment.session;
    if let Some(active) = session.call(&start.call) {
        if !is_same_caller(session, active, start) {
            return Err(Refusal::new(
                Reason::CallIdInUse,
                "another caller's active call has this call_id: use a call_id that is unique among active calls",
            ));
        }
        if active.legs.contains(&start.leg) {
            return Ok(Vec::new());
        }
        return Ok(vec![Effect::LegAdded { call: active.id.clone(), leg: start.leg.clone() }]);
    }
    let reopened = session.ended.iter().any(|ended| {
        ended.id == start.call && may_be_reopened(ended, moment.now) && is_same_caller(session, ended, start)
    });
    let started = Effect::CallStarted {
        call: start.call.clone(),
        leg: start.leg.clone(),
        direction: start.direction,
        presentation: start.presentation,
        source: start.source,
        assurance: start.assurance,
        switch_at: start.switch_at,
        reopened,
    };
    let resets = !reopened && (session.calls.is_empty() || moment.rules.reset == Reset::EveryCall);
    let mut effects = Vec::with_capacity(1 + if resets { session.variables.len() } else { 0 });
    if resets {
        effects.extend(
            session
                .variables
                .iter()
                .filter(|variable| variable.lifetime == Lifetime::Session && moment.is_live(variable))
                .map(|variable| deleted(None, variable, ChangeCause::NewCall)),
        );
    }
    effects.push(started);
    Ok(effects)
}

/// A start with the call ID of a call of this session has the session's alias already; what remains to be
/// compared is the presentation. Withheld callers have no alias, so one switch must have reported both.
fn is_same_caller(session: &Session, call: &Call, start: &Start) -> bool {
    if session.id.is_anonymous() {
        call.legs.iter().any(|leg| leg.switch == start.leg.switch)
    } else {
        call.presentation == start.presentation
    }
}

pub(super) fn ringing(moment: &Moment<'_>, call: &CallId, code: Option<u16>) -> Result<Vec<Effect>, Refusal> {
    let known = active(moment.session, call)?;
    if known.state >= CallState::Ringing {
        return Ok(Vec::new());
    }
    Ok(vec![Effect::CallRinging { call: known.id.clone(), code }])
}

pub(super) fn answer(moment: &Moment<'_>, call: &CallId) -> Result<Vec<Effect>, Refusal> {
    let known = active(moment.session, call)?;
    if known.state >= CallState::Answered {
        return Ok(Vec::new());
    }
    Ok(vec![Effect::CallAnswered { call: known.id.clone() }])
}

pub(super) fn dtmf(moment: &Moment<'_>, call: &CallId, duration_ms: Option<u32>) -> Result<Vec<Effect>, Refusal> {
    let known = active(moment.session, call)?;
    Ok(vec![Effect::CallDtmf { call: known.id.clone(), duration_ms }])
}

pub(super) fn assert(moment: &Moment<'_>, call: &CallId, level: Assurance) -> Result<Vec<Effect>, Refusal> {
    let known = active(moment.session, call)?;
    if known.assurance == level {
        return Ok(Vec::new());
    }
    Ok(vec![Effect::AssuranceSet { call: known.id.clone(), level }])
}

/// The end of a leg, or of the whole call. Never refused: the end of what is unknown has no consequence.
pub(super) fn end(
    moment: &Moment<'_>,
    call: &CallId,
    leg: Option<&Leg>,
    cause: &EndCause,
    code: Option<u16>,
) -> Vec<Effect> {
    let Some(known) = moment.session.call(call) else {
        return Vec::new();
    };
    if let Some(leg) = leg {
        // A switch that has lost a call says nothing about the leg of another peer.
        let meant = if *cause == EndCause::Lost { exact_leg(known, leg) } else { leg_meant(known, leg) };
        let Some(meant) = meant else {
            return Vec::new();
        };
        if known.legs.len() > 1 {
            return vec![Effect::LegEnded { call: known.id.clone(), leg: meant.clone() }];
        }
    }
    let mut effects = Vec::with_capacity(1 + known.variables.len());
    effects.extend(
        known
            .variables
            .iter()
            .filter(|variable| moment.is_live(variable))
            .map(|variable| deleted(Some(&known.id), variable, ChangeCause::CallEnded)),
    );
    effects.push(Effect::CallEnded { call: known.id.clone(), cause: cause.clone(), code });
    effects
}

fn exact_leg<'c>(call: &'c Call, leg: &Leg) -> Option<&'c Leg> {
    call.legs.iter().find(|known| *known == leg)
}

/// The leg itself; else the only leg of the same switch, which then has failed over to another peer.
fn leg_meant<'c>(call: &'c Call, leg: &Leg) -> Option<&'c Leg> {
    if let Some(exact) = exact_leg(call, leg) {
        return Some(exact);
    }
    let mut of_switch = call.legs.iter().filter(|known| known.switch == leg.switch);
    of_switch.next().filter(|_| of_switch.next().is_none())
}

pub(super) fn active<'s>(session: &'s Session, call: &CallId) -> Result<&'s Arc<Call>, Refusal> {
    session.call(call).ok_or_else(|| {
        Refusal::new(Reason::UnknownCall, "no active call has this call_id: report it with call.start first")
    })
}
