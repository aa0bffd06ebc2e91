//! Answers on their way out (PRODUCT.md 5.1): each request is answered once, and in time. One that is not answered
//! within `answer_within` of the read of its frame is answered `late`, and what comes after that is dropped.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::net::TcpStream;

use super::metrics::SwitchMetrics;
use crate::actors::Wake;
use crate::domain::refusal::{Reason, Refusal};
use crate::wire::answer;
use crate::wire::framing::Framing;
use crate::wire::jsonrpc::RequestId;

/// The way out of one connection.
pub(super) struct Outlet {
    state: Mutex<State>,
    /// Whether the connection is to look for something to send, and its task.
    told: AtomicBool,
    task: AtomicWaker,
    /// Bytes of answers that are written and may not leave yet.
    rendered: AtomicUsize,
    /// None in tests.
    socket: Option<Arc<TcpStream>>,
    pub(super) metrics: Arc<SwitchMetrics>,
}

#[derive(Default)]
struct State {
    unsent: BytesMut,
    /// Requests in the order of their arrival; the first one has the number `first`.
    open: VecDeque<Open>,
    first: u64,
    /// Whether the connection was told already that there is something to send.
    noted: bool,
    /// Whether the connection has taken something that is not sent yet: what is here has to follow it.
    sending: bool,
    /// Whether the connection waits for the last answer, to close.
    closing: bool,
}

struct Open {
    id: RequestId,
    framing: Framing,
    deadline: Instant,
    answered: bool,
}

impl State {
    /// Marks a request as answered; false if it was before.
    fn close(&mut self, number: u64) -> bool {
        let Some(open) = number
            .checked_sub(self.first)
            .and_then(|index| usize::try_from(index).ok())
            .and_then(|index| self.open.get_mut(index))
        else {
            return false;
        };
        if std::mem::replace(&mut open.answered, true) {
            return false;
        }
        self.drop_answered();
        true
    }

    /// True if the peer took everything. An error is found again by the connection, which ends by it.
    fn send(&mut self, socket: &TcpStream) -> bool {
        while !self.unsent.is_empty() {
            match socket.try_write(&self.unsent) {
                Ok(sent) if sent > 0 => self.unsent.advance(sent),
                _ => return false,
            }
        }
        true
    }

    fn drop_answered(&mut self) {
        while self.open.front().is_some_and(|open| open.answered) {
            self.open.pop_front();
            self.first += 1;
        }
    }
}

impl Outlet {
    pub(super) fn new(metrics: Arc<SwitchMetrics>, socket: Option<Arc<TcpStream>>) -> Self {
        Self {
            state: Mutex::default(),
            told: AtomicBool::new(false),
            task: AtomicWaker::new(),
            rendered: AtomicUsize::new(0),
            socket,
            metrics,
        }
    }

    /// Notes a request; the number finds it again.
    pub(super) fn open(&self, id: RequestId, framing: Framing, deadline: Instant) -> u64 {
        let mut state = self.state.lock();
        state.open.push_back(Open { id, framing, deadline, answered: false });
        state.first + u64::try_from(state.open.len()).unwrap_or(u64::MAX) - 1
    }

    /// Answers a noted request with a whole frame, unless it was answered `late`. True if the connection has to be
    /// told.
    pub(super) fn answer(&self, number: u64, frame: &[u8]) -> bool {
        let mut state = self.state.lock();
        if !state.close(number) {
            return false;
        }
        state.unsent.extend_from_slice(frame);
        !std::mem::replace(&mut state.noted, true)
    }

    /// Appends an answer that needed no wait. The connection sends it before it reads on.
    pub(super) fn append(&self, write: impl FnOnce(&mut BytesMut)) {
        write(&mut self.state.lock().unsent);
    }

    /// Answers `late` what is over its deadline. The earliest deadline that is left.
    pub(super) fn answer_late(&self, now: Instant) -> Option<Instant> {
        let mut state = self.state.lock();
        state.drop_answered();
        while let Some(open) = state.open.front().filter(|open| open.deadline <= now) {
            let (id, framing) = (open.id.clone(), open.framing);
            let detail = "there was no answer in time, the outcome is unknown: repeat the request";
            answer::write_error(&mut state.unsent, framing, Some(&id), &Refusal::new(Reason::Late, detail));
            self.metrics.count_refusal(Reason::Late);
            state.open.pop_front();
            state.first += 1;
            state.drop_answered();
        }
        state.open.front().map(|open| open.deadline)
    }

