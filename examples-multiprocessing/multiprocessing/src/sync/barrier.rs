//! Processes that wait for each other.

use std::time::Duration;
use std::{array, fmt};

use crate::error::Error;
use crate::handover::handle;
use crate::registry;
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::futex::{self, Deadline, Slept};
use crate::sys::segment::{PAGE, Shared, shareable};
use crate::wait::{Acquired, RawGuard, RawLock};

/// Lets its parties pass once all of them have come: Python's
/// [`multiprocessing.Barrier`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.Barrier).
///
/// ```
/// use multiprocessing::Barrier;
/// use std::thread;
///
/// # fn main() -> Result<(), multiprocessing::Error> {
/// let barrier = &Barrier::new(2)?;
/// thread::scope(|s| {
///     s.spawn(|| barrier.wait().unwrap());
///     barrier.wait().unwrap(); // returns when both have come
/// });
/// barrier.abort();
/// assert!(barrier.broken() && barrier.wait().is_err());
/// # Ok(())
/// # }
/// ```
///
/// # When a process dies
///
/// A process that dies while it waits breaks the barrier within a fifth of a second, since
/// the others would wait for one that never comes. The barrier does not know of a process
/// that dies before it comes; use [`wait_timeout`](Self::wait_timeout).
///
/// Its states are those of Python's
/// [`threading.Barrier`](https://docs.python.org/3/library/threading.html#barrier-objects)
/// (filling, draining, resetting, broken), except that each waiter has a place of its own
/// instead of a common count, so that it is known which of them died.
#[derive(Debug, Clone)]
pub struct Barrier {
    state: Shared<State<PLACES>>,
}

handle!(Barrier { state });

/// The number of parties for which a page has room beside the rest.
const PLACES: usize = (PAGE - 256) / (2 * size_of::<u32>());

/// The state of the barrier. It is `FILLING` or `BROKEN` whenever the lock is free; the
/// others announce a change of many places at once, so that the next process can finish
/// the change if its author dies.
mod phase {
    pub(super) const FILLING: u32 = 0;
    pub(super) const BROKEN: u32 = 1;
    /// All have come: those that wait pass.
    pub(super) const PASSING: u32 = 2;
    /// Those that wait get an error, and the barrier stays broken.
    pub(super) const BREAKING: u32 = 3;
    /// Those that wait get an error, and then the barrier is as new.
    pub(super) const RESETTING: u32 = 4;
}

/// The state of a place.
mod place {
    pub(super) const FREE: u32 = 0;
    pub(super) const WAITING: u32 = 1;
    /// Its owner may pass as soon as it wakes.
    pub(super) const PASSED: u32 = 2;
    /// Its owner gets an error as soon as it wakes.
    pub(super) const FAILED: u32 = 3;
}

shareable! {
    /// Changes under the lock only.
    struct State<const N: usize> {
        lock: RawLock,
        parties: AtomicU32,
        phase: AtomicU32,
        /// Changes when those that wait may return: what they sleep on.
        changes: AtomicU32,
        /// Each waiter has a place until it has seen the end of its own wait, so that it
        /// cannot mistake the next round's end for it.
        places: [AtomicU32; N],
        /// The process that the place belongs to, if it is not free.
        owners: [AtomicU32; N],
    }
}

impl<const N: usize> State<N> {
    fn new(parties: u32) -> Self {
        Self {
            lock: RawLock::new(),
            parties: AtomicU32::new(parties),
            phase: AtomicU32::new(phase::FILLING),
            changes: AtomicU32::new(0),
            places: array::from_fn(|_| AtomicU32::new(place::FREE)),
            owners: array::from_fn(|_| AtomicU32::new(0)),
        }
    }

