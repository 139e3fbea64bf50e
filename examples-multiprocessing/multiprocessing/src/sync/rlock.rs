//! A lock for processes that its owner may take again.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use crate::error::Error;
use crate::handover::handle;
use crate::registry;
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sys::futex::Deadline;
use crate::sys::segment::{Shared, shareable};
use crate::wait::{Acquired, RawLock};

/// A lock that the thread which holds it may take again without waiting for itself:
/// Python's
/// [`multiprocessing.RLock`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.RLock).
///
/// It is free again once it was released as often as it was acquired, and only the
/// thread that acquired it, in the process that did, can release it.
///
/// ```
/// use multiprocessing::{NotOwner, RLock};
///
/// # fn main() -> Result<(), multiprocessing::Error> {
/// let lock = RLock::new()?;
/// lock.acquire();
/// lock.acquire(); // a Lock would wait here for ever
/// assert_eq!(lock.release(), Ok(()));
/// assert_eq!(lock.release(), Ok(()));
/// assert_eq!(lock.release(), Err(NotOwner));
/// # Ok(())
/// # }
/// ```
///
/// # When a process dies
///
/// As with a [`Lock`](crate::Lock), however often the dead one had acquired it.
#[derive(Debug, Clone)]
pub struct RLock {
    state: Shared<State>,
}

handle!(RLock { state });

/// The holder of the lock: the process in the upper half, its thread in the lower. Both are
/// in one word, because a dead owner's id remains there, and one half of it beside one half
/// of its successor's would name a thread that owns nothing.
type Owner = u64;

const NOBODY: Owner = 0;

shareable! {
    struct State {
        lock: RawLock,
        /// Written by the holder of the lock. Others may read it at any time, and never
        /// find themselves there.
        owner: AtomicU64,
        /// How often the owner must still release it.
        level: AtomicU32,
        /// 1 if the owner took the lock over from a process that had died.
        predecessor_died: AtomicU32,
    }
}

fn this_thread() -> Owner {
    Owner::from(registry::me()) << 32 | Owner::from(registry::thread())
}

impl RLock {
    /// A lock that nobody holds.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if memory or descriptors are short.
    pub fn new() -> Result<Self, Error> {
        registry::ensure_registry()?;
        let state = Shared::new(State {
            lock: RawLock::new(),
            owner: AtomicU64::new(NOBODY),
            level: AtomicU32::new(0),
            predecessor_died: AtomicU32::new(0),
        })?;
        Ok(Self { state })
    }

    /// Takes the lock, waiting for it as long as it takes.
    #[allow(clippy::must_use_candidate, reason = "Python's form drops the answer")]
    pub fn acquire(&self) -> Acquired {
        let take = |lock: &RawLock| lock.acquire(Deadline::Never);
        // Without a deadline the only end is to have it.
        self.enter(take).unwrap_or(Acquired::Clean)
    }

    /// Takes the lock if it is free now: `acquire(block=False)`.
    #[must_use = "only `Some` means that the lock was taken"]
    pub fn try_acquire(&self) -> Option<Acquired> {
        self.enter(RawLock::try_acquire)
    }

    /// Takes the lock, waiting for it for at most this long: `acquire(timeout=…)`.
    #[must_use = "only `Some` means that the lock was taken"]
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<Acquired> {
        self.enter(|lock| lock.acquire(Deadline::after(timeout)))
    }

    fn enter(
        &self,
        take: impl FnOnce(&RawLock) -> Option<Acquired>,
    ) -> Option<Acquired> {
        if self.is_owned() {
            let level = self.state.level.load(Ordering::Relaxed);
            self.state
                .level
                .store(level.saturating_add(1), Ordering::Relaxed);
            return Some(self.found());
        }
        let acquired = take(&self.state.lock)?;
        self.set_owner(acquired, 1);
        Some(acquired)
    }

