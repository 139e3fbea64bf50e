//! The lock that lies in shared memory under all the others.

use std::ops::ControlFlow;

use super::spin::BackOff;
use crate::registry::{self, RegistryId};
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::futex::{self, Deadline, Slept};
use crate::sys::segment::shareable;

/// In what state a lock was found.
///
/// ```
/// use multiprocessing::{Acquired, Lock};
///
/// # fn main() -> Result<(), multiprocessing::Error> {
/// let lock = Lock::new()?;
/// if lock.acquire() == Acquired::PredecessorDied {
///     // Repair what the lock protects: its last holder did not finish.
/// }
/// lock.release().unwrap();
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acquired {
    /// Its last holder released it.
    Clean,
    /// Its last holder ended without releasing it. What it was changing may be half
    /// changed.
    PredecessorDied,
}

/// No process holds the lock.
const FREE: u32 = 0;
/// The bits that hold the id of the process which holds it.
const HOLDER: u32 = !CONTENDED;
/// A process may be asleep on the word, so that the one that releases it must wake one.
const CONTENDED: u32 = 1 << 31;

/// What the spins at all locks of this process were worth.
static SPINS: BackOff = BackOff::new();

shareable! {
    /// A lock of one word that knows the process which holds it. Taking it is one
    /// instruction, and so is releasing it.
    ///
    /// It is the futex lock with three states (free, held, held and contended) of Ulrich
    /// Drepper's [Futexes Are Tricky](https://www.akkadia.org/drepper/futex.pdf), which
    /// [Rust Atomics and Locks](https://marabos.nl/atomics/building-locks.html#mutex)
    /// explains, with the holder's id in the place of "held".
    ///
    /// The holder's death is noticed by those that wait: after each slice of its sleep a
    /// waiter asks whether the holder is alive, and of those that find it dead, one swaps
    /// its own id in. Nothing else can be left half done, since the word is all there is.
    #[derive(Debug)]
    pub(crate) struct RawLock {
        word: AtomicU32,
    }
}

impl RawLock {
    /// A free lock. Its maker has called [`registry::ensure_registry`].
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU32::new(FREE),
        }
    }

    /// Takes the lock, waiting until the deadline.
    #[inline]
    pub(crate) fn acquire(&self, deadline: Deadline) -> Option<Acquired> {
        let me = registry::me();
        if self.swap_in(FREE, me) {
            return Some(Acquired::Clean);
        }
        self.acquire_contended(me, deadline, Slept::Woken)
    }

    /// Takes the lock if it is free now.
    pub(crate) fn try_acquire(&self) -> Option<Acquired> {
        let me = registry::me();
        if self.swap_in(FREE, me) {
            return Some(Acquired::Clean);
        }
        self.acquire_contended(me, Deadline::Never, Slept::Deadline)
    }

    #[inline]
    fn swap_in(&self, expected: u32, new: u32) -> bool {
        // Release publishes this process's entry in the registry along with its id.
        self.word
            .compare_exchange(expected, new, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    #[cold]
    fn acquire_contended(
        &self,
        me: RegistryId,
        deadline: Deadline,
        mut slept: Slept,
    ) -> Option<Acquired> {
        if slept == Slept::Woken && self.spin(me) {
            return Some(Acquired::Clean);
        }
        loop {
            // Acquire: otherwise the holder's entry in the registry might not be seen
            // yet, and the holder be taken for dead.
            let word = self.word.load(Ordering::Acquire);
            // From here on others may be asleep that this process must wake when it
            // releases the lock: CONTENDED stays set.
            if word & HOLDER == FREE {
                if self.swap_in(word, me | CONTENDED) {
                    return Some(Acquired::Clean);
                }
                continue;
            }
            if slept != Slept::Woken && !registry::is_alive(word & HOLDER) {
                if self.swap_in(word, me | CONTENDED) {
                    return Some(Acquired::PredecessorDied);
                }
                continue;
            }
            if slept == Slept::Deadline {
                return None;
            }
            if word & CONTENDED == 0 && !self.swap_in(word, word | CONTENDED) {
                continue;
            }
            // A release between this load and the sleep is not lost: it changes the
            // word, and the sleep does not begin.
            slept = futex::wait(&self.word, word | CONTENDED, deadline);
        }
    }

    /// Waits a moment in case the holder is about to finish. Stops if others sleep already:
    /// then there are more workers than the lock, and probably the machine, can serve.
    fn spin(&self, me: RegistryId) -> bool {
        SPINS.until(|| match self.word.load(Ordering::Relaxed) {
            FREE if self.swap_in(FREE, me) => ControlFlow::Break(true),
            word if word & CONTENDED != 0 => ControlFlow::Break(false),
            _ => ControlFlow::Continue(()),
        })
    }

    /// Frees the lock, whichever process holds it. Returns whether one did.
    #[inline]
    pub(crate) fn release(&self) -> bool {
        let word = self.word.swap(FREE, Ordering::Release);
        if word & CONTENDED != 0 {
            self.wake_one();
        }
        word != FREE
    }

    #[cold]
    fn wake_one(&self) {
        futex::wake(&self.word, 1);
    }

    /// Whether this process holds it.
    pub(crate) fn is_mine(&self) -> bool {
        self.word.load(Ordering::Relaxed) & HOLDER == registry::me()
    }

    /// Frees the lock if `dead` holds it. Call it once that process is known to have died,
    /// so that waiters need not sleep a slice to discover it.
    pub(crate) fn reclaim(&self, dead: RegistryId) {
        // A dead holder does not change the word any more: waiters can only have set
        // CONTENDED.
        if self.swap_in(dead, FREE) {
            return;
        }
        if self.swap_in(dead | CONTENDED, FREE) {
            self.wake_one();
        }
    }

    /// Takes the lock for as long as the guard lives.
    #[inline]
    pub(crate) fn lock(&self) -> RawGuard<'_> {
        let acquired = self.acquire(Deadline::Never);
        // Without a deadline the only end is to have it.
        RawGuard::new(self, acquired.unwrap_or(Acquired::Clean))
    }
}

/// A [`RawLock`] that is held, released when dropped.
#[derive(Debug)]
pub(crate) struct RawGuard<'a> {
    lock: &'a RawLock,
    /// The process that took it. A forked child's copy of the guard must not release it.
    holder: RegistryId,
    pub(crate) acquired: Acquired,
}

impl<'a> RawGuard<'a> {
    /// For a lock that the caller has just acquired.
    #[inline]
    pub(crate) fn new(lock: &'a RawLock, acquired: Acquired) -> Self {
        Self {
            lock,
            holder: registry::me(),
            acquired,
        }
    }
}

impl Drop for RawGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.holder == registry::me() {
            self.lock.release();
        }
    }
}
