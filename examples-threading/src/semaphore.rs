//! Counters of permits, with and without an upper bound.

use std::fmt;
use std::time::Duration;

use crate::sync::{Condvar, Mutex};

/// A number of permits, of which each thread takes one or waits for one: Python's
/// [`threading.Semaphore`](https://docs.python.org/3/library/threading.html#semaphore-objects).
///
/// ```
/// use threading::Semaphore;
///
/// let rooms = Semaphore::new(2);
/// let first = rooms.permit(); // released when it goes out of scope
/// rooms.acquire();            // released by hand
/// assert!(!rooms.try_acquire());
/// rooms.release();
/// drop(first);
/// assert!(rooms.try_acquire());
/// ```
#[derive(Debug)]
pub struct Semaphore {
    permits: Mutex<usize>,
    released: Condvar,
}

impl Semaphore {
    /// A semaphore that starts with this number of permits. More can be released than
    /// that: the number is not a limit, in Python neither.
    #[must_use]
    pub fn new(permits: usize) -> Self {
        Self {
            permits: Mutex::new(permits),
            released: Condvar::new(),
        }
    }

    /// Takes a permit; waits for as long as there is none.
    pub fn acquire(&self) {
        let mut permits = self.permits.lock().unwrap();
        // A release between the look and the wait is not lost: it needs the lock, which
        // `wait` gives up only once this thread is waiting.
        while *permits == 0 {
            permits = self.released.wait(permits).unwrap();
        }
        *permits -= 1;
    }

    /// Takes a permit if one is there now. Returns whether it did.
    #[must_use = "without a permit there is nothing to release"]
    pub fn try_acquire(&self) -> bool {
        self.acquire_timeout(Duration::ZERO)
    }

    /// Takes a permit; waits for one for at most this long. Returns whether it did.
    #[must_use = "without a permit there is nothing to release"]
    pub fn acquire_timeout(&self, timeout: Duration) -> bool {
        let permits = self.permits.lock().unwrap();
        // The wake-up that must not be lost is the one that `acquire` names. A permit
        // that comes together with the time-out is taken: the count decides, not the
        // clock.
        let (mut permits, _) = self
            .released
            .wait_timeout_while(permits, timeout, |permits| *permits == 0)
            .unwrap();
        let got_one = *permits > 0;
        *permits -= usize::from(got_one);
        got_one
    }

    /// Gives a permit back, or adds one, and wakes one thread that waits for it.
    pub fn release(&self) {
        let mut permits = self.permits.lock().unwrap();
        // At the largest number there are more permits than anybody can take.
        *permits = permits.saturating_add(1);
        drop(permits);
        self.released.notify_one();
    }

    /// [`acquire`](Self::acquire)s a permit that is released when it is dropped:
    /// Python's `with semaphore:`.
    #[must_use = "a permit that is not kept is released at once"]
    pub fn permit(&self) -> Permit<'_> {
        self.acquire();
        Permit { semaphore: self }
    }
}

/// A permit of a [`Semaphore`], released when dropped.
///
/// Made by [`Semaphore::permit`]; the example is at [`Semaphore`].
#[derive(Debug)]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.semaphore.release();
    }
}

/// A [`Semaphore`] that cannot be released more often than it was acquired: Python's
/// [`threading.BoundedSemaphore`](https://docs.python.org/3/library/threading.html#threading.BoundedSemaphore).
///
/// ```
/// use threading::{BoundedSemaphore, ReleasedTooOften};
///
/// let rooms = BoundedSemaphore::new(1);
/// rooms.acquire();
/// assert_eq!(rooms.release(), Ok(()));
/// assert_eq!(rooms.release(), Err(ReleasedTooOften));
/// ```
#[derive(Debug)]
pub struct BoundedSemaphore {
    semaphore: Semaphore,
    /// The number of permits at the start, which is the most there may be.
    bound: usize,
}

impl BoundedSemaphore {
    /// A semaphore that starts with this number of permits and never has more.
    #[must_use]
    pub fn new(permits: usize) -> Self {
        Self {
            semaphore: Semaphore::new(permits),
            bound: permits,
        }
    }

    /// See [`Semaphore::acquire`].
    pub fn acquire(&self) {
        self.semaphore.acquire();
    }

    /// See [`Semaphore::try_acquire`].
    #[must_use = "without a permit there is nothing to release"]
    pub fn try_acquire(&self) -> bool {
        self.semaphore.try_acquire()
    }

    /// See [`Semaphore::acquire_timeout`].
    #[must_use = "without a permit there is nothing to release"]
    pub fn acquire_timeout(&self, timeout: Duration) -> bool {
        self.semaphore.acquire_timeout(timeout)
    }

    /// Gives a permit back and wakes one thread that waits for it.
    ///
    /// # Errors
    ///
    /// [`ReleasedTooOften`] if no permit is taken. Nothing has changed then.
    pub fn release(&self) -> Result<(), ReleasedTooOften> {
        let mut permits = self.semaphore.permits.lock().unwrap();
        if *permits >= self.bound {
            return Err(ReleasedTooOften);
        }
        *permits += 1;
        self.semaphore.released.notify_one();
        Ok(())
    }
}

/// A [`BoundedSemaphore`] was released without having been acquired.
///
/// ```
/// use threading::{BoundedSemaphore, ReleasedTooOften};
///
/// let full = BoundedSemaphore::new(5);
/// let error = full.release().unwrap_err();
/// assert_eq!(error.to_string(), "semaphore released more often than it was acquired");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleasedTooOften;

impl fmt::Display for ReleasedTooOften {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("semaphore released more often than it was acquired")
    }
}

impl std::error::Error for ReleasedTooOften {}
