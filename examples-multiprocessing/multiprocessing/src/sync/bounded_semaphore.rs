//! A semaphore that refuses a release too many.

use std::fmt;
use std::time::Duration;

use super::semaphore::{Permit, Semaphore};
use crate::error::Error;
use crate::handover::handle;

/// A [`Semaphore`] that cannot be released more often than it was acquired: Python's
/// [`multiprocessing.BoundedSemaphore`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.BoundedSemaphore).
///
/// ```
/// use multiprocessing::{BoundedSemaphore, ReleasedTooOften};
///
/// # fn main() -> Result<(), multiprocessing::Error> {
/// let rooms = BoundedSemaphore::new(1)?;
/// rooms.acquire();
/// assert_eq!(rooms.release(), Ok(()));
/// assert_eq!(rooms.release(), Err(ReleasedTooOften));
/// # Ok(())
/// # }
/// ```
///
/// When a process dies it behaves as a [`Semaphore`] does.
#[derive(Debug, Clone)]
pub struct BoundedSemaphore {
    semaphore: Semaphore,
}

handle!(BoundedSemaphore { semaphore });

impl BoundedSemaphore {
    /// A semaphore that never has more than this number of permits.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if memory or descriptors are short.
    pub fn new(permits: u32) -> Result<Self, Error> {
        let semaphore = Semaphore::with_bound(permits, permits)?;
        Ok(Self { semaphore })
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

    /// Gives back a permit that this or another process took by
    /// [`acquire`](Self::acquire), and wakes one process that waits for it.
    ///
    /// # Errors
    ///
    /// [`ReleasedTooOften`] if no such permit is out; nothing has changed then.
    pub fn release(&self) -> Result<(), ReleasedTooOften> {
        if self.semaphore.state().release() {
            Ok(())
        } else {
            Err(ReleasedTooOften)
        }
    }

    /// See [`Semaphore::permit`].
    #[must_use = "a permit that is not kept is released at once"]
    pub fn permit(&self) -> Permit<'_> {
        self.semaphore.permit()
    }

    /// See [`Semaphore::permit_timeout`].
    #[must_use = "a permit that is not kept is released at once"]
    pub fn permit_timeout(&self, timeout: Duration) -> Option<Permit<'_>> {
        self.semaphore.permit_timeout(timeout)
    }

    /// See [`Semaphore::get_value`].
    #[must_use]
    pub fn get_value(&self) -> u32 {
        self.semaphore.get_value()
    }
}

/// A [`BoundedSemaphore`] was released without having been acquired.
///
/// ```
/// use multiprocessing::ReleasedTooOften;
///
/// assert_eq!(
///     ReleasedTooOften.to_string(),
///     "this semaphore has all its permits: acquire one before releasing it"
/// );
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleasedTooOften;

impl fmt::Display for ReleasedTooOften {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "this semaphore has all its permits: acquire one before releasing it",
        )
    }
}

impl std::error::Error for ReleasedTooOften {}
