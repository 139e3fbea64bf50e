//! Waiting for what another process does under a lock.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rlock::{NotOwner, RLock, RLockGuard};
use crate::error::Error;
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::futex::{self, Deadline, Slept};
use crate::sys::segment::{Shared, shareable};
use crate::wait::Acquired;

/// A lock whose holder can wait until another holder notifies it: Python's
/// [`multiprocessing.Condition`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.Condition).
///
/// ```
/// use multiprocessing::{Condition, NotOwner};
/// use std::thread;
///
/// # fn main() -> Result<(), multiprocessing::Error> {
/// let condition = &Condition::new()?;
/// assert_eq!(condition.notify(1), Err(NotOwner));
/// let waiting = condition.lock();
/// thread::scope(|s| {
///     s.spawn(|| {
///         let _held = condition.lock(); // once the wait below has given it up
///         condition.notify(1).unwrap();
///     });
///     condition.wait().unwrap();
/// });
/// # Ok(())
/// # }
/// ```
///
/// A wait can end without a notification (as it can in Python's `threading`, and
/// everywhere else): look again at what you were waiting for, or let
/// [`wait_for`](Self::wait_for) do so.
///
/// # When a process dies
///
/// A notification that went to a process which died before it could go on goes to
/// another that waits. Where the process that held the lock died, the next holder is
/// told as an [`RLock`]'s is; after a wait ask
/// [`RLockGuard::predecessor_died`].
///
/// So [`notify`](Self::notify) first, and then change what the others wait for: the
/// lock keeps them from looking before both are done. One that is killed between the
/// change and the notification leaves the change behind, and nobody who looks at it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Condition {
    lock: RLock,
    state: Shared<State>,
}

shareable! {
    /// Changes under the lock only.
    struct State {
        /// How many wait. One that was killed stays counted, and may cost one of the
        /// others a wake-up for nothing.
        waiters: AtomicU32,
        /// Notifications that nobody has taken yet; never more than `waiters`. They are
        /// not addressed to anybody: so what a dead waiter did not take is there for
        /// the next.
        tokens: AtomicU32,
        /// Changes with each notification: what waiters sleep on.
        turn: AtomicU32,
    }
}

impl Condition {
    /// A condition with a lock of its own.
    ///
    /// # Errors
    ///
    /// [`Error::System`] where memory or descriptors are short: a condition needs two.
    pub fn new() -> Result<Self, Error> {
        Self::with_lock(&RLock::new()?)
    }

