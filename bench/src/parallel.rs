//! Where workers run, and work split over threads and processes.

use std::fmt;
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

/// Where two sides that wait for each other run. A wake-up on the same core and one on
/// another differ by a factor of up to ten, and spinning pays on two cores only, so
/// every such pair is measured in each of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Placement {
    /// The scheduler chooses, on an idle machine: what users get.
    Free,
    /// Both on one core.
    OneCore,
    /// Each on a core of its own.
    Apart,
    /// The scheduler chooses, while busy processes use all cores but one (on a machine
    /// with a single core, that one).
    Busy,
}

impl Placement {
    /// Those that this machine has cores for.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Free, Self::OneCore, Self::Apart, Self::Busy]
            .into_iter()
            .filter(|placement| *placement != Self::Apart || CORES.len() > 1)
    }

    /// The core of a side, counted from 0; `None` if the scheduler chooses.
    fn core(self, side: usize) -> Option<usize> {
        match self {
            Self::Free | Self::Busy => None,
            Self::OneCore => Some(0),
            Self::Apart => Some(side),
        }
    }

    /// Does something as one of the sides.
    ///
    /// # Errors
    ///
    /// The system's refusal to pin the thread.
    pub fn run<R>(self, side: usize, work: impl FnOnce() -> R) -> io::Result<R> {
        match self.core(side) {
            Some(core) => on_core(core, work),
            None => Ok(work()),
        }
    }

    /// Makes a process that was just started one of the sides.
    ///
    /// # Errors
    ///
    /// The system's refusal to pin the process.
    pub fn put(self, process: i32, side: usize) -> io::Result<()> {
        match self.core(side) {
            Some(core) => pin(process, core),
            None => Ok(()),
        }
    }

    /// What `python/race.py` calls it. The busy processes are started for all
    /// languages at once.
    #[must_use]
    pub fn in_python(self) -> &'static str {
        match self {
            Self::Free | Self::Busy => "free",
            Self::OneCore => "one_core",
            Self::Apart => "apart",
        }
    }

    /// How many cores `workers` should have to themselves, of `cores`.
    pub(crate) fn expected_cores(self, workers: u64, cores: u64) -> u64 {
        match self {
            Self::Free | Self::Apart => workers.min(cores),
            Self::OneCore | Self::Busy => 1,
        }
    }

    /// The busy processes of this placement: none but for [`Placement::Busy`].
    pub(crate) fn neighbours(self) -> anyhow::Result<Neighbours> {
        let count = match self {
            Self::Free | Self::OneCore | Self::Apart => 0,
            Self::Busy => (CORES.len() - 1).max(1),
        };
        Neighbours::start(count)
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Free => "not pinned",
            Self::OneCore => "one core",
            Self::Apart => "apart",
            Self::Busy if CORES.len() > 2 => "beside busy processes",
            Self::Busy => "beside a busy process",
        })
    }
}

/// Processes that do nothing but use a core each, until this is dropped.
pub(crate) struct Neighbours(Vec<Process<'static>>);

impl Neighbours {
    fn start(count: usize) -> anyhow::Result<Self> {
        let mut neighbours = Self(Vec::new());
        for _ in 0..count {
            let mut process = Process::builder().daemon(true).target(|| {
                loop {
                    std::hint::spin_loop();
                }
            });
            process.start()?;
            neighbours.0.push(process);
        }
        Ok(neighbours)
    }
}

impl Drop for Neighbours {
    fn drop(&mut self) {
        for process in &self.0 {
            // A process that has ended already needs no signal.
            process.terminate().ok();
            process.join().ok();
        }
    }
}

/// Has the calling thread, and what it starts meanwhile, run on one core: the `core`th
/// of those that this process may use, counted round.
///
/// # Errors
///
/// The system's refusal.
fn on_core<R>(core: usize, work: impl FnOnce() -> R) -> io::Result<R> {
    let before = sched_getaffinity(MYSELF)?;
    pin(MYSELF.as_raw(), core)?;
    let result = work();
    sched_setaffinity(MYSELF, &before)?;
    Ok(result)
}

/// Has a thread, or the first thread of a process, run on one core from now on.
fn pin(thread: i32, core: usize) -> io::Result<()> {
    let mut one = CpuSet::new();
    one.set(CORES[core % CORES.len()])?;
    Ok(sched_setaffinity(Pid::from_raw(thread), &one)?)
}

/// The cores that this process may use. First used before anything is pinned.
static CORES: LazyLock<Vec<usize>> = LazyLock::new(|| {
    let all = sched_getaffinity(MYSELF).unwrap_or_default();
    (0..CpuSet::count())
        .filter(|core| all.is_set(*core).unwrap_or(false))
        .collect()
});

/// What the scheduler's calls take for the calling thread.
const MYSELF: Pid = Pid::from_raw(0);

/// What one worker of a race does: its share of this many repetitions of the work.
/// Returns the sum of its answers. It is called twice, first to warm up.
pub type Part<'a> = Box<dyn FnMut(u64) -> anyhow::Result<u64> + Send + 'a>;

/// What the workers of a race are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Threads of this process.
    Threads,
    /// Forked processes.
    Processes,
}

