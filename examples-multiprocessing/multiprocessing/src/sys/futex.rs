//! Sleeping on a word of shared memory, and waking those that sleep there: see
//! [futex(2)](https://man7.org/linux/man-pages/man2/futex.2.html).
//!
//! No sleep lasts longer than a slice. So a wake-up that was lost with the process that
//! should have given it, or passed it on, costs a slice and never hangs; and a waiter
//! finds out that the process that it waits for has died.
#![allow(unsafe_code, reason = "futex has no safe wrapper")]

use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::time::{ClockId, clock_gettime};

/// The longest sleep in one go.
pub(crate) const SLICE: Duration = Duration::from_millis(100);

/// How long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// For as long as it takes.
    Never,
    /// Until the monotonic clock, which all processes share, shows this.
    At(Duration),
}

impl Deadline {
    /// Not to wait at all: a moment long past.
    pub(crate) const NOW: Self = Self::At(Duration::ZERO);

    /// This long from now. A time beyond the clock's range is never.
    pub(crate) fn after(timeout: Duration) -> Self {
        now().checked_add(timeout).map_or(Self::Never, Self::At)
    }

    /// This deadline, or this long from now if that is later.
    pub(crate) fn or_later(self, least: Duration) -> Self {
        match self {
            Self::At(end) => Self::At(end.max(now().saturating_add(least))),
            Self::Never => Self::Never,
        }
    }

    /// Whether it has come.
    pub(crate) fn is_over(self) -> bool {
        matches!(self, Self::At(end) if end <= now())
    }
}

/// The monotonic clock, from an origin that all processes of the machine share.
pub(crate) fn now() -> Duration {
    // The clock always exists; the zero only keeps a panic out of the signature.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

/// Why a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a deadline that has come ends the wait"]
pub(crate) enum Slept {
    /// By a wake-up, or because the word had changed already: check again.
    Woken,
    /// Nothing came for a whole slice: check whether the other side is alive.
    Slice,
    /// The deadline has come: check a last time.
    Deadline,
}

/// Sleeps while the word has this value, for at most a [`SLICE`].
///
/// The kernel compares and falls asleep in one step: a change of the word that is
/// followed by a [`wake`] cannot fall in between and be lost. A signal neither
/// ends the sleep nor restarts its slice, so that a process which receives many still
/// checks for dead peers.
pub(crate) fn wait(word: &AtomicU32, value: u32, deadline: Deadline) -> Slept {
    wait_as(u32::MAX, word, value, deadline)
}

/// [`wait`] for a sleeper that [`wake_one_of`] can tell from others by the bits of `me`.
pub(crate) fn wait_as(
    me: u32,
    word: &AtomicU32,
    value: u32,
    deadline: Deadline,
) -> Slept {
    let slice_end = now() + SLICE;
    let (end, at_end) = match deadline {
        Deadline::At(end) if end <= slice_end => (end, Slept::Deadline),
        Deadline::At(_) | Deadline::Never => (slice_end, Slept::Slice),
    };
    let mut until = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: zero bytes make a timespec, whatever padding it has on this machine.
    let until = unsafe { until.assume_init_mut() };
    until.tv_sec =
        libc::time_t::try_from(end.as_secs()).unwrap_or(libc::time_t::MAX);
    until.tv_nsec = end.subsec_nanos().into();
    loop {
        // SAFETY: word and time outlive the call, and the kernel writes to neither.
        // Without FUTEX_PRIVATE_FLAG it finds the waiters of all processes; the bitset
        // form takes the deadline on the monotonic clock.
        let result = unsafe {
            libc::syscall(
                libc::SYS_futex,
                word.as_ptr(),
                libc::FUTEX_WAIT_BITSET,
                value,
                ptr::from_ref(until),
                ptr::null::<u32>(),
                me,
            )
        };
        match Errno::result(result) {
            // A wake-up between two calls is not lost: the word has changed.
            Err(Errno::EINTR) => {}
            Err(Errno::ETIMEDOUT) => return at_end,
            _ => return Slept::Woken,
        }
    }
}

/// Wakes at most `count` of those that sleep on the word, in any process.
pub(crate) fn wake(word: &AtomicU32, count: u32) {
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    // SAFETY: the word outlives the call, which only uses its address. It cannot fail
    // with an address that is mapped.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, count)
    };
}

/// Wakes one that sleeps on the word and has any of these bits. Returns whether one did.
pub(crate) fn wake_one_of(these: u32, word: &AtomicU32) -> bool {
    // SAFETY: the word outlives the call, which only uses its address. It fails only if
    // there are no bits, and then wakes nobody.
    let woken = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAKE_BITSET,
            1,
            ptr::null::<libc::timespec>(),
            ptr::null::<u32>(),
            these,
        )
    };
    woken > 0
}

/// Wakes all that sleep on the word.
pub(crate) fn wake_all(word: &AtomicU32) {
    wake(word, u32::MAX);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;
    use std::thread;
    use std::time::Instant;

    #[test]
    fn a_sleeper_wakes_at_the_end_of_its_slice_or_at_its_deadline() {
        let word = AtomicU32::new(7);
        let start = Instant::now();
        assert_eq!(wait(&word, 7, Deadline::Never), Slept::Slice);
        assert!(start.elapsed() >= SLICE);

        assert!(!Deadline::after(Duration::from_hours(1)).is_over());
        let deadline = Deadline::after(Duration::from_millis(5));
        assert_eq!(wait(&word, 7, deadline), Slept::Deadline);
        assert!(deadline.is_over());
        assert_eq!(Deadline::after(Duration::MAX), Deadline::Never);
    }

    #[test]
    fn a_word_that_has_changed_is_not_slept_on() {
        assert_eq!(wait(&AtomicU32::new(7), 8, Deadline::Never), Slept::Woken);
    }

    #[test]
    fn a_wake_up_ends_the_sleep() {
        let word = &AtomicU32::new(0);
        thread::scope(|s| {
            let sleeper = s.spawn(move || {
                // Until the store below is seen; each sleep may also end by itself.
                while word.load(Ordering::Acquire) == 0 {
                    let _any_reason = wait(word, 0, Deadline::Never);
                }
            });
            word.store(1, Ordering::Release);
            wake_all(word);
            sleeper.join().unwrap();
        });
    }
}
