//! A place where processes wait for each other.

use std::time::Duration;
use std::{array, fmt};

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::registry;
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::futex::{self, Deadline, Slept};
use crate::sys::segment::{PAGE, Shared, shareable};
use crate::wait::{Acquired, RawGuard, RawLock};

/// Lets its parties go on once all of them have come: Python's
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
/// A process that dies while it waits breaks the barrier, within a fifth of a second:
/// the others would wait for one that never comes. One that dies on its way there is
/// not known to the barrier; use [`wait_timeout`](Self::wait_timeout).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Barrier {
    state: Shared<State<PLACES>>,
}

/// As many as a page has room for beside the rest.
const PLACES: usize = (PAGE - 256) / (2 * size_of::<u32>());

/// What is going on at the barrier. Under the lock it is `FILLING` or `BROKEN`; the
/// others announce a change of many places at once, which whoever finds its author
/// dead carries through.
mod phase {
    pub(super) const FILLING: u32 = 0;
    pub(super) const BROKEN: u32 = 1;
    /// All have come: those who wait pass.
    pub(super) const PASSING: u32 = 2;
    /// Those who wait are told that it is broken, and so it stays.
    pub(super) const BREAKING: u32 = 3;
    /// Those who wait are told that it is broken, and then it is new.
    pub(super) const RESETTING: u32 = 4;
}

/// Of whom a place is.
mod place {
    pub(super) const FREE: u32 = 0;
    pub(super) const WAITING: u32 = 1;
    /// Of one who may go on as soon as it wakes.
    pub(super) const PASSED: u32 = 2;
    /// Of one who is to be told that the barrier broke, as soon as it wakes.
    pub(super) const TURNED_AWAY: u32 = 3;
}

shareable! {
    /// Changes under the lock only.
    struct State<const N: usize> {
        lock: RawLock,
        parties: AtomicU32,
        phase: AtomicU32,
        /// Changes when those who wait may go on: what they sleep on.
        turn: AtomicU32,
        /// Each who waits has a place until it has seen its own end of the wait, so
        /// that it cannot mistake the next round's for it.
        places: [AtomicU32; N],
        /// Whose the place is, where it is not free.
        members: [AtomicU32; N],
    }
}

impl<const N: usize> State<N> {
    fn new(parties: u32) -> Self {
        Self {
            lock: RawLock::new(),
            parties: AtomicU32::new(parties),
            phase: AtomicU32::new(phase::FILLING),
            turn: AtomicU32::new(0),
            places: array::from_fn(|_| AtomicU32::new(place::FREE)),
            members: array::from_fn(|_| AtomicU32::new(0)),
        }
    }

