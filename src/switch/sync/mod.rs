//! `calls.sync` (PRODUCT.md 5.1): a switch tells which calls it still has, and what it has lost ends. Every link to a
//! switch loses events: the end of a call that happened while nobody listened comes by no other way.
//!
//! `lists` keeps what each peer has told; here is what follows from a complete list.

mod lists;

use std::net::IpAddr;
use std::sync::Arc;

use super::Link;
use super::answer::Answer;
use super::trunk::InForce;
use crate::actors::Reported;
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::session::Leg;
pub(super) use lists::{Complete, Lists, Progress};

/// The result of `calls.sync`.
pub(super) fn result(ended: u64) -> String {
    format!("{{\"ended\":{ended}}}")
}

/// Ends what is missing in this list and was in the list before, and answers when that is durable.
pub(super) async fn conclude(link: Arc<Link>, peer: IpAddr, trunk: Arc<InForce>, complete: Complete, answer: Answer) {
    let Complete { sync, part, began, listed } = complete;
    let directory = link.shared.directory.clone();
    let leg = Leg { switch: link.name.clone(), peer };
    // It walks over all active sessions, and calls must not wait for that.
    let walk = {
        let (directory, leg) = (directory.clone(), leg.clone());
        actix_rt::task::spawn_blocking(move || directory.calls_of(&leg, began))
    };
    let Ok(reported) = walk.await else {
        link.lists.concluded(peer, &sync, part, None);
        return answer.settle(Err(Refusal::new(Reason::Internal, "the calls cannot be compared: repeat the sync")));
    };
    // A tenant whose calls this link does not report any more is not asked about them.
    let is_missing = |call: &Reported| trunk.tenants().contains(&call.tenant) && !listed.contains(&call.call);
    let lost = link.lists.missing(peer, reported.into_iter().filter(is_missing));
    let ended = directory.lose(&leg, lost).await;
    if let Ok(ended @ 1..) = &ended {
        tracing::info!(switch = %link.name, %peer, ended, "calls that the switch does not have any more are ended");
    }
    link.lists.concluded(peer, &sync, part, ended.as_ref().ok().copied());
    answer.settle(ended.map(result));
}
