//! Reads of aliases and session records that may touch the disk, on a few threads. However many wait, no more threads
//! run than help, and what a call waits for is read before what only ends.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use actix_rt::task::spawn_blocking;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

use crate::domain::ids::SessionId;
use crate::domain::session::Session;
use crate::store::{Release, Store, StoreError};

/// Threads that read at most: about as many reads as a disk takes at the same time.
const MOST_READERS: usize = 16;
/// Sessions that end and wait for each thread before another one starts. What lies in memory of the kernel is read
/// faster than this grows; then more threads would only take time from calls. For a call another one starts at once.
const WAITING_FOR_EACH: usize = 128;
/// Sessions that end and are read together.
const TOGETHER: usize = 16;

/// What was read; none: there is no record.
pub(super) type Loaded = Result<Option<Session>, StoreError>;

/// Who waits for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// A call, or a voice app.
    Call,
    /// Nobody: something ends.
    End,
}

/// What a call waits for: it reads, and tells the call.
type Errand = Box<dyn FnOnce(&Store) + Send>;

/// A record of a session that ends.
struct Wanted {
    release: Arc<Release>,
    session: SessionId,
    told: oneshot::Sender<Loaded>,
}

/// What a thread does next.
enum Work {
    Call(Errand),
    Ends(Vec<Wanted>),
}

/// The way to what lies on the disk.
pub(super) struct Loader {
    store: Store,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    calls: VecDeque<Errand>,
    ends: VecDeque<Wanted>,
    readers: usize,
    /// Whether somebody looks in a moment whether a thread is needed.
    is_seen_to: bool,
}

impl State {
    /// What is done next: what one call waits for, or some sessions that end.
    fn take(&mut self) -> Option<Work> {
        match self.calls.pop_front() {
            Some(call) => Some(Work::Call(call)),
            None if self.ends.is_empty() => None,
            None => Some(Work::Ends(self.ends.drain(..self.ends.len().min(TOGETHER)).collect())),
        }
    }

    /// Whether another thread is needed for what waits.
    fn needs_reader(&self) -> bool {
        let is_needed = !self.calls.is_empty() || self.ends.len() > self.readers * WAITING_FOR_EACH;
        is_needed && self.readers < MOST_READERS
    }

    /// Whether a thread that is needed is better woken in a moment: sessions that end come some at a time, and to wake a
    /// thread for each of them takes longer than to read its record.
    fn waits_for_more(&self) -> bool {
        self.calls.is_empty() && self.readers == 0 && self.ends.len() < TOGETHER
    }
}

impl Loader {
    pub(super) fn new(store: Store) -> Self {
        Self { store, state: Mutex::default() }
    }

    /// Reads a record. Never blocks; dropping the receiver spares the read.
    pub(super) fn load(
        self: &Arc<Self>,
        release: &Arc<Release>,
        session: SessionId,
        reader: Reader,
    ) -> oneshot::Receiver<Loaded> {
        match reader {
            Reader::Call => {
                let release = release.clone();
                self.read(move |store| {
                    let found = store.load(&release.id().tenant, &session)?;
                    Ok(found.map(|(_, session)| session))
                })
            }
            Reader::End => {
                let (told, loaded) = oneshot::channel();
                let wanted = Wanted { release: release.clone(), session, told };
                self.queue(|state| state.ends.push_back(wanted));
                loaded
            }
        }
    }

    /// Reads what a call waits for. Never blocks; dropping the receiver spares the read.
    pub(super) fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Store) -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (told, answer) = oneshot::channel();
        let errand: Errand = Box::new(move |store| {
            if !told.is_closed() {
                let _nobody_waits = told.send(read(store));
            }
        });
        self.queue(|state| state.calls.push_back(errand));
        answer
    }

    /// A call waits by now for what only ended.
    pub(super) fn promote(self: &Arc<Self>, session: &SessionId) {
        self.queue(|state| {
            let place = state.ends.iter().position(|wanted| wanted.session == *session);
            if let Some(wanted) = place.and_then(|place| state.ends.remove(place)) {
                state.calls.push_back(Box::new(move |store| load_ends(store, vec![wanted])));
            }
        });
    }

    fn queue(self: &Arc<Self>, push: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        push(&mut state);
        if !state.waits_for_more() {
            return self.see_to_readers(state);
        }
        if !std::mem::replace(&mut state.is_seen_to, true) {
            let loader = self.clone();
            // Behind everything this arbiter has to do already, which is where the others come from.
            drop(actix_rt::spawn(async move {
                tokio::task::yield_now().await;
                let mut state = loader.state.lock();
                state.is_seen_to = false;
                loader.see_to_readers(state);
            }));
        }
    }

    /// Starts another thread if that is needed.
    fn see_to_readers(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        let needs_reader = state.needs_reader();
        state.readers += usize::from(needs_reader);
        drop(state);
        if needs_reader {
            let loader = self.clone();
            // It ends by itself.
            drop(spawn_blocking(move || loader.work()));
        }
    }

    /// Reads until nothing waits.
    fn work(&self) {
        while let Some(work) = self.next() {
            let done = catch_unwind(AssertUnwindSafe(|| match work {
                Work::Call(errand) => errand(&self.store),
                Work::Ends(wanted) => load_ends(&self.store, wanted),
            }));
            if done.is_err() {
                // Whoever waits is told by the end of the channel.
                tracing::error!("a read of what is stored panicked");
            }
        }
    }

    fn next(&self) -> Option<Work> {
        let mut state = self.state.lock();
        let next = state.take();
        state.readers -= usize::from(next.is_none());
        next
    }
}

