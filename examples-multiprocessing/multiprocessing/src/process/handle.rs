//! A process as its relatives see it.

use std::fmt;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{self, Signal};
use nix::unistd::{Pid, getpid, getppid};

use super::identity::{self, AuthKey};
use super::{ProcessError, children};
use crate::sys::child::{self, End, Then};

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
    pid: Pid,
    /// Who may wait for it. A fork copies this handle into processes that may not.
    parent: Pid,
    life: Mutex<Life>,
    /// Made when somebody asks for it: most children are joined without.
    sentinel: OnceLock<OwnedFd>,
}

/// Locked while the child is reaped or signalled: only an unreaped child's id is surely
/// its own.
#[derive(Debug)]
struct Life {
    exitcode: Option<i32>,
    /// How many threads wait for the child by its id. Whoever finds that it has ended
    /// leaves the reaping to the last of them.
    waiting: u32,
    reaped: bool,
    /// A spawned child's: it is killed when the last copy of this is closed.
    lifeline: Option<OwnedFd>,
}

/// The exit code of a process whose real one somebody else has taken.
const UNKNOWN: i32 = 255;

impl Child {
    pub(super) fn new(pid: Pid, lifeline: Option<OwnedFd>) -> Self {
        Self {
            pid,
            parent: getpid(),
            life: Mutex::new(Life {
                exitcode: None,
                waiting: 0,
                reaped: false,
                lifeline,
            }),
            sentinel: OnceLock::new(),
        }
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        // Nothing that can panic runs under the lock.
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its exit code if it has ended. Reaps it then.
    fn exitcode(&self) -> Result<Option<i32>, ProcessError> {
        self.look(&mut self.life())
    }

    fn look(&self, life: &mut Life) -> Result<Option<i32>, ProcessError> {
        if !life.reaped {
            let then = match life.waiting {
                0 => Then::Reap,
                _ => Then::Leave,
            };
            let end = child::end_of(self.pid, then);
            let end = end.map_err(ProcessError::system("ask for the exit code"))?;
            life.reaped = end.is_some() && then == Then::Reap;
            if end.is_some() {
                life.lifeline = None;
            }
            life.exitcode = end.map(|end| match end {
                End::Exited(code) => code,
                End::Signaled(signal) => -signal,
                End::Unknown => UNKNOWN,
            });
        }
        Ok(life.exitcode)
    }

    fn join(&self) -> Result<(), ProcessError> {
        let mut life = self.life();
        if life.reaped {
            return Ok(());
        }
        life.waiting += 1;
        drop(life);
        // Between the unlock and the wait nobody reaps the child, for it is waited for.
        let waited = child::wait_for(self.pid);
        let mut life = self.life();
        life.waiting -= 1;
        waited.map_err(ProcessError::system("wait for a process"))?;
        self.look(&mut life).map(|_exitcode| ())
    }

    fn join_until(&self, deadline: Instant) -> Result<bool, ProcessError> {
        let ended = child::readable(self.sentinel()?, Some(deadline));
        if !ended.map_err(ProcessError::system("wait for a process"))? {
            return Ok(false);
        }
        self.join().map(|()| true)
    }

    fn sentinel(&self) -> Result<BorrowedFd<'_>, ProcessError> {
        let mut life = self.life();
        if self.sentinel.get().is_none() {
            let fd = if self.look(&mut life)?.is_some() {
                // Always readable, as the sentinel of a process that has ended is.
                File::open("/dev/null").map(OwnedFd::from)
            } else {
                child::sentinel(self.pid)
            };
            let fd = fd.map_err(ProcessError::system("watch a process"))?;
            let _first_under_the_lock = self.sentinel.set(fd);
        }
        drop(life);
        Ok(self.sentinel.wait().as_fd())
    }

    fn send(&self, signal: Signal) -> Result<(), ProcessError> {
        let mut life = self.life();
        // Where the program ignores SIGCHLD, nobody but the system reaps a child, and
        // its id may be a stranger's by now.
        if self.look(&mut life)?.is_some() {
            return Ok(());
        }
        match signal::kill(self.pid, signal) {
            // Somebody else has reaped it.
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => {
                Err(ProcessError::system("signal a process")(error.into()))
            }
        }
    }
}

impl ProcessHandle {
    pub(super) fn of_child(
        pid: Pid,
        identity: identity::Identity,
        lifeline: Option<OwnedFd>,
    ) -> Self {
        Self {
            name: identity.name,
            pid,
            daemon: identity.daemon,
            authkey: identity.authkey,
            child: Some(Arc::new(Child::new(pid, lifeline))),
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
    /// use multiprocessing::{ProcessError, current_process};
    ///
    /// let joined = current_process().join();
    /// assert!(matches!(joined, Err(ProcessError::JoinOneself)));
    /// ```
    pub fn join(&self) -> Result<(), ProcessError> {
        let child = self.child()?;
        child.join()?;
        children::forget(child);
        Ok(())
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
            children::forget(child);
        }
        Ok(ended)
    }

    /// A descriptor that polls readable from the moment on at which the process ends:
    /// to wait for several at once.
    ///
    /// # Errors
    ///
    /// [`NotAChild`](ProcessError::NotAChild) unless the calling process started it, or
    /// the system's refusal of a descriptor more.
    pub fn sentinel(&self) -> Result<BorrowedFd<'_>, ProcessError> {
        self.child()?.sentinel()
    }

    /// Asks it to end: SIGTERM, on which a process ends unless it handles that signal.
    /// A process that has ended already takes no notice. Its own children end too.
    ///
    /// # Errors
    ///
    /// [`NotAChild`](ProcessError::NotAChild) unless the calling process started it,
    /// or the system's refusal where it now belongs to another user.
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

    /// In a fork of the parent: lets go of what ties the child to the life of whoever
    /// holds it.
    pub(super) fn let_go(&self) {
        if let Some(child) = &self.child {
            child.life().lifeline = None;
        }
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

/// The process that started the calling one, or nothing in the first of the family:
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
    children::active()
}

/// Sets the key of the calling process and of all that it creates from now on:
/// Python's assignment to `current_process().authkey`.
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
