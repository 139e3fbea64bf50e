//! The state of a queue.

use std::collections::HashMap;
use std::time::Duration;

use redis::Value;

use crate::broker::answer;
use crate::broker::record::Record;

/// The state of a queue. Made by [`Queue::stats`](super::Queue::stats).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Stats {
    /// The number of tasks that no worker has.
    pub waiting: u64,
    /// The tasks that a worker has; at most the first thousand.
    pub running: Vec<RunningTask>,
    /// The number of tasks that workers have.
    pub held: u64,
    /// The number of tasks that ended with a value, since the queue began.
    pub done: u64,
    /// The number of tasks that ended with an error.
    pub failed: u64,
    /// The number of tasks that were cancelled.
    pub cancelled: u64,
    /// The number of dead tasks that are kept.
    pub dead: u64,
    /// The workers that have reported and have not left. Other workers remove one that has
    /// been silent for about a minute.
    pub workers: Vec<WorkerState>,
}

impl Stats {
    /// Reads the answer of the script. Returns `None` if it is not one.
    pub(super) fn read(answer: Value) -> Option<Self> {
        let Value::Array(parts) = answer else {
            return None;
        };
        let mut parts = parts.into_iter();
        let mut next = || parts.next().unwrap_or(Value::Nil);
        let number = |value| answer::string(value).parse::<u64>().unwrap_or(0);
        let (length, held, dead) = (number(next()), number(next()), number(next()));
        let counts = answer::pairs(next());
        let count = |name: &str| {
            let found = counts.iter().find(|(key, _)| key == name);
            found.and_then(|(_, n)| n.parse().ok()).unwrap_or(0)
        };
        let now = number(next());
        let mut runs = HashMap::new();
        let mut workers = Vec::new();
        for (name, reported) in answer::pairs(next()) {
            let Some((when, record)) = reported.split_once(' ') else {
                continue;
            };
            let Ok(record) = serde_json::from_str::<Record>(record) else {
                continue;
            };
            let when: u64 = when.parse().unwrap_or(0);
            let silent_for = Duration::from_millis(now.saturating_sub(when));
            for run in record.running {
                let running_for = Duration::from_millis(run.millis) + silent_for;
                let run_at = (name.clone(), run.entry);
                runs.insert(run_at, (record.host.clone(), run.pid, running_for));
            }
            workers.push(WorkerState {
                name,
                host: record.host,
                pid: record.pid,
                processes: record.processes,
                silent_for,
            });
        }
        let Value::Array(running) = next() else {
            return None;
        };
        let running = running.into_iter().filter_map(|task| {
            let [entry, worker, deliveries, id, task] =
                <[Vec<u8>; 5]>::try_from(answer::texts(task)).ok()?;
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            // A worker whose task was claimed by another may still report it.
            let run_at = (text(worker), text(entry));
            let run = runs.get(&run_at);
            Some(RunningTask {
                id: text(id),
                task: text(task),
                worker: run_at.0,
                host: run.map(|(host, _, _)| host.clone()),
                pid: run.and_then(|(_, pid, _)| *pid),
                running_for: run.map(|(_, _, running_for)| *running_for),
                deliveries: text(deliveries).parse().unwrap_or(0),
            })
        });
        let running = running.collect();
        let (failed, cancelled) = (count("failed"), count("cancelled"));
        // Those that became dead, also if they were retried or dropped since.
        let ended_dead = count("dead");
        let ever = number(next());
        Some(Self {
            waiting: length.saturating_sub(held),
            running,
            held,
            done: ever.saturating_sub(length + failed + cancelled + ended_dead),
            failed,
            cancelled,
            dead,
            workers,
        })
    }
}

/// A task that a worker has.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RunningTask {
    /// The id that its sender gave it.
    pub id: String,
    /// The function's name.
    pub task: String,
    /// The worker that has it: its host, process id and a random number.
    pub worker: String,
    /// The name of the worker's host; `None` before the worker has reported the task.
    pub host: Option<String>,
    /// The id there of the process that ran it when the worker last reported; `None`
    /// before that, and while it waits for a process.
    pub pid: Option<u32>,
    /// The time since the worker took it; `None` before the worker has reported it.
    pub running_for: Option<Duration>,
    /// How many times it was given to a worker.
    pub deliveries: u64,
}

/// A worker, as it last reported itself.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WorkerState {
    /// Its name at the broker.
    pub name: String,
    /// The host's name.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// The number of its processes that run tasks.
    pub processes: usize,
    /// The time since it last reported.
    pub silent_for: Duration,
}
