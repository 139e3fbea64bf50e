//! The state of a queue.

use std::time::Duration;

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
    /// The workers that have reported within about the last minute.
    pub workers: Vec<WorkerState>,
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
