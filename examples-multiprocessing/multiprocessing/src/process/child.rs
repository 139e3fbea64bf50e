//! A child as its parent has it: waiting for it, reaping it, signalling it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, OnceLock};
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::signal::{self, Signal};
use nix::unistd::{Pid, getpid};

use super::ProcessError;
use super::identity::{AuthKey, Identity};
use crate::poison::lock_unpoisoned;
use crate::sys::child::{self, End, Then};
use crate::sys::fork::nothing;
use crate::sys::spawn;

/// A child that was started.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) name: String,
    pub(super) daemon: bool,
    pub(super) authkey: AuthKey,
    pub(super) pid: Pid,
    /// The only process that may wait for it. A fork copies this into others.
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
    /// The number of threads that wait for the child by its id. A thread that finds the
    /// child ended leaves the reaping to the last of them.
    waiting: u32,
    reaped: bool,
    /// A spawned child is killed when the last copy of this is closed.
    lifeline: Option<OwnedFd>,
    /// Why the child did not run the function that it was spawned for.
    refusal: Option<String>,
}

/// The exit code of a spawned process that could not run its function, among others.
const REFUSED: i32 = 1;

/// The exit code of a process whose real one was taken by another part of the program.
const UNKNOWN: i32 = 255;

impl Child {
    /// A child of the calling process, just started.
    pub(super) fn new(
        pid: Pid,
        identity: Identity,
        lifeline: Option<OwnedFd>,
    ) -> Self {
        Self {
            name: identity.name,
            daemon: identity.daemon,
            authkey: identity.authkey,
            pid,
            parent: getpid(),
            life: Mutex::new(Life {
                exitcode: None,
                waiting: 0,
                reaped: false,
                lifeline,
                refusal: None,
            }),
            sentinel: OnceLock::new(),
        }
    }

    /// Whether the calling process started it.
    pub(super) fn is_mine(&self) -> bool {
        self.parent == getpid()
    }

    /// Its exit code if it has ended. Reaps it then.
    pub(super) fn exitcode(&self) -> Result<Option<i32>, ProcessError> {
        self.check(&mut lock_unpoisoned(&self.life))
    }

    fn check(&self, life: &mut Life) -> Result<Option<i32>, ProcessError> {
        if !life.reaped {
            let then = match life.waiting {
                0 => Then::Reap,
                _ => Then::Leave,
            };
            let end = child::end_of(self.pid, then);
            let end = end.map_err(ProcessError::system("ask for the exit code"))?;
            life.reaped = end.is_some() && then == Then::Reap;
            if let Some(end) = end
                && let Some(lifeline) = life.lifeline.take()
                && end == End::Exited(REFUSED)
            {
                life.refusal = spawn::refusal(&lifeline);
            }
            life.exitcode = end.map(|end| match end {
                End::Exited(code) => code,
                End::Signaled(signal) => -signal,
                End::Unknown => UNKNOWN,
            });
        }
        Ok(life.exitcode)
    }

    /// Waits until it has ended, and reaps it.
    pub(super) fn join(&self) -> Result<(), ProcessError> {
        let mut life = lock_unpoisoned(&self.life);
        if life.reaped {
            return Ok(());
        }
        life.waiting += 1;
        drop(life);
        // Nobody reaps the child between the unlock and the wait, since `waiting` is
        // not 0.
        let waited = child::wait_for(self.pid);
        let mut life = lock_unpoisoned(&self.life);
        life.waiting -= 1;
        waited.map_err(ProcessError::system("wait for a process"))?;
        self.check(&mut life).map(|_exitcode| ())
    }

    /// Of a child that has ended: an error if it could not run its function.
    pub(super) fn check_function(&self) -> Result<(), ProcessError> {
        match &lock_unpoisoned(&self.life).refusal {
            Some(why) => Err(ProcessError::FunctionNotRun(why.clone())),
            None => Ok(()),
        }
    }

    /// Waits until it has ended, but no longer than until then. Returns whether it has.
    pub(super) fn join_until(
        &self,
        deadline: Instant,
    ) -> Result<bool, ProcessError> {
        let ended = child::readable(self.sentinel()?, Some(deadline));
        if !ended.map_err(ProcessError::system("wait for a process"))? {
            return Ok(false);
        }
        self.join().map(|()| true)
    }

    /// A descriptor that polls readable once the child has ended.
    pub(super) fn sentinel(&self) -> Result<BorrowedFd<'_>, ProcessError> {
        let mut life = lock_unpoisoned(&self.life);
        let sentinel = if let Some(sentinel) = self.sentinel.get() {
            sentinel
        } else {
            let fd = if self.check(&mut life)?.is_some() {
                // Always readable, as the sentinel of a process that has ended is.
                nothing()
            } else {
                child::sentinel(self.pid)
            };
            let fd = fd.map_err(ProcessError::system("watch a process"))?;
            self.sentinel.get_or_init(|| fd)
        };
        Ok(sentinel.as_fd())
    }

    /// Sends it a signal, unless it has ended.
    pub(super) fn send(&self, signal: Signal) -> Result<(), ProcessError> {
        let mut life = lock_unpoisoned(&self.life);
        // If the program ignores SIGCHLD, the system itself reaps a child, and its id
        // may be a stranger's by now: the check says so.
        if self.check(&mut life)?.is_some() {
            return Ok(());
        }
        match signal::kill(self.pid, signal) {
            // ESRCH: another part of the program has reaped it.
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => {
                Err(ProcessError::system("signal a process")(error.into()))
            }
        }
    }

    /// In a fork of the parent: closes the lifeline, which must be open in the parent
    /// alone.
    pub(super) fn close_lifeline(&self) {
        lock_unpoisoned(&self.life).lifeline = None;
    }
}