fn load_ends(store: &Store, mut wanted: Vec<Wanted>) {
    wanted.retain(|wanted| !wanted.told.is_closed());
    let sessions: Vec<_> = wanted.iter().map(|wanted| (wanted.release.clone(), wanted.session)).collect();
    for (wanted, loaded) in wanted.into_iter().zip(store.load_all(&sessions)) {
        let _nobody_waits = wanted.told.send(loaded);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::actors::tests::{House, run};

    fn wanted(release: &Arc<Release>, number: u8) -> (Wanted, oneshot::Receiver<Loaded>) {
        let (told, loaded) = oneshot::channel();
        (Wanted { release: release.clone(), session: SessionId::Caller([number; 32]), told }, loaded)
    }

    #[test]
    fn what_a_call_waits_for_is_read_before_what_only_ends() {
        run(|path| async move {
            let house = House::open(&path);
            let release = house.directory.store().release(&House::release("support-de")).expect("it is registered");
            let mut state = State::default();
            state.ends.extend([1, 2].map(|end| wanted(&release, end).0));
            let read = Arc::new(Mutex::new(Vec::new()));
            for call in [3, 4] {
                let read = read.clone();
                state.calls.push_back(Box::new(move |_: &Store| read.lock().push(call)));
            }
            for call in [3, 4] {
                let Some(Work::Call(errand)) = state.take() else { panic!("a call is first") };
                errand(house.directory.store());
                assert_eq!(read.lock().pop(), Some(call));
            }
            let Some(Work::Ends(ends)) = state.take() else { panic!("those that end are next") };
            let ids: Vec<_> = ends.iter().map(|wanted| wanted.session).collect();
            assert_eq!(ids, [1, 2].map(|number| SessionId::Caller([number; 32])));
            assert!(state.take().is_none());
            house.directory.shutdown();
        });
    }

    #[test]
    fn what_ended_is_read_first_once_a_call_waits_for_it() {
        run(|path| async move {
            let house = House::open(&path);
            let release = house.directory.store().release(&House::release("support-de")).expect("it is registered");
            // No thread is to take anything away.
            let state = Mutex::new(State { readers: MOST_READERS, ..State::default() });
            let loader = Arc::new(Loader { store: house.directory.store().clone(), state });
            let id = |number| SessionId::Caller([number; 32]);
            let _first = loader.load(&release, id(1), Reader::End);
            let second = loader.load(&release, id(2), Reader::End);
            loader.promote(&id(2));
            loader.promote(&id(3));
            let next = loader.state.lock().take();
            let Some(Work::Call(errand)) = next else { panic!("the call is first") };
            errand(house.directory.store());
            assert_eq!(second.await.expect("it is read"), Ok(None));
            let next = loader.state.lock().take();
            assert!(matches!(next, Some(Work::Ends(ends)) if ends.len() == 1));
            house.directory.shutdown();
        });
    }

    #[test]
    fn a_thread_is_added_for_what_the_others_do_not_get_done_and_there_are_few() {
        run(|path| async move {
            let house = House::open(&path);
            let release = house.directory.store().release(&House::release("support-de")).expect("it is registered");
            let mut state = State::default();
            let mut readers = Vec::new();
            for _ in 0..4_000 {
                state.ends.push_back(wanted(&release, 1).0);
                state.readers += usize::from(state.needs_reader());
                readers.push(state.readers);
            }
            assert_eq!(readers.first(), Some(&1));
            assert_eq!(readers.get(WAITING_FOR_EACH - 1), Some(&1));
            assert_eq!(readers.get(WAITING_FOR_EACH), Some(&2));
            assert_eq!(readers.last(), Some(&MOST_READERS));
            let mut state = State::default();
            state.ends.push_back(wanted(&release, 1).0);
            assert!(state.waits_for_more(), "one session that ends is soon followed by others");
            state.ends.extend((1..TOGETHER).map(|_| wanted(&release, 1).0));
            assert!(!state.waits_for_more());
            let mut state = State { readers: 3, ..State::default() };
            state.calls.push_back(Box::new(|_: &Store| ()));
            assert!(state.needs_reader(), "a call does not wait for those who read");
            house.directory.shutdown();
        });
    }

    #[test]
    fn everybody_is_answered_also_behind_a_panic_and_the_threads_end() {
        run(|path| async move {
            let house = House::open(&path);
            let release = house.directory.store().release(&House::release("support-de")).expect("it is registered");
            let loader = house.directory.loader();
            let waiting: Vec<_> = (0..1_000)
                .map(|number: u32| {
                    let reader = if number.is_multiple_of(2) { Reader::Call } else { Reader::End };
                    let mut id = [7; 32];
                    id[..4].copy_from_slice(&number.to_be_bytes());
                    loader.load(&release, SessionId::Caller(id), reader)
                })
                .collect();
            for loaded in waiting {
                assert_eq!(loaded.await.expect("it is read"), Ok(None));
            }
            let panicking = loader.read(|_| -> u32 { panic!("a read that panics") });
            assert!(panicking.await.is_err(), "whoever waits is told");
            assert_eq!(loader.read(|_| 7).await, Ok(7));
            let began = Instant::now();
            while loader.state.lock().readers > 0 {
                assert!(began.elapsed() < Duration::from_secs(10), "the threads end");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            house.directory.shutdown();
        });
    }
}
