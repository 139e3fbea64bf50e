//! A flag that threads can wait for.

use std::time::Duration;

use crate::sync::{Condvar, Mutex};

/// A flag that starts down, and that any number of threads can wait for: Python's
/// [`threading.Event`](https://docs.python.org/3/library/threading.html#event-objects).
///
/// ```
/// use threading::Event;
/// use std::thread;
///
/// let ready = &Event::new();
/// thread::scope(|s| {
///     s.spawn(|| ready.wait());
///     ready.set();
/// });
/// assert!(ready.is_set());
/// ```
#[derive(Debug)]
pub struct Event {
    state: Mutex<State>,
    was_set: Condvar,
}

#[derive(Debug, Default)]
struct State {
    flag: bool,
    /// How often the flag went up. A waiter that finds this changed may go on though
    /// the flag is down again.
    times_set: u64,
}

impl Default for Event {
    fn default() -> Self {
        Self::new()
    }
}

impl Event {
    /// An event whose flag is down.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: Mutex::new(State::default()),
            was_set: Condvar::new(),
        }
    }

    /// Raises the flag and wakes everybody who waits.
    pub fn set(&self) {
        let mut state = self.state.lock().unwrap();
        state.flag = true;
        state.times_set += 1;
        self.was_set.notify_all();
    }

    /// Lowers the flag: who waits from now on waits for the next [`set`](Self::set).
    pub fn clear(&self) {
        self.state.lock().unwrap().flag = false;
    }

    /// Whether the flag is up at this moment.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.state.lock().unwrap().flag
    }

    /// Waits until the flag is up. Who was waiting when it went up goes on, even
    /// where somebody lowers it again at once.
    pub fn wait(&self) {
        let mut state = self.state.lock().unwrap();
        let at_entry = state.times_set;
        // Set and cleared before this thread runs again: the flag alone would hide
        // that wake-up, the count does not.
        while !state.flag && state.times_set == at_entry {
            state = self.was_set.wait(state).unwrap();
        }
    }

    /// [`wait`](Self::wait) for at most this long. Returns whether the flag went up.
    ///
    /// ```
    /// use threading::Event;
    /// use std::time::Duration;
    ///
    /// assert!(!Event::new().wait_timeout(Duration::from_millis(1)));
    /// ```
    #[must_use = "the flag may still be down"]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        let state = self.state.lock().unwrap();
        let at_entry = state.times_set;
        // The wake-up that must not be lost is the one `wait` names.
        let (_state, waited) = self
            .was_set
            .wait_timeout_while(state, timeout, |state| {
                !state.flag && state.times_set == at_entry
            })
            .unwrap();
        !waited.timed_out()
    }
}
