//! What each peer of a link has told of its calls. Memory is bounded by the calls that are active, not by what a switch
//! tells: of a list only active calls are kept.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use parking_lot::Mutex;

use crate::actors::Reported;
use crate::domain::ids::CallId;
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::time::Timestamp;
use crate::wire::sync::CallsSync;

/// Peers of which something is kept; of more than that, the one that was silent longest is forgotten.
const MOST_PEERS: usize = 1_024;

/// The lists of all peers of a link.
#[derive(Default)]
pub(in crate::switch) struct Lists {
    peers: Mutex<HashMap<IpAddr, Peer>>,
}

#[derive(Default)]
struct Peer {
    heard_at: Timestamp,
    /// The list that is being told.
    open: Option<Open>,
    /// The latest complete list: its id, its last part, and how many calls it has ended once that is known.
    complete: Option<(Box<str>, u32, Option<u64>)>,
    /// What was missing in the latest complete list, and was not in a part of a list since.
    missing: HashSet<Reported>,
}

struct Open {
    sync: Box<str>,
    /// The part that came last.
    part: u32,
    began: Timestamp,
    listed: HashSet<CallId>,
}

/// What comes of a part.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::switch) enum Progress {
    /// More parts are to come.
    Open,
    /// The list is complete.
    Complete(Complete),
    /// It was complete before, and ended so many calls: the answer was lost or late.
    Repeated(u64),
}

/// A complete list.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::switch) struct Complete {
    pub(in crate::switch) sync: Box<str>,
    pub(in crate::switch) part: u32,
    /// When its first part came.
    pub(in crate::switch) began: Timestamp,
    pub(in crate::switch) listed: HashSet<CallId>,
}

impl Lists {
    /// Takes a part. A repeated part is taken again, because its answer may have been lost.
    ///
    /// # Errors
    /// `invalid_params` for a part that does not follow the one before: the list is abandoned. `late` for the repeated
    /// last part of a list that is not concluded yet.
    pub(in crate::switch) fn take(
        &self,
        peer: IpAddr,
        told: CallsSync,
        now: Timestamp,
        is_active: impl Fn(&CallId) -> bool,
    ) -> Result<Progress, Refusal> {
        let CallsSync { sync, part, last, calls } = told;
        let mut peers = self.peers.lock();
        let peer = entry(&mut peers, peer, now);
        if let Some((id, at, ended)) = &peer.complete
            && (id, *at, last) == (&sync, part, true)
        {
            let is_unknown = || Refusal::new(Reason::Late, "the sync is still being worked on: repeat the last part");
            return ended.map(Progress::Repeated).ok_or_else(is_unknown);
        }
        let follows = |open: &Open| open.sync == sync && (part == open.part || part.checked_sub(1) == Some(open.part));
        let mut open = match peer.open.take() {
            Some(open) if follows(&open) => open,
            _ if part <= 1 => Open { sync, part, began: now, listed: HashSet::new() },
            _ => {
                let detail = "part does not follow the part before: begin again with another sync id";
                return Err(Refusal::new(Reason::InvalidParams, detail));
            }
        };
        open.part = part;
        open.listed.extend(calls.into_iter().filter(is_active));
        // Also a list that is never completed says that these are there.
        if !peer.missing.is_empty() {
            peer.missing.retain(|missing| !open.listed.contains(&missing.call));
        }
        if !last {
            peer.open = Some(open);
            return Ok(Progress::Open);
        }
        let Open { sync, part, began, listed } = open;
        peer.complete = Some((sync.clone(), part, None));
        Ok(Progress::Complete(Complete { sync, part, began, listed }))
    }

    /// Notes what is missing in a complete list; the result was missing in the one before, too.
    pub(in crate::switch) fn missing(&self, peer: IpAddr, missing: impl Iterator<Item = Reported>) -> Vec<Reported> {
        let mut peers = self.peers.lock();
        let Some(peer) = peers.get_mut(&peer) else { return Vec::new() };
        let before = std::mem::take(&mut peer.missing);
        let (lost, once): (Vec<_>, Vec<_>) = missing.partition(|call| before.contains(call));
        peer.missing = once.into_iter().collect();
        lost
    }

    /// Notes what a complete list has come to. One that failed may be told again from its beginning.
    pub(in crate::switch) fn concluded(&self, peer: IpAddr, sync: &str, part: u32, ended: Option<u64>) {
        let mut peers = self.peers.lock();
        if let Some(complete) = peers.get_mut(&peer).map(|peer| &mut peer.complete)
            && complete.as_ref().is_some_and(|(id, at, _)| (&**id, *at) == (sync, part))
        {
            *complete = ended.map(|ended| (sync.into(), part, Some(ended)));
        }
    }
}

