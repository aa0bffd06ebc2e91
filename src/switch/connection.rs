//! The life of one connection, in one task: it reads frames and dispatches them, sends what the outlet has, answers
//! `late` what is over its deadline, and closes when the framing is lost or the peer does not keep up.

use std::future::{Future as _, poll_fn};
use std::io;
use std::net::{IpAddr, Shutdown};
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::codec::Decoder;

use super::Link;
use super::dispatch::{Dispatched, Dispatcher};
use super::metrics::Tally;
use super::outlet::Outlet;
use super::trunk::InForce;
use crate::wire::framing::{Frame, FrameCodec, Framing};

/// Time in which a frame that has begun must come to its end.
const FRAME_WITHIN: Duration = Duration::from_secs(10);
/// Time in which a peer must take something of what is sent to it.
const TAKE_WITHIN: Duration = Duration::from_secs(30);
/// Unsent bytes above which nothing more is read: who does not read answers gets no more of them.
const MOST_UNSENT: usize = 1 << 20;
/// Bytes of one read.
const READ: usize = 64 << 10;
/// Time in which a peer that lost the framing may read the error.
const LINGER: Duration = Duration::from_secs(1);

struct Connection {
    stream: Arc<TcpStream>,
    dispatcher: Dispatcher,
    outlet: Arc<Outlet>,
    codec: FrameCodec,
    input: BytesMut,
    out: BytesMut,
    /// A notification that waits for a permit, and since when.
    waiting: Option<(Frame, Instant)>,
    read_at: Instant,
    /// Since when a frame is incomplete.
    incomplete_since: Option<Instant>,
    /// Since when the peer has taken nothing of what is to be sent.
    stuck_since: Option<Instant>,
    intake: Intake,
    /// Frames that were read are left until the peer has taken some of the answers before them.
    held: bool,
}

/// Whether more is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Intake {
    Open,
    /// No more: the daemon drains.
    Stopped,
    /// The peer has ended: what is left of a frame will never be whole.
    Ended,
    /// The framing is lost: the peer may still send.
    Lost,
}

/// What a connection has waited for.
enum Happened {
    /// There is something to send.
    Told,
    Alarm,
    Readable,
    Writable,
    Permit,
    Stopped,
}

/// Serves a connection until it ends.
pub(super) async fn run(stream: TcpStream, peer: IpAddr, link: Arc<Link>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let stream = Arc::new(stream);
    let outlet = Arc::new(Outlet::new(link.shared.metrics.clone(), Some(stream.clone())));
    let limits = &link.shared.directory.settings().config.limits;
    let permits = link.shared.permits.of_connection();
    let mut connection = Connection {
        stream,
        codec: FrameCodec::new(limits.frame),
        dispatcher: Dispatcher {
            trunk: Arc::new(InForce::new(link.trunk.settings(&link.shared.directory.settings()))),
            link: link.clone(),
            outlet: outlet.clone(),
            permits,
            peer,
            tally: Tally::default(),
        },
        outlet,
        input: BytesMut::new(),
        out: BytesMut::new(),
        waiting: None,
        read_at: Instant::now(),
        incomplete_since: None,
        stuck_since: None,
        intake: Intake::Open,
        held: false,
    };
    connection.serve(&link).await
}

/// Ends when nothing more is to be read.
async fn stopped(mut stop: watch::Receiver<bool>) {
    let _stopped_or_nobody_is_left_to_stop_it = stop.wait_for(|stop| *stop).await;
}

