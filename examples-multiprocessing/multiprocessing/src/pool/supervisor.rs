//! The process between the parent and the workers: it starts workers, waits for their
//! ends, and starts others in their place.
//!
//! It is forked while the parent has one thread, or is a fresh copy of the program, and
//! never starts a thread itself. So it can fork at any time.
//!
//! It sleeps until a signal wakes it: SIGCHLD when a worker has ended, [`CHECK_SLOTS`]
//! from the parent or a worker, or SIGTERM, with which the parent ends the pool. Signals
//! that come while it is awake stay pending; it looks at everything before it sleeps
//! again.
//!
//! Ctrl+C sends SIGINT to the whole process group. Supervisor and workers survive it: if
//! the parent does not handle it, the parent ends, and they are killed with it; if it
//! does, it keeps its pool.

use std::process::ExitCode;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::error::TaskError;
use super::message::Answer;
use super::panic;
use super::plan::{CHECK_SLOTS, Plan};
use super::shared::{PoolShared, SpawnedPool, WorkerState};
use super::worker::Worker;
use crate::channel::SendError;
use crate::process::{self, Process, ProcessError, ProcessHandle};
use crate::sys::exit;
use crate::sys::futex::{Deadline, SLICE};
use crate::sys::signals::{self, Signals};

/// A spawned supervisor, from its argument.
pub(super) fn supervise_spawned((shared, plan): (SpawnedPool, Plan)) -> ExitCode {
    if signals::survive(Signal::SIGINT).is_err() {
        return ExitCode::FAILURE;
    }
    supervise(&shared.into(), &plan, Start::Awaited)
}

/// Whether the parent waits until all workers have been started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    Awaited,
    /// If the parent closes the pool before, none is started.
    Unawaited,
}

/// Looks after the workers until the pool ends. SIGINT must do nothing already.
pub(super) fn supervise(shared: &PoolShared, plan: &Plan, start: Start) -> ExitCode {
    process::allow_children();
    panic::install_hook();
    let held = [Signal::SIGCHLD, Signal::SIGTERM, CHECK_SLOTS];
    // If the program ignores SIGCHLD, it would not be sent here either.
    let (Ok(()), Ok(signals)) =
        (signals::set_default(Signal::SIGCHLD), Signals::hold(&held))
    else {
        return ExitCode::FAILURE;
    };
    let supervisor = Supervisor {
        shared,
        plan,
        start,
        signals,
        workers: (0..shared.processes).map(|_| None).collect(),
        started: 0,
        complete: false,
        failures: 0,
    };
    supervisor.run()
}

struct Supervisor<'a> {
    shared: &'a PoolShared,
    plan: &'a Plan,
    start: Start,
    signals: Signals,
    /// By the numbers of their slots.
    workers: Vec<Option<RunningWorker>>,
    /// The number of workers started so far, for their names.
    started: u64,
    /// Whether all workers have been started once.
    complete: bool,
    /// How often in a row a worker could not be started, or was killed in its
    /// initializer.
    failures: u32,
}

struct RunningWorker {
    handle: ProcessHandle,
    /// Why the supervisor itself has killed it.
    killed_for: Option<TaskError>,
}

/// After more failures in a row than this the pool is given up.
const MAX_FAILURES: u32 = 8;

/// How long to wait before another attempt to start a worker.
const RETRY: Duration = Duration::from_millis(50);

/// What the supervisor does next.
enum Next {
    Wait(Option<Duration>),
    /// The pool can run no tasks, for this reason.
    GiveUp(TaskError),
}

