//! Threads that sleep until something has changed.

use std::sync::PoisonError;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::{Duration, Instant};

use crossbeam_utils::Backoff;

use crate::sync::{
    AtomicUsize, Condvar, LOOKS_BEFORE_SLEEP, Mutex, MutexGuard, fence,
};

/// For how long a call may wait.
#[derive(Clone, Copy)]
pub(crate) enum Wait {
    Forever,
    AtMost(Duration),
}

/// Threads that wait until an attempt succeeds, and are told when to try again.
///
/// What they wait for is changed without a lock. So each side first makes its own step
/// known and then looks at the other's: a waiter counts itself and then tries; a thread
/// that changes something looks at the count afterwards. Because of the fence between the
/// two steps, on both sides, at least one of them sees the other.
pub(crate) struct Waiters {
    /// Held by a waiter from its last attempt until it sleeps, and by a thread that is
    /// about to wake it.
    lock: Mutex<()>,
    changed: Condvar,
    /// How many threads wait, so that a change for which none waits makes no system call.
    count: AtomicUsize,
}

impl Waiters {
    pub(crate) fn new() -> Self {
        Self {
            lock: Mutex::new(()),
            changed: Condvar::new(),
            count: AtomicUsize::new(0),
        }
    }

    /// Wakes one waiter to try again, after a change that lets one of them succeed.
    pub(crate) fn notify_one(&self) {
        self.notify(|| false);
    }

    /// Wakes all of them.
    pub(crate) fn notify_all(&self) {
        self.notify(|| true);
    }

    /// Wakes one of them, or all if `all` says so, which is asked after the change has
    /// been made known.
    pub(crate) fn notify(&self, all: impl FnOnce() -> bool) {
        if self.somebody_waits() {
            if all() {
                self.changed.notify_all();
            } else {
                self.changed.notify_one();
            }
        }
    }

    fn somebody_waits(&self) -> bool {
        fence(SeqCst);
        // A waiter that has tried in vain and does not sleep yet would miss the
        // notification. It holds the lock.
        self.count.load(Relaxed) > 0 && {
            drop(self.lock());
            true
        }
    }

    /// Tries until the attempt succeeds or the time is up. It may be tried once more
    /// than the time allows.
    pub(crate) fn wait_for<R>(
        &self,
        wait: Wait,
        mut attempt: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        if let Some(done) = attempt() {
            return Some(done);
        }
        let deadline = match wait {
            Wait::Forever => None,
            Wait::AtMost(Duration::ZERO) => return None,
            // A time too long for the clock is for ever.
            Wait::AtMost(timeout) => Instant::now().checked_add(timeout),
        };
        let backoff = Backoff::new();
        for _ in 0..LOOKS_BEFORE_SLEEP {
            match wait {
                Wait::Forever => backoff.snooze(),
                // A processor that is given up beside busy programs may come back
                // long after the deadline.
                Wait::AtMost(_) => backoff.spin(),
            }
            if let Some(done) = attempt() {
                return Some(done);
            }
        }
        let mut lock = self.lock();
        self.count.fetch_add(1, Relaxed);
        let done = loop {
            fence(SeqCst);
            if let Some(done) = attempt() {
                break Some(done);
            }
            lock = match deadline {
                None => self
                    .changed
                    .wait(lock)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break None;
                    }
                    let waited = self.changed.wait_timeout(lock, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        };
        self.count.fetch_sub(1, Relaxed);
        done
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
