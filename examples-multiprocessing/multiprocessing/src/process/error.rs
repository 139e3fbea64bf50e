//! What can go wrong with a process, and what to do about it.

use std::error::Error;
use std::{fmt, io};

use crate::codec::EncodeError;
use crate::sys::descriptor::Reason;

/// Why a process could not be started, waited for or signalled.
///
/// ```
/// use multiprocessing::Process;
///
/// let error = Process::new(|| ()).join().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "The process has not been started yet: call start first."
/// );
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ProcessError {
    /// `start` was called a second time.
    AlreadyStarted,
    /// Whether a process is a daemon is settled before it starts.
    DaemonAfterStart,
    /// The process was not started yet, so it cannot be waited for or signalled.
    NotStarted,
    /// The handle was closed.
    Closed,
    /// `close` was called while the process ran.
    StillRunning,
    /// A process that waited for its own end would wait for ever.
    JoinOneself,
    /// Only its parent can wait for a process or end it.
    NotAChild,
    /// A daemon tried to start a process, for which nobody would wait.
    DaemonHasNoChildren,
    /// This many other threads run, so that forking is not safe.
    ThreadsRunning(u64),
    /// A guard of a `Value` or an `Array` lives, and a fork would make two of it.
    NumbersLocked,
    /// The argument of a process to be spawned cannot be serialised.
    Argument(EncodeError),
    /// A copy of this program would run `main` instead of the function.
    NoFreezeSupport,
    /// This program runs with other rights than its caller's (set-user-id, file
    /// capabilities), and takes no orders from its environment: it cannot be spawned.
    ForeignRights,
    /// The function to be spawned is not in the program's own file.
    ForeignFunction,
    /// A spawned process could not run its function, for this reason, and ended with exit
    /// code 1. There is this error only if that process's standard error, where it gives
    /// the reason otherwise, is closed or `/dev/null`.
    FunctionNotRun(String),
    /// The system refused.
    System {
        /// The operation, to be read after "could not".
        what: &'static str,
        /// Its reason.
        source: io::Error,
    },
}

impl ProcessError {
    pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}

impl fmt::Display for ProcessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadyStarted => {
                "The process has already been started: make a new one for every start."
            }
            Self::DaemonAfterStart => {
                "The process has already been started: say that it is a daemon before."
            }
            Self::NotStarted => {
                "The process has not been started yet: call start first."
            }
            Self::Closed => {
                "The process was closed: ask for what you need before closing it."
            }
            Self::StillRunning => {
                "The process is still running: join or terminate it before closing it."
            }
            Self::JoinOneself => {
                "A process cannot join itself: it would wait for ever."
            }
            Self::NotAChild => {
                "The process is not a child of this one: only its parent can do that."
            }
            Self::DaemonHasNoChildren => {
                "A daemon cannot have children: start them from its parent."
            }
            Self::ThreadsRunning(1) => {
                "One other thread is running, and a fork could hang on a lock that it \
                 holds: start processes before threads, or start this one by spawn."
            }
            Self::ThreadsRunning(others) => {
                return write!(
                    f,
                    "{others} other threads are running, and a fork could hang on a \
                     lock that one of them holds: start processes before threads, or \
                     start this one by spawn."
                );
            }
            Self::NumbersLocked => {
                "This process holds the lock of a Value or Array, and a fork would hold it \
                 too: drop the guard before starting a process."
            }
            Self::Argument(error) => return write!(f, "The argument is refused: {error}."),
            Self::NoFreezeSupport => {
                "A spawned process would run main again: call freeze_support at its beginning."
            }
            Self::ForeignRights => {
                "This program runs with other rights than its caller's, and takes no \
                 orders from its environment: start processes by fork."
            }
            Self::ForeignFunction => {
                "The function is part of a library: name a function of the program that \
                 calls it."
            }
            Self::FunctionNotRun(why) => {
                return write!(f, "The process could not run its function: {why}.");
            }
            Self::System { what, source } => {
                return write!(f, "The system could not {what}: {}.", Reason(source));
            }
        })
    }
}

impl Error for ProcessError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Argument(error) => Some(error),
            Self::System { source, .. } => Some(source),
            _ => None,
        }
    }
}
