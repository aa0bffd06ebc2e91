//! The rows of the table: what is run on both sides, and what recalld is to reach.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde::Serialize;
use tempfile::TempDir;

use crate::load::{self, Load, Request, Shape, Span};
use crate::peer::{Digests, Resp};
use crate::process::Process;
use crate::recalld::Netstrings;
use crate::work::{Callers, Lane, Step, VARIABLES, Work};
use crate::{disk, peer, process, recalld};

/// What is the same in all runs.
pub struct Settings {
    pub recalld: PathBuf,
    pub redis: PathBuf,
    /// Where both keep their data.
    pub dir: PathBuf,
    /// recalld's `limits.arbiters`.
    pub arbiters: Option<usize>,
    /// Threads of the load generator.
    pub threads: usize,
    /// Time before replies count.
    pub warm_up: Duration,
    /// Time in which they count.
    pub measured: Duration,
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// For `--only`.
    pub name: &'static str,
    pub what: &'static str,
    pub goal: Goal,
}

/// What is to be reached.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    /// At least this many times the rate of Redis.
    Rate(f64),
    /// The same, and the p99 of the latency is no worse.
    RateAndTail(f64),
    /// At most this many bytes.
    Bytes(f64),
    /// At most this many times the p50 of the machine's fdatasync.
    Fdatasync(f64),
}

/// What one run does. The lone event is compared twice: with Redis and with the disk.
#[derive(Debug, Clone, Copy)]
pub enum Job {
    Events { connections: usize, in_flight: usize },
    Contexts { connections: usize, in_flight: usize },
    Lone,
    Memory,
}

const LONE_RATE: Row =
    Row { name: "events-1x1", what: "call events/s, one connection, one in flight", goal: Goal::Rate(0.8) };
const LONE_COMMIT: Row =
    Row { name: "commit", what: "commit of one event, alone, to fdatasync (p50)", goal: Goal::Fdatasync(2.0) };

/// All jobs and the rows that they fill.
pub const JOBS: [(Job, &[Row]); 6] = [
    (
        Job::Events { connections: 50, in_flight: 16 },
        &[Row {
            name: "events-50x16",
            what: "call events/s, 50 connections x 16 in flight",
            goal: Goal::RateAndTail(1.5),
        }],
    ),
    (
        Job::Events { connections: 50, in_flight: 1 },
        &[Row { name: "events-50x1", what: "call events/s, 50 connections, one in flight", goal: Goal::Rate(1.1) }],
    ),
    (Job::Lone, &[LONE_RATE, LONE_COMMIT]),
    (
        Job::Contexts { connections: 50, in_flight: 1 },
        &[Row {
            name: "get-50x1",
            what: "context.get to HGETALL, 50 connections, one in flight",
            goal: Goal::Rate(0.9),
        }],
    ),
    (
        Job::Contexts { connections: 50, in_flight: 16 },
        &[Row {
            name: "get-50x16",
            what: "context.get to HGETALL, 50 connections x 16 in flight",
            goal: Goal::Rate(1.0),
        }],
    ),
    (
        Job::Memory,
        &[Row {
            name: "memory",
            what: "memory per active call with its session, 3 variables",
            goal: Goal::Bytes(4096.0),
        }],
    ),
];

/// Calls that are up while their contexts are asked for.
const ASKED: usize = 8_000;
/// Calls that are up before memory is looked at first, so that what is taken once is not counted: buffers of the
/// connections, heaps of the threads.
const HELD_BEFORE: usize = 1_000;
/// Calls that come on top of them.
const HELD: usize = 20_000;

/// One run of one side.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    pub per_second: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub max_us: f64,
    /// Time of the processors per request, in this program and in the server.
    pub client_cpu_us: f64,
    pub server_cpu_us: f64,
    /// Share of all processors that others took: what disturbs a run.
    pub others: f64,
    /// Requests that were sent again, because they were `late` or there was no capacity.
    pub again: u64,
    /// Growth of the resident memory per call, without that of RocksDB's write buffers.
    pub bytes_per_call: Option<f64>,
    /// Growth of RocksDB's write buffers per call.
    pub write_buffers_per_call: Option<f64>,
}