/// How workers that begin together are started.
#[derive(Debug, Clone, Copy)]
pub struct Race {
    /// What they are.
    pub by: By,
    /// Where they run.
    pub placement: Placement,
    /// How many repetitions they do together before the clock starts.
    pub warm: u64,
}

impl Race {
    /// Runs the parts, each in a worker of its own, so that together they do the work
    /// `times` times. What is timed is from the first worker's start to the last one's
    /// end as they see it, since the thread that started them may be asleep then.
    ///
    /// # Errors
    ///
    /// That of a part, or if a process could not be started.
    pub fn run(
        self,
        times: u64,
        parts: Vec<Part<'_>>,
    ) -> anyhow::Result<(Duration, u64)> {
        let laps = match self.by {
            By::Threads => self.threads(times, parts),
            By::Processes => self.processes(times, parts),
        };
        Ok(Lap::whole(&laps?))
    }

    fn threads(self, times: u64, parts: Vec<Part<'_>>) -> anyhow::Result<Vec<Lap>> {
        let ready = &Barrier::new(parts.len());
        thread::scope(|s| {
            let threads: Vec<_> = parts
                .into_iter()
                .enumerate()
                .map(|(side, part)| {
                    let wait = || {
                        ready.wait();
                        Ok(())
                    };
                    s.spawn(move || self.lap(side, times, wait, part))
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        })
    }

    fn processes(
        self,
        times: u64,
        parts: Vec<Part<'_>>,
    ) -> anyhow::Result<Vec<Lap>> {
        let count = u32::try_from(parts.len())?;
        let ready = &multiprocessing::Barrier::new(count)?;
        let parts = parts.into_iter().enumerate().map(|(side, part)| {
            let wait = || Ok(ready.wait().map(|_place| ())?);
            move || self.lap(side, times, wait, part)
        });
        Crew::start(parts)?.answers()
    }

    /// Runs one part: warm, and timed once all are.
    fn lap(
        self,
        side: usize,
        times: u64,
        wait: impl FnOnce() -> anyhow::Result<()>,
        mut part: Part<'_>,
    ) -> anyhow::Result<Lap> {
        self.placement.run(side, || {
            part(self.warm)?;
            wait()?;
            Ok(Lap {
                start: now()?,
                sum: part(times)?,
                end: now()?,
            })
        })?
    }
}

/// When a part began and ended, and the sum of its answers.
#[derive(Debug, Serialize, Deserialize)]
struct Lap {
    start: Duration,
    end: Duration,
    sum: u64,
}

impl Lap {
    /// From the first start to the last end, and the sum of all answers.
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

/// Has `workers` new processes do a part of the work each. Returns the sum of their
/// answers.
///
/// # Errors
///
/// If a process could not be started, or ended without an answer.
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
            // A daemon: if another worker fails it may wait for ever, and ends with the
            // bench.
            let mut process = Process::builder().daemon(true).target(move || {
                let answer = part().map_err(|error| error.to_string());
                // If the parent has ended, the answer has no reader.
                sender.send(&answer).ok();
            });
            process.start()?;
            processes.push(process);
        }
        Ok(Self { processes, answers })
    }

    /// The answers in the order in which they come, once all processes have ended.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_warm_up_before_the_clock_starts() {
        let race = Race {
            by: By::Threads,
            placement: Placement::Free,
            warm: 5,
        };
        let slow_start = || -> Part<'_> {
            let mut warm = false;
            Box::new(move |times| {
                if !warm {
                    thread::sleep(Duration::from_secs(1));
                }
                warm = true;
                Ok(times)
            })
        };
        let (took, sum) = race.run(7, vec![slow_start(), slow_start()]).unwrap();
        assert_eq!(sum, 14);
        assert!(took < Duration::from_millis(900), "{took:?}");
    }

    #[test]
    fn a_side_is_where_its_placement_says() {
        let cores = |placement: Placement, side| {
            placement.run(side, multiprocessing::cpu_count).unwrap()
        };
        let all = multiprocessing::cpu_count();
        assert_eq!(cores(Placement::Free, 1), all);
        assert_eq!(cores(Placement::Busy, 1), all);
        assert_eq!(cores(Placement::OneCore, 1), 1);
        assert_eq!(cores(Placement::Apart, 1), 1);
        // And afterwards where it was.
        assert_eq!(multiprocessing::cpu_count(), all);
    }
}
