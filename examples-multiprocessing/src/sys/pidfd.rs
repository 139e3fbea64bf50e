//! A descriptor for a process, which unlike its number cannot come to mean another.
#![allow(unsafe_code, reason = "neither std nor nix has pidfds")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// How a process ended, as the system tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// By itself, with this code.
    Exited(i32),
    /// By the signal of this number.
    Signaled(i32),
    /// It has ended, and somebody else has taken its exit status: `SIGCHLD` is
    /// ignored, or another part of the program waits for any child.
    Unknown,
}

/// A process's descriptor. It polls readable once the process has ended.
#[derive(Debug)]
pub(crate) struct PidFd(OwnedFd);

impl PidFd {
    /// Opens a descriptor, closed on exec, for a process that surely exists: a child
    /// that was not waited for yet.
    pub(crate) fn open(pid: Pid) -> io::Result<Self> {
        let no_flags = 0;
        // SAFETY: takes two numbers and touches no memory of this process.
        let fd =
            unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), no_flags) };
        let fd = Errno::result(fd)?;
        // A descriptor is a C int.
        let fd = libc::c_int::try_from(fd).map_err(io::Error::other)?;
        // SAFETY: the system has just made this descriptor, for nobody else.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Sends a signal. A process that has ended already takes no notice.
    pub(crate) fn send(&self, signal: Signal) -> io::Result<()> {
        let no_info = std::ptr::null::<libc::siginfo_t>();
        let no_flags = 0;
        // SAFETY: the descriptor is open, and a null pointer says that the system is
        // to fill in the information itself.
        let sent = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.0.as_raw_fd(),
                signal as libc::c_int,
                no_info,
                no_flags,
            )
        };
        match Errno::result(sent) {
            Ok(_) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until the process has ended, at most until the deadline. Returns whether
    /// it has.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> io::Result<bool> {
        // No wake-up can be lost: the descriptor stays readable from the end on.
        loop {
            let timeout = match deadline {
                None => PollTimeout::NONE,
                Some(deadline) => {
                    // Rounded up, lest the last millisecond be spent in a busy loop.
                    let left = deadline.saturating_duration_since(Instant::now())
                        + Duration::from_nanos(999_999);
                    PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
                }
            };
            let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, timeout) {
                Ok(0) if deadline.is_some_and(|at| Instant::now() >= at) => {
                    return Ok(false);
                }
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reaps the process, a child of the caller, if it has ended.
    pub(crate) fn reap(&self) -> io::Result<Option<End>> {
        // SAFETY: `siginfo_t` is plain numbers, for which all zero is a value.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let fd = self.0.as_raw_fd().cast_unsigned();
        let flags = libc::WEXITED | libc::WNOHANG;
        // SAFETY: `info` is a place for the answer that outlives the call.
        let waited =
            unsafe { libc::waitid(libc::P_PIDFD, fd, &raw mut info, flags) };
        match Errno::result(waited) {
            Ok(_) => {}
            Err(Errno::ECHILD) => return Ok(Some(End::Unknown)),
            Err(error) => return Err(error.into()),
        }
        // SAFETY: `waitid` has filled in the fields of a SIGCHLD, or left them zero.
        let pid = unsafe { info.si_pid() };
        // SAFETY: as above.
        let status = unsafe { info.si_status() };
        Ok(match (pid, info.si_code) {
            (0, _) => None,
            (_, libc::CLD_EXITED) => Some(End::Exited(status)),
            _ => Some(End::Signaled(status)),
        })
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