/// One run of both sides, one after the other.
#[derive(Debug, Clone, Serialize)]
pub struct Pair {
    pub recalld: Figures,
    pub redis: Figures,
    /// The median of the disk's syncs, measured before, between and after the two.
    pub fdatasync_p50_us: Option<f64>,
}

impl Goal {
    /// What a pair says about it.
    pub fn value(self, pair: &Pair) -> f64 {
        match self {
            Goal::Rate(_) | Goal::RateAndTail(_) => pair.recalld.per_second / pair.redis.per_second,
            Goal::Bytes(_) => pair.recalld.bytes_per_call.unwrap_or(f64::NAN),
            Goal::Fdatasync(_) => pair.recalld.p50_us / pair.fdatasync_p50_us.unwrap_or(f64::NAN),
        }
    }

    /// Whether the medians reach it.
    pub fn is_met(self, value: f64, tail: f64) -> bool {
        match self {
            Goal::Rate(least) => value >= least,
            Goal::RateAndTail(least) => value >= least && tail <= 1.0,
            Goal::Bytes(most) | Goal::Fdatasync(most) => value <= most,
        }
    }
}

impl Job {
    /// Runs both sides, each on a fresh server; `redis_first` alternates.
    pub fn run(self, settings: &Settings, callers: &Callers, redis_first: bool) -> anyhow::Result<Pair> {
        let mut disk = Vec::new();
        let mut syncs = |job: Job| -> anyhow::Result<()> {
            if matches!(job, Job::Lone) {
                let time = settings.measured / 4;
                disk.push(disk::fdatasync(&settings.dir, time)?);
            }
            Ok(())
        };
        let side = |redis: bool| self.run_side(&Server::start(redis, settings)?, settings, callers);
        syncs(self)?;
        let first = side(redis_first)?;
        syncs(self)?;
        let second = side(!redis_first)?;
        syncs(self)?;
        let (recalld, redis) = if redis_first { (second, first) } else { (first, second) };
        let all = disk.into_iter().reduce(|mut all, part| {
            // They have the same bounds.
            let _ = all.add(part);
            all
        });
        Ok(Pair { recalld, redis, fdatasync_p50_us: all.map(|all| microseconds(all.value_at_quantile(0.5))) })
    }

    fn run_side(self, server: &Server, settings: &Settings, callers: &Callers) -> anyhow::Result<Figures> {
        let shape = |connections, in_flight| Shape { connections, in_flight, threads: settings.threads };
        match self {
            Job::Events { connections, in_flight } => {
                server.measure(shape(connections, in_flight), Work::Lives, settings, callers)
            }
            Job::Lone => server.measure(shape(1, 1), Work::Lives, settings, callers),
            Job::Contexts { connections, in_flight } => {
                server.run(shape(50, 16), Work::Fill { from: 0, to: ASKED }, None, callers)?;
                server.check_context(callers)?;
                server.measure(shape(connections, in_flight), Work::Contexts(ASKED), settings, callers)
            }
            Job::Memory => {
                let (before, all) = (HELD_BEFORE, HELD_BEFORE + HELD);
                server.run(shape(50, 16), Work::Fill { from: 0, to: before }, None, callers)?;
                thread::sleep(settings.warm_up);
                let (resident, buffers) = (server.process.resident()?, server.write_buffers()?);
                let (begin, costs) = (Instant::now(), Costs::look(&server.process)?);
                let load = server.run(shape(50, 16), Work::Fill { from: before, to: all }, None, callers)?;
                let (taken, costs) = (begin.elapsed(), Costs::look(&server.process)?.since(costs));
                server.check_context(callers)?;
                thread::sleep(settings.warm_up);
                let growth = server.process.resident()?.saturating_sub(resident) as f64;
                let buffers = server.write_buffers()?.saturating_sub(buffers) as f64;
                Ok(Figures {
                    bytes_per_call: Some((growth - buffers) / HELD as f64),
                    write_buffers_per_call: Some(buffers / HELD as f64).filter(|bytes| *bytes > 0.0),
                    ..figures(&load, taken, costs)?
                })
            }
        }
    }
}

