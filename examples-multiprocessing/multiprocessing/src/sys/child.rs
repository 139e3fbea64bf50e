//! Waiting for a child by its id or by a descriptor.
#![allow(
    unsafe_code,
    reason = "nix has no pidfds and no real-time signal's number"
)]

use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;

use super::descriptor::above_standard;

/// How a process ended, as the system reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// By itself, with this code.
    Exited(i32),
    /// By the signal of this number.
    Signaled(i32),
    /// It has ended, and its exit status was taken elsewhere: `SIGCHLD` is ignored, or
    /// another part of the program waits for any child.
    Unknown,
}

/// What happens to a child that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// It is reaped, and its id may come to mean another process.
    Reap,
    /// It stays, a zombie, and keeps its id.
    Leave,
}

/// How this child of the calling process ended; `None` while it runs.
pub(crate) fn end_of(child: Pid, then: Then) -> io::Result<Option<End>> {
    let end = waitid(child, libc::WNOHANG, Then::Leave)?;
    if end.is_some() && then == Then::Reap {
        // Only an end may be taken: a stop is news for whoever traces the child.
        return waitid(child, libc::WNOHANG, Then::Reap);
    }
    Ok(end)
}

/// Waits until this child of the calling process has ended, and leaves it.
pub(crate) fn wait_for(child: Pid) -> io::Result<()> {
    if waitid(child, 0, Then::Leave)?.is_none() {
        // This process traces the child, which has stopped. Its pidfd is readable at
        // its end alone.
        readable(sentinel(child)?, None)?;
    }
    Ok(())
}

fn waitid(child: Pid, flags: i32, then: Then) -> io::Result<Option<End>> {
    let flags = flags
        | libc::WEXITED
        | match then {
            Then::Reap => 0,
            Then::Leave => libc::WNOWAIT,
        };
    let id = child.as_raw().cast_unsigned();
    // SAFETY: `siginfo_t` is plain numbers, for which all zero is a value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: `info` is a place for the answer that outlives the call.
        let waited = unsafe { libc::waitid(libc::P_PID, id, &raw mut info, flags) };
        match Errno::result(waited) {
            Ok(_) => break,
            // A child stays a zombie until it is reaped: no end can be missed between
            // two calls.
            Err(Errno::EINTR) => {}
            Err(Errno::ECHILD) => return Ok(Some(End::Unknown)),
            Err(error) => return Err(error.into()),
        }
    }
    // SAFETY: `waitid` has filled in the fields of a SIGCHLD, or left them zero.
    let pid = unsafe { info.si_pid() };
    // SAFETY: as above.
    let status = unsafe { info.si_status() };
    Ok(match (pid, info.si_code) {
        (0, _) => None,
        (_, libc::CLD_EXITED) => Some(End::Exited(status)),
        (_, libc::CLD_KILLED | libc::CLD_DUMPED) => Some(End::Signaled(status)),
        // A child that this process traces has stopped, which is reported unasked.
        _ => None,
    })
}

/// A descriptor, closed on exec, that polls readable once this process has ended. The
/// process must be a child that was not reaped yet: its id is surely its own.
pub(crate) fn sentinel(child: Pid) -> io::Result<OwnedFd> {
    let no_flags = 0;
    // SAFETY: takes two numbers and touches no memory of this process.
    let fd =
        unsafe { libc::syscall(libc::SYS_pidfd_open, child.as_raw(), no_flags) };
    let fd = Errno::result(fd)?;
    // A descriptor is a C int.
    let fd = libc::c_int::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the system has just made this descriptor, for nobody else.
    above_standard(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Waits until the descriptor is readable, at most until the deadline. Returns whether
/// it is.
pub(crate) fn readable(
    fd: impl AsFd,
    deadline: Option<Instant>,
) -> io::Result<bool> {
    loop {
        let timeout = match deadline {
            None => PollTimeout::NONE,
            Some(deadline) => {
                // Rounded up, so that the last millisecond is not spent in a busy loop.
                let left = deadline.saturating_duration_since(Instant::now())
                    + Duration::from_nanos(999_999);
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            }
        };
        let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, timeout) {
            Ok(0) if deadline.is_some_and(|at| Instant::now() >= at) => {
                return Ok(false);
            }
            // A sentinel stays readable: no end can be missed between two calls.
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}
