//! The threads on which actors live, and which of them a call goes to.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix::{Actor, Addr, Context};
use actix_rt::{Arbiter, ArbiterHandle};

thread_local! {
    /// Which of the arbiters this thread is.
    static OWN: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Calls by which the arbiter of a connection may always be ahead of another one.
const FEW: usize = 64;

/// The arbiters.
pub(super) struct Shards {
    handles: Vec<ArbiterHandle>,
    shards: Vec<Arc<Shard>>,
}

/// One of the arbiters.
struct Shard {
    index: usize,
    /// Calls that live there.
    calls: AtomicUsize,
}

/// Where a call lives. It counts there until this is dropped.
pub(super) struct Place(Arc<Shard>);

impl Place {
    pub(super) fn shard(&self) -> usize {
        self.0.index
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shard {
    fn new(index: usize) -> Arc<Self> {
        Arc::new(Self { index, calls: AtomicUsize::new(0) })
    }
}

impl Shards {
    pub(super) fn of(arbiters: &[Arbiter]) -> Self {
        for (shard, arbiter) in arbiters.iter().enumerate() {
            arbiter.spawn_fn(move || OWN.set(Some(shard)));
        }
        Self {
            handles: arbiters.iter().map(Arbiter::handle).collect(),
            shards: (0..arbiters.len()).map(Shard::new).collect(),
        }
    }

    pub(super) fn handles(&self) -> &[ArbiterHandle] {
        &self.handles
    }

    pub(super) fn len(&self) -> usize {
        self.handles.len()
    }

    /// Where a new call is to live: on the arbiter of the connection that reports it, so that its events change no thread
    /// on their way. A connection that has most of the calls shares them with the arbiter to which the caller falls.
    pub(super) fn of_call(&self, caller: usize) -> usize {
        let other = caller % self.len().max(1);
        let calls = |shard: usize| self.shards.get(shard).map_or(0, |shard| shard.calls.load(Ordering::Relaxed));
        OWN.get().filter(|own| calls(*own) <= calls(other) * 2 + FEW).unwrap_or(other)
    }

    /// A call lives there from now on.
    pub(super) fn place(&self, shard: usize) -> Place {
        let shard = self.shards.get(shard).cloned().unwrap_or_else(|| Shard::new(shard));
        shard.calls.fetch_add(1, Ordering::Relaxed);
        Place(shard)
    }

    /// Starts an actor; none if there is no such arbiter. The caller may hold the lock of an entry of the directory: `make`
    /// must not look into it.
    pub(super) fn start<A: Actor<Context = Context<A>>>(
        &self,
        shard: usize,
        make: impl FnOnce() -> A + Send + 'static,
    ) -> Option<Addr<A>> {
        if OWN.get() == Some(shard) {
            return Some(make().start());
        }
        self.handles.get(shard).map(|arbiter| A::start_in_arbiter(arbiter, move |_| make()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_lives_beside_its_connection_unless_that_has_most_of_the_calls() {
        let system = actix_rt::System::new();
        system.block_on(async {
            let arbiters = [Arbiter::new(), Arbiter::new()];
            let shards = Arc::new(Shards::of(&arbiters));
            assert_eq!([0, 1, 2, 3].map(|caller| shards.of_call(caller)), [0, 1, 0, 1], "nobody's connection");
            let (told, hears) = std::sync::mpsc::channel();
            let of_connection = shards.clone();
            arbiters[1].spawn_fn(move || {
                let placed: Vec<_> =
                    (0..1_000).map(|caller| of_connection.place(of_connection.of_call(caller))).collect();
                let _ = told.send(placed);
            });
            let placed = hears.recv().expect("they are placed");
            let calls = |shard: usize| shards.shards[shard].calls.load(Ordering::Relaxed);
            assert!((300..=400).contains(&calls(0)), "{} of 1,000 go elsewhere", calls(0));
            assert!(placed.iter().take(FEW).all(|place| place.shard() == 1));
            drop(placed);
            assert_eq!([calls(0), calls(1)], [0, 0]);
            for arbiter in &arbiters {
                assert!(arbiter.stop());
            }
        });
    }

    #[test]
    fn an_actor_lives_where_it_was_placed() {
        struct Lives(std::sync::mpsc::Sender<Option<usize>>);
        impl Actor for Lives {
            type Context = Context<Self>;
            fn started(&mut self, _: &mut Self::Context) {
                let _ = self.0.send(OWN.get());
            }
        }
        let system = actix_rt::System::new();
        system.block_on(async {
            let arbiters = [Arbiter::new(), Arbiter::new()];
            let shards = Arc::new(Shards::of(&arbiters));
            let (told, hears) = std::sync::mpsc::channel();
            for shard in [0, 1] {
                let (shards, told) = (shards.clone(), told.clone());
                arbiters[0].spawn_fn(move || drop(shards.start(shard, move || Lives(told))));
                assert_eq!(hears.recv().expect("it has started"), Some(shard));
            }
            assert!(shards.start(2, move || Lives(told)).is_none());
            for arbiter in &arbiters {
                assert!(arbiter.stop());
            }
        });
    }
}
