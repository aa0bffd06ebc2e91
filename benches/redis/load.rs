//! The load generator, one piece of code for both sides: same threads, same buffers, same system calls. Only how a
//! request is encoded and where a reply ends differs ([`Protocol`]).
//!
//! Each thread waits for all its connections at once; what one read brought is answered by one write. A thread with a
//! single connection waits in `read` instead, which costs the lone request one system call less. The clock is read
//! twice per turn: a request was sent when its write began, and answered when the read that brought its reply returned.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use hdrhistogram::Histogram;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::process;
use crate::work::{Caller, Callers, Lane, Step, Work};

/// How one connection of a side speaks.
pub trait Protocol: Send {
    /// Appends one request.
    fn encode(&mut self, out: &mut Vec<u8>, request: &Request<'_>);

    /// Reads the first reply, if all of it is there.
    ///
    /// # Errors
    /// The server refused, or said what nobody expects.
    fn decode(&mut self, bytes: &[u8]) -> anyhow::Result<Option<Reply>>;
}

/// What is asked.
pub struct Request<'a> {
    /// The lane of the connection that asks, from 0.
    pub lane: usize,
    pub step: Step,
    pub call_id: &'a str,
    pub caller: &'a Caller,
}

/// What a reply says.
pub struct Reply {
    /// Its bytes.
    pub length: usize,
    /// Who asked.
    pub lane: usize,
    /// Whether the request must be sent again: it was too late, or there was no capacity.
    pub again: bool,
}

/// How many ask at the same time.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub connections: usize,
    pub in_flight: usize,
    pub threads: usize,
}

/// When replies count. All of them do if the work has an end.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub from: Instant,
    pub until: Instant,
}

/// What was measured within the span.
pub struct Load {
    pub replies: u64,
    /// In nanoseconds.
    pub latency: Histogram<u64>,
    /// Time of the processors spent in this program.
    pub client_cpu: Duration,
    /// Requests that were sent again.
    pub again: u64,
}

impl Load {
    fn new() -> anyhow::Result<Self> {
        let latency = Histogram::new_with_bounds(1_000, 60_000_000_000, 3).context("no histogram")?;
        Ok(Self { replies: 0, latency, client_cpu: Duration::ZERO, again: 0 })
    }

    fn add(&mut self, other: &Self) -> anyhow::Result<()> {
        self.replies += other.replies;
        self.client_cpu += other.client_cpu;
        self.again += other.again;
        self.latency.add(&other.latency).context("the histograms differ")
    }
}

/// Longest wait for a reply.
const PATIENCE: Duration = Duration::from_secs(20);
const BUFFER: usize = 64 * 1024;

/// Does the work and returns when the span is over, or the work done, and every reply is there.
pub fn run<P: Protocol>(
    address: SocketAddr,
    protocol: impl Fn() -> P,
    shape: Shape,
    work: Work,
    span: Option<Span>,
    callers: &Callers,
) -> anyhow::Result<Load> {
    let lanes = shape.connections * shape.in_flight;
    let threads = shape.threads.clamp(1, shape.connections);
    let mut groups: Vec<Vec<Connection<P>>> = Vec::new();
    groups.resize_with(threads, Vec::new);
    for number in 0..shape.connections {
        let lanes = (0..shape.in_flight).map(|lane| Lane::new(number * shape.in_flight + lane, lanes, work)).collect();
        let connection = Connection::open(address, protocol(), lanes).context("cannot connect")?;
        if let Some(group) = groups.get_mut(number % threads) {
            group.push(connection);
        }
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = groups
            .into_iter()
            .map(|group| scope.spawn(move || Driver::new(work, span, callers)?.drive(group)))
            .collect();
        let mut load = Load::new()?;
        for thread in threads {
            let part = thread.join().map_err(|_| anyhow::anyhow!("a thread of the load panicked"))??;
            load.add(&part)?;
        }
        Ok(load)
    })
}