fn entry(peers: &mut HashMap<IpAddr, Peer>, peer: IpAddr, now: Timestamp) -> &mut Peer {
    if peers.len() >= MOST_PEERS && !peers.contains_key(&peer) {
        let silent = peers.iter().min_by_key(|(_, known)| known.heard_at).map(|(address, _)| *address);
        silent.and_then(|address| peers.remove(&address));
    }
    let known = peers.entry(peer).or_default();
    known.heard_at = now;
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_unix_millis(millis)
    }

    fn part(sync: &str, part: u32, last: bool, calls: &[&str]) -> CallsSync {
        let calls = calls.iter().map(|call| call.parse().expect("a call ID")).collect();
        CallsSync { sync: sync.into(), part, last, calls }
    }

    fn call(id: &str) -> Reported {
        let tenant = "acme".parse().expect("a name");
        Reported { tenant, call: id.parse().expect("a call ID"), started_at: at(0), reopened: false }
    }

    fn names(calls: &[Reported]) -> Vec<&str> {
        calls.iter().map(|call| call.call.as_str()).collect()
    }

    /// Tells a whole list in one part, while these calls are active.
    fn tell(lists: &Lists, sync: &str, listed: &[&str], active: &[&str]) -> Vec<String> {
        let taken = lists.take(PEER, part(sync, 1, true, listed), at(1), |_| true).expect("a good part");
        let Progress::Complete(complete) = taken else { panic!("not complete: {taken:?}") };
        let missing = active.iter().map(|id| call(id)).filter(|call| !complete.listed.contains(&call.call));
        let lost = lists.missing(PEER, missing);
        lists.concluded(PEER, sync, 1, Some(lost.len().try_into().expect("few")));
        names(&lost).into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn a_call_is_lost_when_it_is_missing_in_two_lists_running() {
        let lists = Lists::default();
        assert!(tell(&lists, "1", &["a"], &["a", "b", "c"]).is_empty());
        assert_eq!(tell(&lists, "2", &["a", "c"], &["a", "b", "c"]), ["b"]);
        assert!(tell(&lists, "3", &["a"], &["a", "c"]).is_empty());
        assert_eq!(tell(&lists, "4", &["a"], &["a", "c"]), ["c"]);
        assert!(tell(&lists, "5", &["a"], &["a"]).is_empty());
    }

    #[test]
    fn parts_come_in_order_and_may_be_repeated() {
        let lists = Lists::default();
        let take = |told| lists.take(PEER, told, at(5), |_| true);
        for first in [0, 1] {
            let sync = format!("from {first}");
            assert_eq!(take(part(&sync, first, false, &["a"])), Ok(Progress::Open));
            assert_eq!(take(part(&sync, first + 1, false, &["b"])), Ok(Progress::Open));
            assert_eq!(take(part(&sync, first + 1, false, &["b"])), Ok(Progress::Open));
            let taken = take(part(&sync, first + 2, true, &["c"])).expect("a good part");
            let Progress::Complete(complete) = taken else { panic!("not complete: {taken:?}") };
            assert_eq!(complete.listed.len(), 3);
            let late = take(part(&sync, first + 2, true, &["c"])).map_err(|refusal| refusal.reason);
            assert_eq!(late, Err(Reason::Late));
            lists.concluded(PEER, &sync, first + 2, Some(7));
            assert_eq!(take(part(&sync, first + 2, true, &["c"])), Ok(Progress::Repeated(7)));
        }
        for (begun, wrong) in [(false, part("x", 2, true, &[])), (true, part("y", 3, false, &[]))] {
            if begun {
                assert_eq!(take(part("y", 1, false, &[])), Ok(Progress::Open));
            }
            assert_eq!(take(wrong).map_err(|refusal| refusal.reason), Err(Reason::InvalidParams));
        }
        let gone = take(part("y", 2, true, &[])).map_err(|refusal| refusal.reason);
        assert_eq!(gone, Err(Reason::InvalidParams), "a list with a gap is abandoned");
    }

    #[test]
    fn a_new_list_abandons_the_one_that_was_not_completed() {
        let lists = Lists::default();
        assert!(tell(&lists, "1", &[], &["a", "b"]).is_empty());
        let begun = lists.take(PEER, part("2", 1, false, &["a"]), at(2), |_| true);
        assert_eq!(begun, Ok(Progress::Open));
        // It was never completed, but it says that the switch had `a`.
        assert_eq!(tell(&lists, "3", &[], &["a", "b"]), ["b"]);
        assert_eq!(tell(&lists, "4", &[], &["a"]), ["a"]);
    }

    #[test]
    fn another_call_with_the_id_of_a_missing_one_is_not_lost_with_it() {
        let lists = Lists::default();
        assert!(tell(&lists, "1", &[], &["a"]).is_empty());
        let again = Reported { started_at: at(9), ..call("a") };
        assert!(lists.missing(PEER, [again.clone()].into_iter()).is_empty());
        assert_eq!(names(&lists.missing(PEER, [again].into_iter())), ["a"]);
    }

    #[test]
    fn of_a_list_only_active_calls_are_kept_and_of_peers_the_latest() {
        let lists = Lists::default();
        let taken = lists.take(PEER, part("1", 1, true, &["a", "b"]), at(1), |call| call.as_str() == "b");
        let Ok(Progress::Complete(complete)) = taken else { panic!("not complete: {taken:?}") };
        assert_eq!(complete.listed.iter().map(CallId::as_str).collect::<Vec<_>>(), ["b"]);
        for number in 0..2_000_u32 {
            let peer = IpAddr::from(number.to_be_bytes());
            lists.take(peer, part("1", 1, false, &[]), at(2), |_| true).expect("a good part");
        }
        let peers = lists.peers.lock();
        assert_eq!((peers.len(), peers.contains_key(&PEER)), (MOST_PEERS, false));
    }
}
