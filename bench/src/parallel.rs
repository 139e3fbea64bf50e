//! Work split over threads and processes.

use std::io;
use std::rc::Rc;
use std::sync::{Barrier, LazyLock};
use std::thread;
use std::time::Duration;

use anyhow::anyhow;
use multiprocessing::{Connection, Process, cpu_count, pipe};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// 1, 2, 4, … up to twice the cores.
///
/// ```
/// assert_eq!(bench::worker_counts()[..2], [1, 2]);
/// ```
#[must_use]
pub fn worker_counts() -> Vec<usize> {
    let most = 2 * cpu_count();
    let mut counts: Vec<usize> =
        std::iter::successors(Some(1), |count| Some(2 * count))
            .take_while(|count| *count < most)
            .collect();
    counts.push(most);
    counts
}

/// What one worker does of `total` pieces that `workers` share.
///
/// ```
/// assert_eq!((0..3).map(|worker| bench::share(10, 3, worker)).sum::<u64>(), 10);
/// ```
#[must_use]
pub fn share(total: u64, workers: usize, worker: usize) -> u64 {
    let bound = |worker: usize| total * worker as u64 / workers as u64;
    bound(worker + 1) - bound(worker)
}

/// What one worker does. Returns the sum of what came out.
pub type Part<'a> = Box<dyn FnOnce() -> anyhow::Result<u64> + Send + 'a>;

/// Has the calling thread, and what it starts meanwhile, run on one core only: the
/// `core`th of those that this process may use, counted round. Where two sides wait for
/// each other, it is otherwise the scheduler's mood that is measured: a wake-up on the
/// same core and one on another differ by a factor of up to ten.
///
/// # Errors
///
/// The system's refusal.
///
/// ```
/// use multiprocessing::cpu_count;
///
/// let before = cpu_count();
/// assert_eq!(bench::on_core(7, cpu_count)?, 1);
/// assert_eq!(cpu_count(), before);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn on_core<R>(core: usize, work: impl FnOnce() -> R) -> io::Result<R> {
    let before = sched_getaffinity(MYSELF)?;
    pin(MYSELF.as_raw(), core)?;
    let result = work();
    sched_setaffinity(MYSELF, &before)?;
    Ok(result)
}

/// Has a thread, mostly a process's first, run on one core from now on: see [`on_core`].
///
/// # Errors
///
/// The system's refusal.
pub fn pin(thread: i32, core: usize) -> io::Result<()> {
    let mut one = CpuSet::new();
    one.set(CORES[core % CORES.len()])?;
    Ok(sched_setaffinity(Pid::from_raw(thread), &one)?)
}

/// The cores that this process may use: those of the first call, before anything was
/// pinned to one of them.
static CORES: LazyLock<Vec<usize>> = LazyLock::new(|| {
    let all = sched_getaffinity(MYSELF).unwrap_or_default();
    (0..CpuSet::count())
        .filter(|core| all.is_set(*core).unwrap_or(false))
        .collect()
});

/// What the scheduler's calls take for the calling thread.
const MYSELF: Pid = Pid::from_raw(0);

/// When a part began and ended, and what came out of it.
#[derive(Debug, Serialize, Deserialize)]
struct Lap {
    start: Duration,
    end: Duration,
    sum: u64,
}

impl Lap {
    /// Runs one of so many parts, which begin together, once `ready`, on a core of its own where there
    /// are enough.
    fn run(
        number: usize,
        parts: usize,
        ready: impl FnOnce() -> anyhow::Result<()>,
        part: Part<'_>,
    ) -> anyhow::Result<Self> {
        let run = || {
            ready()?;
            Ok(Self {
                start: now()?,
                sum: part()?,
                end: now()?,
            })
        };
        if parts <= CORES.len() {
            on_core(number, run)?
        } else {
            run()
        }
    }