/// A fresh server of one side, ended and removed with this value.
struct Server {
    process: Process,
    address: std::net::SocketAddr,
    /// Redis' scripts; none for recalld.
    digests: Option<Arc<Digests>>,
    /// Where recalld's metrics are.
    admin: Option<std::net::SocketAddr>,
    _dir: TempDir,
}

impl Server {
    fn start(redis: bool, settings: &Settings) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir_in(&settings.dir)?;
        if redis {
            let (process, address, digests) = peer::start(&settings.redis, dir.path())?;
            return Ok(Self { process, address, digests: Some(digests), admin: None, _dir: dir });
        }
        let (process, address, admin) = recalld::start(&settings.recalld, dir.path(), settings.arbiters)?;
        Ok(Self { process, address, digests: None, admin: Some(admin), _dir: dir })
    }

    fn run(&self, shape: Shape, work: Work, span: Option<Span>, callers: &Callers) -> anyhow::Result<Load> {
        match &self.digests {
            Some(digests) => load::run(self.address, || Resp::new(Arc::clone(digests)), shape, work, span, callers),
            None => load::run(self.address, Netstrings::default, shape, work, span, callers),
        }
    }

    fn measure(&self, shape: Shape, work: Work, settings: &Settings, callers: &Callers) -> anyhow::Result<Figures> {
        let from = Instant::now() + settings.warm_up;
        let until = from + settings.measured;
        thread::scope(|scope| {
            let load = scope.spawn(|| self.run(shape, work, Some(Span { from, until }), callers));
            thread::sleep(from.saturating_duration_since(Instant::now()));
            let before = Costs::look(&self.process)?;
            thread::sleep(until.saturating_duration_since(Instant::now()));
            let costs = Costs::look(&self.process)?.since(before);
            let load = load.join().map_err(|_| anyhow::anyhow!("the load panicked"))??;
            ensure!(load.replies > 0, "no reply was measured");
            figures(&load, settings.measured, costs)
        })
    }

    fn write_buffers(&self) -> anyhow::Result<u64> {
        self.admin.map_or(Ok(0), recalld::write_buffers)
    }

    /// The three variables must be there, or an answer without them would be compared.
    fn check_context(&self, callers: &Callers) -> anyhow::Result<()> {
        let lane = Lane::new(0, 1, Work::Contexts(1));
        let request = Request { lane: 0, step: Step::Get, call_id: &lane.call_id, caller: callers.get(lane.caller)? };
        let reply = match &self.digests {
            Some(digests) => load::ask(self.address, Resp::new(Arc::clone(digests)), &request)?,
            None => load::ask(self.address, Netstrings::default(), &request)?,
        };
        for (name, value) in VARIABLES {
            ensure!(reply.contains(name) && reply.contains(value), "{name} is not in the reply {reply}");
        }
        Ok(())
    }
}

/// Time of the processors.
#[derive(Clone, Copy)]
struct Costs {
    server: Duration,
    all: Duration,
}

impl Costs {
    fn look(server: &Process) -> anyhow::Result<Self> {
        Ok(Self { server: server.cpu()?, all: process::cpu_of_all()? })
    }

    fn since(self, before: Self) -> Self {
        Self { server: self.server.saturating_sub(before.server), all: self.all.saturating_sub(before.all) }
    }
}

fn figures(load: &Load, time: Duration, costs: Costs) -> anyhow::Result<Figures> {
    let replies = load.replies.max(1) as f64;
    let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / replies;
    let others = costs.all.saturating_sub(costs.server + load.client_cpu);
    Ok(Figures {
        per_second: load.replies as f64 / time.as_secs_f64(),
        p50_us: microseconds(load.latency.value_at_quantile(0.5)),
        p99_us: microseconds(load.latency.value_at_quantile(0.99)),
        max_us: microseconds(load.latency.max()),
        client_cpu_us: each(load.client_cpu),
        server_cpu_us: each(costs.server),
        others: others.div_duration_f64(time * u32::try_from(thread::available_parallelism()?.get())?),
        again: load.again,
        bytes_per_call: None,
        write_buffers_per_call: None,
    })
}

fn microseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}
