//! A process as its relatives see it.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, thread};

use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpid, getppid};

use super::identity::{self, AuthKey};
use super::{ProcessError, children};
use crate::sys::pidfd::{End, PidFd};

/// A process that runs or has run: a child, the parent, or the calling process itself.
///
/// What [`active_children`], [`parent_process`] and [`current_process`] give, and
/// [`Process::handle`](super::Process::handle). Copies of a handle mean the same
/// process. Dropping one does nothing to the process.
#[derive(Clone)]
pub struct ProcessHandle {
    name: String,
    pid: Pid,
    daemon: bool,
    authkey: AuthKey,
    /// What only its parent has.
    child: Option<Arc<Child>>,
}

/// A child, for those who may wait for it.
#[derive(Debug)]
pub(super) struct Child {
    /// Who may wait for it. A fork copies this handle into processes that may not.
    pub(super) parent: Pid,
    pub(super) pidfd: PidFd,
    /// Its exit code, once it was reaped. Locked while it is, so that whoever finds
    /// it reaped by another thread also finds the code.
    exitcode: Mutex<Option<i32>>,
}

/// The exit code of a process whose real one somebody else has taken.
const UNKNOWN: i32 = 255;

impl Child {
    pub(super) fn new(parent: Pid, pidfd: PidFd) -> Self {
        Self {
            parent,
            pidfd,
            exitcode: Mutex::new(None),
        }
    }

    /// Its exit code if it has ended. Reaps it then.
    fn exitcode(&self) -> Result<Option<i32>, ProcessError> {
        // Nothing that can panic runs under the lock.
        let mut exitcode =
            self.exitcode.lock().unwrap_or_else(PoisonError::into_inner);
        if exitcode.is_none() {
            let end = self.pidfd.reap();
            let end = end.map_err(ProcessError::system("ask for the exit code"))?;
            *exitcode = end.map(|end| match end {
                End::Exited(code) => code,
                End::Signaled(signal) => -signal,
                End::Unknown => UNKNOWN,
            });
        }
        Ok(*exitcode)
    }
}

impl ProcessHandle {
    pub(super) fn of_child(
        pid: Pid,
        identity: identity::Identity,
        child: Arc<Child>,
    ) -> Self {
        Self {
            name: identity.name,
            pid,
            daemon: identity.daemon,
            authkey: identity.authkey,
            child: Some(child),
        }
    }

    /// Its name. It says nothing to the system and need not be unique.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id. After a child was joined, the system may give the same id to
    /// another process.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Whether it is ended with its parent instead of waited for.
    #[must_use]
    pub fn daemon(&self) -> bool {
        self.daemon
    }

    /// The key that it shares with its relatives.
    #[must_use]
    pub fn authkey(&self) -> &AuthKey {
        &self.authkey
    }

