//! A flag that processes can wait for.

use std::time::Duration;

use crate::error::Error;
use crate::handover::handle;
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::futex::{self, Deadline, Slept};
use crate::sys::segment::{Shared, shareable};

/// A flag that is clear at first, and that any number of processes can wait for: Python's
/// [`multiprocessing.Event`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.Event).
///
/// ```
/// use multiprocessing::Event;
/// use std::time::Duration;
///
/// # fn main() -> Result<(), multiprocessing::Error> {
/// let ready = Event::new()?;
/// assert!(!ready.wait_timeout(Duration::from_millis(1)));
/// ready.set();
/// ready.wait(); // returns at once
/// assert!(ready.is_set());
/// # Ok(())
/// # }
/// ```
///
/// # When a process dies
///
/// Nothing: the flag is one word, which is set or clear, and nobody holds it. If the
/// process that set it died before it woke the others, they wake by themselves a tenth of
/// a second later.
#[derive(Debug, Clone)]
pub struct Event {
    state: Shared<State>,
}

handle!(Event { state });

/// The lowest bit of the word: the flag.
const SET: u32 = 1;
/// What setting the flag adds to the word: the other bits count how often it was set.
const ONCE: u32 = 2;

shareable! {
    struct State {
        /// The flag and the count in one word. A waiter that finds the count changed
        /// returns although the flag is clear again.
        word: AtomicU32,
    }
}

impl Event {
    /// An event whose flag is clear.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if memory or descriptors are short.
    pub fn new() -> Result<Self, Error> {
        let state = Shared::new(State {
            word: AtomicU32::new(0),
        })?;
        Ok(Self { state })
    }

    /// Sets the flag and wakes all that wait.
    pub fn set(&self) {
        let set =
            |word: u32| (word & SET == 0).then(|| (word | SET).wrapping_add(ONCE));
        let was_clear = self
            .state
            .word
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, set)
            .is_ok();
        if was_clear {
            futex::wake_all(&self.state.word);
        }
    }

    /// Clears the flag: a wait that begins now waits for the next [`set`](Self::set).
    pub fn clear(&self) {
        self.state.word.fetch_and(!SET, Ordering::AcqRel);
    }

    /// Whether the flag is set at this moment.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.state.word.load(Ordering::Acquire) & SET != 0
    }

    /// Waits until the flag is set. A process that was already waiting returns even if the
    /// event is cleared again at once.
    pub fn wait(&self) {
        // Always true: without a deadline it only ends by the flag.
        self.wait_until(Deadline::Never);
    }

    /// [`wait`](Self::wait) for at most this long. Returns whether the flag was set.
    #[must_use = "the flag may still be clear"]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_until(Deadline::after(timeout))
    }

    fn wait_until(&self, deadline: Deadline) -> bool {
        let at_entry = self.state.word.load(Ordering::Acquire);
        if at_entry & SET != 0 {
            return true;
        }
        loop {
            // If the flag is set before the sleep begins, or set and cleared, the word
            // differs from what it was at entry, and the sleep does not begin.
            let slept = futex::wait(&self.state.word, at_entry, deadline);
            if self.state.word.load(Ordering::Acquire) != at_entry {
                return true;
            }
            if slept == Slept::Deadline {
                return false;
            }
        }
    }
}
