//! Waiting for what another process does under a lock.

use std::array;
use std::time::Duration;

use super::rlock::{NotOwner, RLock, RLockGuard};
use crate::error::Error;
use crate::handover::handle;
use crate::registry;
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::futex::{self, Deadline, Slept};
use crate::sys::segment::{PAGE, Shared, shareable};
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
/// `notify(n)` wakes the `n` processes that have waited longest, and no others: each waiter
/// has a place of its own that it sleeps on, as in the queue of waiters that
/// [POSIX](https://pubs.opengroup.org/onlinepubs/9799919799/functions/pthread_cond_broadcast.html)
/// describes.
///
/// # When a process dies
///
/// A notification for a process that is dead, or dies before it returns from its wait,
/// passes on to another that waits, within a tenth of a second. If the process that held
/// the lock died, the next holder learns of it as with an [`RLock`]; after a wait ask
/// [`RLockGuard::predecessor_died`].
///
/// So [`notify`](Self::notify) first, and then change what the others wait for: the lock
/// keeps them from checking before both are done. A process that is killed between the
/// change and the notification leaves the change, and nobody is woken to see it.
///
/// # Limitations
///
/// It has places for 300 waiters. Further ones wait as well, but may return without a
/// notification of their own: use [`wait_for`](Self::wait_for), which checks again.
#[derive(Debug, Clone)]
pub struct Condition {
    lock: RLock,
    state: Shared<State<PLACES>>,
}

/// The number of waiters for which a page has room beside the rest.
const PLACES: usize = (PAGE - 256) / (3 * size_of::<u32>());

/// The state of a place, on which its owner sleeps.
mod place {
    pub(super) const FREE: u32 = 0;
    /// Its owner waits for a notification.
    pub(super) const WAITING: u32 = 1;
    /// Its owner may return as soon as it has the lock.
    pub(super) const NOTIFIED: u32 = 2;
}

handle!(Condition { lock, state });

shareable! {
    /// Changes under the lock only. Each operation on a place takes effect by a single
    /// store to its state, so that a process that dies in the middle of one has done it or
    /// has not.
    struct State<const N: usize> {
        /// The number of waits that have begun, which wraps: it numbers the waiters.
        begun: AtomicU32,
        /// One more than the last place that was ever taken, so that few are searched.
        used: AtomicU32,
        /// Changes with each notification: what those waiters sleep on that have no place.
        notifications: AtomicU32,
        places: [AtomicU32; N],
        /// The number of the waiter at the place.
        numbers: [AtomicU32; N],
        /// The process of the waiter at the place.
        owners: [AtomicU32; N],
    }
}

impl<const N: usize> State<N> {
    fn new() -> Self {
        Self {
            begun: AtomicU32::new(0),
            used: AtomicU32::new(0),
            notifications: AtomicU32::new(0),
            places: array::from_fn(|_| AtomicU32::new(place::FREE)),
            numbers: array::from_fn(|_| AtomicU32::new(0)),
            owners: array::from_fn(|_| AtomicU32::new(0)),
        }
    }

    /// The places that were ever taken.
    fn used(&self) -> usize {
        (self.used.load(Ordering::Relaxed) as usize).min(N)
    }

    fn is(&self, place: usize, state: u32) -> bool {
        self.places[place].load(Ordering::Relaxed) == state
    }

    fn set(&self, place: usize, state: u32) {
        self.places[place].store(state, Ordering::Relaxed);
    }

    fn is_dead(&self, place: usize) -> bool {
        !registry::is_alive(self.owners[place].load(Ordering::Acquire))
    }

    /// Takes a free place, or one of a dead process that was not notified: the notification
    /// of any other is for those that wait already. Needs the lock.
    fn take_place(&self) -> Option<usize> {
        let used = self.used();
        let free = (0..used).find(|&place| self.is(place, place::FREE));
        let place = free.or_else(|| (used < N).then_some(used)).or_else(|| {
            (0..N)
                .find(|&place| self.is(place, place::WAITING) && self.is_dead(place))
        })?;
        let begun = self.begun.load(Ordering::Relaxed);
        self.begun.store(begun.wrapping_add(1), Ordering::Relaxed);
        self.numbers[place].store(begun, Ordering::Relaxed);
        // Release publishes this process's entry in the registry along with its id.
        self.owners[place].store(registry::me(), Ordering::Release);
        let used = used.max(place + 1);
        self.used.store(used as u32, Ordering::Relaxed);
        self.set(place, place::WAITING);
        Some(place)
    }

    /// The waiter that has waited longest. Needs the lock.
    fn longest_waiting(&self) -> Option<usize> {
        let begun = self.begun.load(Ordering::Relaxed);
        (0..self.used())
            .filter(|&place| self.is(place, place::WAITING))
            .max_by_key(|&place| {
                begun.wrapping_sub(self.numbers[place].load(Ordering::Relaxed))
            })
    }

