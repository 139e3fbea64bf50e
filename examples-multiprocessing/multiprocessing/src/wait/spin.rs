//! How long it pays to probe again before going to sleep.

use std::hint;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use crate::sys::futex::{self, Deadline};

/// Whether waits probe again for a while before they sleep: one of the three below.
static SPINNING: AtomicU8 = AtomicU8::new(UNDECIDED);

/// Nobody has asked yet.
const UNDECIDED: u8 = 0;
const OFF: u8 = 1;
const ON: u8 = 2;

/// Says whether waits spin for a while before they sleep, in this process and in those
/// that it forks from now on. By default they do if there is more than one processor.
///
/// A spin finds an answer that comes within microseconds, for which a sleep and its
/// wake-up take ten times as long. It costs processor time, which may matter more than
/// latency, on a battery for instance. Python never spins.
///
/// ```
/// multiprocessing::set_spinning(false);
/// ```
pub fn set_spinning(on: bool) {
    SPINNING.store(if on { ON } else { OFF }, Ordering::Relaxed);
}

/// Whether to spin: what [`set_spinning`] said, and otherwise whether there is more than
/// one processor. With one, the other side cannot run meanwhile.
#[inline]
pub(super) fn is_spinning() -> bool {
    match SPINNING.load(Ordering::Relaxed) {
        UNDECIDED => decide_whether_to_spin(),
        decided => decided == ON,
    }
}

/// Finds out now what every process would otherwise find out at its first wait: for one
/// that is about to fork others.
#[cold]
pub(crate) fn decide_whether_to_spin() -> bool {
    if SPINNING.load(Ordering::Relaxed) == UNDECIDED {
        set_spinning(thread::available_parallelism().is_ok_and(|n| n.get() > 1));
    }
    SPINNING.load(Ordering::Relaxed) == ON
}

/// A budget of probes that adapts: doubled when one of them succeeded, halved when none
/// did. So two sides that answer at once never sleep, and while the other side is slow,
/// next to nothing is spent.
///
/// crossbeam's [`Backoff`](https://docs.rs/crossbeam-utils/latest/crossbeam_utils/struct.Backoff.html)
/// spins and yields alike, but begins afresh with every wait; this one remembers what
/// the waits before were worth.
#[derive(Debug)]
pub(crate) struct Spin {
    budget: AtomicU32,
    limits: SpinLimits,
    /// How many times in a row no probe succeeded.
    misses: AtomicU32,
}

/// The least and the largest number of probes. What a probe costs depends on what is
/// probed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SpinLimits {
    /// The least budget: it is by these probes that a faster other side is noticed.
    least: u32,
    /// The largest: about as long as a sleep and its wake-up take if the other side
    /// has slept, too.
    most: u32,
}

impl SpinLimits {
    /// For a probe of a word in shared memory.
    pub(crate) const AT_MEMORY: Self = Self {
        least: 64,
        most: 256,
    };
    /// For a probe by a system call.
    pub(crate) const BY_CALL: Self = Self {
        least: 8,
        most: 128,
    };
}

/// The number of probes that follow each other at once. Before the later ones the processor
/// is given away: it may be the very one that the other side waits for, and if nobody wants
/// it, an answer that has not come by now can wait for half a microsecond.
const PAUSES: u32 = 64;

/// If the processor comes back later than this, other work wants it. Every further yield
/// might cost a slice of the scheduler, which is far more than a sleep and its wake-up.
const QUICK: Duration = Duration::from_micros(50);

impl Spin {
    pub(crate) const fn new(limits: SpinLimits) -> Self {
        Self {
            budget: AtomicU32::new(limits.most),
            limits,
            misses: AtomicU32::new(0),
        }
    }

    /// Probes until one probe gives something or the budget is spent: for a wait without
    /// a deadline.
    pub(crate) fn until<R>(&self, probe: impl FnMut() -> Option<R>) -> Option<R> {
        self.until_deadline(Deadline::Never, probe)
    }

    /// [`until`](Self::until) for a wait that may have a deadline. If it has one, the
    /// processor is never given away: nobody knows when it would come back.
    pub(crate) fn until_deadline<R>(
        &self,
        deadline: Deadline,
        probe: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        match deadline {
            _ if !is_spinning() => None,
            Deadline::Never => self.spin(self.limits.most, probe),
            Deadline::At(_) => self.spin(PAUSES, probe),
        }
    }

    /// Probes at most this often, and no more often than the budget allows.
    fn spin<R>(&self, most: u32, mut probe: impl FnMut() -> Option<R>) -> Option<R> {
        let relaxed = Ordering::Relaxed;
        let SpinLimits { least, .. } = self.limits;
        let misses = self.misses.load(relaxed);
        let budget = if is_trial(misses) {
            self.limits.most
        } else {
            self.budget.load(relaxed)
        };
        let mut misses = misses.wrapping_add(1);
        for count in 0..budget.min(most) {
            if count < PAUSES {
                hint::spin_loop();
            } else if !yield_is_quick() {
                // No trial for a while.
                misses = misses.max(MISSES_BEFORE_TRIALS + 1);
                break;
            }
            if let Some(found) = probe() {
                let doubled = budget.saturating_mul(2).min(self.limits.most);
                self.budget.store(doubled, relaxed);
                self.misses.store(0, relaxed);
                return Some(found);
            }
        }
        self.budget.store((budget / 2).max(least), relaxed);
        self.misses.store(misses, relaxed);
        None
    }
}

/// Gives the processor away, and says whether it came back at once.
fn yield_is_quick() -> bool {
    let before = futex::now();
    thread::yield_now();
    futex::now().saturating_sub(before) < QUICK
}

/// The number of misses in a row after which a trial comes at times.
const MISSES_BEFORE_TRIALS: u32 = 8;

/// Whether to spend the largest budget after this number of misses. Two sides that both
/// sleep before they answer would otherwise do so for ever: each finds the other slow.
fn is_trial(misses: u32) -> bool {
    const RARELY: u32 = 256;
    misses >= MISSES_BEFORE_TRIALS
        && (misses.is_power_of_two() || misses.is_multiple_of(RARELY))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many probes a wait makes that never succeeds.
    fn probes(spin: &Spin) -> u32 {
        let mut probes = 0;
        let found = spin.spin(256, || {
            probes += 1;
            None::<()>
        });
        assert_eq!(found, None);
        probes
    }

    #[test]
    fn a_wait_with_a_deadline_does_not_give_the_processor_away() {
        let spin = Spin::new(SpinLimits::AT_MEMORY);
        let mut probes = 0;
        let deadline = Deadline::after(Duration::from_hours(1));
        let found = spin.until_deadline(deadline, || {
            probes += 1;
            None::<()>
        });
        assert_eq!(found, None);
        assert!(probes <= PAUSES, "{probes} probes");
    }

    /// Below the number of pauses, as a yield may be slow, which ends the spin.
    const SHORT: SpinLimits = SpinLimits {
        least: 16,
        most: 64,
    };

    #[test]
    fn waits_in_vain_become_short_except_for_a_trial() {
        let spin = Spin::new(SHORT);
        let waits: Vec<u32> = (0..10).map(|_| probes(&spin)).collect();
        assert_eq!(waits, [64, 32, 16, 16, 16, 16, 16, 16, 64, 32]);
    }

    #[test]
    fn a_success_lets_the_next_wait_be_longer() {
        let spin = Spin::new(SHORT);
        while probes(&spin) > 16 {}
        assert_eq!(spin.spin(64, || Some(7)), Some(7));
        assert_eq!(probes(&spin), 32);
        assert_eq!(probes(&spin), 16);
    }
}
