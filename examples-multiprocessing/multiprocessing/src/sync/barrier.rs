//! Processes that wait for each other.

use std::time::Duration;
use std::{array, fmt};

use crate::error::Error;
use crate::handover::handle;
use crate::registry;
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sys::futex::{self, Deadline, Slept};
use crate::sys::segment::{PAGE, Shared, shareable};

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
/// that dies before it comes; use [`wait_timeout`](Self::wait_timeout). A process that is
/// stopped (SIGSTOP) is alive, and delays nobody but those that wait for it to come.
///
/// A round ends for all its parties by one change of one word, and nothing is locked. It
/// is a [`threading.Barrier`](https://docs.python.org/3/library/threading.html#barrier-objects)
/// of Python's, except that each waiter has a place of its own besides the common count,
/// so that it is known which of them died.
#[derive(Debug, Clone)]
pub struct Barrier {
    state: Shared<State<PLACES>>,
}

handle!(Barrier { state });

/// The number of parties for which a page has room beside the rest.
const PLACES: usize = (PAGE - 256) / size_of::<u64>();

/// What one word says of the barrier.
#[derive(Clone, Copy)]
struct Round {
    /// Grows with each round, and wraps.
    number: u32,
    /// Whether nobody may come, until the barrier is reset.
    broken: bool,
    /// How the round before this one ended: its waiters may not have seen that yet.
    last: Outcome,
    /// The number of those that have come.
    waiting: u32,
}

/// How a round ended for those that waited.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// All had come.
    Passed,
    /// A party gave up or died, or the barrier was aborted or reset.
    Failed,
}

impl Round {
    const BROKEN: u64 = 1 << 31;
    const LAST_PASSED: u64 = 1 << 30;

    fn from_word(word: u64) -> Self {
        Self {
            number: (word >> 32) as u32,
            broken: word & Self::BROKEN != 0,
            last: if word & Self::LAST_PASSED == 0 {
                Outcome::Failed
            } else {
                Outcome::Passed
            },
            waiting: word as u32 & 0xffff,
        }
    }

    fn to_word(self) -> u64 {
        let broken = if self.broken { Self::BROKEN } else { 0 };
        let passed = match self.last {
            Outcome::Passed => Self::LAST_PASSED,
            Outcome::Failed => 0,
        };
        u64::from(self.number) << 32 | broken | passed | u64::from(self.waiting)
    }
}

/// What a place says, beside its owner: in the low two bits one of these, and in the others
/// the number of its owner's round, without the highest two.
mod place {
    /// Nobody owns it.
    pub(super) const FREE: u32 = 0;
    /// Its owner waits in this round, or in one that has ended since. It may also be about
    /// to come and not be counted yet.
    pub(super) const WAITING: u32 = 1;
    /// The round ended with all parties there.
    pub(super) const PASSED: u32 = 2;
    /// The round failed.
    pub(super) const FAILED: u32 = 3;

    /// The bits that hold the state.
    pub(super) const STATE: u32 = 3;

    pub(super) fn of_round(state: u32, round: u32) -> u32 {
        round << 2 | state
    }

    /// The word of a place with this owner.
    pub(super) fn word(owner: u32, content: u32) -> u64 {
        u64::from(owner) << 32 | u64::from(content)
    }

    /// The owner and the rest.
    pub(super) fn parts(word: u64) -> (u32, u32) {
        ((word >> 32) as u32, word as u32)
    }
}

shareable! {
    /// Each operation takes effect by a single change of `round`. So a process that is
    /// killed or stopped in the middle of one has done it or has not, and is in nobody's
    /// way.
    struct State<const N: usize> {
        parties: AtomicU32,
        /// Changes after each end of a round: what those that wait sleep on.
        changes: AtomicU32,
        /// A [`Round`].
        round: AtomicU64,
        /// Each waiter has a place until it has seen the end of its own round. It may see
        /// that long after, so before a round ends the outcome of the one before it is
        /// written to the places of those that waited in that.
        places: [AtomicU64; N],
    }
}

