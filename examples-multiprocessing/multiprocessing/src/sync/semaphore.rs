//! A number of permits for processes to share.

use std::array;
use std::time::Duration;

use crate::error::Error;
use crate::handover::handle;
use crate::registry::{self, RegistryId};
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::futex::{self, Deadline, SLICE, Slept};
use crate::sys::segment::{PAGE, Shared, shareable};
use crate::wait::EventCount;

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
/// A process that is stopped (SIGSTOP), at whatever moment, keeps the permits that it has
/// and delays nobody else.
///
/// A permit lies in a place of shared memory, and is taken or given back by one change of
/// the word that stands there: free, or its holder. Those that find none sleep on an
/// eventcount. Nothing is locked.
///
/// # Limitations
///
/// It knows the holders of at most 960 permits at a time: further ones do not come back
/// when their holder is killed.
#[derive(Debug, Clone)]
pub struct Semaphore {
    state: Shared<State<PLACES>>,
}

handle!(Semaphore { state });

/// The number of places that fit into a page beside the rest.
const PLACES: usize = (PAGE - 256) / size_of::<u32>();

/// The bound of a semaphore that has none.
const UNBOUNDED: u32 = u32::MAX;

/// In a place: no permit is there.
const NONE: u32 = 0;
/// In a place: a permit that nobody holds. Every other number is the process that holds
/// the permit of the place.
const FREE: u32 = 1 << 31;