    /// From when the first of them began until the last had ended, and what came out
    /// of all.
    fn whole(laps: &[Self]) -> (Duration, u64) {
        let start = laps.iter().map(|lap| lap.start).min().unwrap_or_default();
        let end = laps.iter().map(|lap| lap.end).max().unwrap_or_default();
        let sum = laps
            .iter()
            .fold(0, |sum: u64, lap| sum.wrapping_add(lap.sum));
        (end.saturating_sub(start), sum)
    }
}

/// By a clock that all processes share.
fn now() -> nix::Result<Duration> {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from)
}

/// Runs each part in a thread of its own, on a core of its own where there are enough.
/// They begin together, and what is timed is from the first's beginning to the last's
/// end, as they see it: whoever started them may be asleep then.
///
/// # Errors
///
/// That of a part.
pub fn race_threads(parts: Vec<Part<'_>>) -> anyhow::Result<(Duration, u64)> {
    let count = parts.len();
    let ready = &Barrier::new(count);
    let laps: anyhow::Result<Vec<Lap>> = thread::scope(|s| {
        let threads: Vec<_> = (parts.into_iter().enumerate())
            .map(|(number, part)| {
                s.spawn(move || {
                    let ready = || {
                        ready.wait();
                        Ok(())
                    };
                    Lap::run(number, count, ready, part)
                })
            })
            .collect();
        (threads.into_iter())
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    Ok(Lap::whole(&laps?))
}

/// [`race_threads`] with a forked process for each part.
///
/// # Errors
///
/// That of a part, or where a process could not be started.
pub fn race_processes(parts: Vec<Part<'_>>) -> anyhow::Result<(Duration, u64)> {
    let count = parts.len();
    let ready = &multiprocessing::Barrier::new(u32::try_from(count)?)?;
    let parts = parts.into_iter().enumerate().map(|(number, part)| {
        move || {
            let ready = || Ok(ready.wait().map(|_place| ())?);
            Lap::run(number, count, ready, part)
        }
    });
    Ok(Lap::whole(&Crew::start(parts)?.answers()?))
}

/// Has so many new processes do a part of the work each. Returns the sum of what came
/// out.
///
/// # Errors
///
/// Where a process could not be started, or ended without an answer.
pub fn processes(
    workers: usize,
    part: impl Fn(usize) -> u64,
) -> anyhow::Result<u64> {
    let part = &part;
    let parts = (0..workers).map(|worker| move || Ok(part(worker)));
    let sums: Vec<u64> = Crew::start(parts)?.answers()?;
    Ok(sums.into_iter().fold(0, u64::wrapping_add))
}

/// Processes that each send one answer.
struct Crew<'a> {
    processes: Vec<Process<'a>>,
    answers: Connection,
}

impl<'a> Crew<'a> {
    fn start<T, F>(parts: impl Iterator<Item = F>) -> anyhow::Result<Self>
    where
        T: Serialize,
        F: FnOnce() -> anyhow::Result<T> + 'a,
    {
        let (answers, sender) = pipe(false)?;
        let sender = Rc::new(sender);
        let mut processes = Vec::new();
        for part in parts {
            let sender = Rc::clone(&sender);
            // A daemon: if a neighbour fails it may wait for ever, and is ended with
            // the bench.
            let mut process = Process::builder().daemon(true).target(move || {
                let answer = part().map_err(|error| error.to_string());
                // If the parent is gone, nobody wants the answer.
                let _gone = sender.send(&answer);
            });
            process.start()?;
            processes.push(process);
        }
        Ok(Self { processes, answers })
    }

    /// What each of them sends, in no order, and their ends.
    fn answers<T: DeserializeOwned>(self) -> anyhow::Result<Vec<T>> {
        let received = self.processes.iter().map(|_| {
            let answer: Result<T, String> = self.answers.recv()?;
            answer.map_err(|error| anyhow!(error))
        });
        let answers: Vec<T> = received.collect::<anyhow::Result<_>>()?;
        for process in &self.processes {
            process.join()?;
        }
        Ok(answers)
    }
}
