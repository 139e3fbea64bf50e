//! Work split over threads and processes.

use std::rc::Rc;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use examples_multiprocessing::{Connection, Process, cpu_count, pipe};

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

/// Runs each part in a thread of its own. The clock starts when all of them have
/// started.
///
/// # Errors
///
/// That of a part.
pub fn race_threads(parts: Vec<Part<'_>>) -> anyhow::Result<(Duration, u64)> {
    let ready = Barrier::new(parts.len() + 1);
    thread::scope(|s| {
        let threads: Vec<_> = (parts.into_iter())
            .map(|part| {
                s.spawn(|| {
                    ready.wait();
                    part()
                })
            })
            .collect();
        ready.wait();
        let start = Instant::now();
        let sum = (threads.into_iter()).try_fold(0_u64, |sum, thread| {
            anyhow::Ok(sum.wrapping_add(thread.join().unwrap()?))
        })?;
        Ok((start.elapsed(), sum))
    })
}

/// Runs each part in a forked process of its own. The clock starts when all of them
/// have started.
///
/// # Errors
///
/// That of a part, or where a process could not be started.
pub fn race_processes(parts: Vec<Part<'_>>) -> anyhow::Result<(Duration, u64)> {
    let count = u32::try_from(parts.len() + 1)?;
    let ready = &examples_multiprocessing::Barrier::new(count)?;
    let crew = Crew::start(parts.into_iter().map(|part| {
        move || {
            ready.wait()?;
            part()
        }
    }))?;
    ready.wait()?;
    let start = Instant::now();
    let sum = crew.sum()?;
    let took = start.elapsed();
    crew.join()?;
    Ok((took, sum))
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
    let crew = Crew::start((0..workers).map(|worker| move || Ok(part(worker))))?;
    let sum = crew.sum()?;
    crew.join()?;
    Ok(sum)
}

/// Processes that each send one answer.
struct Crew<'a> {
    processes: Vec<Process<'a>>,
    answers: Connection,
}

impl<'a> Crew<'a> {
    fn start<F>(parts: impl Iterator<Item = F>) -> anyhow::Result<Self>
    where
        F: FnOnce() -> anyhow::Result<u64> + 'a,
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

    fn sum(&self) -> anyhow::Result<u64> {
        self.processes.iter().try_fold(0_u64, |sum, _| {
            let answer: Result<u64, String> = self.answers.recv()?;
            Ok(sum.wrapping_add(answer.map_err(|error| anyhow!(error))?))
        })
    }

    fn join(self) -> anyhow::Result<()> {
        for process in &self.processes {
            process.join()?;
        }
        Ok(())
    }
}
