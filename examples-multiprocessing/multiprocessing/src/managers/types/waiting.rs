//! What the types that wait have in common.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use crate::managers::convert::WrongType;
use crate::managers::managed::{Caller, WaitError};
use crate::managers::pickle::{Exception, Value};
use crate::poison::lock_unpoisoned;

/// A state that callers wait for a change of.
#[derive(Debug, Default)]
pub(super) struct Monitor<S> {
    state: Mutex<S>,
    changed: Condvar,
}

impl<S> Monitor<S> {
    pub(super) fn new(state: S) -> Self {
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, S> {
        lock_unpoisoned(&self.state)
    }

    /// Changes the state and wakes all callers that wait.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut S) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// Waits until `attempt`, which may change the state, gives something.
    pub(super) fn wait<T>(
        &self,
        caller: &Caller,
        timeout: Option<Duration>,
        mut attempt: impl FnMut(&mut S) -> Option<T>,
    ) -> Result<T, WaitError> {
        caller.wait(timeout, |patience| {
            let mut done = None;
            // The wake-up of a change between the check and the wait is not lost: a
            // change needs the lock, which only waiting gives up.
            let state =
                self.changed
                    .wait_timeout_while(self.lock(), patience, |state| {
                        done = attempt(state);
                        done.is_none()
                    });
            drop(state);
            done
        })
    }
}

/// For a call whose client is no longer there to receive the end.
pub(super) fn gone() -> Exception {
    Exception::runtime_error("the client has vanished")
}

/// A number of seconds, which must not be NaN.
pub(super) fn number_of_seconds(value: Value) -> Result<f64, Exception> {
    let seconds = match &value {
        Value::Float(seconds) => *seconds,
        Value::Int(seconds) => *seconds as f64,
        Value::Bool(seconds) => f64::from(*seconds),
        Value::BigInt(_) => return Err(too_large()),
        other => return Err(WrongType::new("a number of seconds", other).into()),
    };
    if seconds.is_nan() {
        return Err(Exception::value_error("Invalid value NaN (not a number)"));
    }
    Ok(seconds)
}

/// A time-out, or `None` to wait for ever. One that has passed already is zero.
pub(super) fn timeout(value: Option<Value>) -> Result<Option<Duration>, Exception> {
    match value {
        None | Some(Value::None) => Ok(None),
        Some(value) => within_clock(number_of_seconds(value)?.max(0.0)).map(Some),
    }
}

/// This number of seconds, if Python's clock can count it.
pub(super) fn within_clock(seconds: f64) -> Result<Duration, Exception> {
    // `threading.TIMEOUT_MAX`: 2^63 nanoseconds.
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if seconds < 9_223_372_037.0 => Ok(duration),
        _ => Err(too_large()),
    }
}

fn too_large() -> Exception {
    Exception::overflow_error("timeout value is too large")
}
