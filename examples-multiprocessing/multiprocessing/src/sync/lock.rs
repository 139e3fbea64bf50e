//! A lock for processes.

use std::fmt;
use std::time::Duration;

use crate::error::Error;
use crate::handover::handle;
use crate::registry;
use crate::sys::futex::Deadline;
use crate::sys::segment::Shared;
use crate::wait::{Acquired, RawGuard, RawLock};

/// A lock that one process, or thread of a process, holds at a time: Python's
/// [`multiprocessing.Lock`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.Lock).
///
/// Unlike a [`Mutex`](std::sync::Mutex) it does not contain what it protects. As in
/// Python any process may release it, not only its holder. A clone, a forked child's copy
/// and what a spawned child is handed are all the same lock.
///
/// ```
/// use multiprocessing::Lock;
///
/// # fn main() -> Result<(), multiprocessing::Error> {
/// let lock = Lock::new()?;
/// lock.acquire();
/// assert_eq!(lock.try_acquire(), None);
/// lock.release().unwrap();
///
/// let held = lock.lock(); // `with lock:`, released at the end of the block
/// assert!(!held.predecessor_died());
/// # Ok(())
/// # }
/// ```
///
/// # When a process dies
///
/// If the process that took it ends, by SIGKILL or by returning from `main`, and nobody
/// released it, the next one gets the lock within a tenth of a second, and learns of it by
/// [`Acquired::PredecessorDied`]. In Python it would wait for ever. The death of a process
/// that waits for the lock changes nothing.
///
/// # Limitations
///
/// It does not know threads: a thread that takes it twice waits for itself. Use an
/// [`RLock`](crate::RLock) there.
#[derive(Debug, Clone)]
pub struct Lock {
    raw: Shared<RawLock>,
}

handle!(Lock { raw });

impl Lock {
    /// A lock that nobody holds.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if memory or descriptors are short.
    pub fn new() -> Result<Self, Error> {
        registry::ensure_registry()?;
        let raw = Shared::new(RawLock::new())?;
        Ok(Self { raw })
    }

    /// Takes the lock, waiting for it as long as it takes.
    #[inline]
    #[allow(clippy::must_use_candidate, reason = "Python's form drops the answer")]
    pub fn acquire(&self) -> Acquired {
        // Without a deadline the only end is to have it.
        self.raw.acquire(Deadline::Never).unwrap_or(Acquired::Clean)
    }

    /// Takes the lock if it is free now: `acquire(block=False)`.
    #[must_use = "only `Some` means that the lock was taken"]
    pub fn try_acquire(&self) -> Option<Acquired> {
        self.raw.try_acquire()
    }

    /// Takes the lock, waiting for it for at most this long: `acquire(timeout=…)`.
    #[must_use = "only `Some` means that the lock was taken"]
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<Acquired> {
        self.raw.acquire(Deadline::after(timeout))
    }

    /// Releases the lock, even if another process took it.
    ///
    /// # Errors
    ///
    /// [`NotLocked`] if nobody had it.
    #[inline]
    pub fn release(&self) -> Result<(), NotLocked> {
        if self.raw.release() {
            Ok(())
        } else {
            Err(NotLocked)
        }
    }

    /// [`acquire`](Self::acquire)s the lock until the guard is dropped: Python's
    /// `with lock:`.
    #[must_use = "a guard that is not kept releases the lock at once"]
    pub fn lock(&self) -> LockGuard<'_> {
        LockGuard {
            raw: self.raw.lock(),
        }
    }

    /// [`try_acquire`](Self::try_acquire), with a guard.
    #[must_use = "a guard that is not kept releases the lock at once"]
    pub fn try_lock(&self) -> Option<LockGuard<'_>> {
        self.try_acquire().map(|acquired| self.guard(acquired))
    }

    /// [`acquire_timeout`](Self::acquire_timeout), with a guard.
    #[must_use = "a guard that is not kept releases the lock at once"]
    pub fn lock_timeout(&self, timeout: Duration) -> Option<LockGuard<'_>> {
        self.acquire_timeout(timeout)
            .map(|acquired| self.guard(acquired))
    }

    fn guard(&self, acquired: Acquired) -> LockGuard<'_> {
        LockGuard {
            raw: RawGuard::new(&self.raw, acquired),
        }
    }
}

/// A [`Lock`] that is held, released when dropped.
///
/// It belongs to the process that made it: the copy that a forked child inherits does
/// nothing. Made by [`Lock::lock`]; the example is at [`Lock`].
#[derive(Debug)]
pub struct LockGuard<'a> {
    raw: RawGuard<'a>,
}

impl LockGuard<'_> {
    /// Whether the holder before this one ended without releasing the lock, so that what
    /// it protects may need repair.
    #[must_use]
    pub fn predecessor_died(&self) -> bool {
        self.raw.acquired == Acquired::PredecessorDied
    }
}

/// A [`Lock`] was released that nobody held.
///
/// ```
/// use multiprocessing::{Lock, NotLocked};
///
/// # fn main() -> Result<(), multiprocessing::Error> {
/// assert_eq!(Lock::new()?.release(), Err(NotLocked));
/// assert_eq!(NotLocked.to_string(), "this lock is free: acquire it before releasing it");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotLocked;

impl fmt::Display for NotLocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this lock is free: acquire it before releasing it")
    }
}

impl std::error::Error for NotLocked {}