    /// Takes the lock, and finishes what its last holder could not.
    fn lock(&self) -> RawGuard<'_> {
        let guard = self.lock.lock();
        if guard.acquired == Acquired::PredecessorDied {
            self.carry_through();
            futex::wake_all(&self.turn);
        }
        guard
    }

    /// Announces a change of all who wait, and makes it. Needs the lock.
    fn announce(&self, phase: u32) {
        self.phase.store(phase, Ordering::Relaxed);
        self.carry_through();
    }

    /// Lets those who wait look at what was announced. They do not miss it: the turn
    /// has changed, whether they sleep yet or not.
    fn let_them_look(&self, guard: RawGuard<'_>) {
        drop(guard);
        futex::wake_all(&self.turn);
    }

    fn carry_through(&self) {
        let (end, then) = match self.phase.load(Ordering::Relaxed) {
            phase::PASSING => (place::PASSED, phase::FILLING),
            phase::BREAKING => (place::TURNED_AWAY, phase::BROKEN),
            phase::RESETTING => (place::TURNED_AWAY, phase::FILLING),
            _ => return,
        };
        for place in self.waiting() {
            self.places[place].store(end, Ordering::Relaxed);
        }
        self.phase.store(then, Ordering::Relaxed);
        self.turn.fetch_add(1, Ordering::Relaxed);
    }

    /// The places of those who wait.
    fn waiting(&self) -> impl Iterator<Item = usize> {
        (0..N).filter(|&place| self.is(place, place::WAITING))
    }

    fn is(&self, place: usize, what: u32) -> bool {
        self.places[place].load(Ordering::Relaxed) == what
    }

    fn is_dead(&self, place: usize) -> bool {
        !registry::is_alive(self.members[place].load(Ordering::Relaxed))
    }

    /// A free place, or one whose owner died before it had seen its end.
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
            // Hundreds have passed and have not yet woken up. It is not worth having
            // each of them look for somebody to wake: the sleep ends by itself.
            let turn = self.turn.load(Ordering::Relaxed);
            drop(guard);
            if futex::wait(&self.turn, turn, deadline) == Slept::Deadline {
                self.turn_away(phase::BREAKING);
                return Err(BarrierBroken);
            }
            guard = self.lock();
        };
        let index = self.waiting().count();
        if index + 1 >= self.parties.load(Ordering::Relaxed) as usize {
            self.announce(phase::PASSING);
            self.let_them_look(guard);
            return Ok(index);
        }
        self.members[place].store(registry::me(), Ordering::Relaxed);
        self.places[place].store(place::WAITING, Ordering::Relaxed);
        loop {
            let turn = self.turn.load(Ordering::Relaxed);
            drop(guard);
            // Who comes last after the lock was given up is not missed: it changes the
            // turn, and the sleep does not begin.
            let slept = futex::wait(&self.turn, turn, deadline);
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
            let hopeless = match slept {
                Slept::Woken => false,
                Slept::Slice => self.neighbour_died(place),
                Slept::Deadline => true,
            };
            if hopeless {
                // In this order: with its place free and the break not announced, its
                // death would leave the others waiting, and no dead among them to find.
                self.announce(phase::BREAKING);
                self.places[place].store(place::FREE, Ordering::Relaxed);
                self.let_them_look(guard);
                return Err(BarrierBroken);
            }
        }
    }

    /// Whether the next who waits, in a ring, has died. Each looks after one, not after
    /// all: where any has died, one of the living has it for its neighbour, or the one
    /// before it died too, and so on.
    fn neighbour_died(&self, place: usize) -> bool {
        let behind = self.waiting().find(|&other| other > place);
        let neighbour = behind.or_else(|| self.waiting().next());
        neighbour.is_some_and(|neighbour| self.is_dead(neighbour))
    }

    /// Leaves nobody waiting.
    fn turn_away(&self, phase: u32) {
        let guard = self.lock();
        self.announce(phase);
        self.let_them_look(guard);
    }
}

impl Barrier {
    /// A barrier for so many parties.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyParties`] beyond 480; [`Error::System`] where memory or
    /// descriptors are short: a barrier needs one.
    pub fn new(parties: u32) -> Result<Self, Error> {
        if parties as usize > PLACES {
            return Err(Error::TooManyParties { most: PLACES });
        }
        registry::ensure_registry()?;
        let state = Shared::new(State::new(parties))?;
        Ok(Self { state })
    }

    /// Waits until all parties have come. Returns how many had come before this one,
    /// so that one of them, say the one with 0, can do what is to be done once.
    ///
    /// # Errors
    ///
    /// [`BarrierBroken`] where the barrier is broken, or breaks meanwhile.
    pub fn wait(&self) -> Result<usize, BarrierBroken> {
        self.state.wait(Deadline::Never)
    }

    /// [`wait`](Self::wait) for at most this long. When that time is over the barrier
    /// breaks, for all parties.
    ///
    /// # Errors
    ///
    /// [`BarrierBroken`] where the barrier is broken, or breaks meanwhile.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<usize, BarrierBroken> {
        self.state.wait(Deadline::after(timeout))
    }

    /// Breaks the barrier: who waits and who comes gets [`BarrierBroken`], until
    /// [`reset`](Self::reset).
    pub fn abort(&self) {
        self.state.turn_away(phase::BREAKING);
    }

    /// Makes the barrier as new. Who waits gets [`BarrierBroken`].
    pub fn reset(&self) {
        self.state.turn_away(phase::RESETTING);
    }

    /// Whether the barrier is broken.
    #[must_use]
    pub fn broken(&self) -> bool {
        let _guard = self.state.lock();
        self.state.phase.load(Ordering::Relaxed) == phase::BROKEN
    }

    /// How many parties it waits for.
    #[must_use]
    pub fn parties(&self) -> u32 {
        self.state.parties.load(Ordering::Relaxed)
    }

    /// How many wait at this moment.
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