impl<const N: usize> State<N> {
    fn new(parties: u32) -> Self {
        Self {
            parties: AtomicU32::new(parties),
            changes: AtomicU32::new(0),
            round: AtomicU64::new(0),
            places: array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    fn round(&self) -> Round {
        Round::from_word(self.round.load(Ordering::Acquire))
    }

    /// Changes the round to another state. Returns whether it was still in this one.
    fn replace(&self, round: Round, by: Round) -> bool {
        let (from, to) = (round.to_word(), by.to_word());
        let (set, fetch) = (Ordering::AcqRel, Ordering::Relaxed);
        self.round.compare_exchange(from, to, set, fetch).is_ok()
    }

    /// Ends the round for all that wait, and wakes them, unless it has changed.
    fn end(&self, round: Round, outcome: Outcome, broken: bool) -> bool {
        self.record_last_outcome(round);
        let next = Round {
            number: round.number.wrapping_add(1),
            broken,
            last: outcome,
            waiting: 0,
        };
        let ended = self.replace(round, next);
        if ended {
            // Those that wait do not miss it: `changes` has changed, whether they sleep
            // yet or not.
            self.changes.fetch_add(1, Ordering::Release);
            futex::wake_all(&self.changes);
        }
        ended
    }

    /// Writes to the places of the round before this one how that round ended. All that were
    /// counted in it have had their places since before it ended. If others do the same, or
    /// a process does it that was stopped meanwhile, no harm is done: a place that it
    /// changes still waits for this very outcome.
    fn record_last_outcome(&self, round: Round) {
        let last = round.number.wrapping_sub(1);
        let outcome = match round.last {
            Outcome::Passed => place::PASSED,
            Outcome::Failed => place::FAILED,
        };
        for place in self.waiting(last) {
            let word = self.places[place].load(Ordering::Relaxed);
            let (owner, content) = place::parts(word);
            if content == place::of_round(place::WAITING, last) {
                let with_outcome =
                    place::word(owner, place::of_round(outcome, last));
                // An error is a place that somebody else has changed.
                self.change(place, word, with_outcome);
            }
        }
    }

    fn change(&self, place: usize, from: u64, to: u64) -> bool {
        let (set, fetch) = (Ordering::AcqRel, Ordering::Relaxed);
        self.places[place]
            .compare_exchange(from, to, set, fetch)
            .is_ok()
    }

    /// The places of those that wait in this round.
    fn waiting(&self, round: u32) -> impl Iterator<Item = usize> {
        let waiting = place::of_round(place::WAITING, round);
        (0..N).filter(move |&place| {
            let word = self.places[place].load(Ordering::Acquire);
            place::parts(word).1 == waiting
        })
    }

    /// Takes a free place, or one whose owner died before it had seen the end of its round.
    fn take_place(&self, round: u32) -> Option<usize> {
        let mine =
            place::word(registry::me(), place::of_round(place::WAITING, round));
        let take = |place: &usize, may_be_taken: &dyn Fn(u64) -> bool| {
            let word = self.places[*place].load(Ordering::Acquire);
            may_be_taken(word) && self.change(*place, word, mine)
        };
        let is_free = |word| place::parts(word).1 == place::FREE;
        // If it waits in this round or in a later one, the others must find it dead.
        let is_left_behind = |word| {
            let (owner, content) = place::parts(word);
            let its_round = content & !place::STATE;
            let behind = place::of_round(0, round).wrapping_sub(its_round) >> 2;
            let is_over = content & place::STATE != place::WAITING
                || (1..1 << 29).contains(&behind);
            is_over && !registry::is_alive(owner)
        };
        (0..N)
            .find(|place| take(place, &is_free))
            .or_else(|| (0..N).find(|place| take(place, &is_left_behind)))
    }

    fn wait(&self, deadline: Deadline) -> Result<usize, BarrierBroken> {
        let mut place = None;
        let end = self.wait_at(&mut place, deadline);
        if let Some(place) = place {
            self.places[place].store(place::word(0, place::FREE), Ordering::Release);
        }
        end
    }

    /// Waits at a place, which it takes and its caller frees.
    fn wait_at(
        &self,
        place: &mut Option<usize>,
        deadline: Deadline,
    ) -> Result<usize, BarrierBroken> {
        let (mine, round) = loop {
            let changes = self.changes.load(Ordering::Acquire);
            let round = self.round();
            if round.broken {
                return Err(BarrierBroken);
            }
            if round.waiting + 1 >= self.parties.load(Ordering::Relaxed) {
                // If all waiters have died, none of them has found that out.
                let mut waiters = self.waiting(round.number);
                if waiters.any(|waiter| self.has_died(waiter)) {
                    if self.end(round, Outcome::Failed, true) {
                        return Err(BarrierBroken);
                    }
                } else if self.end(round, Outcome::Passed, false) {
                    return Ok(round.waiting as usize);
                }
                continue;
            }
            if let Some(mine) = *place {
                // The round for which it was taken is over.
                let content = place::of_round(place::WAITING, round.number);
                let word = place::word(registry::me(), content);
                self.places[mine].store(word, Ordering::Release);
            } else {
                *place = self.take_place(round.number);
            }
            let Some(mine) = *place else {
                // Hundreds have passed and have not yet woken up. Nobody wakes this one
                // when a place becomes free: the sleep ends by itself after a slice.
                if futex::wait(&self.changes, changes, deadline) == Slept::Deadline {
                    self.abort();
                    return Err(BarrierBroken);
                }
                continue;
            };
            let waiting = round.waiting + 1;
            if self.replace(round, Round { waiting, ..round }) {
                break (mine, round);
            }
        };
        let mut slept = Slept::Woken;
        loop {
            let changes = self.changes.load(Ordering::Acquire);
            match self.outcome(mine, round.number) {
                Some(Outcome::Passed) => return Ok(round.waiting as usize),
                Some(Outcome::Failed) => return Err(BarrierBroken),
                None => {}
            }
            let broken = match slept {
                Slept::Woken => false,
                Slept::Slice => self.neighbour_died(mine, round.number),
                Slept::Deadline => true,
            };
            if broken {
                // If it fails, another party has come or the round has ended.
                let now = self.round();
                if now.number == round.number {
                    self.end(now, Outcome::Failed, true);
                }
                continue;
            }
            // A last party that comes after the round was looked at is not missed: it
            // changes `changes`, and the sleep does not begin.
            slept = futex::wait(&self.changes, changes, deadline);
        }
    }

    /// How the round ended in which the owner of the place waits, if it has.
    fn outcome(&self, place: usize, round: u32) -> Option<Outcome> {
        let now = self.round();
        match now.number.wrapping_sub(round) {
            0 => None,
            1 => Some(now.last),
            _ => {
                let word = self.places[place].load(Ordering::Acquire);
                match place::parts(word).1 & place::STATE {
                    place::PASSED => Some(Outcome::Passed),
                    _ => Some(Outcome::Failed),
                }
            }
        }
    }

    /// Whether the next waiter, in a circle, has died. Each waiter checks one other, not
    /// all: if any has died, a living one has it for its neighbour, or the one before it
    /// has died too, and so on.
    fn neighbour_died(&self, place: usize, round: u32) -> bool {
        let after = self.waiting(round).find(|&other| other > place);
        let neighbour = after.or_else(|| self.waiting(round).next());
        neighbour.is_some_and(|neighbour| self.has_died(neighbour))
    }

    /// Whether the owner of the place has died.
    fn has_died(&self, place: usize) -> bool {
        let word = self.places[place].load(Ordering::Acquire);
        !registry::is_alive(place::parts(word).0)
    }

    fn abort(&self) {
        loop {
            let round = self.round();
            if round.broken || self.end(round, Outcome::Failed, true) {
                return;
            }
        }
    }

    fn reset(&self) {
        loop {
            let round = self.round();
            let reset = if round.waiting > 0 {
                self.end(round, Outcome::Failed, false)
            } else {
                let whole = Round {
                    broken: false,
                    ..round
                };
                self.replace(round, whole)
            };
            if reset {
                return;
            }
        }
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
        self.state.abort();
    }

    /// Makes the barrier as new. All that wait get [`BarrierBroken`].
    pub fn reset(&self) {
        self.state.reset();
    }

    /// Whether the barrier is broken.
    #[must_use]
    pub fn broken(&self) -> bool {
        self.state.round().broken
    }

    /// The number of parties that it waits for.
    #[must_use]
    pub fn parties(&self) -> u32 {
        self.state.parties.load(Ordering::Relaxed)
    }

    /// The number of those that wait at this moment.
    #[must_use]
    pub fn n_waiting(&self) -> usize {
        self.state.round().waiting as usize
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
