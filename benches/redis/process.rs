//! A server that this program starts and ends, what it costs, and what this machine is.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde::Serialize;

/// A running server. Ends with this value.
pub struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it; what it prints goes into a file of `dir`.
    pub fn start(name: &'static str, command: &mut Command, dir: &Path) -> anyhow::Result<Self> {
        let log = dir.join(format!("{name}.out"));
        let out = fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("cannot run {}", command.get_program().display()))?;
        Ok(Self { name, child, log })
    }

    /// Asks again and again until it answers.
    pub fn wait_until<T>(&mut self, answers: impl Fn() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let begin = Instant::now();
        loop {
            let error = match answers() {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}: {}", self.name, self.last_words());
            }
            if begin.elapsed() > Duration::from_secs(30) {
                return Err(error.context(format!("{} does not answer: {}", self.name, self.last_words())));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Time of the processors spent by all its threads.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let mut sum = Duration::ZERO;
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            sum += cpu(&thread?.path().join("schedstat"))?;
        }
        Ok(sum)
    }

    /// Bytes of memory that it holds.
    pub fn resident(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim_end().parse().context("VmRSS is no number")?;
        Ok(kib * 1024)
    }

    fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.trim_end().lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Its data goes away with it, so there is nothing to close in order. An error means that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Time of the processors spent by the calling thread.
pub fn cpu_of_this_thread() -> anyhow::Result<Duration> {
    cpu(Path::new("/proc/thread-self/schedstat"))
}

fn cpu(schedstat: &Path) -> anyhow::Result<Duration> {
    let text = fs::read_to_string(schedstat).with_context(|| format!("cannot read {}", schedstat.display()))?;
    let nanoseconds = text.split(' ').next().and_then(|first| first.parse().ok()).context("schedstat is no number")?;
    Ok(Duration::from_nanos(nanoseconds))
}

/// Time of all processors spent by everybody since the machine started.
pub fn cpu_of_all() -> anyhow::Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let times = stat.lines().next().and_then(|line| line.strip_prefix("cpu ")).context("no times in /proc/stat")?;
    // user nice system idle iowait irq softirq steal; what is behind them is counted in user already.
    let busy = |(place, ticks): (usize, &str)| match place {
        3 | 4 => Some(0),
        _ => ticks.parse::<u64>().ok(),
    };
    let ticks: Option<u64> = times.split_whitespace().take(8).enumerate().map(busy).sum();
    Ok(Duration::from_millis(ticks.context("a time in /proc/stat is no number")? * MILLISECONDS_PER_TICK))
}

/// The share of all processors that is in use, looked at for some time.
pub fn busy_share(time: Duration) -> anyhow::Result<f64> {
    let before = cpu_of_all()?;
    std::thread::sleep(time);
    let busy = cpu_of_all()?.saturating_sub(before);
    Ok(busy.div_duration_f64(time * u32::try_from(std::thread::available_parallelism()?.get())?))
}

/// Of the times in /proc/stat, on all machines that run Linux today.
const MILLISECONDS_PER_TICK: u64 = 10;

/// A port of this machine that nobody listens on.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Where the figures come from.
#[derive(Debug, Serialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub memory_gib: u64,
    pub kernel: String,
    pub file_system: String,
    pub load_before: String,
    pub recalld: String,
    pub redis: String,
}

impl Machine {
    /// The facts; `dir` is where both sides keep their data.
    pub fn look(recalld: &Path, redis: &Path, dir: &Path) -> anyhow::Result<Self> {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let value_of = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let memory = value_of(&read("/proc/meminfo"), "MemTotal");
        let kib: u64 = memory.trim_end_matches(" kB").parse().unwrap_or_default();
        Ok(Self {
            processor: value_of(&read("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism()?.get(),
            memory_gib: kib.div_ceil(1 << 20),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            file_system: file_system(dir)?,
            load_before: read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" "),
            recalld: version(recalld)?,
            redis: version(redis)?,
        })
    }
}

/// The type of the file system of a directory.
pub fn file_system(dir: &Path) -> anyhow::Result<String> {
    let dir = dir.canonicalize().with_context(|| format!("no directory {}", dir.display()))?;
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let (_, kind) = mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            Some((words.next()?, words.next()?))
        })
        .filter(|(place, _)| dir.starts_with(place))
        // Of two on one place the later one is seen.
        .max_by_key(|(place, _)| place.len())
        .context("the directory is on no file system")?;
    Ok(kind.to_owned())
}

fn version(program: &Path) -> anyhow::Result<String> {
    let output =
        Command::new(program).arg("--version").output().with_context(|| format!("cannot run {}", program.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().trim().to_owned())
}