    /// The deadline of the oldest request without an answer.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.state.lock().open.front().map(|open| open.deadline)
    }

    /// Moves what is to be sent to the end of `out`.
    pub(super) fn take(&self, out: &mut BytesMut) {
        let mut state = self.state.lock();
        state.noted = false;
        if out.is_empty() {
            std::mem::swap(out, &mut state.unsent);
        } else {
            out.extend_from_slice(&state.unsent);
            state.unsent.clear();
        }
        state.sending = !out.is_empty();
    }

    /// Whether nothing is to be sent and nobody waits for an answer. Asked by a connection that closes then.
    pub(super) fn is_done(&self) -> bool {
        let mut state = self.state.lock();
        state.closing = true;
        state.unsent.is_empty() && state.open.is_empty()
    }

    /// Bytes that the connection has not taken yet.
    pub(super) fn unsent(&self) -> usize {
        self.state.lock().unsent.len()
    }

    /// Bytes of answers that wait for the disk.
    pub(super) fn rendered(&self) -> usize {
        self.rendered.load(Ordering::Relaxed)
    }

    pub(super) fn count_rendered(&self, before: usize, after: usize) {
        self.rendered.fetch_add(after, Ordering::Relaxed);
        self.rendered.fetch_sub(before, Ordering::Relaxed);
    }

    /// Whether there is something to send. Polled by the connection's task alone, which is woken when there is.
    pub(super) fn poll_told(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.told.load(Ordering::Relaxed) && self.told.swap(false, Ordering::Acquire) {
            return Poll::Ready(());
        }
        self.task.register(cx.waker());
        // It may have been told in between, when there was no task to wake yet.
        if self.told.swap(false, Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }

    pub(super) fn count_paused(&self, paused: Duration) {
        let micros = u64::try_from(paused.as_micros()).unwrap_or(u64::MAX);
        add(&self.metrics.paused_micros, micros);
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

impl Wake for Outlet {
    fn wake(&self) {
        self.told.store(true, Ordering::Release);
        self.task.wake();
    }

    fn send_now(&self) {
        let mut state = self.state.lock();
        let sent = !state.sending && self.socket.as_ref().is_some_and(|socket| state.send(socket));
        if sent && !state.closing {
            state.noted = false;
        } else {
            drop(state);
            self.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    fn sent(outlet: &Outlet) -> String {
        let mut out = BytesMut::new();
        outlet.take(&mut out);
        String::from_utf8(out.to_vec()).expect("answers are text")
    }

    #[test]
    fn a_request_is_answered_once_and_answers_may_overtake_each_other() {
        let outlet = Outlet::new(Arc::default(), None);
        let deadline = Instant::now() + Duration::from_secs(60);
        let numbers: Vec<_> = (0..3).map(|id| outlet.open(RequestId::Integer(id), Framing::Bare, deadline)).collect();
        assert!(outlet.answer(numbers[2], b"c"), "the first answer tells the connection");
        assert!(!outlet.answer(numbers[0], b"a"), "it knows");
        assert!(!outlet.answer(numbers[0], b"again"));
        assert!(!outlet.answer(numbers[1], b"b"));
        assert_eq!(sent(&outlet), "cab");
        assert!(outlet.is_done());
        assert!(!outlet.answer(numbers[1], b"again"));
        assert_eq!(sent(&outlet), "");
    }

    #[test]
    fn what_is_late_is_said_once_and_the_answer_after_it_is_dropped() {
        let outlet = Outlet::new(Arc::default(), None);
        let now = Instant::now();
        let soon = now + Duration::from_secs(60);
        let late = outlet.open(RequestId::Integer(7), Framing::Bare, now);
        let in_time = outlet.open(RequestId::Integer(8), Framing::Bare, soon);
        assert_eq!(outlet.answer_late(now), Some(soon));
        assert!(!outlet.answer(late, b"too late"));
        let text = sent(&outlet);
        assert!(text.contains("\"id\":7") && text.contains("\"late\"") && !text.contains("too late"), "{text}");
        assert_eq!(outlet.answer_late(now), Some(soon));
        assert!(outlet.answer(in_time, b"x"));
        assert_eq!(sent(&outlet), "x");
        assert_eq!(outlet.next_deadline(), None);
    }

    #[test]
    fn a_lone_answer_is_sent_at_once_unless_the_connection_has_to_send_something_before_it() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let own = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("connects");
            let (peer, _) = listener.accept().await.expect("accepts");
            own.writable().await.expect("is open");
            let outlet = Outlet::new(Arc::default(), Some(Arc::new(own)));
            let deadline = Instant::now() + Duration::from_secs(60);
            let read = async || {
                let mut bytes = [0; 16];
                peer.readable().await.expect("is open");
                let length = peer.try_read(&mut bytes).expect("has come");
                String::from_utf8(bytes[..length].to_vec()).expect("answers are text")
            };

            let first = outlet.open(RequestId::Integer(1), Framing::Bare, deadline);
            assert!(outlet.answer(first, b"one"));
            outlet.send_now();
            assert_eq!(read().await, "one");

            let second = outlet.open(RequestId::Integer(2), Framing::Bare, deadline);
            assert!(outlet.answer(second, b"two"), "the connection was not told of the answer before");
            let mut held = BytesMut::new();
            outlet.take(&mut held);
            let third = outlet.open(RequestId::Integer(3), Framing::Bare, deadline);
            assert!(outlet.answer(third, b"three"));
            outlet.send_now();
            poll_fn(|cx| outlet.poll_told(cx)).await;
            outlet.take(&mut held);
            assert_eq!(held, "twothree", "the order is kept and the connection is told");

            held.clear();
            outlet.take(&mut held);
            assert!(outlet.is_done());
            let last = outlet.open(RequestId::Integer(4), Framing::Bare, deadline);
            assert!(outlet.answer(last, b"four"));
            outlet.send_now();
            assert_eq!(read().await, "four");
            poll_fn(|cx| outlet.poll_told(cx)).await;
        });
    }
}
