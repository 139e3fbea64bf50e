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
///
/// Before it tries again after a rest it measures one sleep, and then it spins no longer than
/// that took. An answer that a sleeper has within ten microseconds is
/// not worth a spin of fifty, and a spin never finds what takes a millisecond. To choose
/// the length of a spin by earlier waits is the idea of Karlin, Li, Manasse and Owicki,
/// *Empirical Studies of Competitive Spinning for a Shared-Memory Multiprocessor* (SOSP
/// 1991).
#[derive(Debug)]
pub(crate) struct Spin {
    limits: SpinLimits,
    account: Account,
    /// What is known of a sleep since the latest miss: [`UNKNOWN`], [`WANTED`], or how
    /// many microseconds one took.
    slept: AtomicU32,
}

/// No sleep has been measured.
const UNKNOWN: u32 = 0;
/// The next sleep is to be measured.
const WANTED: u32 = u32::MAX;

/// How a spin goes about it, which depends on what a probe costs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SpinLimits {
    /// The number of probes before the first look at the clock.
    first: u32,
    /// The number of probes from one look at the clock to the next. A look takes as long
    /// as some probes, and what changes meanwhile is found late.
    burst: u32,
    /// Whether a find by the first probes speaks for spinning. It does not if they are the
    /// first look of all: what is there already is not waited for.
    first_counts: bool,
    /// If more than this passes from one look at the clock to the next, the processor did
    /// something else in between, probably the other side's work. A sleep would have let it
    /// do so at once.
    preempted: Duration,
}

impl SpinLimits {
    /// For a probe of a word in shared memory.
    pub(crate) const AT_MEMORY: Self = Self {
        first: 8,
        burst: 16,
        first_counts: true,
        preempted: Duration::from_micros(4),
    };
    /// For a probe by a system call.
    pub(crate) const BY_CALL: Self = Self {
        first: 1,
        burst: 1,
        first_counts: false,
        // The call that finds a message copies it, up to 64 KiB.
        preempted: Duration::from_micros(20),
    };
}

/// The longest spin: somewhat longer than an idle processor needs to wake up and answer.
const LONGEST: Duration = Duration::from_micros(50);

/// If a sleep took longer, the other side has other work to do before it answers. Two sides
/// that sleep in turn wait for two wake-ups each, which take less.
const SLOW: Duration = Duration::from_micros(500);

/// If it took less, it was no sleep: what it was to wait for was there already. That says
/// nothing about how long the next wait takes.
const SHORT: Duration = Duration::from_micros(4);

