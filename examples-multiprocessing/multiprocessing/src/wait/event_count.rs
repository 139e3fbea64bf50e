//! Sleeping until another process has changed what this one waits for.

use crate::sys::atomic::{AtomicU32, Ordering, fence};
use crate::sys::futex::{self, Deadline, Slept};
use crate::sys::segment::shareable;

shareable! {
    /// An eventcount: a word that sleepers sleep on, with a flag that says whether there
    /// may be any, so that a notification costs no system call when nobody sleeps.
    ///
    /// After Dmitry Vyukov's
    /// [eventcount](https://www.1024cores.net/home/lock-free-algorithms/eventcounts), but
    /// with a flag in the place of his count of sleepers: a sleeper that is killed would
    /// never be subtracted.
    #[derive(Debug)]
    #[repr(align(128))]
    pub(crate) struct EventCount {
        sleepers: AtomicU32,
        /// Who fell asleep last, of those that [say who they are](Self::sleep_as), as the
        /// bits that it sleeps by; 0 if that is not known. It may have died since.
        latest: AtomicU32,
    }
}

/// Nobody sleeps, or all who do are being woken.
const NONE: u32 = 0;
/// One or more may sleep; they may also have been killed.
const SOME: u32 = 1;

impl EventCount {
    /// With nobody asleep.
    pub(crate) fn new() -> Self {
        Self {
            sleepers: AtomicU32::new(NONE),
            latest: AtomicU32::new(0),
        }
    }

    /// Sleeps until a notification, unless `probe` finds what the caller waits for.
    pub(crate) fn sleep_unless(
        &self,
        probe: impl Fn() -> bool,
        deadline: Deadline,
    ) -> Slept {
        self.sleep(probe, |flag| futex::wait(flag, SOME, deadline))
    }

    /// [`sleep_unless`](Self::sleep_unless) for the sleeper of this number, so that
    /// [`notify_latest_relaxed`](Self::notify_latest_relaxed) finds it.
    pub(crate) fn sleep_as(
        &self,
        number: usize,
        probe: impl Fn() -> bool,
        deadline: Deadline,
    ) -> Slept {
        let me = Self::bit_of(number);
        self.sleep(probe, |flag| {
            self.latest.store(me, Ordering::Relaxed);
            let slept = futex::wait_as(me, flag, SOME, deadline);
            self.latest.store(0, Ordering::Relaxed);
            slept
        })
    }

    fn sleep(
        &self,
        probe: impl Fn() -> bool,
        sleep: impl FnOnce(&AtomicU32) -> Slept,
    ) -> Slept {
        self.sleepers.store(SOME, Ordering::Relaxed);
        // Pairs with the fence in `notify_one`: either this probe sees the change, or the
        // notifier sees the flag; and the sleep begins only if the flag is still set.
        fence(Ordering::SeqCst);
        if probe() {
            return Slept::Woken;
        }
        let slept = sleep(&self.sleepers);
        // The notification cleared the flag and woke one. The others sleep on: the one
        // that wakes sets the flag for them, before it probes.
        self.sleepers.store(SOME, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        slept
    }

    /// Wakes one sleeper, if there may be one, after a change that it waits for.
    #[inline]
    pub(crate) fn notify_one(&self) {
        fence(Ordering::SeqCst);
        self.notify_one_relaxed();
    }

    /// [`notify_one`](Self::notify_one) without the fence. For a change that another process
    /// made, and that this one saw after its own last notification or sleep: hands a wake-up
    /// on. Or for one that was made, and is probed for, by read-modify-writes of one word,
    /// as [`channel`](crate::channel) explains.
    #[inline]
    pub(crate) fn notify_one_relaxed(&self) {
        if self.sleepers.load(Ordering::Relaxed) == SOME {
            self.wake(1);
        }
    }

    /// [`notify_one_relaxed`](Self::notify_one_relaxed), but wakes the sleeper that fell
    /// asleep last, if it is known. The kernel wakes the first, so that sleepers take turns,
    /// each on a processor that has become idle meanwhile and is slow to wake up.
    #[inline]
    pub(crate) fn notify_latest_relaxed(&self) {
        if self.may_have_sleepers() {
            self.wake_latest();
        }
    }

    /// Whether anybody may sleep: for a caller that would have to look further before it
    /// [notifies](Self::notify_one_relaxed).
    #[inline]
    pub(crate) fn may_have_sleepers(&self) -> bool {
        self.sleepers.load(Ordering::Relaxed) == SOME
    }

    /// Wakes all sleepers, for a change that concerns each. Only for an eventcount that
    /// is never notified otherwise: there the flag is clear only if nobody sleeps, or all
    /// are being woken. A sleeper that finds the change calls it as well: it may have set
    /// the flag again, and one that had probed before the change would sleep on that.
    pub(crate) fn notify_all(&self) {
        fence(Ordering::SeqCst);
        self.wake(u32::MAX);
    }

    /// Wakes at most `count` sleepers, whatever the flag says. Some may sleep although it
    /// is clear: the one woken last may have died before it set it again.
    pub(crate) fn notify_unconditionally(&self, count: u32) {
        fence(Ordering::SeqCst);
        // A process that is about to sleep on the flag does not begin to.
        self.sleepers.store(NONE, Ordering::Relaxed);
        futex::wake(&self.sleepers, count);
    }

    /// Clears the flag, as happens when a process is killed just after it was woken.
    #[cfg(test)]
    pub(crate) fn forget(&self) {
        self.sleepers.store(NONE, Ordering::Relaxed);
    }

    /// Names a sleeper that does not sleep, as happens when it is killed in its sleep.
    #[cfg(test)]
    pub(crate) fn mistake_latest(&self, number: usize) {
        self.latest.store(Self::bit_of(number), Ordering::Relaxed);
    }

    fn bit_of(number: usize) -> u32 {
        // Those that share a bit are taken for one another, which does no harm.
        1 << (number % u32::BITS as usize)
    }

    #[cold]
    fn wake(&self, count: u32) {
        if self.clear_flag() {
            futex::wake(&self.sleepers, count);
        }
    }

    #[cold]
    fn wake_latest(&self) {
        let latest = self.latest.load(Ordering::Relaxed);
        if self.clear_flag()
            && (latest == 0 || !futex::wake_one_of(latest, &self.sleepers))
        {
            futex::wake(&self.sleepers, 1);
        }
    }

    /// Returns whether it was set.
    fn clear_flag(&self) -> bool {
        let (flag, relaxed) = (&self.sleepers, Ordering::Relaxed);
        flag.compare_exchange(SOME, NONE, relaxed, relaxed).is_ok()
    }
}
