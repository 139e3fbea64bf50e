//! What the types that wait have in common.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::managers::managed::{Caller, Unmet};
use crate::managers::pickle::Exception;

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
        // Nothing that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and lets everybody who waits look at it.
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
    ) -> Result<T, Unmet> {
        caller.wait(timeout, |patience| {
            let mut done = None;
            // A change between the look and the wait is not lost: it needs the lock,
            // which is given up only by waiting.
            let _state = self
                .changed
                .wait_timeout_while(self.lock(), patience, |state| {
                    done = attempt(state);
                    done.is_none()
                })
                .unwrap_or_else(PoisonError::into_inner);
            done
        })
    }
}

/// For a call that nobody waits for the end of any more.
pub(super) fn gone() -> Exception {
    Exception::runtime_error("the client has vanished")
}
