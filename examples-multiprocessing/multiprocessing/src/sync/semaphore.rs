//! A number of permits for processes to share.

use std::array;
use std::time::Duration;

use crate::error::Error;
use crate::handover::handle;
use crate::registry::{self, RegistryId};
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::futex::{self, Deadline, SLICE, Slept};
use crate::sys::segment::{PAGE, Shared, shareable};
use crate::wait::{Acquired, RawGuard, RawLock};

/// A number of permits; a process that finds none left waits for one: Python's
/// [`multiprocessing.Semaphore`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.Semaphore).
///
/// ```
/// use multiprocessing::Semaphore;
///
/// # fn main() -> Result<(), multiprocessing::Error> {
/// let rooms = Semaphore::new(2)?;
/// let first = rooms.permit(); // given back when it goes out of scope
/// rooms.acquire();            // given back by hand
/// assert_eq!(rooms.get_value(), 0);
/// assert!(!rooms.try_acquire());
/// rooms.release();
/// drop(first);
/// assert_eq!(rooms.get_value(), 2);
/// # Ok(())
/// # }
/// ```
///
/// # When a process dies
///
/// The [`Permit`]s of a process that ends come back within a tenth of a second after
/// another process begins to wait for them. Permits that it took by
/// [`acquire`](Self::acquire) do not come back: any process may
/// [`release`](Self::release) them, so the semaphore cannot know whose they were. A process
/// that dies while it waits takes no permit with it.
///
/// The waiting is that of Drepper's [Futexes Are
/// Tricky](https://www.akkadia.org/drepper/futex.pdf): a word that changes with every
/// release is what waiters sleep on, and a lock keeps the counts.
///
/// # Limitations
///
/// It knows the holders of at most 960 permits at a time: further ones do not come back
/// when their holder is killed.
#[derive(Debug, Clone)]
pub struct Semaphore {
    state: Shared<State<HOLDERS>>,
}

handle!(Semaphore { state });

/// The number of holders for which a page has room beside the rest.
const HOLDERS: usize = (PAGE - 256) / size_of::<u32>();

/// The bound of a semaphore that has none.
const UNBOUNDED: u32 = u32::MAX;

shareable! {
    /// All fields but `releases` change under the lock only.
    ///
    /// Each operation takes effect by a single store, to `total` or to a place in
    /// `holders`. So a process that dies in the middle of an operation has done it or has
    /// not, and `held`, which merely counts, is counted again.
    #[derive(Debug)]
    pub(super) struct State<const N: usize> {
        lock: RawLock,
        /// The permits that are free or held by a guard: those that were there at first,
        /// less those acquired by hand, plus those released by hand.
        total: AtomicU32,
        /// The largest value of `total`.
        bound: AtomicU32,
        /// The number of places of `holders` that are taken.
        held: AtomicU32,
        /// Changes with every permit that becomes available: what waiters sleep on.
        releases: AtomicU32,
        /// The number of those that sleep or are about to. One that was killed stays
        /// counted, which costs a useless system call at every release.
        waiting: AtomicU32,
        /// When a process last searched for dead holders: see [`milliseconds`].
        searched: AtomicU32,
        /// The process that holds the permit of this place; 0 for none.
        holders: [AtomicU32; N],
    }
}

/// How a permit is taken.
#[derive(Clone, Copy)]
enum Hold {
    /// By hand: any process may give it back.
    Anonymous,
    /// By a guard, which records its process as the holder.
    Guarded,
}

/// The place at which a permit's holder is recorded; `None` if there was no place or no
/// guard.
type Place = Option<usize>;

impl<const N: usize> State<N> {
    pub(super) fn new(permits: u32, bound: u32) -> Self {
        Self {
            lock: RawLock::new(),
            total: AtomicU32::new(permits),
            bound: AtomicU32::new(bound),
            held: AtomicU32::new(0),
            releases: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            searched: AtomicU32::new(0),
            holders: array::from_fn(|_| AtomicU32::new(0)),
        }
    }

