//! No test of what may wait for ever is without a deadline.

use std::process;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

/// Far beyond what any test takes, so that only a hang meets it.
const DEADLINE: Duration = Duration::from_mins(1);

/// Ends the test process if the test that holds this hangs.
pub(crate) struct Watchdog {
    /// Closed with this value, which tells the thread that the test is over.
    _leash: Sender<()>,
}

impl Watchdog {
    pub(crate) fn start() -> Self {
        let test = thread::current().name().unwrap_or("a test").to_owned();
        let (leash, over) = mpsc::channel();
        thread::spawn(move || {
            if over.recv_timeout(DEADLINE) == Err(RecvTimeoutError::Timeout) {
                eprintln!("{test} hangs");
                process::exit(1);
            }
        });
        Self { _leash: leash }
    }
}