impl Spin {
    pub(crate) const fn new(limits: SpinLimits) -> Self {
        // What a miss costs is about what two hits save.
        let terms = Terms {
            hit: 1,
            miss: 2,
            // One miss: a process may be about to wait for another on its own core.
            first: 2,
            most: 4,
            rest: 400,
            longest_rest: 100_000,
            // A trial in vain takes long, and on one processor the other side waits for its
            // end: two sides that talk once in a while must soon be left alone.
            growth: 4,
        };
        Self {
            limits,
            account: Account::new(terms),
            slept: AtomicU32::new(UNKNOWN),
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
        if !is_spinning() {
            return None;
        }
        self.spin(deadline, self.longest()?, probe)
    }

    /// Sleeps as the caller says, after a spin that found nothing or was not made.
    pub(crate) fn sleep<R>(&self, sleep: impl FnOnce() -> R) -> R {
        if self.slept.load(Ordering::Relaxed) != WANTED {
            return sleep();
        }
        let start = futex::now();
        let result = sleep();
        self.learn(futex::now().saturating_sub(start));
        result
    }

    /// A sleep took so long.
    fn learn(&self, slept: Duration) {
        if (SHORT..=SLOW).contains(&slept) {
            let micros = slept.as_micros() as u32;
            self.slept.store(micros, Ordering::Relaxed);
        }
    }

    /// How long it may spin in the wait that begins now, if that is likely to pay.
    fn longest(&self) -> Option<Duration> {
        if self.account.has_credit() {
            return Some(LONGEST);
        }
        // Even if a sleep has been measured: another thread may have tried meanwhile.
        if !self.account.is_rested() {
            return None;
        }
        match self.slept.load(Ordering::Relaxed) {
            UNKNOWN => {
                self.slept.store(WANTED, Ordering::Relaxed);
                None
            }
            WANTED => None,
            micros => Some(LONGEST.min(Duration::from_micros(micros.into()))),
        }
    }

    fn spin<R>(
        &self,
        deadline: Deadline,
        longest: Duration,
        mut probe: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        let mut burst = |probes: u32| {
            (0..probes).find_map(|_| {
                hint::spin_loop();
                probe()
            })
        };
        if let Some(found) = burst(self.limits.first) {
            if self.limits.first_counts {
                self.account.hit_at_once();
            }
            return Some(found);
        }
        let mut last = futex::now();
        let end = match deadline {
            Deadline::Never => last + longest,
            Deadline::At(end) => end.min(last + longest),
        };
        loop {
            let found = burst(self.limits.burst);
            if found.is_some() && self.account.is_full() && !is_sample(last) {
                return found;
            }
            let now = futex::now();
            let preempted = now.saturating_sub(last) > self.limits.preempted;
            if preempted || (found.is_none() && now >= end) {
                self.account.miss();
                self.slept.store(UNKNOWN, Ordering::Relaxed);
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
            first: 32,
            most: 32,
            rest: 100,
            longest_rest: 6400,
            growth: 2,
        };
        Self {
            account: Account::new(terms),
        }
    }

    /// Probes until one probe ends the spin. Returns whether it had success.
    pub(crate) fn until(&self, probe: impl FnMut() -> ControlFlow<bool>) -> bool {
        is_spinning()
            && (self.account.has_credit() || self.account.is_rested())
            && self.spin(probe)
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
/// long, so that they soon take less than a hundredth of the time.
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
    /// The credit to begin with.
    first: u32,
    /// The largest credit.
    most: u32,
    /// The shortest rest in microseconds.
    rest: u32,
    /// The longest.
    longest_rest: u32,
    /// How many times as long as the one before it the rest after a trial in vain is.
    growth: u32,
}

impl Account {
    const fn new(terms: Terms) -> Self {
        Self {
            terms,
            credit: AtomicU32::new(terms.first),
            rest: AtomicU32::new(0),
            rests_until: AtomicU64::new(0),
        }
    }

    #[inline]
    fn has_credit(&self) -> bool {
        self.credit.load(Ordering::Relaxed) > 0
    }

    /// Whether the rest that began when the credit was used up is over.
    fn is_rested(&self) -> bool {
        nanoseconds() >= self.rests_until.load(Ordering::Relaxed)
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
        if self.has_credit() {
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
            let rest = self.rest.load(relaxed).saturating_mul(self.terms.growth);
            let rest = rest.clamp(self.terms.rest, self.terms.longest_rest);
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
    use std::time::Instant;

    use super::*;

    const TERMS: Terms = Terms {
        hit: 1,
        miss: 2,
        first: 4,
        most: 4,
        // Longer than any test.
        rest: 10_000_000,
        longest_rest: 10_000_000,
        growth: 3,
    };

    fn end_rest(account: &Account) {
        account.rests_until.store(0, Ordering::Relaxed);
    }

    #[test]
    fn misses_end_in_a_rest() {
        let account = Account::new(TERMS);
        account.miss();
        assert!(account.has_credit());
        account.miss();
        assert!(!account.has_credit() && !account.is_rested());
    }

    #[test]
    fn hits_make_up_for_misses() {
        let account = Account::new(TERMS);
        for _ in 0..10 {
            account.miss();
            account.hit_at_once();
            account.hit();
        }
        assert!(account.has_credit());
    }

    #[test]
    fn each_trial_in_vain_multiplies_the_rest_up_to_a_limit() {
        let account = Account::new(Terms {
            rest: 1,
            longest_rest: 64,
            ..TERMS
        });
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
        assert!(account.is_rested(), "a trial");
        account.hit_at_once();
        assert_eq!(account.credit.load(Ordering::Relaxed), 0);
        account.hit();
        assert_eq!(account.credit.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_spin_ends_with_what_it_finds() {
        let spin = Spin::new(SpinLimits::AT_MEMORY);
        let mut probes = 0;
        let tenth = spin.spin(Deadline::Never, LONGEST, || {
            probes += 1;
            (probes == 10).then_some("tenth")
        });
        assert_eq!(tenth, Some("tenth"));
    }

    /// A spin of which each find comes after the processor did something else.
    fn preempted(spin: &Spin) {
        let mut probes = 0;
        spin.spin(Deadline::Never, LONGEST, || {
            probes += 1;
            (probes > spin.limits.first)
                .then(|| thread::sleep(spin.limits.preempted))
        });
    }

    /// The clock of the models stands still.
    fn has_clock() -> bool {
        futex::now() > Duration::ZERO
    }

    #[test]
    fn a_preemption_is_noticed_now_and_then_in_a_full_account() {
        let spin = Spin::new(SpinLimits::AT_MEMORY);
        (0..4).for_each(|_| spin.account.hit());
        let noticed = (0..1000).any(|_| {
            preempted(&spin);
            !spin.account.is_full()
        });
        assert!(noticed || !has_clock());
    }

    #[test]
    fn a_preemption_is_noticed_at_once_in_an_account_that_is_not_full() {
        let spin = Spin::new(SpinLimits::AT_MEMORY);
        assert!(!spin.account.is_full());
        preempted(&spin);
        assert!(!spin.account.has_credit() || !has_clock());
    }

    #[test]
    fn a_call_that_copies_a_large_message_is_no_preemption() {
        let spin = Spin::new(SpinLimits::BY_CALL);
        let first = spin.account.credit.load(Ordering::Relaxed);
        // On a busy machine some calls are preempted.
        let gained = (0..1000).any(|_| {
            let mut probes = 0;
            spin.spin(Deadline::Never, LONGEST, || {
                probes += 1;
                (probes == 2).then(|| {
                    let start = Instant::now();
                    while start.elapsed() < Duration::from_micros(6) {}
                })
            });
            spin.account.credit.load(Ordering::Relaxed) > first
        });
        assert!(gained);
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
        let found = spin.spin(Deadline::NOW, LONGEST, || {
            probes += 1;
            None::<()>
        });
        assert_eq!((found, probes), (None, 24));
    }

    /// Its credit is used up, and the rest after that is over.
    fn rested() -> Spin {
        let spin = Spin::new(SpinLimits::AT_MEMORY);
        spin.account.miss();
        end_rest(&spin.account);
        spin
    }

    #[test]
    fn a_trial_takes_no_longer_than_the_sleep_before_it() {
        let micros = Duration::from_micros;
        let spin = rested();
        assert_eq!(spin.longest(), None, "no sleep has been measured");
        // On a busy machine a sleep may take too long.
        let measured = (0..1000).any(|_| {
            spin.sleep(|| thread::sleep(SHORT));
            spin.longest().is_some_and(|longest| longest <= LONGEST)
        });
        assert!(measured || !has_clock());
        spin.learn(micros(10));
        assert_eq!(spin.longest(), Some(micros(10)));
        spin.learn(micros(100));
        assert_eq!(spin.longest(), Some(LONGEST));
        spin.spin(Deadline::NOW, LONGEST, || None::<()>);
        end_rest(&spin.account);
        assert_eq!(spin.longest(), None, "the next trial needs another");
    }

    #[test]
    fn no_trial_follows_a_long_sleep_or_one_that_was_none() {
        let spin = rested();
        for useless in [SLOW + SHORT, SHORT / 2] {
            assert_eq!(spin.longest(), None);
            spin.learn(useless);
        }
        assert_eq!(spin.longest(), None);
        spin.learn(SLOW);
        assert_eq!(spin.longest(), Some(LONGEST));
    }

    #[test]
    fn a_sleep_measured_by_another_thread_does_not_end_a_rest() {
        let spin = rested();
        spin.account.rests_until.store(u64::MAX, Ordering::Relaxed);
        spin.learn(SLOW);
        assert_eq!(spin.longest(), None);
        end_rest(&spin.account);
        assert_eq!(spin.longest(), Some(LONGEST));
    }

    #[test]
    fn what_the_first_call_finds_does_not_speak_for_spinning() {
        for (limits, gain) in [(SpinLimits::AT_MEMORY, 1), (SpinLimits::BY_CALL, 0)]
        {
            let spin = Spin::new(limits);
            let credit = || spin.account.credit.load(Ordering::Relaxed);
            let before = credit();
            spin.spin(Deadline::Never, LONGEST, || Some(()));
            assert_eq!(credit() - before, gain);
        }
    }
}
