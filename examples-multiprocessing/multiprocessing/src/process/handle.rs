//! A process as its relatives see it.

use std::fmt;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpid, getppid};

use super::child::Child;
use super::identity::{self, AuthKey};
use super::{ProcessError, children};

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
    /// Only its parent has this.
    child: Option<Arc<Child>>,
}

impl ProcessHandle {
    /// The handle of a child.
    pub(super) fn of(child: Arc<Child>) -> Self {
        Self {
            name: child.name.clone(),
            pid: child.pid,
            daemon: child.daemon,
            authkey: child.authkey.clone(),
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

    /// Whether it has not ended yet. Always false for a process that is neither this
    /// one, its parent nor a child of it.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        match self.child() {
            Ok(child) => matches!(child.exitcode(), Ok(None)),
            Err(_) => self.pid == getpid() || self.pid == getppid(),
        }
    }

    /// How it ended: the code that it exited with, or the number of the signal that
    /// ended it, negative. `None` while it runs, and in any process but its
    /// parent.
    ///
    /// 255 if its status was taken elsewhere: the program ignores `SIGCHLD`, or waits
    /// for any child by a system call of its own. A program also ignores it that was started
    /// by one that does; `env --default-signal=CHLD PROGRAM` starts it otherwise.
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
    /// did not start; [`FunctionNotRun`](ProcessError::FunctionNotRun) if it has ended
    /// without running the function that it was spawned for and could not say why on its
    /// standard error.
    ///
    /// ```
    /// use multiprocessing::{ProcessError, current_process};
    ///
    /// let joined = current_process().join();
    /// assert!(matches!(joined, Err(ProcessError::JoinOneself)));
    /// ```
    pub fn join(&self) -> Result<(), ProcessError> {
        let child = self.child()?;
        child.join()?;
        children::remove(child);
        child.check_function()
    }

    /// Waits until it has ended, but no longer than this. Returns whether it has.
    ///
    /// # Errors
    ///
    /// Those of [`join`](Self::join).
    pub fn join_timeout(&self, timeout: Duration) -> Result<bool, ProcessError> {
        let Some(deadline) = Instant::now().checked_add(timeout) else {
            return self.join().map(|()| true);
        };
        let child = self.child()?;
        let ended = child.join_until(deadline)?;
        if ended {
            children::remove(child);
            child.check_function()?;
        }
        Ok(ended)
    }

    /// A descriptor that polls readable from the moment at which the process ends, for
    /// waiting for several at once.
    ///
    /// # Errors
    ///
    /// [`NotAChild`](ProcessError::NotAChild) unless the calling process started it, or
    /// the system's refusal of a further descriptor.
    pub fn sentinel(&self) -> Result<BorrowedFd<'_>, ProcessError> {
        self.child()?.sentinel()
    }

    /// Asks it to end: SIGTERM, on which a process ends unless it handles that signal.
    /// Nothing happens if it has ended already. Its own children end too.
    ///
    /// # Errors
    ///
    /// [`NotAChild`](ProcessError::NotAChild) unless the calling process started it,
    /// or the system's refusal if it now belongs to another user.
    pub fn terminate(&self) -> Result<(), ProcessError> {
        self.child()?.send(Signal::SIGTERM)
    }

    /// Ends it: SIGKILL, which no process can handle.
    ///
    /// # Errors
    ///
    /// Those of [`terminate`](Self::terminate).
    pub fn kill(&self) -> Result<(), ProcessError> {
        self.child()?.send(Signal::SIGKILL)
    }

    /// Sends it a signal that the two have agreed on.
    pub(crate) fn notify(&self, signal: Signal) -> Result<(), ProcessError> {
        self.child()?.send(signal)
    }

    /// The child, if the calling process is its parent.
    fn child(&self) -> Result<&Arc<Child>, ProcessError> {
        match &self.child {
            Some(child) if child.is_mine() => Ok(child),
            _ if self.pid == getpid() => Err(ProcessError::JoinOneself),
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
/// use multiprocessing::current_process;
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

/// The process that started the calling one, or `None` in the first process:
/// Python's
/// [`parent_process`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.parent_process).
///
/// ```
/// assert!(multiprocessing::parent_process().is_none());
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
/// assert!(multiprocessing::active_children().is_empty());
/// ```
#[must_use]
pub fn active_children() -> Vec<ProcessHandle> {
    let children = children::active();
    children.into_iter().map(ProcessHandle::of).collect()
}

/// Sets the key of the calling process and of all that it creates from now on:
/// Python's assignment to `current_process().authkey`.
///
/// A managed proxy that arrives in a process connects to its server with this key.
///
/// ```
/// use multiprocessing::{current_process, set_authkey};
///
/// set_authkey("abc");
/// assert_eq!(current_process().authkey().as_bytes(), b"abc");
/// ```
pub fn set_authkey(authkey: impl Into<AuthKey>) {
    identity::lock().authkey = authkey.into();
}