    /// Takes the lock, and finishes what its last holder could not.
    fn lock(&self) -> RawGuard<'_> {
        let guard = self.lock.lock();
        if guard.acquired == Acquired::PredecessorDied {
            self.finish_change();
            futex::wake_all(&self.changes);
        }
        guard
    }

    /// Announces a change of all that wait, and makes it. Needs the lock.
    fn announce(&self, phase: u32) {
        self.phase.store(phase, Ordering::Relaxed);
        self.finish_change();
    }

    /// Wakes those that wait, to check what was announced. They do not miss it: `changes`
    /// has changed, whether they sleep yet or not.
    fn wake_waiters(&self, guard: RawGuard<'_>) {
        drop(guard);
        futex::wake_all(&self.changes);
    }

    fn finish_change(&self) {
        let (end, then) = match self.phase.load(Ordering::Relaxed) {
            phase::PASSING => (place::PASSED, phase::FILLING),
            phase::BREAKING => (place::FAILED, phase::BROKEN),
            phase::RESETTING => (place::FAILED, phase::FILLING),
            _ => return,
        };
        for place in self.waiting() {
            self.places[place].store(end, Ordering::Relaxed);
        }
        self.phase.store(then, Ordering::Relaxed);
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// The places of those that wait.
    fn waiting(&self) -> impl Iterator<Item = usize> {
        (0..N).filter(|&place| self.is(place, place::WAITING))
    }

    fn is(&self, place: usize, what: u32) -> bool {
        self.places[place].load(Ordering::Relaxed) == what
    }

    fn is_dead(&self, place: usize) -> bool {
        !registry::is_alive(self.owners[place].load(Ordering::Relaxed))
    }

    /// A free place, or one whose owner died before it had seen the end of its wait.
    fn find_place(&self) -> Option<usize> {
        (0..N)
            .find(|&place| self.is(place, place::FREE))
            .or_else(|| {
                (0..N).find(|&place| {
                    !self.is(place, place::WAITING) && self.is_dead(place)
                })
            })
    }

    fn wait(&self, deadline: Deadline) -> Result<usize, BarrierBroken> {
        let mut guard = self.lock();
        let place = loop {
            if self.phase.load(Ordering::Relaxed) == phase::BROKEN {
                return Err(BarrierBroken);
            }
            if let Some(place) = self.find_place() {
                break place;
            }
            // Hundreds have passed and have not yet woken up. Nobody wakes this one when
            // a place becomes free: the sleep ends by itself after a slice.
            let changes = self.changes.load(Ordering::Relaxed);
            drop(guard);
            if futex::wait(&self.changes, changes, deadline) == Slept::Deadline {
                self.end_waits(phase::BREAKING);
                return Err(BarrierBroken);
            }
            guard = self.lock();
        };
        let index = self.waiting().count();
        if index + 1 >= self.parties.load(Ordering::Relaxed) as usize {
            self.announce(phase::PASSING);
            self.wake_waiters(guard);
            return Ok(index);
        }
        self.owners[place].store(registry::me(), Ordering::Relaxed);
        self.places[place].store(place::WAITING, Ordering::Relaxed);
        loop {
            let changes = self.changes.load(Ordering::Relaxed);
            drop(guard);
            // A last party that comes after the lock was given up is not missed: it
            // changes `changes`, and the sleep does not begin.
            let slept = futex::wait(&self.changes, changes, deadline);
            guard = self.lock();
            let end = match self.places[place].load(Ordering::Relaxed) {
                place::WAITING => None,
                place::PASSED => Some(Ok(index)),
                _ => Some(Err(BarrierBroken)),
            };
            if let Some(end) = end {
                self.places[place].store(place::FREE, Ordering::Relaxed);
                return end;
            }
            let broken = match slept {
                Slept::Woken => false,
                Slept::Slice => self.neighbour_died(place),
                Slept::Deadline => true,
            };
            if broken {
                // In this order: if it died with its place free and the break not
                // announced, the others would wait, with no dead party among them.
                self.announce(phase::BREAKING);
                self.places[place].store(place::FREE, Ordering::Relaxed);
                self.wake_waiters(guard);
                return Err(BarrierBroken);
            }
        }
    }

    /// Whether the next waiter, in a circle, has died. Each waiter checks one other, not
    /// all: if any has died, a living one has it for its neighbour, or the one before it
    /// has died too, and so on.
    fn neighbour_died(&self, place: usize) -> bool {
        let after = self.waiting().find(|&other| other > place);
        let neighbour = after.or_else(|| self.waiting().next());
        neighbour.is_some_and(|neighbour| self.is_dead(neighbour))
    }

    /// Ends the wait of all that wait.
    fn end_waits(&self, phase: u32) {
        let guard = self.lock();
        self.announce(phase);
        self.wake_waiters(guard);
    }
}

impl Barrier {
    /// A barrier for this number of parties.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyParties`] beyond 480; [`Error::System`] if memory or descriptors
    /// are short.
    pub fn new(parties: u32) -> Result<Self, Error> {
        if parties as usize > PLACES {
            return Err(Error::TooManyParties { most: PLACES });
        }
        registry::ensure_registry()?;
        let state = Shared::new(State::new(parties))?;
        Ok(Self { state })
    }

    /// Waits until all parties have come. Returns how many had come before this one, so
    /// that one of them, say the one with 0, can do what must be done once.
    ///
    /// # Errors
    ///
    /// [`BarrierBroken`] if the barrier is broken, or breaks meanwhile.
    pub fn wait(&self) -> Result<usize, BarrierBroken> {
        self.state.wait(Deadline::Never)
    }

    /// [`wait`](Self::wait) for at most this long. When that time is over the barrier
    /// breaks, for all parties.
    ///
    /// # Errors
    ///
    /// [`BarrierBroken`] if the barrier is broken, or breaks meanwhile.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<usize, BarrierBroken> {
        self.state.wait(Deadline::after(timeout))
    }

    /// Breaks the barrier: all that wait or come get [`BarrierBroken`], until
    /// [`reset`](Self::reset).
    pub fn abort(&self) {
        self.state.end_waits(phase::BREAKING);
    }

    /// Makes the barrier as new. All that wait get [`BarrierBroken`].
    pub fn reset(&self) {
        self.state.end_waits(phase::RESETTING);
    }

    /// Whether the barrier is broken.
    #[must_use]
    pub fn broken(&self) -> bool {
        let _guard = self.state.lock();
        self.state.phase.load(Ordering::Relaxed) == phase::BROKEN
    }

    /// The number of parties that it waits for.
    #[must_use]
    pub fn parties(&self) -> u32 {
        self.state.parties.load(Ordering::Relaxed)
    }

    /// The number of those that wait at this moment.
    #[must_use]
    pub fn n_waiting(&self) -> usize {
        let _guard = self.state.lock();
        self.state.waiting().count()
    }
}

/// A [`Barrier`] was aborted or reset, a party's time was over, or a party died.
///
/// ```
/// use multiprocessing::BarrierBroken;
///
/// assert_eq!(
///     BarrierBroken.to_string(),
///     "the barrier is broken: a party gave up or died; reset it before the next round"
/// );
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BarrierBroken;

impl fmt::Display for BarrierBroken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the barrier is broken: a party gave up or died; reset it before the \
             next round",
        )
    }
}

impl std::error::Error for BarrierBroken {}
