//! A number of permits for processes to share.

use std::array;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::registry::{self, RegistryId};
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::futex::{self, Deadline, SLICE, Slept};
use crate::sys::segment::{PAGE, Shared, shareable};
use crate::wait::{Acquired, RawGuard, RawLock};

/// A number of permits; who finds none left waits for one: Python's
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
/// The [`Permit`]s of a process that ends come back, within a tenth of a second after
/// somebody waits for them. What it took by [`acquire`](Self::acquire) does not:
/// anybody may [`release`](Self::release), so a semaphore cannot know whose it was. A
/// process that dies waiting takes no permit with it.
///
/// # Limitations
///
/// It knows the holders of at most 960 permits at a time: those beyond do not come back
/// when their holder is killed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Semaphore {
    state: Shared<State<HOLDERS>>,
}

/// As many as a page has room for beside the rest.
const HOLDERS: usize = (PAGE - 256) / size_of::<u32>();

/// The bound of a semaphore that has none.
const UNBOUNDED: u32 = u32::MAX;

shareable! {
    /// All but `turn` change under the lock only.
    ///
    /// Each operation changes the truth by a single store, to `total` or to a place in
    /// `holders`. So whoever dies in the middle of one has done it or has not, and
    /// `held`, which merely counts, is counted anew.
    #[derive(Debug)]
    pub(super) struct State<const N: usize> {
        lock: RawLock,
        /// The permits that are there or held by a guard: those that were there at
        /// first, less those acquired by hand, plus those released by hand.
        total: AtomicU32,
        /// More than that `total` is never.
        bound: AtomicU32,
        /// How many places of `holders` are taken.
        held: AtomicU32,
        /// Changes with every permit that becomes available: what waiters sleep on.
        turn: AtomicU32,
        /// How many sleep or are about to. One that was killed stays counted, which
        /// costs a wake-up that nobody hears, at every release.
        waiting: AtomicU32,
        /// When somebody looked for the dead last: see [`milliseconds`].
        looked: AtomicU32,
        /// The process that holds the permit of this place, and 0 for none.
        holders: [AtomicU32; N],
    }
}

/// How a permit is taken.
#[derive(Clone, Copy)]
enum Hold {
    /// By hand: whoever gives it back.
    Anonymous,
    /// By a guard, which notes its process as the holder.
    Guarded,
}

/// Where a permit's holder is noted; nowhere where there was no place or no guard.
type Place = Option<usize>;

impl<const N: usize> State<N> {
    pub(super) fn new(permits: u32, bound: u32) -> Self {
        Self {
            lock: RawLock::new(),
            total: AtomicU32::new(permits),
            bound: AtomicU32::new(bound),
            held: AtomicU32::new(0),
            turn: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            looked: AtomicU32::new(0),
            holders: array::from_fn(|_| AtomicU32::new(0)),
        }
    }

    /// Takes the lock, and puts the count right where its last holder could not.
    fn lock(&self) -> RawGuard<'_> {
        let guard = self.lock.lock();
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
        let mut guard = self.lock();
        loop {
            // Where permits come and go, each who waits is woken within its slice. So
            // the slice of all of them counts, too.
            if self.available() == 0
                && (slept != Slept::Woken || self.nobody_looked_for_a_slice())
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
            let turn = self.turn.load(Ordering::Relaxed);
            drop(guard);
            // A release after the lock was given up is not lost: it changes the turn,
            // and the sleep does not begin.
            slept = futex::wait(&self.turn, turn, deadline);
            guard = self.lock();
            subtract(&self.waiting, 1);
        }
    }

    /// Takes one of the permits that are there. Needs the lock.
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
        self.pass_on(guard, 1);
        true
    }

    /// Gives back the permit of a guard.
    fn vacate(&self, place: usize) {
        let guard = self.lock();
        self.holders[place].store(0, Ordering::Relaxed);
        subtract(&self.held, 1);
        self.pass_on(guard, 1);
    }

    /// Tells those who wait that permits are there. They look once the lock is free.
    fn pass_on(&self, guard: RawGuard<'_>, permits: u32) {
        self.turn.fetch_add(1, Ordering::Relaxed);
        let waiting = self.waiting.load(Ordering::Relaxed);
        drop(guard);
        if waiting > 0 {
            futex::wake(&self.turn, permits);
        }
    }

    fn nobody_looked_for_a_slice(&self) -> bool {
        let looked = self.looked.load(Ordering::Relaxed);
        u128::from(milliseconds().wrapping_sub(looked)) >= SLICE.as_millis()
    }

    /// Frees the places of those who have died. Needs the lock.
    fn take_from_the_dead(&self) {
        self.looked.store(milliseconds(), Ordering::Relaxed);
        for place in &self.holders {
            let holder = place.load(Ordering::Relaxed);
            if holder != 0 && !registry::is_alive(holder) {
                place.store(0, Ordering::Relaxed);
                subtract(&self.held, 1);
            }
        }
        // The others find theirs at the end of their own slice.
    }
}

/// The clock, as a number that wraps. All permits may be taken when it shows what it
/// showed fifty days ago; then the dead are looked for a slice later.
fn milliseconds() -> u32 {
    futex::now().as_millis() as u32
}

/// Both for counts that change under the lock only.
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
    /// A semaphore with so many permits to give.
    ///
    /// # Errors
    ///
    /// [`Error::System`] where memory or descriptors are short: a semaphore needs one.
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
        let _always = self.state.acquire(hold, Deadline::Never, slept);
    }

    /// Takes a permit if one is there now: `acquire(block=False)`. Returns whether it
    /// did.
    #[must_use = "without a permit there is nothing to release"]
    pub fn try_acquire(&self) -> bool {
        let (hold, slept) = (Hold::Anonymous, Slept::Deadline);
        self.state.acquire(hold, Deadline::Never, slept).is_some()
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

    /// Gives a permit back, or adds one, and wakes one process that waits for it.
    pub fn release(&self) {
        let _below_four_thousand_million = self.state.release();
    }

    /// Takes a permit that is released when it is dropped, or when its process dies:
    /// Python's `with semaphore:`.
    #[must_use = "a permit that is not kept is released at once"]
    pub fn permit(&self) -> Permit<'_> {
        let (hold, slept) = (Hold::Guarded, Slept::Woken);
        // Without a deadline there is no other end than having it.
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

    /// How many permits are there. Another process may have changed that by the time
    /// you look at the answer.
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