    /// Takes the lock, and corrects the count if its last holder died.
    fn lock(&self) -> RawGuard<'_> {
        self.repaired(self.lock.lock())
    }

    /// The same for an operation with a deadline: a process that is stopped while it holds
    /// the lock delays it by half a slice. There is no guard then.
    fn lock_until(&self, deadline: Deadline) -> Option<RawGuard<'_>> {
        let acquired = self.lock.acquire(deadline.or_later(SLICE / 2))?;
        Some(self.repaired(RawGuard::new(&self.lock, acquired)))
    }

    fn repaired<'a>(&self, guard: RawGuard<'a>) -> RawGuard<'a> {
        if guard.acquired == Acquired::PredecessorDied {
            let taken = |place: &&AtomicU32| place.load(Ordering::Relaxed) != 0;
            let held = self.holders.iter().filter(taken).count();
            self.held.store(held as u32, Ordering::Relaxed);
        }
        guard
    }

    fn available(&self) -> u32 {
        let held = self.held.load(Ordering::Relaxed);
        self.total.load(Ordering::Relaxed).saturating_sub(held)
    }

    fn acquire(
        &self,
        hold: Hold,
        deadline: Deadline,
        mut slept: Slept,
    ) -> Option<Place> {
        let mut guard = self.lock_until(deadline)?;
        loop {
            // If permits come and go, each waiter is woken within its slice, and none of
            // them would search. So the time since the last search counts, too.
            if self.available() == 0
                && (slept != Slept::Woken || self.nobody_searched_for_a_slice())
            {
                self.take_from_the_dead();
            }
            if self.available() > 0 {
                return Some(self.take(hold));
            }
            if slept == Slept::Deadline {
                return None;
            }
            add(&self.waiting, 1);
            let releases = self.releases.load(Ordering::Relaxed);
            drop(guard);
            // A release after the lock was given up is not lost: it changes `releases`,
            // and the sleep does not begin.
            slept = futex::wait(&self.releases, releases, deadline);
            // Without the lock it stays among those that wait, which costs system calls.
            guard = self.lock_until(deadline)?;
            subtract(&self.waiting, 1);
        }
    }

    /// Takes one of the free permits. Needs the lock.
    fn take(&self, hold: Hold) -> Place {
        let place = match hold {
            Hold::Anonymous => None,
            Hold::Guarded => {
                let free = |place: &AtomicU32| place.load(Ordering::Relaxed) == 0;
                self.holders.iter().position(free)
            }
        };
        match place {
            Some(place) => {
                self.holders[place].store(registry::me(), Ordering::Relaxed);
                add(&self.held, 1);
            }
            None => subtract(&self.total, 1),
        }
        place
    }

    /// Adds a permit. Returns whether the bound allows it.
    pub(super) fn release(&self) -> bool {
        let guard = self.lock();
        let total = self.total.load(Ordering::Relaxed);
        if total >= self.bound.load(Ordering::Relaxed) {
            return false;
        }
        self.total.store(total + 1, Ordering::Relaxed);
        self.wake_waiters(guard, 1);
        true
    }

    /// Gives back the permit of a guard.
    fn vacate(&self, place: usize) {
        let guard = self.lock();
        self.holders[place].store(0, Ordering::Relaxed);
        subtract(&self.held, 1);
        self.wake_waiters(guard, 1);
    }

    /// Wakes those that wait for permits. They check once the lock is free.
    fn wake_waiters(&self, guard: RawGuard<'_>, permits: u32) {
        self.releases.fetch_add(1, Ordering::Relaxed);
        let waiting = self.waiting.load(Ordering::Relaxed);
        drop(guard);
        if waiting > 0 {
            futex::wake(&self.releases, permits);
        }
    }

    fn nobody_searched_for_a_slice(&self) -> bool {
        let searched = self.searched.load(Ordering::Relaxed);
        u128::from(milliseconds().wrapping_sub(searched)) >= SLICE.as_millis()
    }

    /// Frees the places of holders that have died. Needs the lock.
    fn take_from_the_dead(&self) {
        self.searched.store(milliseconds(), Ordering::Relaxed);
        for place in &self.holders {
            let holder = place.load(Ordering::Relaxed);
            if holder != 0 && !registry::is_alive(holder) {
                place.store(0, Ordering::Relaxed);
                subtract(&self.held, 1);
            }
        }
        // Other waiters find further permits at the end of their own slice.
    }
}

