//! One number that processes share.

use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::error::Error;
use crate::handover::handle;
use crate::sys::numbers::{Numbers, NumbersGuard, Scalar, Slot};

/// A number that processes share, with the lock that protects it: Python's
/// [`multiprocessing.Value`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.Value).
///
/// ```
/// use multiprocessing::Value;
///
/// # fn main() -> Result<(), multiprocessing::Error> {
/// let num = Value::new(0.0)?;
/// num.set(3.5);
/// num.with_lock(|n| *n += 1.0); // one step for everybody else
/// *num.lock() += 1.0;           // the same
/// assert_eq!(num.get(), 5.5);
/// assert_eq!(format!("{:.2}", num.lock()), "5.50");
/// # Ok(())
/// # }
/// ```
///
/// Python's `num.value += 1` takes its lock twice, once to read and once to write, and
/// loses what others do in between. `num.set(num.get() + 1.0)` would do the same.
///
/// Python's `get_lock` and `get_obj` hand out the lock and the number one without the
/// other. Here a number that is used without a lock is a [`RawValue`], which
/// has none; so the number belongs to the guard alone while it lives. The lock is not
/// re-entrant: a thread holds one guard at a time.
///
/// # When a process dies
///
/// If it dies with the lock held, the number is what it wrote last. The next process gets
/// the lock, and its guard says that the holder died.
#[derive(Clone)]
pub struct Value<T: Scalar> {
    number: Numbers<T, true>,
}

handle!(Value<T: Scalar> { number });

impl<T: Scalar> Value<T> {
    /// A number for processes to share.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if memory or descriptors are short.
    pub fn new(number: T) -> Result<Self, Error> {
        Ok(Self {
            number: Numbers::new([number])?,
        })
    }

    /// The number, read under the lock: Python's `value`.
    #[must_use]
    pub fn get(&self) -> T {
        *self.lock()
    }

    /// Puts another number there, under the lock.
    pub fn set(&self, number: T) {
        *self.lock() = number;
    }

    /// The number until the guard is dropped: Python's `with num.get_lock():`.
    #[must_use = "a guard that is not kept releases the lock at once"]
    #[inline]
    pub fn lock(&self) -> ValueGuard<'_, T> {
        ValueGuard {
            number: self.number.lock(),
        }
    }

    /// Calls this function with the number, under the lock.
    pub fn with_lock<R>(&self, function: impl FnOnce(&mut T) -> R) -> R {
        function(&mut self.lock())
    }
}

impl<T: Scalar> fmt::Debug for Value<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value").finish_non_exhaustive()
    }
}

/// A [`Value`]'s number under its lock, released when dropped.
///
/// While it lives no process can be forked, because the child would have it too: see
/// [`NumbersLocked`](crate::ProcessError::NumbersLocked).
pub struct ValueGuard<'a, T: Scalar> {
    number: NumbersGuard<'a, T>,
}

impl<T: Scalar> ValueGuard<'_, T> {
    /// Whether the holder before this one ended without releasing the lock.
    #[must_use]
    pub fn predecessor_died(&self) -> bool {
        self.number.predecessor_died()
    }

    /// The number itself, which Python reaches by `num.get_obj()` inside of
    /// `with num.get_lock():`.
    ///
    /// ```
    /// # fn main() -> Result<(), multiprocessing::Error> {
    /// let num = multiprocessing::Value::new(1)?;
    /// *num.lock().get_obj() += 1;
    /// # assert_eq!(num.get(), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_obj(&mut self) -> &mut T {
        self
    }
}

impl<T: Scalar> Deref for ValueGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.number[0]
    }
}

impl<T: Scalar> DerefMut for ValueGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.number[0]
    }
}

impl<T: Scalar> fmt::Debug for ValueGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: Scalar + fmt::Display> fmt::Display for ValueGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

/// A number that processes share without a lock: Python's
/// [`RawValue`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.sharedctypes.RawValue),
/// or `Value(…, lock=False)`.
///
/// ```
/// use multiprocessing::{Lock, RawValue};
///
/// # fn main() -> Result<(), multiprocessing::Error> {
/// let (money, lock) = (RawValue::new(0)?, Lock::new()?);
/// lock.acquire();
/// money.set(money.get() + 1);
/// lock.release().unwrap();
/// assert_eq!(money.get(), 1);
/// # Ok(())
/// # }
/// ```
///
/// It is its [`Slot`]. A process that dies leaves the number that it wrote last.
#[derive(Clone)]
pub struct RawValue<T: Scalar> {
    number: Numbers<T, false>,
}

handle!(RawValue<T: Scalar> { number });

impl<T: Scalar> RawValue<T> {
    /// A number for processes to share.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if memory or descriptors are short.
    pub fn new(number: T) -> Result<Self, Error> {
        Ok(Self {
            number: Numbers::new([number])?,
        })
    }
}

impl<T: Scalar> Deref for RawValue<T> {
    type Target = Slot<T>;

    #[inline]
    fn deref(&self) -> &Slot<T> {
        &self.number.slots()[0]
    }
}

impl<T: Scalar> fmt::Debug for RawValue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RawValue").field(&**self).finish()
    }
}