/// Asks once and returns the reply as text.
pub fn ask(address: SocketAddr, mut protocol: impl Protocol, request: &Request<'_>) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut out = Vec::new();
    protocol.encode(&mut out, request);
    stream.write_all(&out)?;
    let mut reply = Vec::new();
    while protocol.decode(&reply)?.is_none() {
        let mut part = [0; 4096];
        match stream.read(&mut part)? {
            0 => bail!("the server closed the connection"),
            length => reply.extend_from_slice(part.get(..length).unwrap_or_default()),
        }
    }
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

/// One thread's work and what it measured.
struct Driver<'a> {
    work: Work,
    span: Option<Span>,
    callers: &'a Callers,
    load: Load,
    cpu_before: Option<Duration>,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    WarmUp,
    Measured,
    /// Nothing more is sent; replies are awaited.
    Over,
}

impl<'a> Driver<'a> {
    fn new(work: Work, span: Option<Span>, callers: &'a Callers) -> anyhow::Result<Self> {
        Ok(Self { work, span, callers, load: Load::new()?, cpu_before: None, phase: Phase::WarmUp })
    }

    fn drive<P: Protocol>(mut self, mut connections: Vec<Connection<P>>) -> anyhow::Result<Load> {
        self.clock(Instant::now());
        for connection in &mut connections {
            connection.begin(&mut self)?;
        }
        match connections.as_mut_slice() {
            [only] => {
                only.stream.set_read_timeout(Some(PATIENCE))?;
                while only.waits() {
                    only.turn(&mut self)?;
                }
            }
            many => self.drive_many(many)?,
        }
        if let Some(before) = self.cpu_before.filter(|_| self.phase != Phase::Over) {
            self.load.client_cpu = process::cpu_of_this_thread()?.saturating_sub(before);
        }
        Ok(self.load)
    }

    fn drive_many<P: Protocol>(&mut self, connections: &mut [Connection<P>]) -> anyhow::Result<()> {
        let mut poll = Poll::new()?;
        let mut events = Events::with_capacity(connections.len());
        for (number, connection) in connections.iter_mut().enumerate() {
            connection.stream.set_nonblocking(true)?;
            connection.blocks = false;
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut SourceFd(&connection.stream.as_raw_fd()), Token(number), interest)?;
        }
        let mut waiting = connections.iter().filter(|connection| connection.waits()).count();
        while waiting > 0 {
            poll.poll(&mut events, Some(PATIENCE))?;
            if events.is_empty() {
                bail!("no reply for {PATIENCE:?}");
            }
            for event in &events {
                let Some(connection) = connections.get_mut(event.token().0).filter(|connection| connection.waits())
                else {
                    continue;
                };
                connection.turn(self)?;
                if !connection.waits() {
                    waiting -= 1;
                }
            }
        }
        Ok(())
    }

    /// Takes note of the time.
    fn clock(&mut self, now: Instant) {
        let (from, until) = self.span.map_or((true, false), |span| (now >= span.from, now >= span.until));
        if self.phase == Phase::WarmUp && from {
            self.phase = Phase::Measured;
            self.cpu_before = process::cpu_of_this_thread().ok();
        }
        if self.phase == Phase::Measured && until {
            self.phase = Phase::Over;
            let after = process::cpu_of_this_thread().unwrap_or_default();
            self.load.client_cpu = after.saturating_sub(self.cpu_before.unwrap_or_default());
        }
    }
}

struct Connection<P> {
    stream: TcpStream,
    /// Whether `read` waits.
    blocks: bool,
    protocol: P,
    lanes: Vec<(Lane, Instant)>,
    /// Lanes that wait for a reply.
    in_flight: usize,
    incoming: Vec<u8>,
    filled: usize,
    outgoing: Vec<u8>,
    written: usize,
    /// Lanes with a request in `outgoing` that is not timed yet.
    asking: Vec<usize>,
}