impl Supervisor<'_> {
    fn run(mut self) -> ExitCode {
        loop {
            if let Some(error) = self.reap() {
                return self.give_up(error);
            }
            let over = self.shared.is_closing() && self.shared.tasks.is_empty();
            if over && self.workers.iter().all(Option::is_none) {
                // If there never was a worker, there was no task: nobody waits for this.
                if self.started > 0 {
                    self.send(&Answer::Shutdown);
                }
                return ExitCode::SUCCESS;
            }
            let next = if over {
                Next::Wait(None)
            } else {
                self.respawn()
            };
            let timeout = match next {
                Next::Wait(timeout) => timeout,
                Next::GiveUp(error) => return self.give_up(error),
            };
            let limit = self.enforce_limits();
            let timeout = timeout.into_iter().chain(limit).min();
            if self.signals.wait(timeout) == Some(Signal::SIGTERM) {
                self.kill_all();
                return ExitCode::SUCCESS;
            }
        }
    }

    /// Starts a worker for the slots that have none, some at a time, as the others are not
    /// looked after meanwhile. If the system refuses that, tries again later; a pool that
    /// had all its workers once goes on with those that run.
    fn respawn(&mut self) -> Next {
        const AT_A_TIME: usize = 16;
        let mut started = 0;
        for index in 0..self.workers.len() {
            if self.workers[index].is_some() {
                continue;
            }
            if started == AT_A_TIME {
                return Next::Wait(Some(Duration::ZERO));
            }
            started += 1;
            match self.start(index) {
                Ok(handle) => {
                    if self.plan.initializer.is_none() {
                        self.failures = 0;
                    }
                    self.workers[index] = Some(RunningWorker {
                        handle,
                        killed_for: None,
                    });
                }
                Err(error) => {
                    self.failures += 1;
                    let (running, wanted) = self.count_workers();
                    let enough = self.complete && running > 0;
                    if !enough && self.failures > MAX_FAILURES {
                        return Next::GiveUp(TaskError::System(format!(
                            "only {running} of {wanted} workers could be started: \
                             {error} Ask for fewer workers, or raise the limit of \
                             processes."
                        )));
                    }
                    return Next::Wait(Some(RETRY));
                }
            }
        }
        if !self.complete {
            self.complete = true;
            if self.start == Start::Awaited {
                self.send(&Answer::Ready);
            }
        }
        Next::Wait(None)
    }

    /// The number of workers that run, and that there should be.
    fn count_workers(&self) -> (usize, usize) {
        (self.workers.iter().flatten().count(), self.workers.len())
    }

    fn start(&mut self, index: usize) -> Result<ProcessHandle, ProcessError> {
        let slot = self.shared.slot(index);
        slot.set_registry_id(0);
        slot.clear_time_limit();
        slot.set(match self.plan.initializer {
            Some(_) => WorkerState::Initializing,
            None => WorkerState::Idle,
        });
        self.started += 1;
        let name = format!("{}-{}", self.plan.name, self.started);
        let (shared, plan) = (self.shared, self.plan);
        // A daemon: it does not outlive the supervisor, however that ends.
        let process = Process::builder().name(name).daemon(true);
        let mut process = process.survives_interrupt().target(|| {
            // Tasks may start processes of their own.
            process::allow_children();
            Worker::new(shared, plan, index).work()
        });
        process.start()?;
        process.handle().cloned()
    }

    /// Reports to the parent which task went with each worker that has ended, and frees
    /// its slot. If the pool cannot go on, returns the reason.
    fn reap(&mut self) -> Option<TaskError> {
        for index in 0..self.workers.len() {
            let Some(worker) = &mut self.workers[index] else {
                continue;
            };
            let Some(code) = worker.handle.exitcode() else {
                continue;
            };
            let killed_for = worker.killed_for.take();
            self.workers[index] = None;
            self.shared.reclaim(index);
            let error = TaskError::of_exit_code(code);
            let slot = self.shared.slot(index);
            let state = slot.state();
            if let WorkerState::Taking(_) = state {
                // Before the parent is told: it then looks for another slot that has
                // the task.
                slot.set(WorkerState::Idle);
            }
            if state != WorkerState::Initializing {
                self.failures = 0;
            }
            match state {
                WorkerState::Idle => {}
                WorkerState::Initializing => {
                    self.failures += 1;
                    let killed = matches!(error, TaskError::Killed { .. });
                    if !killed || self.failures > MAX_FAILURES {
                        // If the worker has reported a reason itself, that one came
                        // first and counts.
                        return Some(TaskError::Initializer(error.to_string()));
                    }
                }
                WorkerState::Taking(task) => {
                    self.send(&Answer::PerhapsLost(task, error));
                }
                WorkerState::Running(task) | WorkerState::Answering(task) => {
                    self.send(&Answer::Ended(task, Err(error)));
                }
                WorkerState::Killing(task) => {
                    let error = killed_for.unwrap_or(error);
                    self.send(&Answer::Ended(task, Err(error)));
                }
            }
            // A task that the worker had for certain stays in its slot until the parent
            // has been told.
            slot.set(WorkerState::Idle);
        }
        None
    }

    /// Kills the workers whose tasks are cancelled or have run for too long. Returns the
    /// time until the next task has.
    fn enforce_limits(&mut self) -> Option<Duration> {
        let mut next: Option<u64> = None;
        for (index, worker) in self.workers.iter_mut().enumerate() {
            let Some(worker) = worker else { continue };
            let slot = self.shared.slot(index);
            let WorkerState::Running(task) = slot.state() else {
                continue;
            };
            let left = slot.time_left();
            let why = if self.shared.is_cancelled(task) {
                TaskError::Cancelled
            } else if left == Some(0) {
                TaskError::Deadline
            } else {
                next = next.into_iter().chain(left).min();
                continue;
            };
            // Fails if the task has just ended: the worker may have taken another by now,
            // which must not suffer.
            if slot.leave_running(task, WorkerState::Killing(task)) {
                worker.killed_for = Some(why);
                // Fails only if the worker has ended already.
                worker.handle.kill().ok();
            }
        }
        next.map(Duration::from_nanos)
    }

    fn give_up(&mut self, error: TaskError) -> ExitCode {
        self.send(&Answer::Unusable(error));
        self.kill_all();
        self.send(&Answer::Shutdown);
        ExitCode::SUCCESS
    }

    fn kill_all(&self) {
        // Both fail only for a worker that has ended already.
        for worker in self.workers.iter().flatten() {
            worker.handle.kill().ok();
        }
        for worker in self.workers.iter().flatten() {
            worker.handle.join().ok();
        }
    }

    fn send(&self, answer: &Answer) {
        let message = answer.encode();
        loop {
            match self.shared.send_notice(&message, Deadline::after(SLICE)) {
                Ok(()) => return,
                // A worker that was stopped while it sent an answer is in the way. It
                // must not be in the way of the pool's end.
                Err(SendError::Full) => {
                    if self.signals.has_come(Signal::SIGTERM) {
                        self.kill_all();
                        exit::exit_now(0);
                    }
                }
                // If there is no room even for this, the parent learns of it when this
                // process ends.
                Err(SendError::System(_)) => exit::exit_now(1),
            }
        }
    }
}
