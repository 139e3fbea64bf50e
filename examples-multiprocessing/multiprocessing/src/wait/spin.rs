//! How long it pays to probe again before going to sleep.

use std::hint;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
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

/// Probes for a while, if that has paid before: two sides that answer at once never
/// sleep, and while the other side is slow, or waits for the very processor that the
/// spin uses, next to nothing is spent.
///
/// The processor is never given away meanwhile. Beside other work a single yield can cost
/// a slice of the scheduler, which is a hundred times what a sleep and its wake-up cost.
///
/// crossbeam's [`Backoff`](https://docs.rs/crossbeam-utils/latest/crossbeam_utils/struct.Backoff.html)
/// begins afresh with every wait; this one remembers what the waits before were worth.
#[derive(Debug)]
pub(crate) struct Spin {
    limits: SpinLimits,
    account: Account,
}

/// How a spin goes about it, which depends on what a probe costs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SpinLimits {
    /// The number of probes before the first look at the clock.
    first: u32,
    /// The number of probes from one look at the clock to the next. A look takes as long
    /// as some probes, and what changes meanwhile is found late.
    burst: u32,
}

impl SpinLimits {
    /// For a probe of a word in shared memory.
    pub(crate) const AT_MEMORY: Self = Self {
        first: 8,
        burst: 16,
    };
    /// For a probe by a system call.
    pub(crate) const BY_CALL: Self = Self { first: 1, burst: 1 };
}

/// The longest spin: somewhat longer than an idle processor needs to wake up and answer.
const LONGEST: Duration = Duration::from_micros(50);

/// If this much passes from one look at the clock to the next, the processor did something
/// else in between, probably the other side's work. A sleep would have let it do so at once.
const PREEMPTED: Duration = Duration::from_micros(4);

impl Spin {
    pub(crate) const fn new(limits: SpinLimits) -> Self {
        // What a miss costs is about what two hits save.
        let terms = Terms {
            hit: 1,
            miss: 2,
            most: 4,
            rest: 32 * LONGEST.as_micros() as u32,
            // A trial in vain takes long, and on one processor the other side waits for its
            // end: two sides that talk once in a while must soon be left alone.
            growth: 4,
        };
        Self {
            limits,
            account: Account::new(terms),
        }
    }

    /// Probes until one probe gives something or the spin does not pay any more.
    pub(crate) fn until<R>(&self, probe: impl FnMut() -> Option<R>) -> Option<R> {
        self.until_deadline(Deadline::Never, probe)
    }

    /// [`until`](Self::until) for a wait that may have a deadline.
    pub(crate) fn until_deadline<R>(
        &self,
        deadline: Deadline,
        probe: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        if is_spinning() && self.account.pays() {
            self.spin(deadline, probe)
        } else {
            None
        }
    }

    fn spin<R>(
        &self,
        deadline: Deadline,
        mut probe: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        let mut burst = |probes: u32| {
            (0..probes).find_map(|_| {
                hint::spin_loop();
                probe()
            })
        };
        if let Some(found) = burst(self.limits.first) {
            self.account.hit_at_once();
            return Some(found);
        }
        let mut last = futex::now();
        let end = match deadline {
            Deadline::Never => last + LONGEST,
            Deadline::At(end) => end.min(last + LONGEST),
        };
        loop {
            let found = burst(self.limits.burst);
            if found.is_some() && self.account.is_full() && !is_sample(last) {
                return found;
            }
            let now = futex::now();
            let preempted = now.saturating_sub(last) > PREEMPTED;
            if preempted || (found.is_none() && now >= end) {
                self.account.miss();
                return found;
            }
            if found.is_some() {
                self.account.hit();
                return found;
            }
            last = now;
        }
    }
}

/// Whether a find at about this moment is looked at by the clock although the account is
/// full: one in sixteen, which is enough to notice a spin that only finds what it does
/// because it was preempted. Each look takes longer than the rest of a short message's way.
fn is_sample(moment: Duration) -> bool {
    moment.as_micros().is_multiple_of(16)
}

/// A short spin for a word that others take and give back all the time: some microseconds
/// in all, with a pause before each probe that is twice as long as the one before, since
/// each takes the word's cache line away from its holder.
#[derive(Debug)]
pub(crate) struct BackOff {
    account: Account,
}