    /// Whether it has not ended yet. Of a process that is neither this one, its parent
    /// nor a child of it, always no.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        match self.child() {
            Ok(child) => matches!(child.exitcode(), Ok(None)),
            Err(_) => self.pid == getpid() || self.pid == getppid(),
        }
    }

    /// How it ended: the code that it exited with, or the number of the signal that
    /// ended it, negative. Nothing while it runs, and nothing to anybody but its
    /// parent.
    ///
    /// 255 where somebody else has taken its status: the program ignores `SIGCHLD`,
    /// or waits for any child by a system call of its own.
    #[must_use]
    pub fn exitcode(&self) -> Option<i32> {
        self.child().ok()?.exitcode().ok()?
    }

    /// Waits until it has ended, and reaps it.
    ///
    /// # Errors
    ///
    /// [`JoinOneself`](ProcessError::JoinOneself) for the calling process,
    /// [`NotAChild`](ProcessError::NotAChild) for any other that the calling process
    /// did not start.
    ///
    /// ```
    /// use examples_multiprocessing::{ProcessError, current_process};
    ///
    /// let joined = current_process().join();
    /// assert!(matches!(joined, Err(ProcessError::JoinOneself)));
    /// ```
    pub fn join(&self) -> Result<(), ProcessError> {
        self.wait(None).map(|_ended| ())
    }

    /// Waits until it has ended, but no longer than this. Returns whether it has.
    ///
    /// # Errors
    ///
    /// Those of [`join`](Self::join).
    pub fn join_timeout(&self, timeout: Duration) -> Result<bool, ProcessError> {
        // A time-out beyond what the clock can count is none.
        self.wait(Instant::now().checked_add(timeout))
    }

    fn wait(&self, deadline: Option<Instant>) -> Result<bool, ProcessError> {
        let child = self.child()?;
        let ended = child.pidfd.wait(deadline);
        if !ended.map_err(ProcessError::system("wait for a process"))? {
            return Ok(false);
        }
        // The descriptor says so a moment before the system lets the child be reaped
        // only while another process traces it.
        while child.exitcode()?.is_none() {
            thread::sleep(Duration::from_millis(1));
        }
        children::forget(child);
        Ok(true)
    }

    /// A descriptor that polls readable from the moment on at which the process ends:
    /// to wait for several at once.
    ///
    /// # Errors
    ///
    /// [`NotAChild`](ProcessError::NotAChild) unless the calling process started it.
    pub fn sentinel(&self) -> Result<BorrowedFd<'_>, ProcessError> {
        Ok(self.child()?.pidfd.as_fd())
    }

    /// Asks it to end: SIGTERM, on which a process ends unless it handles that signal.
    /// A process that has ended already takes no notice. Its own children end too.
    ///
    /// # Errors
    ///
    /// [`NotAChild`](ProcessError::NotAChild) unless the calling process started it,
    /// or the system's refusal where it now belongs to another user.
    pub fn terminate(&self) -> Result<(), ProcessError> {
        self.send(Signal::SIGTERM)
    }

    /// Ends it: SIGKILL, which no process can handle.
    ///
    /// # Errors
    ///
    /// Those of [`terminate`](Self::terminate).
    pub fn kill(&self) -> Result<(), ProcessError> {
        self.send(Signal::SIGKILL)
    }

    fn send(&self, signal: Signal) -> Result<(), ProcessError> {
        let sent = self.child()?.pidfd.send(signal);
        sent.map_err(ProcessError::system("signal a process"))
    }

    /// What only the parent has, if this is the parent.
    pub(super) fn child(&self) -> Result<&Arc<Child>, ProcessError> {
        let here = getpid();
        match &self.child {
            Some(child) if child.parent == here => Ok(child),
            _ if self.pid == here => Err(ProcessError::JoinOneself),
            _ => Err(ProcessError::NotAChild),
        }
    }
}

impl fmt::Debug for ProcessHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessHandle")
            .field("name", &self.name)
            .field("pid", &self.pid())
            .field("daemon", &self.daemon)
            .field("exitcode", &self.exitcode())
            .finish_non_exhaustive()
    }
}

/// The calling process: Python's
/// [`current_process`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.current_process).
///
/// ```
/// use examples_multiprocessing::current_process;
///
/// assert_eq!(current_process().name(), "MainProcess");
/// ```
#[must_use]
pub fn current_process() -> ProcessHandle {
    let identity = identity::lock();
    ProcessHandle {
        name: identity.name.clone(),
        pid: getpid(),
        daemon: identity.daemon,
        authkey: identity.authkey.clone(),
        child: None,
    }
}

/// The process that started the calling one, or nothing in the first of the family:
/// Python's
/// [`parent_process`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.parent_process).
///
/// ```
/// assert!(examples_multiprocessing::parent_process().is_none());
/// ```
#[must_use]
pub fn parent_process() -> Option<ProcessHandle> {
    let identity = identity::lock();
    let (name, pid) = identity.parent.clone()?;
    Some(ProcessHandle {
        name,
        pid,
        // A daemon has no children.
        daemon: false,
        authkey: identity.authkey.clone(),
        child: None,
    })
}

/// The children of the calling process that run, daemons included; reaps those that
/// have ended: Python's
/// [`active_children`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.active_children).
///
/// ```
/// assert!(examples_multiprocessing::active_children().is_empty());
/// ```
#[must_use]
pub fn active_children() -> Vec<ProcessHandle> {
    children::active()
}

/// Sets the key of the calling process and of all that it creates from now on:
/// Python's assignment to `current_process().authkey`.
///
/// ```
/// use examples_multiprocessing::{current_process, set_authkey};
///
/// set_authkey("abc");
/// assert_eq!(current_process().authkey().as_bytes(), b"abc");
/// ```
pub fn set_authkey(authkey: impl Into<AuthKey>) {
    identity::lock().authkey = authkey.into();
}