    /// A place whose owner was notified and died before it returned.
    fn wasted_notification(&self) -> Option<usize> {
        let notified = |&place: &usize| self.is(place, place::NOTIFIED);
        (0..self.used())
            .filter(notified)
            .find(|&place| self.is_dead(place))
    }
}

impl Condition {
    /// A condition with a lock of its own.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if memory or descriptors are short.
    pub fn new() -> Result<Self, Error> {
        Self::with_lock(&RLock::new()?)
    }

    /// A condition under a lock that it shares with others.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn with_lock(lock: &RLock) -> Result<Self, Error> {
        registry::ensure_registry()?;
        let state = Shared::new(State::new())?;
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
    /// [`NotOwner`] if the calling thread does not hold it.
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
    /// [`NotOwner`] if the calling thread does not hold the lock.
    pub fn wait(&self) -> Result<(), NotOwner> {
        self.wait_until(Deadline::Never).map(drop)
    }

    /// [`wait`](Self::wait) for at most this long, and then as long as it takes to get
    /// the lock back. Returns whether a notification came.
    ///
    /// # Errors
    ///
    /// [`NotOwner`] if the calling thread does not hold the lock.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool, NotOwner> {
        self.wait_until(Deadline::after(timeout))
    }

    fn wait_until(&self, deadline: Deadline) -> Result<bool, NotOwner> {
        self.lock.check_owned()?;
        let Some(place) = self.state.take_place() else {
            return Ok(self.wait_without_place(deadline));
        };
        let state = &*self.state;
        let word = &state.places[place];
        loop {
            let level = self.lock.release_all();
            // A notification after the lock was given up is not lost: it changes the
            // word, and the sleep does not begin.
            let slept = loop {
                match futex::wait(word, place::WAITING, deadline) {
                    // Only a notification that a dead process wasted is worth the lock.
                    Slept::Slice
                        if state.is(place, place::WAITING)
                            && state.wasted_notification().is_none() => {}
                    slept => break slept,
                }
            };
            self.lock.acquire_again(level);
            let mut notified = state.is(place, place::NOTIFIED);
            if !notified && let Some(wasted) = state.wasted_notification() {
                state.set(wasted, place::FREE);
                self.notify_longest_living();
                notified = state.is(place, place::NOTIFIED);
            }
            if notified || slept == Slept::Deadline {
                state.set(place, place::FREE);
                return Ok(notified);
            }
        }
    }

    /// A wait of which the others do not know: it ends with any notification.
    fn wait_without_place(&self, deadline: Deadline) -> bool {
        let notifications = &self.state.notifications;
        let before = notifications.load(Ordering::Relaxed);
        let level = self.lock.release_all();
        // A notification after the lock was given up is not lost: it changes the word,
        // and the sleep does not begin.
        while notifications.load(Ordering::Relaxed) == before
            && futex::wait(notifications, before, deadline) != Slept::Deadline
        {
        }
        self.lock.acquire_again(level);
        notifications.load(Ordering::Relaxed) != before
    }

    /// Passes a notification on to the waiter that has waited longest and is alive, which
    /// may be the caller. Needs the lock.
    fn notify_longest_living(&self) {
        while let Some(place) = self.state.longest_waiting()
            && self.state.is_dead(place)
        {
            self.state.set(place, place::FREE);
        }
        self.notify_longest_waiting();
    }

    /// Notifies the waiter that has waited longest, without asking whether it is alive.
    /// Needs the lock. Returns whether there was one.
    fn notify_longest_waiting(&self) -> bool {
        let Some(place) = self.state.longest_waiting() else {
            return false;
        };
        self.state.set(place, place::NOTIFIED);
        futex::wake(&self.state.places[place], 1);
        true
    }

    /// [`wait`](Self::wait)s until the predicate is true, which is called with the lock
    /// held.
    ///
    /// # Errors
    ///
    /// [`NotOwner`] if the calling thread does not hold the lock.
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
    /// returned last.
    ///
    /// # Errors
    ///
    /// [`NotOwner`] if the calling thread does not hold the lock.
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

    /// Lets the `n` that have waited longest return from their wait once the lock is
    /// released; all of them if they are fewer.
    ///
    /// # Errors
    ///
    /// [`NotOwner`] if the calling thread does not hold the lock.
    pub fn notify(&self, n: u32) -> Result<(), NotOwner> {
        self.lock.check_owned()?;
        let mut left = n;
        while left > 0 && self.notify_longest_waiting() {
            left -= 1;
        }
        if left > 0 && self.state.used() == PLACES {
            let notifications = &self.state.notifications;
            let next = notifications.load(Ordering::Relaxed).wrapping_add(1);
            notifications.store(next, Ordering::Relaxed);
            futex::wake_all(notifications);
        }
        Ok(())
    }

    /// Lets all that wait return from their wait once the lock is released.
    ///
    /// # Errors
    ///
    /// [`NotOwner`] if the calling thread does not hold the lock.
    pub fn notify_all(&self) -> Result<(), NotOwner> {
        self.notify(u32::MAX)
    }
}