/// The number of probes.
const PROBES: u32 = 7;

impl BackOff {
    pub(crate) const fn new() -> Self {
        // A hit saves a sleep and its wake-up, which is many times what a miss costs.
        let terms = Terms {
            hit: 32,
            miss: 1,
            most: 32,
            rest: 100,
            growth: 2,
        };
        Self {
            account: Account::new(terms),
        }
    }

    /// Probes until one probe ends the spin. Returns whether it had success.
    pub(crate) fn until(&self, probe: impl FnMut() -> ControlFlow<bool>) -> bool {
        is_spinning() && self.account.pays() && self.spin(probe)
    }

    fn spin(&self, mut probe: impl FnMut() -> ControlFlow<bool>) -> bool {
        for number in 0..PROBES {
            (0..1 << number).for_each(|_| hint::spin_loop());
            if let ControlFlow::Break(success) = probe() {
                if success {
                    self.account.hit();
                }
                return success;
            }
        }
        self.account.miss();
        false
    }
}

/// What spins gained and cost so far, which says whether the next one is likely to pay.
///
/// A miss that uses up the credit begins a rest, in which nobody spins. After it comes a
/// trial: two sides that both sleep before they answer would otherwise do so for ever, as
/// each finds the other slow. Every trial in vain makes the next rest several times as
/// long, so that trials take less than a hundredth of the time.
///
/// Threads share it. So it is written to only where something changes: otherwise its cache
/// line would travel with every spin.
#[derive(Debug)]
struct Account {
    terms: Terms,
    credit: AtomicU32,
    /// The length of the latest rest in microseconds; 0 after a hit.
    rest: AtomicU32,
    /// When the rest ends, on the monotonic clock, in nanoseconds.
    rests_until: AtomicU64,
}

/// What hits and misses are worth.
#[derive(Debug, Clone, Copy)]
struct Terms {
    /// What a hit adds to the credit.
    hit: u32,
    /// What a miss takes from it.
    miss: u32,
    /// The largest credit, which is also the first.
    most: u32,
    /// The shortest rest in microseconds.
    rest: u32,
    /// How many times as long as the one before it the rest after a trial in vain is.
    growth: u32,
}

/// How many times the shortest rest the longest is.
const LONGEST_REST: u32 = 64;

impl Account {
    const fn new(terms: Terms) -> Self {
        Self {
            terms,
            credit: AtomicU32::new(terms.most),
            rest: AtomicU32::new(0),
            rests_until: AtomicU64::new(0),
        }
    }

    /// Whether a spin is likely to pay in the wait that begins now.
    #[inline]
    fn pays(&self) -> bool {
        self.credit.load(Ordering::Relaxed) > 0
            || nanoseconds() >= self.rests_until.load(Ordering::Relaxed)
    }

    /// Whether a hit would change nothing.
    #[inline]
    fn is_full(&self) -> bool {
        self.credit.load(Ordering::Relaxed) == self.terms.most
            && self.rest.load(Ordering::Relaxed) == 0
    }

    /// The spin found what it waited for.
    fn hit(&self) {
        self.add(self.terms.hit);
        if self.rest.load(Ordering::Relaxed) != 0 {
            self.rest.store(0, Ordering::Relaxed);
        }
    }

    /// It was there at the first look. That can also be the work of another side on the
    /// same processor, before the spin began: it proves nothing in a trial.
    #[inline]
    fn hit_at_once(&self) {
        if self.credit.load(Ordering::Relaxed) > 0 {
            self.add(self.terms.hit);
        }
    }

    #[inline]
    fn add(&self, gain: u32) {
        let credit = self.credit.load(Ordering::Relaxed);
        if credit < self.terms.most {
            let more = (credit + gain).min(self.terms.most);
            self.credit.store(more, Ordering::Relaxed);
        }
    }

    /// The spin found nothing, or not because it spun.
    fn miss(&self) {
        let relaxed = Ordering::Relaxed;
        let left = self.credit.load(relaxed).saturating_sub(self.terms.miss);
        self.credit.store(left, relaxed);
        if left == 0 {
            let longest = self.terms.rest.saturating_mul(LONGEST_REST);
            let rest = self.rest.load(relaxed).saturating_mul(self.terms.growth);
            let rest = rest.clamp(self.terms.rest, longest);
            self.rest.store(rest, relaxed);
            let until = nanoseconds().saturating_add(u64::from(rest) * 1000);
            self.rests_until.store(until, relaxed);
        }
    }
}

