//! Ends of variables, the session's record, and how a session leaves the memory.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use actix::{ActorContext, AsyncContext, Context};

use super::{REOPEN_WAIT, SessionActor};
use crate::actors::reply::Reply;
use crate::actors::slot::SessionLease;
use crate::actors::timer_wheel::NEAR;
use crate::domain::session::{Call, Command, Session};
use crate::domain::time::Timestamp;
use crate::store::Record;

impl SessionActor {
    /// Asks the wheel for a timer, if something ends before the index is read that far. While a call is up nothing of
    /// the session is in the index: what ends later is looked at again then, so that no timer waits in memory for days.
    pub(super) fn arm(&mut self, now: Timestamp) {
        let Some(end) = self.session.next_end(&self.rules).map(|end| end.max(now)) else { return };
        let near = now.after(NEAR * 2);
        if end >= near && self.session.calls.is_empty() {
            return;
        }
        let at = end.min(near);
        if self.timers.iter().all(|timer| at < *timer) {
            self.timers.push(at);
            self.directory.arm(at, &self.slot.release, self.slot.id);
        }
    }

    /// The record of a session. One that sleeps gets an entry in the expiry index, unless it has one early enough.
    pub(super) fn record(&self, session: &mut Session, now: Timestamp) -> Record {
        let expires = session.entry_needed(&self.rules, now);
        if expires.is_some() {
            session.expiry_entry = expires;
        }
        let release = &self.slot.release;
        let sealed = if self.rules.keep_number {
            release.seal_record_with_numbers(session)
        } else {
            release.seal_record(session)
        };
        Record { sealed, has_active_call: !session.calls.is_empty(), expires }
    }

    pub(super) fn record_now(&mut self, lease: SessionLease, reply: Option<Box<dyn Reply>>) {
        self.refresh_rules();
        let mut session = Session::clone(&self.session);
        let record = self.record(&mut session, self.directory.now());
        self.recorded = session.ordinal;
        self.session = Arc::new(session);
        self.submit_bare(Some(record), false, lease, None, reply);
    }

    /// The wheel has told that something ends. The reply goes when what follows is durable, a new entry in the index
    /// included.
    pub(super) fn expire(&mut self, mut reply: Box<dyn Reply>, session: SessionLease) {
        self.refresh_rules();
        let now = self.directory.now();
        // Those that are still to come are not forgotten: others beside them would come again and again.
        self.timers.retain(|timer| *timer > now);
        if self.session.ordinal == 0 || self.unreadable.is_some() {
            return;
        }
        let step = catch_unwind(AssertUnwindSafe(|| self.step(&Command::Expire, None, now, &mut *reply)));
        match step {
            Ok(Ok(Some(step))) => self.submit(step, &Command::Expire, None, reply, None, session),
            Ok(Ok(None)) => {
                if self.session.may_be_forgotten(&self.rules, now) {
                    // It goes when its last lease does.
                    self.leaving.get_or_insert(reply);
                    return;
                }
                if self.session.entry_needed(&self.rules, now).is_some() {
                    // Activity or another retention has moved the end.
                    self.record_now(session, Some(reply));
                }
            }
            Ok(Err(_)) => {}
            Err(_) => {
                self.panics.push(Instant::now());
                tracing::error!(tenant = %self.slot.release.id().tenant, session = %self.slot.id, "an expiry panicked: nothing of it is kept");
            }
        }
        self.arm(now);
    }

    pub(super) fn write_record(&mut self, session: SessionLease) {
        if self.recorded < self.session.ordinal && self.unreadable.is_none() {
            self.record_now(session, None);
        }
    }

    /// A withheld session with nothing left to keep goes as if it had never been (PRODUCT.md 3.4).
    pub(super) fn forget(&mut self, now: Timestamp, reply: Option<Box<dyn Reply>>) {
        self.submit_bare(None, true, SessionLease::new(&self.slot), None, reply);
        self.session = Arc::new(Session::unopened(self.slot.id, self.slot.release.id().instance.clone(), now));
        self.slot.withdraw();
        self.recorded = 0;
    }

    /// Leaves the directory once nothing is to be done any more.
    pub(super) fn rest(&mut self, context: &mut Context<Self>) {
        if self.slot.is_leased() {
            return;
        }
        let leaving = self.leaving.take();
        if !self.session.calls.is_empty() {
            // The calls' own actors are gone: each gets one again.
            for call in &self.session.calls {
                self.directory.adopt_call(&self.slot, &call.id);
            }
            return;
        }
        if self.unreadable.is_none() {
            self.refresh_rules();
            let now = self.directory.now();
            if self.session.ordinal > 0 && self.session.may_be_forgotten(&self.rules, now) {
                return self.forget(now, leaving);
            }
            if self.recorded < self.session.ordinal {
                return self.write_record(SessionLease::new(&self.slot));
            }
            let reopens = |ended: &Arc<Call>| ended.ended_at.is_some_and(|at| now.since(at) < REOPEN_WAIT);
            if self.slot.id.is_anonymous() && self.session.ended.iter().any(reopens) {
                if !self.waits {
                    self.waits = true;
                    context.run_later(REOPEN_WAIT, |actor, context| {
                        actor.waits = false;
                        actor.rest(context);
                    });
                }
                return;
            }
        }
        if self.directory.forget_session(&self.slot) {
            context.stop();
        }
    }
}
