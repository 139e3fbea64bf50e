//! How long a thread looks again before it sleeps.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use std::{hint, thread};

/// The looks of a thread that waits, before it sleeps: first a short spin, then a long
/// one if that is likely to pay.
///
/// The long spin lasts somewhat longer than the wake-up of a thread. Two threads that
/// answer each other would otherwise both sleep before each answer for ever, as each is
/// slow for the other. It yields the core before each look, since the other side may need
/// that very core. Beside busy programs a single yield can take milliseconds, which is a
/// hundred times what a sleep and its wake-up take. So each long spin that is in vain, or
/// that takes too long, lets the waits after it do without, twice as many as the one
/// before.
#[derive(Debug)]
pub(crate) struct Spin {
    /// How many waits from now on make no long spin.
    resting: AtomicU32,
    /// How many did so after the latest long spin that did not pay. Half of that once one
    /// has paid.
    rest: AtomicU32,
}

/// The looks of a short spin, about a microsecond in all: each comes after twice the pause
/// of the one before.
const SHORT: u32 = 5;
/// The further looks of a long one, some 20 microseconds in all on an AMD EPYC if no other
/// thread runs meanwhile.
const LONG: u32 = 10;
/// The pause after each of these: each look takes the queue's cache lines away from the
/// threads that change them.
const LONG_PAUSE: u32 = 64;
/// A spin that takes longer than this does not pay, whatever it finds.
const TOO_LONG: Duration = Duration::from_micros(100);
/// The most waits without a long spin.
const LONGEST_REST: u32 = 1024;

impl Spin {
    pub(crate) fn new() -> Self {
        Self {
            resting: AtomicU32::new(0),
            rest: AtomicU32::new(0),
        }
    }

    /// Tries until the attempt succeeds or it does not pay any more. A wait with a deadline
    /// does not yield: the core might come back long after it.
    pub(crate) fn until<R>(
        &self,
        may_yield: bool,
        mut attempt: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        let pause = |pauses| (0..pauses).for_each(|_| hint::spin_loop());
        let found = (0..SHORT).find_map(|look| {
            pause(1 << look);
            attempt()
        });
        if found.is_some() {
            return found;
        }
        let resting = self.resting.load(Relaxed);
        if resting > 0 {
            self.resting.store(resting - 1, Relaxed);
            return None;
        }
        let start = Instant::now();
        let found = (0..LONG).find_map(|_| {
            if may_yield {
                thread::yield_now();
            }
            let found = attempt();
            if found.is_none() {
                pause(LONG_PAUSE);
            }
            found
        });
        let rest = self.rest.load(Relaxed);
        if found.is_some() && start.elapsed() < TOO_LONG {
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
        let found = spin.until(true, || {
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
        let found = spin.until(true, || {
            looks += 1;
            (looks > SHORT).then_some("found")
        });
        assert_eq!(found, Some("found"));
        assert_eq!(spin.rest.load(Relaxed), 4);
        assert_eq!(looks_in_vain(&spin), SHORT + LONG, "there is no rest");
    }

    #[test]
    fn a_long_spin_that_takes_too_long_does_not_pay_whatever_it_finds() {
        let spin = Spin::new();
        let mut looks = 0;
        let found = spin.until(true, || {
            looks += 1;
            (looks > SHORT).then(|| thread::sleep(TOO_LONG))
        });
        assert_eq!(found, Some(()));
        assert_eq!(looks_in_vain(&spin), SHORT);
    }
}