    /// A condition under a lock that it shares with others.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_lock(lock: &RLock) -> Result<Self, Error> {
        let state = Shared::new(State {
            waiters: AtomicU32::new(0),
            tokens: AtomicU32::new(0),
            turn: AtomicU32::new(0),
        })?;
        Ok(Self {
            lock: lock.clone(),
            state,
        })
    }

    /// Takes the lock: see [`RLock::acquire`].
    #[allow(clippy::must_use_candidate, reason = "Python's form drops the answer")]
    pub fn acquire(&self) -> Acquired {
        self.lock.acquire()
    }

    /// Releases the lock: see [`RLock::release`].
    ///
    /// # Errors
    ///
    /// [`NotOwner`] where the calling thread does not hold it.
    pub fn release(&self) -> Result<(), NotOwner> {
        self.lock.release()
    }

    /// Takes the lock until the guard is dropped: Python's `with condition:`.
    #[must_use = "a guard that is not kept releases the lock at once"]
    pub fn lock(&self) -> RLockGuard<'_> {
        self.lock.lock()
    }

    /// Gives up the lock, however often it was acquired, waits for a notification, and
    /// takes the lock again as often.
    ///
    /// # Errors
    ///
    /// [`NotOwner`] where the calling thread does not hold the lock.
    pub fn wait(&self) -> Result<(), NotOwner> {
        self.wait_until(Deadline::Never).map(|_always| ())
    }

    /// [`wait`](Self::wait) for at most this long, and then as long as it takes to get
    /// the lock back. Returns whether a notification came.
    ///
    /// # Errors
    ///
    /// [`NotOwner`] where the calling thread does not hold the lock.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool, NotOwner> {
        self.wait_until(Deadline::after(timeout))
    }

    fn wait_until(&self, deadline: Deadline) -> Result<bool, NotOwner> {
        self.lock.check_owned()?;
        let State {
            waiters,
            tokens,
            turn,
        } = &*self.state;
        if waiters.load(Ordering::Relaxed) == 0 {
            tokens.store(0, Ordering::Relaxed);
        }
        change(waiters, |n| n.saturating_add(1));
        // A token that is there already is for those who waited before: who takes one
        // of theirs leaves one of them asleep for ever.
        let at_entry = turn.load(Ordering::Relaxed);
        loop {
            let before = turn.load(Ordering::Relaxed);
            let level = self.lock.release_all();
            // A notification after the lock was given up is not lost: it changes the
            // turn, and the sleep does not begin.
            let slept = loop {
                match futex::wait(turn, before, deadline) {
                    // A notification may have woken another, who died of it.
                    Slept::Slice if turn.load(Ordering::Relaxed) == before => {}
                    slept => break slept,
                }
            };
            self.lock.acquire_again(level);
            let now = turn.load(Ordering::Relaxed);
            let token = now != at_entry && tokens.load(Ordering::Relaxed) > 0;
            if token {
                change(tokens, |n| n - 1);
            }
            // Who was woken goes on, even where another has taken the token meanwhile.
            let notified = token || slept == Slept::Woken && now != before;
            if notified || slept == Slept::Deadline {
                change(waiters, |n| n.saturating_sub(1));
                return Ok(notified);
            }
        }
    }

    /// [`wait`](Self::wait)s until the predicate is true, which is looked at with the
    /// lock held.
    ///
    /// # Errors
    ///
    /// [`NotOwner`] where the calling thread does not hold the lock.
    pub fn wait_for(
        &self,
        mut predicate: impl FnMut() -> bool,
    ) -> Result<(), NotOwner> {
        self.lock.check_owned()?;
        while !predicate() {
            self.wait()?;
        }
        Ok(())
    }

    /// [`wait_for`](Self::wait_for) for at most this long. Returns what the predicate
    /// said last.
    ///
    /// # Errors
    ///
    /// [`NotOwner`] where the calling thread does not hold the lock.
    pub fn wait_for_timeout(
        &self,
        mut predicate: impl FnMut() -> bool,
        timeout: Duration,
    ) -> Result<bool, NotOwner> {
        let deadline = Deadline::after(timeout);
        self.lock.check_owned()?;
        while !predicate() {
            if deadline.is_over() {
                return Ok(false);
            }
            self.wait_until(deadline)?;
        }
        Ok(true)
    }

    /// Lets this many of those who wait go on, once the lock is released; all of them
    /// where they are fewer.
    ///
    /// # Errors
    ///
    /// [`NotOwner`] where the calling thread does not hold the lock.
    pub fn notify(&self, n: u32) -> Result<(), NotOwner> {
        self.lock.check_owned()?;
        let waiters = self.state.waiters.load(Ordering::Relaxed);
        change(&self.state.tokens, |tokens| {
            tokens.saturating_add(n).min(waiters)
        });
        change(&self.state.turn, |turn| turn.wrapping_add(1));
        if waiters > 0 {
            futex::wake(&self.state.turn, n);
        }
        Ok(())
    }

    /// Lets everybody go on who waits, once the lock is released.
    ///
    /// # Errors
    ///
    /// [`NotOwner`] where the calling thread does not hold the lock.
    pub fn notify_all(&self) -> Result<(), NotOwner> {
        self.notify(u32::MAX)
    }
}

/// For what changes under the lock only.
fn change(count: &AtomicU32, by: impl FnOnce(u32) -> u32) {
    count.store(by(count.load(Ordering::Relaxed)), Ordering::Relaxed);
}
