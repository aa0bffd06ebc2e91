//! Counters of the links, plain atomics: the daemon exports them.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::refusal::Reason;
use crate::wire::calls::Method;

/// The methods that are counted, in the order of their counters.
const METHODS: [&str; 10] = [
    "call.start",
    "call.ringing",
    "call.answer",
    "call.dtmf",
    "call.end",
    "context.get",
    "variables.set",
    "variables.delete",
    "calls.sync",
    "ping",
];

/// What happened on the links.
#[derive(Debug, Default)]
pub struct SwitchMetrics {
    /// Connections that were accepted.
    pub accepted: AtomicU64,
    /// Connections that were refused, because their address is not allowed or there are too many.
    pub refused_connections: AtomicU64,
    /// Frames that were read.
    pub frames: AtomicU64,
    /// Microseconds during which connections were not read because of notifications without a permit.
    pub paused_micros: AtomicU64,
    /// Connections that were closed because a frame did not come to its end.
    pub slow_senders: AtomicU64,
    /// Connections that were closed because their answers were not read.
    pub slow_readers: AtomicU64,
    methods: [AtomicU64; METHODS.len()],
    refusals: [AtomicU64; Reason::ALL.len()],
}

impl SwitchMetrics {
    pub(super) fn count_refusal(&self, reason: Reason) {
        let index = Reason::ALL.iter().position(|known| *known == reason);
        if let Some(counter) = index.and_then(|index| self.refusals.get(index)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Requests and notifications of each method.
    pub fn methods(&self) -> impl Iterator<Item = (&'static str, u64)> {
        METHODS.into_iter().zip(self.methods.iter().map(|counter| counter.load(Ordering::Relaxed)))
    }

    /// Refusals of each reason, those of notifications included.
    pub fn refusals(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().zip(self.refusals.iter().map(|counter| counter.load(Ordering::Relaxed)))
    }
}

/// What one connection counts between two reads, so that not every frame of all connections changes the same memory.
#[derive(Debug, Default)]
pub(super) struct Tally {
    frames: Cell<u64>,
    methods: [Cell<u64>; METHODS.len()],
}

impl Tally {
    pub(super) fn count_frame(&self) {
        self.frames.update(|count| count + 1);
    }

    pub(super) fn count_method(&self, method: &Method<'_>) {
        let index = match method {
            Method::CallStart(_) => 0,
            Method::CallRinging { .. } => 1,
            Method::CallAnswer { .. } => 2,
            Method::CallDtmf { .. } => 3,
            Method::CallEnd { .. } => 4,
            Method::ContextGet { .. } => 5,
            Method::VariablesSet(_) => 6,
            Method::VariablesDelete(_) => 7,
            Method::CallsSync(_) => 8,
            Method::Ping => 9,
        };
        if let Some(counter) = self.methods.get(index) {
            counter.update(|count| count + 1);
        }
    }

    /// Hands over what was counted.
    pub(super) fn settle(&self, metrics: &SwitchMetrics) {
        for (own, shared) in
            self.methods.iter().zip(&metrics.methods).chain(std::iter::once((&self.frames, &metrics.frames)))
        {
            let count = own.take();
            if count > 0 {
                shared.fetch_add(count, Ordering::Relaxed);
            }
        }
    }
}
