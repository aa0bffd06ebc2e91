//! Call IDs in the directory: their actors, their events, what can be said of them at once.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use dashmap::mapref::entry::Entry;

use super::{Directory, Glance, Scope};
use crate::actors::call_actor::{self, CallActor, Caller, StartCall, unknown_call};
use crate::actors::reply::{Nobody, Outcome, Reply, refuse_now};
use crate::actors::requests::{CallView, SessionView};
use crate::actors::session_actor::{self, SessionEvent};
use crate::actors::slot::{CallKey, CallLease, CallSlot, Rendered, SessionKey, SessionLease, SessionSlot, SoughtCall};
use crate::domain::ids::{CallId, TenantId};
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::session::{Command, EndCause};
use crate::domain::time::Timestamp;

/// Most bytes of a rendered text that are kept with its call.
const MOST_RENDERED: usize = 1_024;

impl Directory {
    /// A call's entry, with its actor.
    pub(super) fn place_call(
        self: &Arc<Self>,
        key: CallKey,
        shard: usize,
        session: Option<SessionLease>,
    ) -> Arc<CallSlot> {
        let slot = Arc::new(CallSlot::new(key, self.shards.place(shard)));
        let (directory, for_actor) = (self.clone(), slot.clone());
        let started = self.shards.start(shard, move || CallActor::new(directory, for_actor, session));
        if let Some(address) = started {
            slot.set_address(address);
        }
        slot
    }

    /// The session of a withheld call that ended a moment ago and may be reopened.
    pub(in crate::actors) fn withheld_session(&self, key: &CallKey) -> Option<SessionLease> {
        let lingers = self.lingering.reopenable(key, self.now())?;
        if !lingers.session.is_anonymous() {
            return None;
        }
        self.active_session(&key.tenant, &lingers.session)
    }

    /// Where the caller's session is active, if that can be told at once: its further calls are to live beside it. The lock
    /// of `sessions` is taken behind that of `calls`, and nowhere the other way round.
    fn shard_of_active(&self, tenant: &TenantId, caller: &Caller) -> Option<usize> {
        let Caller::Known(caller) = caller else { return None };
        let session = SessionKey { tenant: tenant.clone(), session: caller.first_session_id()? };
        self.sessions.get(&session).map(|slot| slot.shard)
    }

    /// Gives a call of a session its actor, if it has none.
    pub(in crate::actors) fn adopt_call(self: &Arc<Self>, session: &Arc<SessionSlot>, call: &CallId) {
        let key = CallKey { tenant: session.release.id().tenant.clone(), call: call.clone() };
        if let Entry::Vacant(entry) = self.calls.entry(key.clone()) {
            let slot = self.place_call(key, session.shard, Some(SessionLease::new(session)));
            slot.set_session(Some(session.clone()));
            slot.count(true, &self.active_calls);
            entry.insert(slot);
        }
    }

    /// A call starts, or is reported again (PRODUCT.md 5.1).
    pub fn start_call(self: &Arc<Self>, call: StartCall, reply: Box<dyn Reply>) {
        let key = CallKey { tenant: call.release.id().tenant.clone(), call: call.start.call.clone() };
        let lease = match self.calls.entry(key.clone()) {
            Entry::Occupied(mut entry) => {
                if !entry.get().is_alive() {
                    let slot = self.revive_call(entry.get(), key);
                    entry.insert(slot);
                }
                CallLease::new(entry.get())
            }
            Entry::Vacant(entry) => {
                let most = self.settings.load().config.limits.active_calls;
                if self.active_calls.load(Ordering::Relaxed) >= most {
                    drop(entry);
                    let detail =
                        format!("there are {most} active calls, as many as limits.active_calls allows: try later");
                    return refuse_now(reply, Refusal::new(Reason::Overloaded, detail));
                }
                let spread = match &call.caller {
                    Caller::Known(caller) => caller.spread(),
                    Caller::Withheld => call.start.call.as_str().bytes().map(usize::from).sum(),
                };
                let beside = self.shard_of_active(&key.tenant, &call.caller);
                let slot = self.place_call(key, beside.unwrap_or_else(|| self.shards.of_call(spread)), None);
                slot.count(true, &self.active_calls);
                CallLease::new(entry.insert(slot).value())
            }
        };
        let slot = lease.slot().clone();
        slot.send(call_actor::Message::Start { call: Box::new(call), reply, lease });
    }

    /// An actor in the place of one that panicked.
    pub(super) fn revive_call(self: &Arc<Self>, before: &Arc<CallSlot>, key: CallKey) -> Arc<CallSlot> {
        tracing::error!(tenant = %key.tenant, "a call's actor panicked: it is rebuilt");
        let session = before.session();
        let session = session.map(|session| self.session(session.key(), &session.release, session.shard));
        let shard = session.as_ref().map_or_else(|| before.shard(), |session| session.shard);
        let slot = self.place_call(key, shard, session);
        slot.count(before.retire(&self.active_calls), &self.active_calls);
        // What was on its way to the former actor tells nobody when it is done.
        slot.send(call_actor::Message::RestLater);
        slot
    }

