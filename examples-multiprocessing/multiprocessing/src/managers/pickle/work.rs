//! How much one request may compute.
//!
//! An object is locked while values in it are compared, so that every other client of it
//! waits. The steps of a request are counted, and one that has taken too many, or too
//! long, ends with an exception. So does one whose client has gone. A step is about as
//! much as the comparison of two small values.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Weak};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use super::value::Exception;
use crate::managers::wire::Stream;

/// The most steps of one request.
const MAX_STEPS: u64 = 20_000_000;

/// The most time that a request may compute, in the processor's time of its thread: what
/// other programs take of the machine is not the request's fault.
const MAX_TIME: Duration = Duration::from_secs(2);

/// The number of steps between two checks of the clock and of the client.
const CHECK_INTERVAL: u64 = 1 << 15;

thread_local! {
    static WORK: Work = const { Work::unlimited() };
}

/// The work of a thread's request.
struct Work {
    /// The steps until the next check.
    until_check: Cell<u64>,
    /// The steps that are allowed after these.
    left: Cell<u64>,
    /// The thread's time at the first check, which most requests never reach.
    started: Cell<Option<Duration>>,
    /// The client that the thread serves.
    client: RefCell<Weak<Stream>>,
}

impl Work {
    const fn unlimited() -> Self {
        Self {
            until_check: Cell::new(u64::MAX),
            left: Cell::new(0),
            started: Cell::new(None),
            client: RefCell::new(Weak::new()),
        }
    }

    fn begin(&self) {
        self.until_check.set(CHECK_INTERVAL);
        self.left.set(MAX_STEPS - CHECK_INTERVAL);
        self.started.set(None);
    }

    fn take(&self, steps: u64) -> Result<(), Exception> {
        match self.until_check.get().checked_sub(steps) {
            Some(until_check) => {
                self.until_check.set(until_check);
                Ok(())
            }
            None => self.check(steps),
        }
    }

    fn check(&self, steps: u64) -> Result<(), Exception> {
        let left = self.until_check.get().saturating_add(self.left.get());
        let left = left.checked_sub(steps).ok_or_else(too_much)?;
        if self.is_abandoned() {
            return Err(Exception::new("builtins", "ConnectionError", Vec::new()));
        }
        let now = processor_time();
        let started = self.started.get().unwrap_or(now);
        self.started.set(Some(started));
        if now.saturating_sub(started) > MAX_TIME {
            // A request that catches this gets no further.
            self.until_check.set(0);
            self.left.set(0);
            return Err(too_much());
        }
        let until_check = left.min(CHECK_INTERVAL);
        self.until_check.set(until_check);
        self.left.set(left - until_check);
        Ok(())
    }

    fn is_abandoned(&self) -> bool {
        let client = self.client.borrow().upgrade();
        client.is_some_and(|client| client.is_closed())
    }
}

/// How long this thread has computed. Without such a clock only the steps count.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .map(Duration::from)
        .unwrap_or_default()
}

fn too_much() -> Exception {
    Exception::new(
        "builtins",
        "TimeoutError",
        vec![
            "the request computes more than a manager's server allows: compare fewer or \
             smaller values"
                .into(),
        ],
    )
}

/// From now on this thread works for this client only: its requests end soon after the
/// client has gone.
pub(in crate::managers) fn work_for(client: &Arc<Stream>) {
    WORK.with(|work| work.client.replace(Arc::downgrade(client)));
}

/// Gives the request that this thread is about to carry out its steps.
pub(in crate::managers) fn begin_request() {
    WORK.with(Work::begin);
}

/// Takes a step, and more if this many bytes are looked at.
///
/// # Errors
///
/// `TimeoutError` if the request has used up its steps or its time, `ConnectionError` if
/// its client has gone.
pub(super) fn step(bytes: usize) -> Result<(), Exception> {
    WORK.with(|work| work.take(1 + (bytes / 64) as u64))
}

/// Takes the steps for copying this many values.
///
/// # Errors
///
/// Those of [`step`].
pub(in crate::managers) fn charge_copy(values: usize) -> Result<(), Exception> {
    step(values.saturating_mul(size_of::<super::Value>()))
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;

    #[test]
    fn a_request_of_few_steps_that_take_long_is_an_error() {
        begin_request();
        let mut steps = 0;
        // Each lasts as long as some thousand should. All are half of what is allowed.
        while steps < MAX_STEPS / 2 {
            black_box((0..100_000_u64).map(black_box).sum::<u64>());
            if let Err(error) = step(64 * 1000) {
                assert_eq!(error.name(), "TimeoutError");
                return;
            }
            steps += 1001;
        }
        panic!("{steps} steps were taken");
    }
}
