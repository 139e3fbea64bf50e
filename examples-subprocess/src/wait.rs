//! Waiting for a child until a deadline, without polling where the system allows it.

use std::io;
use std::process::{Child, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::Timespec;

/// The moment at which a call stops waiting.
#[derive(Clone, Copy)]
pub(crate) enum Deadline {
    Never,
    At(Instant),
}

impl Deadline {
    /// This long from now. A moment that the clock cannot represent never comes.
    pub(crate) fn after(timeout: Duration) -> Self {
        Instant::now()
            .checked_add(timeout)
            .map_or(Self::Never, Self::At)
    }

    pub(crate) fn has_passed(self) -> bool {
        matches!(self, Self::At(moment) if moment <= Instant::now())
    }

    /// The time left, as `poll` wants it; `None` if there is no limit.
    pub(crate) fn time_left(self) -> Option<Timespec> {
        let Self::At(moment) = self else { return None };
        moment
            .saturating_duration_since(Instant::now())
            .try_into()
            .ok()
    }
}

/// Waits for the end of a child and reaps it; `None` if it still runs at the deadline.
#[cfg(target_os = "linux")]
pub(crate) fn wait_until(
    child: &mut Child,
    deadline: Deadline,
) -> io::Result<Option<ExitStatus>> {
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::io::Errno;
    use rustix::process::{Pid, PidfdFlags, pidfd_open};

    let Deadline::At(moment) = deadline else {
        return child.wait().map(Some);
    };
    if let Some(status) = child.try_wait()? {
        return Ok(Some(status));
    }
    // The child is not reaped yet, so the id is still its own, even if it has just
    // ended. An end between here and the `poll` is not lost either: the descriptor of a
    // process that has ended is readable at once.
    let pidfd = match pidfd_open(Pid::from_child(child), PidfdFlags::empty()) {
        // There is no descriptor left. The time-out must hold nevertheless.
        Err(Errno::MFILE | Errno::NFILE) => return ask_until(child, moment),
        pidfd => pidfd?,
    };
    loop {
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
        match poll(&mut fds, deadline.time_left().as_ref()) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return child.try_wait(),
        }
    }
}

/// Waits for the end of a child and reaps it; `None` if it still runs at the deadline. Only
/// Linux has descriptors of processes.
#[cfg(not(target_os = "linux"))]
pub(crate) fn wait_until(
    child: &mut Child,
    deadline: Deadline,
) -> io::Result<Option<ExitStatus>> {
    match deadline {
        Deadline::Never => child.wait().map(Some),
        Deadline::At(moment) => ask_until(child, moment),
    }
}

/// Does the same without a descriptor: asks at growing intervals, as Python does.
fn ask_until(child: &mut Child, moment: Instant) -> io::Result<Option<ExitStatus>> {
    let mut interval = Duration::from_micros(500);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let left = moment.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        thread::sleep(interval.min(left));
        interval = (interval * 2).min(Duration::from_millis(50));
    }
}