/// The monotonic clock.
fn nanoseconds() -> u64 {
    futex::now().as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms {
        hit: 1,
        miss: 2,
        most: 4,
        // Longer than any test.
        rest: 10_000_000,
        growth: 3,
    };

    fn end_rest(account: &Account) {
        account.rests_until.store(0, Ordering::Relaxed);
    }

    #[test]
    fn misses_end_in_a_rest() {
        let account = Account::new(TERMS);
        account.miss();
        assert!(account.pays());
        account.miss();
        assert!(!account.pays());
    }

    #[test]
    fn hits_make_up_for_misses() {
        let account = Account::new(TERMS);
        for _ in 0..10 {
            account.miss();
            account.hit_at_once();
            account.hit();
        }
        assert!(account.pays());
    }

    #[test]
    fn each_trial_in_vain_multiplies_the_rest_up_to_a_limit() {
        let account = Account::new(Terms { rest: 1, ..TERMS });
        let rests = (0..6).map(|_| {
            account.credit.store(0, Ordering::Relaxed);
            account.miss();
            account.rest.load(Ordering::Relaxed)
        });
        assert_eq!(rests.collect::<Vec<_>>(), [1, 3, 9, 27, 64, 64]);
        account.hit();
        account.miss();
        assert_eq!(account.rest.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_trial_ends_the_rest_only_by_a_hit_that_took_a_spin() {
        let account = Account::new(TERMS);
        (0..2).for_each(|_| account.miss());
        end_rest(&account);
        assert!(account.pays(), "a trial");
        account.hit_at_once();
        assert_eq!(account.credit.load(Ordering::Relaxed), 0);
        account.hit();
        assert_eq!(account.credit.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_spin_ends_with_what_it_finds() {
        let spin = Spin::new(SpinLimits::AT_MEMORY);
        let mut probes = 0;
        let tenth = spin.spin(Deadline::Never, || {
            probes += 1;
            (probes == 10).then_some("tenth")
        });
        assert_eq!(tenth, Some("tenth"));
    }

    /// A spin of which each find comes after the processor did something else.
    fn preempted(spin: &Spin) {
        let mut probes = 0;
        spin.spin(Deadline::Never, || {
            probes += 1;
            (probes > spin.limits.first).then(|| thread::sleep(PREEMPTED))
        });
    }

    /// The clock of the models stands still.
    fn has_clock() -> bool {
        futex::now() > Duration::ZERO
    }

    #[test]
    fn a_preemption_is_noticed_now_and_then_in_a_full_account() {
        let spin = Spin::new(SpinLimits::AT_MEMORY);
        let noticed = (0..1000).any(|_| {
            preempted(&spin);
            !spin.account.is_full()
        });
        assert!(noticed || !has_clock());
    }

    #[test]
    fn a_preemption_is_noticed_at_once_in_an_account_that_is_not_full() {
        let spin = Spin::new(SpinLimits::AT_MEMORY);
        spin.account.miss();
        preempted(&spin);
        assert!(!spin.account.pays() || !has_clock());
    }

    #[test]
    fn a_back_off_ends_with_what_it_finds_or_after_a_few_probes() {
        let spins = BackOff::new();
        let mut probes = 0;
        let mut third = || {
            probes += 1;
            if probes == 3 {
                return ControlFlow::Break(true);
            }
            ControlFlow::Continue(())
        };
        assert!(spins.spin(&mut third));
        assert!(!spins.spin(&mut third));
        assert_eq!(probes, 3 + PROBES);
        assert!(!spins.spin(|| ControlFlow::Break(false)));
    }

    #[test]
    fn a_spin_does_not_go_on_after_the_deadline() {
        let spin = Spin::new(SpinLimits::AT_MEMORY);
        let mut probes = 0;
        let found = spin.spin(Deadline::NOW, || {
            probes += 1;
            None::<()>
        });
        assert_eq!((found, probes), (None, 24));
    }
}
