//! A flag that threads can wait for.

use std::time::Duration;

use crate::sync::{Condvar, Mutex};

/// A flag that starts out cleared, and that any number of threads can wait for: Python's
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
    /// How often the flag was set. A waiter that finds this changed returns although the
    /// flag may be cleared again.
    times_set: u64,
}

impl Default for Event {
    fn default() -> Self {
        Self::new()
    }
}

impl Event {
    /// An event whose flag is cleared.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: Mutex::new(State::default()),
            was_set: Condvar::new(),
        }
    }

    /// Sets the flag and wakes every thread that waits.
    pub fn set(&self) {
        let mut state = self.state.lock().unwrap();
        state.flag = true;
        state.times_set += 1;
        self.was_set.notify_all();
    }

    /// Clears the flag: a later wait lasts until the next [`set`](Self::set).
    pub fn clear(&self) {
        self.state.lock().unwrap().flag = false;
    }

    /// Whether the flag is set at this moment.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.state.lock().unwrap().flag
    }

    /// Waits until the flag is set. A thread that was already waiting returns even if the
    /// flag is cleared again at once.
    pub fn wait(&self) {
        let mut state = self.state.lock().unwrap();
        let at_entry = state.times_set;
        // The flag may be set and cleared before this thread runs again. The flag alone
        // would lose that wake-up; the count keeps it.
        while !state.flag && state.times_set == at_entry {
            state = self.was_set.wait(state).unwrap();
        }
    }

    /// [`wait`](Self::wait) for at most this long. Returns whether the flag was set.
    ///
    /// ```
    /// use threading::Event;
    /// use std::time::Duration;
    ///
    /// assert!(!Event::new().wait_timeout(Duration::from_millis(1)));
    /// ```
    #[must_use = "the flag may still be cleared"]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        let state = self.state.lock().unwrap();
        let at_entry = state.times_set;
        // The wake-up that must not be lost is the one that `wait` names.
        let (_state, waited) = self
            .was_set
            .wait_timeout_while(state, timeout, |state| {
                !state.flag && state.times_set == at_entry
            })
            .unwrap();
        !waited.timed_out()
    }
}