/// The clock, as a number that wraps after fifty days. When it shows an old value again,
/// a search for the dead may come a slice later.
fn milliseconds() -> u32 {
    futex::now().as_millis() as u32
}

/// For counts that change under the lock only, as `subtract`.
fn add(count: &AtomicU32, n: u32) {
    count.store(
        count.load(Ordering::Relaxed).saturating_add(n),
        Ordering::Relaxed,
    );
}

fn subtract(count: &AtomicU32, n: u32) {
    count.store(
        count.load(Ordering::Relaxed).saturating_sub(n),
        Ordering::Relaxed,
    );
}

impl Semaphore {
    /// A semaphore with this number of permits.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if memory or descriptors are short.
    pub fn new(permits: u32) -> Result<Self, Error> {
        Self::with_bound(permits, UNBOUNDED)
    }

    pub(super) fn with_bound(permits: u32, bound: u32) -> Result<Self, Error> {
        registry::ensure_registry()?;
        let state = Shared::new(State::new(permits, bound))?;
        Ok(Self { state })
    }

    /// Takes a permit, waiting for one as long as it takes.
    pub fn acquire(&self) {
        let (hold, slept) = (Hold::Anonymous, Slept::Woken);
        // Always a permit: without a deadline there is no other end.
        self.state.acquire(hold, Deadline::Never, slept);
    }

    /// Takes a permit if one is there now: `acquire(block=False)`. Returns whether it
    /// did.
    #[must_use = "without a permit there is nothing to release"]
    pub fn try_acquire(&self) -> bool {
        let (hold, slept) = (Hold::Anonymous, Slept::Deadline);
        self.state.acquire(hold, Deadline::NOW, slept).is_some()
    }

    /// Takes a permit, waiting for one for at most this long: `acquire(timeout=…)`.
    /// Returns whether it did.
    #[must_use = "without a permit there is nothing to release"]
    pub fn acquire_timeout(&self, timeout: Duration) -> bool {
        let (hold, slept) = (Hold::Anonymous, Slept::Woken);
        self.state
            .acquire(hold, Deadline::after(timeout), slept)
            .is_some()
    }

    /// Gives a permit back, or adds one, and wakes one process that waits for it. Beyond
    /// 4 294 967 295 permits it adds none.
    pub fn release(&self) {
        self.state.release();
    }

    /// Takes a permit that is released when it is dropped, or when its process dies:
    /// Python's `with semaphore:`.
    #[must_use = "a permit that is not kept is released at once"]
    pub fn permit(&self) -> Permit<'_> {
        let (hold, slept) = (Hold::Guarded, Slept::Woken);
        // Without a deadline the only end is to have it.
        let place = self.state.acquire(hold, Deadline::Never, slept).flatten();
        Permit::new(&self.state, place)
    }

    /// [`permit`](Self::permit), if one comes within this time.
    #[must_use = "a permit that is not kept is released at once"]
    pub fn permit_timeout(&self, timeout: Duration) -> Option<Permit<'_>> {
        let (hold, slept) = (Hold::Guarded, Slept::Woken);
        let place = self.state.acquire(hold, Deadline::after(timeout), slept)?;
        Some(Permit::new(&self.state, place))
    }

    /// The number of free permits. Another process may have changed it by the time you
    /// look at the answer.
    #[must_use]
    pub fn get_value(&self) -> u32 {
        let _guard = self.state.lock();
        self.state.available()
    }

    pub(super) fn state(&self) -> &State<HOLDERS> {
        &self.state
    }
}

/// A permit of a [`Semaphore`] or a [`BoundedSemaphore`](crate::BoundedSemaphore),
/// released when dropped.
///
/// It belongs to the process that took it: the copy that a forked child inherits does
/// nothing. Made by [`Semaphore::permit`], where its example is.
#[derive(Debug)]
pub struct Permit<'a> {
    state: &'a State<HOLDERS>,
    place: Place,
    holder: RegistryId,
}

impl<'a> Permit<'a> {
    fn new(state: &'a State<HOLDERS>, place: Place) -> Self {
        Self {
            state,
            place,
            holder: registry::me(),
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.holder != registry::me() {
            return;
        }
        match self.place {
            Some(place) => self.state.vacate(place),
            None => {
                // The bound allows it: a permit of this semaphore is out.
                self.state.release();
            }
        }
    }
}
