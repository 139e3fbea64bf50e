//! How long a thread looks again before it sleeps.

use std::hint;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

/// The looks of a thread that waits, before it sleeps: first a short spin, then a long
/// one if that is likely to pay.
///
/// The long spin lasts somewhat longer than the wake-up of a thread. Two threads that
/// answer each other would otherwise both sleep before each answer for ever, as each is
/// slow for the other. It is in vain where the other side needs the very core on which it
/// spins. So each one in vain lets the waits after it do without, twice as many as the one
/// before.
///
/// The core is never yielded meanwhile: beside busy programs a single yield can take
/// milliseconds, which is a hundred times what a sleep and its wake-up take.
#[derive(Debug)]
pub(crate) struct Spin {
    /// How many waits from now on make no long spin.
    resting: AtomicU32,
    /// How many did so after the latest long spin in vain. Half of that once one has found
    /// something.
    rest: AtomicU32,
}

/// The looks of a short spin, under a microsecond in all: each comes after twice the pause
/// of the one before.
const SHORT: u32 = 5;
/// The further looks of a long one, some 15 microseconds in all.
const LONG: u32 = 10;
/// The pause before each of these: each look takes the queue's cache lines away from who
/// changes them.
const LONG_PAUSE: u32 = 64;
/// The most waits without a long spin.
const LONGEST_REST: u32 = 1024;

impl Spin {
    pub(crate) fn new() -> Self {
        Self {
            resting: AtomicU32::new(0),
            rest: AtomicU32::new(0),
        }
    }

    /// Tries until the attempt succeeds or it does not pay any more.
    pub(crate) fn until<R>(
        &self,
        mut attempt: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        let mut after = |pause| {
            (0..pause).for_each(|_| hint::spin_loop());
            attempt()
        };
        let found = (0..SHORT).find_map(|look| after(1 << look));
        if found.is_some() {
            return found;
        }
        let resting = self.resting.load(Relaxed);
        if resting > 0 {
            self.resting.store(resting - 1, Relaxed);
            return None;
        }
        let found = (0..LONG).find_map(|_| after(LONG_PAUSE));
        let rest = self.rest.load(Relaxed);
        if found.is_some() {
            self.rest.store(rest / 2, Relaxed);
        } else {
            let rest = (2 * rest).clamp(1, LONGEST_REST);
            self.rest.store(rest, Relaxed);
            self.resting.store(rest, Relaxed);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many looks a wait in vain makes.
    fn looks_in_vain(spin: &Spin) -> u32 {
        let mut looks = 0;
        let found = spin.until(|| {
            looks += 1;
            None::<()>
        });
        assert_eq!(found, None);
        looks
    }

    #[test]
    fn long_spins_in_vain_become_rare() {
        let spin = Spin::new();
        let mut between = Vec::new();
        while between.len() < 13 {
            assert_eq!(looks_in_vain(&spin), SHORT + LONG);
            let mut short = 0;
            while spin.resting.load(Relaxed) > 0 {
                assert_eq!(looks_in_vain(&spin), SHORT);
                short += 1;
            }
            between.push(short);
        }
        assert_eq!(between[..4], [1, 2, 4, 8]);
        assert_eq!(between[10..], [1024; 3]);
    }

    #[test]
    fn a_long_spin_that_finds_something_makes_them_frequent_again() {
        let spin = Spin::new();
        while spin.rest.load(Relaxed) < 8 {
            looks_in_vain(&spin);
        }
        while spin.resting.load(Relaxed) > 0 {
            looks_in_vain(&spin);
        }
        let mut looks = 0;
        let found = spin.until(|| {
            looks += 1;
            (looks > SHORT).then_some("found")
        });
        assert_eq!(found, Some("found"));
        assert_eq!(spin.rest.load(Relaxed), 4);
        assert_eq!(looks_in_vain(&spin), SHORT + LONG, "there is no rest");
    }
}
