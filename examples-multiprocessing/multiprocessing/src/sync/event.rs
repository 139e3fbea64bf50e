//! A flag that processes can wait for.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::futex::{self, Deadline, Slept};
use crate::sys::segment::{Shared, shareable};

/// A flag that starts down, and that any number of processes can wait for: Python's
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
/// Nothing: the flag is one word, which is up or down, and nobody holds it. Where who
/// raised it died before waking the others they wake by themselves, a tenth of a second
/// later.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    state: Shared<State>,
}

/// The lowest bit of the word: the flag.
const UP: u32 = 1;
/// What raising the flag adds to the word: the other bits count how often it went up.
const ONCE: u32 = 2;

shareable! {
    struct State {
        /// The flag and the count in one word. A waiter that finds the count changed
        /// may go on though the flag is down again.
        word: AtomicU32,
    }
}

impl Event {
    /// An event whose flag is down.
    ///
    /// # Errors
    ///
    /// [`Error::System`] where memory or descriptors are short: an event needs one.
    pub fn new() -> Result<Self, Error> {
        let state = Shared::new(State {
            word: AtomicU32::new(0),
        })?;
        Ok(Self { state })
    }

    /// Raises the flag and wakes everybody who waits.
    pub fn set(&self) {
        let raise =
            |word: u32| (word & UP == 0).then(|| (word | UP).wrapping_add(ONCE));
        let was_down = self
            .state
            .word
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, raise)
            .is_ok();
        if was_down {
            futex::wake_all(&self.state.word);
        }
    }

    /// Lowers the flag: who waits from now on waits for the next [`set`](Self::set).
    pub fn clear(&self) {
        self.state.word.fetch_and(!UP, Ordering::AcqRel);
    }

    /// Whether the flag is up at this moment.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.state.word.load(Ordering::Acquire) & UP != 0
    }

    /// Waits until the flag is up. Who was waiting when it went up goes on, even where
    /// somebody lowers it again at once.
    pub fn wait(&self) {
        let _always = self.wait_until(Deadline::Never);
    }

    /// [`wait`](Self::wait) for at most this long. Returns whether the flag went up.
    #[must_use = "the flag may still be down"]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_until(Deadline::after(timeout))
    }

    fn wait_until(&self, deadline: Deadline) -> bool {
        let at_entry = self.state.word.load(Ordering::Acquire);
        if at_entry & UP != 0 {
            return true;
        }
        loop {
            // Raised before the sleep begins, or raised and lowered: the word differs
            // from what it was at entry, and the sleep does not begin.
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
