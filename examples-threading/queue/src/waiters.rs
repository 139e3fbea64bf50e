//! Threads that sleep until something has changed.

use std::sync::PoisonError;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::{Duration, Instant};

use crate::sync::{AtomicUsize, Condvar, Mutex, MutexGuard, Spin, fence};

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
    spin: Spin,
    /// How many were notified and have not been awake since. Locked by a waiter from its
    /// last attempt until it sleeps, and by a thread that is about to notify it: one that
    /// has tried in vain and does not sleep yet would otherwise miss the notification.
    notified: Mutex<usize>,
    changed: Condvar,
    /// How many others sleep or are about to, so that a change makes a system call only if
    /// one of them is to be notified. Changed under the lock.
    sleepers: AtomicUsize,
}

impl Waiters {
    pub(crate) fn new() -> Self {
        Self {
            spin: Spin::new(),
            notified: Mutex::new(0),
            changed: Condvar::new(),
            sleepers: AtomicUsize::new(0),
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
        fence(SeqCst);
        if self.sleepers.load(Relaxed) == 0 {
            return;
        }
        let mut notified = self.lock();
        let sleepers = self.sleepers.load(Relaxed);
        let count = if all() { sleepers } else { sleepers.min(1) };
        // Whoever is notified tries again after this change, and after those that come
        // before it runs, which need not notify it once more.
        self.sleepers.store(sleepers - count, Relaxed);
        *notified += count;
        drop(notified);
        match count {
            0 => {}
            1 => self.changed.notify_one(),
            _ => self.changed.notify_all(),
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
        if let Some(done) = self.spin.until(deadline.is_none(), &mut attempt) {
            return Some(done);
        }
        let mut notified = self.lock();
        loop {
            let others = self.sleepers.load(Relaxed);
            self.sleepers.store(others + 1, Relaxed);
            fence(SeqCst);
            // Even when the time is up: this thread may have been notified just now, and
            // then no other was.
            let done = attempt();
            let left =
                deadline.map(|end| end.saturating_duration_since(Instant::now()));
            if done.is_some() || left == Some(Duration::ZERO) {
                self.sleepers.store(others, Relaxed);
                return done;
            }
            // A change from here on is not lost: to notify takes the lock, which these give
            // up only once this thread sleeps.
            notified = match left {
                None => self
                    .changed
                    .wait(notified)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    let waited = self.changed.wait_timeout(notified, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            // Awake without a notification, it may have taken another one's: that one
            // counts as a sleeper in its place, and tries again as well.
            if *notified > 0 {
                *notified -= 1;
            } else {
                let sleepers = self.sleepers.load(Relaxed);
                self.sleepers.store(sleepers - 1, Relaxed);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.notified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