shareable! {
    /// Each operation takes effect by a single change of one word, `unplaced` or one in
    /// `places`. So a process that dies in the middle of an operation has done it or has
    /// not, and nothing has to be repaired.
    #[derive(Debug)]
    pub(super) struct State<const N: usize> {
        /// Notified after each permit that becomes free.
        freed: EventCount,
        /// The largest number of permits. Never changes.
        bound: AtomicU32,
        /// From this place on there never was a permit. Only grows.
        used: AtomicU32,
        /// The free permits for which there is no place.
        unplaced: AtomicU32,
        /// When a process last searched for dead holders: see [`milliseconds`].
        searched: AtomicU32,
        /// [`NONE`], [`FREE`] or a holder.
        places: [AtomicU32; N],
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

/// The place of a guard's permit; `None` if there was no place or no guard.
type Place = Option<usize>;

impl<const N: usize> State<N> {
    pub(super) fn new(permits: u32, bound: u32) -> Self {
        let used = permits.min(N as u32);
        let first = |place| if place < used as usize { FREE } else { NONE };
        Self {
            freed: EventCount::new(),
            bound: AtomicU32::new(bound),
            used: AtomicU32::new(used),
            unplaced: AtomicU32::new(permits - used),
            searched: AtomicU32::new(0),
            places: array::from_fn(|place| AtomicU32::new(first(place))),
        }
    }

    /// The places in which there may be a permit.
    fn used(&self) -> &[AtomicU32] {
        let used = self.used.load(Ordering::Relaxed) as usize;
        self.places.get(..used).unwrap_or(&self.places)
    }

    /// The number of free permits.
    fn available(&self) -> u32 {
        let free = self.used().iter().filter(|place| is_free(place)).count();
        self.unplaced
            .load(Ordering::Relaxed)
            .saturating_add(free as u32)
    }

    /// Whether a permit is free.
    fn has_free(&self) -> bool {
        self.used().iter().any(is_free) || self.unplaced.load(Ordering::Relaxed) > 0
    }

    #[inline]
    fn acquire(
        &self,
        hold: Hold,
        deadline: Deadline,
        slept: Slept,
    ) -> Option<Place> {
        match self.take(hold) {
            Some(place) => Some(place),
            None => self.acquire_contended(hold, deadline, slept),
        }
    }

    #[cold]
    fn acquire_contended(
        &self,
        hold: Hold,
        deadline: Deadline,
        mut slept: Slept,
    ) -> Option<Place> {
        loop {
            // If permits come and go, each waiter is woken within its slice, and none of
            // them would search. So the time since the last search counts, too.
            if slept != Slept::Woken || self.nobody_searched_for_a_slice() {
                self.take_from_the_dead();
            }
            if let Some(place) = self.take(hold) {
                // The release that woke this process may have been followed by others
                // that woke nobody.
                if self.has_free() {
                    self.freed.notify_one_relaxed();
                }
                return Some(place);
            }
            if slept == Slept::Deadline {
                return None;
            }
            // A release after `take` is not lost: `EventCount` sees to that. Nor is a
            // permit that moved from one place to another behind it: the release that
            // made the second one free ends the sleep.
            slept = self.freed.sleep_unless(|| self.has_free(), deadline);
        }
    }

    /// Takes one of the free permits, if it finds one.
    #[inline]
    fn take(&self, hold: Hold) -> Option<Place> {
        match hold {
            // The places are left to the guards as long as possible.
            Hold::Anonymous if self.take_unplaced() => Some(None),
            Hold::Anonymous => self.take_placed(NONE).map(|_| None),
            Hold::Guarded => match self.take_placed(registry::me()) {
                Some(place) => Some(Some(place)),
                None => self.take_unplaced().then_some(None),
            },
        }
    }

    /// Takes the permit of the first free place, in which `left` remains.
    #[inline]
    fn take_placed(&self, left: u32) -> Option<usize> {
        // Acquire: what was done under the permit before is seen. Release publishes this
        // process's entry in the registry along with its id.
        self.used()
            .iter()
            .position(|place| is_free(place) && change(place, FREE, left))
    }

    #[inline]
    fn take_unplaced(&self) -> bool {
        let mut free = self.unplaced.load(Ordering::Relaxed);
        while free > 0 {
            if change(&self.unplaced, free, free - 1) {
                return true;
            }
            free = self.unplaced.load(Ordering::Relaxed);
        }
        false
    }

    /// Adds a permit. Returns whether the bound allows it.
    pub(super) fn release(&self) -> bool {
        let added = self.add();
        if added {
            self.freed.notify_one();
        }
        added
    }

    /// Fills the first empty place. A semaphore with a bound has as many places as
    /// permits, so that a permit that was taken by hand has left an empty one.
    ///
    /// Another process may fill that one first. But it has a permit to give back as well,
    /// and knows an empty place further on: that of its own permit, or one that it has
    /// learnt of in this way. Otherwise it would have found that place first. So this
    /// process finds an empty place further on, too. If it finds none, no permit was out.
    fn add(&self) -> bool {
        let bound = self.bound.load(Ordering::Relaxed);
        loop {
            let used = self.used().len();
            // Acquire, also if it is not empty: what the process that filled the place
            // knew of empty ones is known from here on.
            let (set, fetch) = (Ordering::AcqRel, Ordering::Acquire);
            let filled = |place: &AtomicU32| {
                place.load(fetch) == NONE
                    && place.compare_exchange(NONE, FREE, set, fetch).is_ok()
            };
            if self.used().iter().any(filled) {
                return true;
            }
            if used >= N.min(bound as usize) {
                break;
            }
            // Fails if another process has just done it.
            change(&self.used, used as u32, used as u32 + 1);
        }
        // The permits for which there is no place are only counted.
        let more = bound.saturating_sub(N as u32);
        let add = |free: u32| (free < more).then(|| free + 1);
        let (set, fetch) = (Ordering::AcqRel, Ordering::Relaxed);
        self.unplaced.fetch_update(set, fetch, add).is_ok()
    }

    /// Gives back the permit of a guard.
    #[inline]
    fn vacate(&self, place: usize) {
        // Nobody else changes the place while its holder lives.
        self.places[place].store(FREE, Ordering::Release);
        self.freed.notify_one();
    }

    fn nobody_searched_for_a_slice(&self) -> bool {
        let searched = self.searched.load(Ordering::Relaxed);
        u128::from(milliseconds().wrapping_sub(searched)) >= SLICE.as_millis()
    }

    /// Frees the permits of holders that have died.
    fn take_from_the_dead(&self) {
        self.searched.store(milliseconds(), Ordering::Relaxed);
        for place in self.used() {
            // Acquire: the holder's entry in the registry is seen.
            let holder = place.load(Ordering::Acquire);
            if !matches!(holder, NONE | FREE) && !registry::is_alive(holder) {
                // Fails if another process has found it dead, too.
                change(place, holder, FREE);
            }
        }
        // Other waiters find further permits at the end of their own slice.
    }
}

#[inline]
fn is_free(place: &AtomicU32) -> bool {
    place.load(Ordering::Relaxed) == FREE
}

#[inline]
fn change(word: &AtomicU32, from: u32, to: u32) -> bool {
    word.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed)
        .is_ok()
}

/// The clock, as a number that wraps after fifty days. When it shows an old value again,
/// a search for the dead may come a slice later.
fn milliseconds() -> u32 {
    futex::now().as_millis() as u32
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
        let (hold, slept) = (Hold::Anonymous, Slept::Slice);
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
    /// look at the answer; what others take and give back while they are counted may be
    /// counted or not.
    #[must_use]
    pub fn get_value(&self) -> u32 {
        self.state.available()
    }

    pub(super) fn state(&self) -> &State<PLACES> {
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
    state: &'a State<PLACES>,
    place: Place,
    holder: RegistryId,
}

impl<'a> Permit<'a> {
    fn new(state: &'a State<PLACES>, place: Place) -> Self {
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
