//! How long it pays to look again before going to sleep.

use std::hint;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use crate::sys::futex;

/// Says whether waits look again for a while before they sleep, in this process and in
/// those that it forks from now on. Where nothing is said they do if there is more than
/// one processor.
///
/// A look finds an answer that comes within microseconds, for which a sleep and its
/// wake-up take ten times as long. It is paid with processor time, which may be dearer
/// than that: on a battery, say. Python never looks.
///
/// ```
/// multiprocessing::set_spinning(false);
/// ```
pub fn set_spinning(on: bool) {
    futex::set_spinning(on);
}

/// Finds out now what every process would otherwise at its first look: for one that is
/// about to fork others.
pub(crate) fn prepare() {
    futex::is_spinning();
}

/// A budget of looks that adapts: doubled when one of them succeeded, halved when none
/// did. So two sides that answer at once never sleep, and where the other side is slow,
/// next to nothing is spent.
#[derive(Debug)]
pub(crate) struct Spin {
    budget: AtomicU32,
    looks: SpinLimits,
    /// How many times in a row no look succeeded.
    misses: AtomicU32,
}

/// How often to look. What a look costs depends on what is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SpinLimits {
    /// The least budget: by it a better time is noticed.
    pub(crate) least: u32,
    /// The largest: about as long as a sleep and its wake-up take where the other side
    /// has slept, too.
    pub(crate) most: u32,
}

impl SpinLimits {
    /// At a word in shared memory.
    pub(crate) const AT_MEMORY: Self = Self {
        least: 64,
        most: 256,
    };
    /// By a system call.
    pub(crate) const BY_CALL: Self = Self {
        least: 8,
        most: 128,
    };
}

/// So many looks follow each other at once. Between the others the processor is given
/// away: it may be the very one that the other side waits for, and where nobody wants
/// it, an answer that has not come by now can wait for half a microsecond.
const PAUSES: u32 = 64;

impl Spin {
    pub(crate) const fn new(looks: SpinLimits) -> Self {
        Self {
            budget: AtomicU32::new(looks.most),
            looks,
            misses: AtomicU32::new(0),
        }
    }

    /// SpinLimits until one look gives something or the budget is spent.
    pub(crate) fn until<R>(&self, mut look: impl FnMut() -> Option<R>) -> Option<R> {
        if !futex::is_spinning() {
            return None;
        }
        let relaxed = Ordering::Relaxed;
        let SpinLimits { least, most } = self.looks;
        let misses = self.misses.load(relaxed);
        let budget = if is_probe(misses) {
            most
        } else {
            self.budget.load(relaxed)
        };
        for count in 0..budget {
            if count < PAUSES {
                hint::spin_loop();
            } else {
                thread::yield_now();
            }
            if let Some(found) = look() {
                self.budget
                    .store(budget.saturating_mul(2).min(most), relaxed);
                self.misses.store(0, relaxed);
                return Some(found);
            }
        }
        self.budget.store((budget / 2).max(least), relaxed);
        self.misses.store(misses.wrapping_add(1), relaxed);
        None
    }
}

/// Whether to spend the largest budget after so many misses. Two sides that both sleep
/// before they answer would otherwise do so for ever: each finds the other slow.
fn is_probe(misses: u32) -> bool {
    const RARELY: u32 = 256;
    misses >= 8 && (misses.is_power_of_two() || misses.is_multiple_of(RARELY))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many looks a wait takes that never succeeds.
    fn looks(spin: &Spin) -> u32 {
        let mut looks = 0;
        let found = spin.until(|| {
            looks += 1;
            None::<()>
        });
        assert_eq!(found, None);
        looks
    }

    #[test]
    fn waits_in_vain_grow_short_but_for_a_probe() {
        futex::set_spinning(true);
        let spin = Spin::new(SpinLimits::AT_MEMORY);
        let waits: Vec<u32> = (0..10).map(|_| looks(&spin)).collect();
        assert_eq!(waits, [256, 128, 64, 64, 64, 64, 64, 64, 256, 128]);
    }

    #[test]
    fn a_success_lets_the_next_wait_be_longer() {
        futex::set_spinning(true);
        let spin = Spin::new(SpinLimits::AT_MEMORY);
        while looks(&spin) > 64 {}
        assert_eq!(spin.until(|| Some(7)), Some(7));
        assert_eq!(looks(&spin), 128);
        assert_eq!(looks(&spin), 64);
    }
}
