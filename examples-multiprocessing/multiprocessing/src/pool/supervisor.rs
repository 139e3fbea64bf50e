//! The process between the parent and the workers: it starts workers, waits for their
//! ends, and starts others in their place.
//!
//! It is forked while the parent has one thread, or is a fresh copy of the program, and
//! never starts a thread itself. So it can fork at any time.
//!
//! It sleeps until a signal wakes it: the end of a worker, [`LOOK`] from the parent or
//! a worker, or SIGTERM, with which the parent ends the pool. All of them wait while
//! it is awake; it looks at everything before it sleeps again.

use std::num::NonZero;
use std::process::ExitCode;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use super::TaskError;
use super::board::{Common, Doing, SpawnedPool, TaskId};
use super::message::{AnswerHeader, Kind};
use super::task::{append_error, note_panics};
use super::worker::{Worker, now};
use crate::process::{self, Process, ProcessHandle};
use crate::sys::exit;
use crate::sys::futex::Deadline;
use crate::sys::routine::Routine;
use crate::sys::signals::{self, Signals};

/// Says: look at the board. It may come before the supervisor is ready for it, so it is
/// one that nothing comes of by default; and of those that wait the lowest number is
/// taken first, so it is one behind SIGTERM and SIGCHLD, or it would hold them up.
pub(super) const LOOK: Signal = Signal::SIGURG;

/// What every worker of a pool is told.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) initializer: Option<Initializer>,
    pub(super) maxtasksperchild: Option<NonZero<u32>>,
    /// What the workers' names begin with.
    pub(super) name: String,
}

/// A function that every worker runs first, with its argument.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Initializer {
    routine: u64,
    argument: Vec<u8>,
}

impl Initializer {
    pub(super) fn new(routine: Routine, argument: Vec<u8>) -> Self {
        Self {
            routine: routine.to_word(),
            argument,
        }
    }

    pub(super) fn run(&self, answer: &mut Vec<u8>) {
        Routine::from_word(self.routine).run(&self.argument, answer);
    }
}

/// A spawned supervisor, from its argument.
pub(super) fn supervise_spawned((luggage, plan): (SpawnedPool, Plan)) -> ExitCode {
    supervise(&luggage.into(), &plan)
}

/// Sees to the workers until the pool ends.
pub(super) fn supervise(common: &Common, plan: &Plan) -> ExitCode {
    process::allow_children();
    note_panics();
    let held = [Signal::SIGCHLD, Signal::SIGTERM, LOOK];
    // Where the program ignores SIGCHLD, it would not be sent here either.
    let (Ok(()), Ok(signals)) =
        (signals::set_default(Signal::SIGCHLD), Signals::hold(&held))
    else {
        return ExitCode::FAILURE;
    };
    let supervisor = Supervisor {
        common,
        plan,
        signals,
        workers: (0..common.processes).map(|_| None).collect(),
        started: 0,
        failures: 0,
    };
    supervisor.run()
}

struct Supervisor<'a> {
    common: &'a Common,
    plan: &'a Plan,
    signals: Signals,
    /// One a seat.
    workers: Vec<Option<Employed>>,
    /// How many were started so far, for their names.
    started: u64,
    /// How often in a row a worker could not be started, or was killed in its
    /// initializer.
    failures: u32,
}

struct Employed {
    handle: ProcessHandle,
    /// Why the supervisor itself has killed it.
    doomed: Option<TaskError>,
}

/// After so many failures in a row nobody tries any more.
const MOST_FAILURES: u32 = 8;

/// What a worker that could not be started is tried again after.
const RETRY: Duration = Duration::from_millis(50);

/// What the supervisor does next.
enum Next {
    Wait(Option<Duration>),
    /// The pool can run no tasks, for this reason.
    GiveUp(TaskError),
}

