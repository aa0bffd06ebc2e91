//! Calls that go on beside: a fixed number of events a second, each timed from the moment at which it was to be sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use recalld::domain::ids::CallId;
use recalld::domain::session::Command;
use recalld::domain::value::JsonText;

use crate::house::{House, Told, end, set};
use crate::process;

/// Call events a second.
pub const RATE: u32 = 5_000;
/// Calls that are up.
const LANES: u32 = 500;
/// Each lane calls with these callers in turn, so that most of them return.
const CALLERS_OF_LANE: u32 = 20;

/// What the events took, in nanoseconds.
pub struct Lives {
    pub latency: Histogram<u64>,
    /// Those of them that start a call: only they may wait for the disk.
    pub starts: Histogram<u64>,
    /// Turns at which the event before was not answered yet.
    pub skipped: u64,
    pub refused: u64,
    /// Share of all processors that others took, the hypervisor among them.
    pub others: f64,
}

/// Sends events until `is_over`; those of the first `warm_up` do not count.
pub fn run(
    house: &House,
    values: &[JsonText; 3],
    warm_up: Duration,
    is_over: impl Fn() -> bool,
) -> anyhow::Result<Lives> {
    let began = Instant::now();
    let cpu_before = others_cpu()?;
    // Whether the latest event of each lane waits for its answer.
    let waiting: Arc<[AtomicBool]> = std::iter::repeat_with(AtomicBool::default).take(LANES.try_into()?).collect();
    let (told, taken) = std::sync::mpsc::channel::<(u64, u64, bool, bool)>();
    let none = Histogram::new_with_bounds(1_000, 60_000_000_000, 3)?;
    let mut lives = Lives { latency: none.clone(), starts: none, skipped: 0, refused: 0, others: 0.0 };
    let mut calls: Vec<Option<CallId>> = vec![None; LANES.try_into()?];
    let mut step = 0_u32;
    let count = |lives: &mut Lives| {
        for (due, took, is_start, was_taken) in taken.try_iter() {
            lives.refused += u64::from(!was_taken);
            if Duration::from_nanos(due) >= warm_up {
                lives.latency.saturating_record(took);
                if is_start {
                    lives.starts.saturating_record(took);
                }
            }
        }
    };
    while !is_over() {
        let due = Duration::from_secs(1) / RATE * step;
        if let Some(wait) = due.checked_sub(began.elapsed()) {
            count(&mut lives);
            std::thread::sleep(wait);
        }
        let number = step % LANES;
        let round = step / LANES;
        step += 1;
        let lane = usize::try_from(number)?;
        if waiting.get(lane).context("no lane")?.swap(true, Ordering::SeqCst) {
            lives.skipped += 1;
            continue;
        }
        let due = u64::try_from(due.as_nanos())?;
        let (waiting, told) = (waiting.clone(), told.clone());
        let call = calls.get_mut(lane).context("no lane")?;
        let is_start = call.is_none();
        let reply = Told::boxed(move |was_taken| {
            let took = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX).saturating_sub(due);
            if let Some(waiting) = waiting.get(lane) {
                waiting.store(false, Ordering::SeqCst);
            }
            // Nobody counts any more at the end.
            let _ = told.send((due, took, is_start, was_taken));
        });
        match call.take() {
            None => {
                let started: CallId = format!("{step:08}-live@192.0.2.7").parse()?;
                let user = format!("live-{number}-{}", round / STEPS % CALLERS_OF_LANE);
                house.start(lane, &user, &started, reply)?;
                *call = Some(started);
            }
            Some(up) => match round % STEPS {
                1 => {
                    house.event(&up, set(&up, values)?, reply);
                    *call = Some(up);
                }
                2 => {
                    house.event(&up, Command::Ringing { call: up.clone(), code: Some(180) }, reply);
                    *call = Some(up);
                }
                3 => {
                    house.event(&up, Command::Answer { call: up.clone() }, reply);
                    *call = Some(up);
                }
                _ => house.event(&up, end(&up)?, reply),
            },
        }
    }
    let processors = u32::try_from(std::thread::available_parallelism()?.get())?;
    lives.others = others_cpu()?.saturating_sub(cpu_before).div_duration_f64(began.elapsed() * processors);
    for up in calls.into_iter().flatten() {
        house.event(&up, end(&up)?, Told::boxed(|_| {}));
    }
    house.rest()?;
    count(&mut lives);
    Ok(lives)
}

/// Time of the processors that was not spent by this process.
fn others_cpu() -> anyhow::Result<Duration> {
    let own = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let own = Duration::new(u64::try_from(own.tv_sec)?, u32::try_from(own.tv_nsec)?);
    Ok(process::cpu_of_all()?.saturating_sub(own))
}

/// Events of one call.
const STEPS: u32 = 5;