impl Connection {
    async fn serve(&mut self, link: &Link) -> io::Result<()> {
        let stop = link.shared.stop.clone();
        let mut stopped = pin!(stopped(stop.clone()));
        let mut alarm = pin!(tokio::time::sleep(Duration::ZERO));
        let mut armed: Option<Instant> = None;
        loop {
            let blocked = self.send()?;
            if self.held && self.out.len() < MOST_UNSENT {
                self.held = false;
                self.dispatch()?;
                continue;
            }
            // Looked at here too: a peer that sends without a pause leaves nothing to wait for.
            if self.intake == Intake::Open && stop.has_changed().unwrap_or(true) {
                self.intake = Intake::Stopped;
            }
            let has_frames = self.held || self.waiting.is_some();
            let is_open = self.intake == Intake::Open;
            if !is_open && !has_frames && !blocked && self.out.is_empty() && self.outlet.is_done() {
                return if self.intake == Intake::Lost { self.close_lost().await } else { Ok(()) };
            }
            // One alarm for all deadlines. It is moved only if it would come too late.
            let next = self.next_alarm();
            if let Some(next) = next
                && armed.is_none_or(|armed| next < armed)
            {
                alarm.as_mut().reset(next.into());
                armed = Some(next);
            }
            let may_read = is_open && !has_frames && self.out.len() < MOST_UNSENT;
            let happened = {
                let mut permit = pin!(self.dispatcher.permits.wait());
                // By hand and in this order, the usual first: this is polled twice for each frame of a switch that sends
                // one at a time.
                poll_fn(|cx| {
                    if self.outlet.poll_told(cx).is_ready() {
                        return Poll::Ready(Ok(Happened::Told));
                    }
                    if armed.is_some() && alarm.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(Ok(Happened::Alarm));
                    }
                    if may_read && let Poll::Ready(readable) = self.stream.poll_read_ready(cx) {
                        return Poll::Ready(readable.map(|()| Happened::Readable));
                    }
                    if blocked && let Poll::Ready(writable) = self.stream.poll_write_ready(cx) {
                        return Poll::Ready(writable.map(|()| Happened::Writable));
                    }
                    if self.waiting.is_some() && permit.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(Ok(Happened::Permit));
                    }
                    if is_open && stopped.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(Ok(Happened::Stopped));
                    }
                    Poll::Pending
                })
                .await?
            };
            match happened {
                Happened::Told | Happened::Writable => {}
                Happened::Readable => self.read()?,
                Happened::Permit => self.dispatch()?,
                Happened::Stopped => self.intake = Intake::Stopped,
                Happened::Alarm => {
                    armed = None;
                    self.check_deadlines(Instant::now())?;
                }
            }
        }
    }

    /// Sends what there is. True if the peer takes no more for now.
    fn send(&mut self) -> io::Result<bool> {
        loop {
            if self.out.is_empty() {
                self.outlet.take(&mut self.out);
                if self.out.is_empty() {
                    self.stuck_since = None;
                    return Ok(false);
                }
            }
            match self.stream.try_write(&self.out) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => {
                    self.stuck_since = None;
                    self.out.advance(sent);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.outlet.take(&mut self.out);
                    self.stuck_since.get_or_insert_with(Instant::now);
                    return Ok(true);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn read(&mut self) -> io::Result<()> {
        self.input.reserve(READ.min(4_096.max(self.input.len())));
        match self.stream.try_read_buf(&mut self.input) {
            Ok(0) => self.intake = Intake::Ended,
            // There was room for more, so there is no more: that needs no second call to find out.
            Ok(_) if self.input.len() < self.input.capacity() => {
                let _cleared = self
                    .stream
                    .try_io(Interest::READABLE, || -> io::Result<()> { Err(io::ErrorKind::WouldBlock.into()) });
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
        self.read_at = Instant::now();
        self.dispatch()
    }

    /// Dispatches the frames that are there, as far as there are permits.
    fn dispatch(&mut self) -> io::Result<()> {
        self.dispatcher.renew()?;
        let dispatched = self.dispatch_frames();
        self.dispatcher.tally.settle(&self.outlet.metrics);
        dispatched
    }

    fn dispatch_frames(&mut self) -> io::Result<()> {
        loop {
            let frame = match self.waiting.take() {
                Some((frame, since)) => {
                    self.outlet.count_paused(since.elapsed());
                    self.read_at = Instant::now();
                    Ok(frame)
                }
                None => {
                    if self.outlet.unsent() >= MOST_UNSENT {
                        self.held = true;
                        return Ok(());
                    }
                    let decoded = if self.intake == Intake::Ended {
                        self.codec.decode_eof(&mut self.input)?
                    } else {
                        self.codec.decode(&mut self.input)?
                    };
                    let Some(item) = decoded else { break };
                    // The frame that had begun is complete; what follows it is another one.
                    self.incomplete_since = None;
                    item
                }
            };
            let framing = self.codec.framing().unwrap_or(Framing::Bare);
            match frame {
                Ok(frame) => {
                    self.dispatcher.tally.count_frame();
                    match self.dispatcher.frame(&frame, framing, self.read_at) {
                        Dispatched::Done => {}
                        Dispatched::Wait => {
                            self.waiting = Some((frame, Instant::now()));
                            return Ok(());
                        }
                        Dispatched::FramingLost => {
                            self.lose_framing();
                            return Ok(());
                        }
                    }
                }
                Err(wrong) => {
                    self.outlet.metrics.count_refusal(wrong.refusal.reason);
                    self.dispatcher.refuse(None, framing, &wrong.refusal);
                    if wrong.fatal {
                        self.lose_framing();
                        return Ok(());
                    }
                }
            }
        }
        self.incomplete_since = if self.codec.is_between_frames(&self.input) {
            None
        } else {
            Some(self.incomplete_since.unwrap_or(self.read_at))
        };
        Ok(())
    }

    fn lose_framing(&mut self) {
        self.input = BytesMut::new();
        self.incomplete_since = None;
        self.intake = Intake::Lost;
    }

    fn next_alarm(&self) -> Option<Instant> {
        let incomplete = self.incomplete_since.map(|since| since + FRAME_WITHIN);
        let stuck = self.stuck_since.map(|since| since + TAKE_WITHIN);
        [self.outlet.next_deadline(), incomplete, stuck].into_iter().flatten().min()
    }

    fn check_deadlines(&mut self, now: Instant) -> io::Result<()> {
        self.outlet.answer_late(now);
        let metrics = &self.outlet.metrics;
        if self.incomplete_since.is_some_and(|since| now >= since + FRAME_WITHIN) {
            metrics.slow_senders.fetch_add(1, Ordering::Relaxed);
            return Err(io::Error::new(io::ErrorKind::TimedOut, "a frame did not come to its end"));
        }
        if self.stuck_since.is_some_and(|since| now >= since + TAKE_WITHIN) {
            metrics.slow_readers.fetch_add(1, Ordering::Relaxed);
            return Err(io::Error::new(io::ErrorKind::TimedOut, "answers are not read"));
        }
        Ok(())
    }

    /// Ends a connection whose peer may still be sending: closed with unread bytes, the error would never reach it.
    async fn close_lost(&mut self) -> io::Result<()> {
        let socket = self.stream.as_fd().try_clone_to_owned()?;
        std::net::TcpStream::from(socket).shutdown(Shutdown::Write)?;
        let rest = async {
            let mut sink = [0_u8; 4_096];
            while self.stream.readable().await.is_ok() {
                match self.stream.try_read(&mut sink) {
                    Ok(0) => break,
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => break,
                    Ok(_) | Err(_) => {}
                }
            }
        };
        let _its_time_is_over = tokio::time::timeout(LINGER, rest).await;
        Ok(())
    }
}