impl Supervisor<'_> {
    fn run(mut self) -> ExitCode {
        let mut begun = false;
        loop {
            if let Some(error) = self.reap() {
                return self.give_up(&error);
            }
            // All workers are started once, whatever there is to do.
            let over =
                begun && self.common.is_closing() && self.common.tasks.is_empty();
            begun = true;
            if over && self.workers.iter().all(Option::is_none) {
                self.say(Kind::Shutdown, TaskId::from_word(0), None);
                return ExitCode::SUCCESS;
            }
            let timeout = match if over { Next::Wait(None) } else { self.hire() } {
                Next::Wait(timeout) => timeout,
                Next::GiveUp(error) => return self.give_up(&error),
            };
            let limit = self.doom();
            let timeout = timeout.into_iter().chain(limit).min();
            if self.signals.wait(timeout) == Some(Signal::SIGTERM) {
                self.kill_all();
                return ExitCode::SUCCESS;
            }
        }
    }

    /// Starts a worker for every seat that is empty.
    fn hire(&mut self) -> Next {
        for index in 0..self.workers.len() {
            if self.workers[index].is_some() {
                continue;
            }
            match self.start(index) {
                Ok(handle) => {
                    self.failures = match self.plan.initializer {
                        Some(_) => self.failures,
                        None => 0,
                    };
                    self.workers[index] = Some(Employed {
                        handle,
                        doomed: None,
                    });
                }
                Err(error) => {
                    self.failures += 1;
                    let nobody = self.workers.iter().all(Option::is_none);
                    if nobody && self.failures > MOST_FAILURES {
                        return Next::GiveUp(TaskError::System(error.to_string()));
                    }
                    return Next::Wait(Some(RETRY));
                }
            }
        }
        Next::Wait(None)
    }

    fn start(
        &mut self,
        index: usize,
    ) -> Result<ProcessHandle, process::ProcessError> {
        let seat = self.common.seat(index);
        seat.set_member(0);
        seat.set_limit(0);
        seat.set(match self.plan.initializer {
            Some(_) => Doing::Initializing,
            None => Doing::Nothing,
        });
        self.started += 1;
        let name = format!("{}-{}", self.plan.name, self.started);
        let (common, plan, signals) = (self.common, self.plan, &self.signals);
        // A daemon: it does not outlive the supervisor, however that ends.
        let process = Process::builder().name(name).daemon(true);
        let mut process = process.target(|| {
            // It cannot be refused: these are its own.
            let _let_go = signals.let_go();
            // Tasks may start processes of their own.
            process::allow_children();
            Worker::new(common, plan, index).work()
        });
        process.start()?;
        process.handle().cloned()
    }

    /// Tells the parent which task went with each worker that has ended, and whose
    /// place is free now. If the pool cannot go on, why.
    fn reap(&mut self) -> Option<TaskError> {
        for index in 0..self.workers.len() {
            let Some(worker) = &mut self.workers[index] else {
                continue;
            };
            let Some(code) = worker.handle.exitcode() else {
                continue;
            };
            let doomed = worker.doomed.take();
            self.workers[index] = None;
            self.common.reclaim(index);
            let error = TaskError::of_exit_code(code);
            let seat = self.common.seat(index);
            let doing = seat.doing();
            if let Doing::Taking(_) = doing {
                // Before the parent is told, which is to find who else has the task.
                seat.set(Doing::Nothing);
            }
            if doing != Doing::Initializing {
                self.failures = 0;
            }
            match doing {
                Doing::Nothing => {}
                // Where it has told the parent why, that is what counts.
                Doing::Initializing => {
                    self.failures += 1;
                    let killed = matches!(error, TaskError::Killed { .. });
                    if !killed || self.failures > MOST_FAILURES {
                        return Some(TaskError::Initializer(error.to_string()));
                    }
                }
                Doing::Taking(task) => {
                    self.say(Kind::PerhapsLost, task, Some(&error));
                }
                Doing::Running(task) | Doing::Answering(task) => {
                    self.say(Kind::Lost, task, Some(&error));
                }
                Doing::Doomed(task) => {
                    self.say(Kind::Lost, task, Some(&doomed.unwrap_or(error)));
                }
            }
            // What a worker had for sure stays on its seat until the parent is told.
            seat.set(Doing::Nothing);
        }
        None
    }

    /// Kills the workers whose tasks are cancelled or have run for too long. Gives the
    /// time until the next one has.
    fn doom(&mut self) -> Option<Duration> {
        let mut next: Option<u64> = None;
        for (index, worker) in self.workers.iter_mut().enumerate() {
            let Some(worker) = worker else { continue };
            let seat = self.common.seat(index);
            let Doing::Running(task) = seat.doing() else {
                continue;
            };
            let limit = seat.limit();
            let left = (limit != 0).then(|| limit.saturating_sub(now()));
            let why = if self.common.is_cancelled(task) {
                TaskError::Cancelled
            } else if left == Some(0) {
                TaskError::Deadline
            } else {
                next = next.into_iter().chain(left).min();
                continue;
            };
            // If it has just ended, it goes on to the next task, which must not suffer.
            if seat.leave(task, Doing::Doomed(task)) {
                worker.doomed = Some(why);
                let _gone = worker.handle.kill();
            }
        }
        next.map(Duration::from_nanos)
    }

    fn give_up(&mut self, error: &TaskError) -> ExitCode {
        self.say(Kind::Failed, TaskId::from_word(0), Some(error));
        self.kill_all();
        self.say(Kind::Shutdown, TaskId::from_word(0), None);
        ExitCode::SUCCESS
    }

    fn kill_all(&mut self) {
        for worker in self.workers.iter().flatten() {
            let _gone = worker.handle.kill();
        }
        for worker in self.workers.drain(..).flatten() {
            let _gone = worker.handle.join();
        }
    }

    fn say(&self, kind: Kind, task: TaskId, error: Option<&TaskError>) {
        let mut message = Vec::new();
        AnswerHeader { task, kind }.append(&mut message);
        if let Some(error) = error {
            append_error(error, &mut message);
        }
        // Where there is no room even for this, the parent learns of it when this
        // process ends.
        if self.common.answers.send(&message, Deadline::Never).is_err() {
            exit::exit_now(1);
        }
    }
}
