//! A deadline for tests of what may wait for ever.

use std::io::{self, Write};
use std::process;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Far beyond what any test takes, so that only a hang meets it.
const DEADLINE: Duration = Duration::from_mins(1);

/// Acts after a minute unless it is dropped before.
#[derive(Debug)]
pub struct Watchdog {
    /// Dropped with this value, by which the thread learns that the test is over.
    _leash: Sender<()>,
}

impl Watchdog {
    /// Ends the test process, with the name of the test that called this.
    #[must_use]
    pub fn start() -> Self {
        let test = thread::current().name().unwrap_or("a test").to_owned();
        Self::after_a_minute(move || {
            // Not by `eprintln`: what that prints in a test is kept for the test's end.
            writeln!(io::stderr(), "{test} hangs").ok();
            process::exit(1);
        })
    }

    /// Kills a child that the test itself reads from and reaps. Reading then ends, and
    /// the exit status names SIGKILL.
    #[must_use]
    pub fn over(child: Pid) -> Self {
        Self::after_a_minute(move || {
            kill(child, Signal::SIGKILL).expect("our own child, not yet reaped");
        })
    }

    fn after_a_minute(act: impl FnOnce() + Send + 'static) -> Self {
        let (leash, dropped) = mpsc::channel();
        thread::spawn(move || {
            if dropped.recv_timeout(DEADLINE) == Err(RecvTimeoutError::Timeout) {
                act();
            }
        });
        Self { _leash: leash }
    }
}
