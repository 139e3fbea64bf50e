//! Ends a child that hangs, for tests that read from it themselves.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Far beyond what any test takes, so that only a hang meets it.
const DEADLINE: Duration = Duration::from_mins(1);

/// Kills the process unless it is dropped in time. Reading from the child then ends,
/// and its exit status tells SIGKILL.
pub(crate) struct Watchdog {
    _alive: Sender<()>,
}

impl Watchdog {
    pub(crate) fn over(pid: Pid) -> Self {
        let (alive, dropped) = mpsc::channel();
        thread::spawn(move || {
            if dropped.recv_timeout(DEADLINE) == Err(RecvTimeoutError::Timeout) {
                kill(pid, Signal::SIGKILL).expect("our own child, not yet reaped");
            }
        });
        Self { _alive: alive }
    }
}