    pub(super) fn call(self: &Arc<Self>, tenant: &TenantId, call: &CallId) -> Option<CallLease> {
        let found = self.calls.get(&(tenant, call) as &dyn SoughtCall)?;
        if found.is_alive() {
            return Some(CallLease::new(found.value()));
        }
        drop(found);
        let key = CallKey { tenant: tenant.clone(), call: call.clone() };
        match self.calls.entry(key.clone()) {
            Entry::Occupied(mut entry) => {
                if !entry.get().is_alive() {
                    let slot = self.revive_call(entry.get(), key);
                    entry.insert(slot);
                }
                Some(CallLease::new(entry.get()))
            }
            Entry::Vacant(_) => None,
        }
    }

    /// Something happens to an active call, or its variables change on its behalf.
    pub fn call_event(self: &Arc<Self>, tenant: &TenantId, call: &CallId, command: Command, reply: Box<dyn Reply>) {
        match self.call(tenant, call) {
            Some(lease) => match lease.straight_to_session() {
                Some(session) => session.clone().send(session_actor::Message::Event(SessionEvent {
                    command,
                    contact: None,
                    reply,
                    call: Some(lease),
                    session,
                })),
                None => lease.slot().clone().send(call_actor::Message::Event { command, reply, lease }),
            },
            None => refuse_now(reply, unknown_call()),
        }
    }

    /// A read of an active call that follows the events before it.
    pub fn read_call(self: &Arc<Self>, tenant: &TenantId, call: &CallId, reply: Box<dyn Reply>) {
        match self.call(tenant, call) {
            Some(lease) => lease.slot().clone().send(call_actor::Message::Read { reply, lease }),
            None => refuse_now(reply, unknown_call()),
        }
    }

    /// Says at once what there is to say of an active call, without asking an actor. What was rendered for the same
    /// `reader` is said again as long as nothing has changed: who renders otherwise is another reader.
    pub fn glance(
        &self,
        tenant: &TenantId,
        call: &CallId,
        reader: u64,
        render: impl FnOnce(&Outcome<'_>) -> String,
        say: impl FnOnce(&str),
    ) -> Glance {
        let Some(slot) = self.call_slot(tenant, call) else { return Glance::Unknown };
        if slot.is_leased() {
            return Glance::Changing;
        }
        let session = slot.glance();
        // One whose actor panicked is rebuilt by whoever asks the call's actor.
        let Some(session) = session.as_ref().filter(|session| session.is_alive()) else { return Glance::Changing };
        let Some(ordinal) = session.glance().as_ref().map(|view| view.ordinal) else { return Glance::Changing };
        let now = self.now();
        if let Some(known) = slot.rendered().as_ref()
            && (known.ordinal, known.reader) == (ordinal, reader)
            && known.session == session.id
            && known.until.is_none_or(|until| now < until)
        {
            say(&known.text);
            return Glance::Said;
        }
        let Some(view) = session.view() else { return Glance::Changing };
        let Some(active) = view.call(call) else { return Glance::Unknown };
        let rules = self.rules(session.release.id());
        let text = render(&Outcome { session: &view, call: Some(active), rules: &rules, now });
        say(&text);
        // Nobody counts the memory of what is kept here, so it has to be little.
        if text.len() <= MOST_RENDERED {
            let until = view.next_end(&rules);
            slot.set_rendered(Rendered { session: view.id, ordinal: view.ordinal, reader, until, text: text.into() });
        }
        Glance::Said
    }

    /// Whether there is an active call of a tenant with this ID.
    #[must_use]
    pub fn has_call(&self, tenant: &TenantId, call: &CallId) -> bool {
        self.calls.contains_key(&(tenant, call) as &dyn SoughtCall)
    }

    /// Refuses at once what needs no actor to be refused.
    pub fn refuse(reply: Box<dyn Reply>, refusal: Refusal) {
        refuse_now(reply, refusal);
    }

    pub(in crate::actors) fn call_slot(&self, tenant: &TenantId, call: &CallId) -> Option<Arc<CallSlot>> {
        self.calls.get(&(tenant, call) as &dyn SoughtCall).map(|slot| slot.value().clone())
    }

    /// Takes a call that is over out of the directory, unless something of it is on its way. Whether it is out.
    pub(in crate::actors) fn forget_call(&self, slot: &Arc<CallSlot>) -> bool {
        let is_it = |entry: &Arc<CallSlot>| Arc::ptr_eq(entry, slot);
        if self.calls.remove_if(&slot.key, |_, entry| is_it(entry) && !slot.is_leased()).is_some() {
            slot.count(false, &self.active_calls);
            return true;
        }
        !self.calls.get(&slot.key).is_some_and(|entry| is_it(&entry))
    }

    /// Durable views of active calls, in no order.
    #[must_use]
    pub fn active_calls(&self, scope: &Scope<'_>) -> Vec<CallView> {
        let views = self.active_sessions(scope);
        views
            .into_iter()
            .flat_map(|SessionView { release, session }| {
                let calls = session.calls.clone();
                calls.into_iter().map(move |call| CallView { release: release.clone(), session: session.clone(), call })
            })
            .collect()
    }

    /// Ends calls whose end never came, and forgets those that have ended long enough ago (PRODUCT.md 4.3).
    pub(in crate::actors) fn reap(self: &Arc<Self>, now: Timestamp) {
        self.lingering.trim(now);
        let oldest = self.settings().config.limits.max_call_age;
        for CallView { release, call, .. } in self.active_calls(&Scope::All) {
            if now.since(call.started_at) >= oldest {
                let command = Command::End { call: call.id.clone(), leg: None, cause: EndCause::Reaped, code: None };
                self.call_event(&release.tenant, &call.id, command, Box::new(Nobody));
            }
        }
    }
}