    /// Notes the new owner of the lock just taken.
    fn set_owner(&self, acquired: Acquired, level: u32) {
        let died = u32::from(acquired == Acquired::PredecessorDied);
        self.state.predecessor_died.store(died, Ordering::Relaxed);
        self.state.level.store(level, Ordering::Relaxed);
        self.state.owner.store(this_thread(), Ordering::Relaxed);
    }

    fn found(&self) -> Acquired {
        match self.state.predecessor_died.load(Ordering::Relaxed) {
            0 => Acquired::Clean,
            _ => Acquired::PredecessorDied,
        }
    }

    /// Releases the lock once.
    ///
    /// # Errors
    ///
    /// [`NotOwner`] if the calling thread does not hold it; nothing has changed then.
    pub fn release(&self) -> Result<(), NotOwner> {
        self.check_owned()?;
        match self.state.level.load(Ordering::Relaxed) {
            0 | 1 => self.leave(),
            level => self.state.level.store(level - 1, Ordering::Relaxed),
        }
        Ok(())
    }

    fn leave(&self) {
        self.state.owner.store(NOBODY, Ordering::Relaxed);
        self.state.lock.release();
    }

    /// [`acquire`](Self::acquire)s the lock until the guard is dropped: Python's
    /// `with lock:`.
    #[must_use = "a guard that is not kept releases the lock at once"]
    pub fn lock(&self) -> RLockGuard<'_> {
        self.acquire();
        RLockGuard {
            lock: self,
            of_this_thread: PhantomData,
        }
    }

    /// Whether the calling thread holds the lock.
    pub(super) fn is_owned(&self) -> bool {
        self.state.owner.load(Ordering::Relaxed) == this_thread()
    }

    pub(super) fn check_owned(&self) -> Result<(), NotOwner> {
        if self.is_owned() {
            Ok(())
        } else {
            Err(NotOwner)
        }
    }

    /// Releases a lock that the caller owns, however often it was acquired. Returns
    /// what [`acquire_again`](Self::acquire_again) must restore.
    pub(super) fn release_all(&self) -> u32 {
        let level = self.state.level.load(Ordering::Relaxed);
        self.leave();
        level
    }

    /// Takes the lock back as it was before [`release_all`](Self::release_all).
    pub(super) fn acquire_again(&self, level: u32) {
        let acquired = self.state.lock.acquire(Deadline::Never);
        self.set_owner(acquired.unwrap_or(Acquired::Clean), level);
    }
}

/// One level of an [`RLock`] that is held, given up when dropped.
///
/// It belongs to the thread and the process that made it: the copy that a forked child
/// inherits does nothing.
///
/// ```
/// use multiprocessing::RLock;
///
/// # fn main() -> Result<(), multiprocessing::Error> {
/// let lock = RLock::new()?;
/// let outer = lock.lock();
/// let inner = lock.lock();
/// assert!(!inner.predecessor_died());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RLockGuard<'a> {
    lock: &'a RLock,
    /// Makes the guard stay in its thread: another could not release the lock.
    of_this_thread: PhantomData<*const ()>,
}

impl RLockGuard<'_> {
    /// Whether the holder before this one ended without releasing the lock, so that
    /// what it protects may need repair. After a [`Condition`](crate::Condition)'s wait
    /// it is about the process that held the lock meanwhile.
    #[must_use]
    pub fn predecessor_died(&self) -> bool {
        self.lock.found() == Acquired::PredecessorDied
    }
}

impl Drop for RLockGuard<'_> {
    fn drop(&mut self) {
        // An error in a forked child, whose copy of the guard does not hold the lock.
        self.lock.release().ok();
    }
}

/// A thread released an [`RLock`], or used a [`Condition`](crate::Condition), that it
/// did not hold.
///
/// ```
/// use multiprocessing::NotOwner;
///
/// assert_eq!(
///     NotOwner.to_string(),
///     "this thread does not hold the lock: acquire it here first"
/// );
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotOwner;

impl fmt::Display for NotOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this thread does not hold the lock: acquire it here first")
    }
}

impl std::error::Error for NotOwner {}
