//! Sleeping until the other side of a channel has done something.

use crate::sys::atomic::{AtomicU32, Ordering, fence};
use crate::sys::futex::{self, Deadline, Slept};
use crate::sys::segment::shareable;

shareable! {
    /// What sleepers sleep on. Nobody counts them: a count would keep those who were
    /// killed in their sleep.
    #[repr(align(128))]
    pub(crate) struct EventCount {
        asleep: AtomicU32,
    }
}

const NOBODY: u32 = 0;
/// Perhaps more than one, perhaps nobody any more.
const SOMEBODY: u32 = 1;

impl EventCount {
    /// With nobody asleep.
    pub(crate) fn new() -> Self {
        Self {
            asleep: AtomicU32::new(NOBODY),
        }
    }

    /// Sleeps until somebody rings, unless `look` finds what this waits for.
    pub(crate) fn sleep_unless(
        &self,
        look: impl Fn() -> bool,
        deadline: Deadline,
    ) -> Slept {
        self.asleep.store(SOMEBODY, Ordering::Relaxed);
        // Pairs with the fence in `notify_one`: either this look sees the change, or the
        // ringer sees the mark; and the sleep begins only if the mark is on still.
        fence(Ordering::SeqCst);
        if look() {
            return Slept::Woken;
        }
        let slept = futex::wait(&self.asleep, SOMEBODY, deadline);
        // The ring took the mark away and woke one. The others sleep on: who wakes
        // puts it on for them, before it looks.
        self.asleep.store(SOMEBODY, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        slept
    }

    /// Wakes one sleeper, if there may be one: after a change that it waits for. No
    /// system call where nobody sleeps.
    #[inline]
    pub(crate) fn notify_one(&self) {
        fence(Ordering::SeqCst);
        self.notify_one_relaxed();
    }

    /// [`notify_one`](Self::notify_one) for a change that somebody else made, and that this process
    /// saw after its own last ring or sleep: hands a wake-up on.
    #[inline]
    pub(crate) fn notify_one_relaxed(&self) {
        if self.asleep.load(Ordering::Relaxed) == SOMEBODY {
            self.wake(1);
        }
    }

    /// Wakes all sleepers, for a change that concerns each. Only of a bell that is
    /// never rung otherwise: the mark is off only where nobody sleeps, or all are being
    /// woken.
    pub(crate) fn notify_all(&self) {
        fence(Ordering::SeqCst);
        self.wake(u32::MAX);
    }

    /// Wakes so many sleepers, whatever the mark says: others may sleep where it is off,
    /// as long as the one woken last has not put it back, which it may have died over.
    pub(crate) fn notify_unconditionally(&self, count: u32) {
        fence(Ordering::SeqCst);
        // Who is about to sleep on the mark does not.
        self.asleep.store(NOBODY, Ordering::Relaxed);
        futex::wake(&self.asleep, count);
    }

    /// Takes the mark off as one does who dies right after it was woken.
    #[cfg(test)]
    pub(crate) fn forget(&self) {
        self.asleep.store(NOBODY, Ordering::Relaxed);
    }

    #[cold]
    fn wake(&self, count: u32) {
        let relaxed = Ordering::Relaxed;
        let mark = &self.asleep;
        if mark
            .compare_exchange(SOMEBODY, NOBODY, relaxed, relaxed)
            .is_ok()
        {
            futex::wake(&self.asleep, count);
        }
    }
}
