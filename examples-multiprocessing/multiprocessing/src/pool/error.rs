//! How a task can end other than by its value, and what can go wrong with a pool.

use std::fmt;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::process::ProcessError;

/// How a task ended, if not by its value.
///
/// ```
/// use multiprocessing::TaskError;
///
/// let error = TaskError::Killed { signal: 9 };
/// assert_eq!(error.to_string(), "the worker was ended by SIGKILL");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TaskError {
    /// The function panicked: Python's exception that `get` raises again.
    Panicked {
        /// The panic's message.
        message: String,
        /// The panic's place, as `file:line:column`; empty if it is not known.
        place: String,
    },
    /// A signal ended the worker while it had the task. Python waits for ever.
    Killed {
        /// The signal's number.
        signal: i32,
    },
    /// The worker exited while it had the task, as by
    /// [`std::process::exit`]. Python waits for ever.
    Exited {
        /// The exit code.
        code: i32,
    },
    /// The argument cannot be encoded, or its bytes cannot be decoded in the worker. The
    /// sentence says which and why.
    Argument(String),
    /// The result cannot be encoded in the worker, or its bytes cannot be decoded here.
    /// The sentence says which and why.
    Result(String),
    /// The task took longer than its deadline allows, and its worker was replaced.
    Deadline,
    /// The task was cancelled, and the worker that had it, if any, was replaced.
    Cancelled,
    /// The initializer of the workers failed, and so the pool runs no tasks.
    Initializer(String),
    /// The pool was closed, terminated or dropped before the task was submitted.
    Closed,
    /// The pool was terminated or dropped before the task had ended.
    Terminated,
    /// The supervisor, the process that looks after the workers, has ended, and the
    /// workers with it: make a new pool.
    Broken,
    /// There is no room for the task, or no worker can be started. The sentence says what
    /// the system refused.
    System(String),
    /// The function is part of a library: name one of the program's own, which calls
    /// it.
    Foreign,
    /// Only the process that made a pool can use it.
    NotTheMaker,
    /// No worker knows a task of this name; or, if it is empty, the function is not
    /// among the tasks of a pool over a broker.
    Unregistered(String),
    /// The task was given to workers as often as it may be, and none of them lived to
    /// report it. It is among the broker's dead tasks.
    Lost {
        /// How often.
        deliveries: u32,
        /// The last of the workers, and what became of it if that is known.
        last_worker: String,
    },
    /// The broker no longer has the task: it was emptied, or restored from an older
    /// file.
    Forgotten,
    /// The task had not begun by the time until which it might.
    Expired,
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Panicked { message, place } if place.is_empty() => {
                return write!(f, "the task panicked: {message}");
            }
            Self::Panicked { message, place } => {
                return write!(f, "the task panicked: {message} ({place})");
            }
            Self::Killed { signal } => {
                f.write_str("the worker was ended by ")?;
                return match Signal::try_from(*signal) {
                    Ok(signal) => f.write_str(signal.as_str()),
                    Err(_) => write!(f, "signal {signal}"),
                };
            }
            Self::Exited { code } => {
                return write!(f, "the worker exited with code {code}");
            }
            Self::Argument(why) => {
                return write!(f, "the task's argument is refused: {why}");
            }
            Self::Result(why) => {
                return write!(f, "the task's result is refused: {why}");
            }
            Self::Deadline => "the task took longer than its deadline allows",
            Self::Cancelled => "the task was cancelled",
            Self::Initializer(why) => {
                return write!(f, "the pool's initializer failed: {why}");
            }
            Self::Closed => "the pool is closed: submit tasks before closing it",
            Self::Terminated => "the pool was terminated before the task had ended",
            Self::Broken => {
                "the pool is broken, its supervisor has ended: make a new pool"
            }
            Self::System(why) => return f.write_str(why),
            Self::Foreign => {
                "the function is part of a library: name one of the program's own, \
                 which calls it"
            }
            Self::NotTheMaker => "only the process that made a pool can use it",
            Self::Unregistered(name) if name.is_empty() => {
                "the function is not among the tasks of the pool: add it to them"
            }
            Self::Unregistered(name) => {
                return write!(f, "no worker knows a task named {name:?}");
            }
            Self::Lost {
                deliveries,
                last_worker,
            } => {
                return write!(
                    f,
                    "the task is lost: it was given to workers {deliveries} times, \
                     and none lived to report it (the last: {last_worker})"
                );
            }
            Self::Forgotten => {
                "the broker no longer has the task: it was emptied, or restored from \
                 an older file"
            }
            Self::Expired => "the task had not begun in time",
        })
    }
}

impl std::error::Error for TaskError {}

impl TaskError {
    /// The argument cannot be encoded or decoded, for this reason.
    pub(super) fn argument(why: impl ToString) -> Self {
        Self::Argument(why.to_string())
    }

    /// The result cannot be encoded or decoded, for this reason.
    pub(super) fn result(why: impl ToString) -> Self {
        Self::Result(why.to_string())
    }

    /// How a worker ended, from its exit code as
    /// [`exitcode`](crate::ProcessHandle::exitcode) gives it.
    pub(super) fn of_exit_code(code: i32) -> Self {
        if code < 0 {
            Self::Killed { signal: -code }
        } else {
            Self::Exited { code }
        }
    }
}

/// Why there is no pool, or why it could not be joined.
#[derive(Debug)]
#[non_exhaustive]
pub enum PoolError {
    /// A pool needs at least one process, and each process at least one task before it
    /// is replaced.
    TooFew,
    /// The pool still takes tasks: close or terminate it before joining it.
    StillRunning,
    /// The pool has ended by itself, and was joined though it was neither closed nor
    /// terminated. Tasks that had not ended by then did so with this error.
    Failed(TaskError),
    /// A callback joined its pool, and would wait for its own end.
    JoinInCallback,
    /// The supervisor could not be started, for instance because other threads run; or
    /// the pool was joined in a process that did not make it.
    Process(ProcessError),
    /// Not all workers could be started, and the others were ended. The sentence says how
    /// many could, and what the system refused.
    Workers(String),
    /// The system refused the memory that the processes share.
    System(Error),
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooFew => {
                "A pool needs at least one process, and each process at least one task \
                 before it is replaced: give it a larger number."
            }
            Self::StillRunning => {
                "The pool is still running: close or terminate it before joining it."
            }
            Self::Failed(error) => {
                // Some reasons are whole sentences.
                let why = error.to_string();
                let why = why.trim_end_matches('.');
                return write!(f, "The pool ended before it was closed: {why}.");
            }
            Self::JoinInCallback => {
                "A callback cannot join its pool, which would wait for the callback: \
                 join it outside its callbacks."
            }
            Self::Workers(why) => {
                return write!(f, "The pool was not started, {why}");
            }
            Self::Process(error) => return error.fmt(f),
            Self::System(error) => return error.fmt(f),
        })
    }
}

// The errors that are passed on are their own sentence: their cause is the next one.
impl std::error::Error for PoolError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Process(error) => error.source(),
            Self::System(error) => error.source(),
            _ => None,
        }
    }
}

impl From<ProcessError> for PoolError {
    fn from(error: ProcessError) -> Self {
        Self::Process(error)
    }
}

impl From<Error> for PoolError {
    fn from(error: Error) -> Self {
        Self::System(error)
    }
}