impl<P: Protocol> Connection<P> {
    fn open(address: SocketAddr, protocol: P, lanes: Vec<Lane>) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let now = Instant::now();
        Ok(Self {
            stream,
            blocks: true,
            protocol,
            asking: Vec::with_capacity(lanes.len()),
            lanes: lanes.into_iter().map(|lane| (lane, now)).collect(),
            in_flight: 0,
            incoming: vec![0; BUFFER],
            filled: 0,
            outgoing: Vec::with_capacity(BUFFER),
            written: 0,
        })
    }

    fn waits(&self) -> bool {
        self.in_flight > 0
    }

    fn begin(&mut self, driver: &mut Driver<'_>) -> anyhow::Result<()> {
        for lane in 0..self.lanes.len() {
            self.ask(lane, driver)?;
        }
        self.send()
    }

    /// Takes what has arrived and sends what follows from it.
    fn turn(&mut self, driver: &mut Driver<'_>) -> anyhow::Result<()> {
        loop {
            match self.stream.read(self.incoming.get_mut(self.filled..).unwrap_or_default()) {
                Ok(0) if self.filled == BUFFER => bail!("a reply is longer than {BUFFER} bytes"),
                Ok(0) => bail!("the server closed the connection"),
                Ok(length) => self.filled += length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock && self.blocks => {
                    bail!("no reply for {PATIENCE:?}")
                }
                // It became writable, or there is nothing more to read.
                Err(error) if error.kind() == ErrorKind::WouldBlock => return self.send(),
                Err(error) => return Err(error).context("cannot read"),
            }
            // Only a full buffer leaves something behind in the socket, and its event was the last one.
            let more = self.filled == BUFFER;
            self.take(driver)?;
            if !more {
                return self.send();
            }
        }
    }

    /// Goes through the replies that are there.
    fn take(&mut self, driver: &mut Driver<'_>) -> anyhow::Result<()> {
        let now = Instant::now();
        driver.clock(now);
        let mut read = 0;
        while let Some(reply) = self.protocol.decode(self.incoming.get(read..self.filled).unwrap_or_default())? {
            read += reply.length;
            self.in_flight -= 1;
            let (lane, sent) = self.lanes.get_mut(reply.lane).context("a reply that nobody asked for")?;
            if driver.phase == Phase::Measured {
                if reply.again {
                    driver.load.again += 1;
                } else {
                    driver.load.replies += 1;
                    driver.load.latency.saturating_record(nanoseconds(now.saturating_duration_since(*sent)));
                }
            }
            if !reply.again {
                lane.advance(driver.work);
            }
            self.ask(reply.lane, driver)?;
        }
        self.incoming.copy_within(read..self.filled, 0);
        self.filled -= read;
        Ok(())
    }

    fn ask(&mut self, number: usize, driver: &Driver<'_>) -> anyhow::Result<()> {
        if driver.phase == Phase::Over {
            return Ok(());
        }
        let Some((lane, _)) = self.lanes.get(number) else { return Ok(()) };
        let Some(step) = lane.step(driver.work) else { return Ok(()) };
        let caller = driver.callers.get(lane.caller)?;
        let request = Request { lane: number, step, call_id: &lane.call_id, caller };
        self.protocol.encode(&mut self.outgoing, &request);
        self.asking.push(number);
        self.in_flight += 1;
        Ok(())
    }

    fn send(&mut self) -> anyhow::Result<()> {
        if self.outgoing.is_empty() {
            return Ok(());
        }
        let now = Instant::now();
        for number in self.asking.drain(..) {
            if let Some((_, sent)) = self.lanes.get_mut(number) {
                *sent = now;
            }
        }
        while let Some(rest) = self.outgoing.get(self.written..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(length) => self.written += length,
                // The event that it is writable again calls this once more.
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("cannot write"),
            }
        }
        self.outgoing.clear();
        self.written = 0;
        Ok(())
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
