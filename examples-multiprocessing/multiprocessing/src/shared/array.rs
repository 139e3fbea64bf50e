//! Numbers in a row that processes share.

use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::error::Error;
use crate::handover::handle;
use crate::sys::numbers::{Number, Numbers, NumbersGuard, Scalar, Slot};

/// Numbers in a row that processes share, with the lock that protects them: Python's
/// [`multiprocessing.Array`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.Array).
///
/// ```
/// use multiprocessing::Array;
///
/// # fn main() -> Result<(), multiprocessing::Error> {
/// let arr = Array::new(0..4)?;   // Array('i', range(4))
/// let mut numbers = arr.lock();
/// numbers[1] = -numbers[1];      // a slice, as fast as any other
/// numbers.sort_unstable();
/// drop(numbers);
/// assert_eq!(arr.to_vec(), [-1, 0, 2, 3]);
/// assert_eq!(arr.with_lock(|numbers| numbers.iter().sum::<i32>()), 4);
/// # Ok(())
/// # }
/// ```
///
/// Python takes the lock for each element. Here a guard holds it for any number
/// of elements; `arr.lock()[i]` takes it for one.
///
/// What Python reaches with `get_obj` is the guard's under the lock, and a [`RawArray`]
/// without a lock. If a process dies with the lock held, the next one gets the lock, and
/// its guard says so, as with a [`Value`](crate::Value).
#[derive(Clone)]
pub struct Array<T: Number> {
    numbers: Numbers<T, true>,
}

handle!(Array<T: Number> { numbers });

impl<T: Number> Array<T> {
    /// An array of these numbers.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if memory or descriptors are short.
    pub fn new(numbers: impl IntoIterator<Item = T>) -> Result<Self, Error> {
        Ok(Self {
            numbers: Numbers::new(numbers)?,
        })
    }

    /// This number of zeroes: `Array('i', 10)`.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn zeroed(len: usize) -> Result<Self, Error> {
        Ok(Self {
            numbers: Numbers::zeroed(len)?,
        })
    }

    /// The numbers until the guard is dropped: Python's `with arr.get_lock():`.
    #[must_use = "a guard that is not kept releases the lock at once"]
    #[inline]
    pub fn lock(&self) -> ArrayGuard<'_, T> {
        ArrayGuard {
            numbers: self.numbers.lock(),
        }
    }

    /// Calls this function with the numbers, under the lock.
    pub fn with_lock<R>(&self, function: impl FnOnce(&mut [T]) -> R) -> R {
        function(&mut self.lock())
    }

    /// A copy of the numbers, all of one moment: `arr[:]`.
    #[must_use]
    pub fn to_vec(&self) -> Vec<T> {
        self.lock().to_vec()
    }

    /// The number of elements, which never changes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// ```
/// use multiprocessing::Array;
///
/// let squares: Array<u64> = (1..=3).map(|n| n * n).collect();
/// assert_eq!(squares.to_vec(), [1, 4, 9]);
/// assert!(squares.len() == 3 && !squares.is_empty());
/// ```
///
/// # Panics
///
/// If memory or descriptors are short: a collection has no way to say so.
/// [`Array::new`] returns the error.
impl<T: Number> FromIterator<T> for Array<T> {
    fn from_iter<I: IntoIterator<Item = T>>(numbers: I) -> Self {
        Self::new(numbers)
            .unwrap_or_else(|error| panic!("no array was made: {error}"))
    }
}

/// ```
/// use multiprocessing::Array;
///
/// assert_eq!(Array::from(vec![1.5, 2.5]).to_vec(), [1.5, 2.5]);
/// ```
///
/// # Panics
///
/// If memory or descriptors are short, as with [`collect`](Iterator::collect).
/// [`Array::new`] returns the error.
impl<T: Number> From<Vec<T>> for Array<T> {
    fn from(numbers: Vec<T>) -> Self {
        numbers.into_iter().collect()
    }
}

impl<T: Number> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Array")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// An [`Array`]'s numbers under their lock, released when dropped.
///
/// While it lives no process can be forked, because the child would have it too: see
/// [`NumbersLocked`](crate::ProcessError::NumbersLocked).
pub struct ArrayGuard<'a, T: Number> {
    numbers: NumbersGuard<'a, T>,
}

impl<T: Number> ArrayGuard<'_, T> {
    /// Whether the holder before this one ended without releasing the lock, perhaps
    /// with some numbers changed and others not.
    #[must_use]
    pub fn predecessor_died(&self) -> bool {
        self.numbers.predecessor_died()
    }

    /// The numbers themselves, which Python reaches by `arr.get_obj()` inside of
    /// `with arr.get_lock():`.
    ///
    /// ```
    /// # fn main() -> Result<(), multiprocessing::Error> {
    /// let arr = multiprocessing::Array::new([3, 1, 2])?;
    /// arr.lock().get_obj().sort_unstable();
    /// # assert_eq!(arr.to_vec(), [1, 2, 3]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_obj(&mut self) -> &mut [T] {
        self
    }
}

impl<T: Number> Deref for ArrayGuard<'_, T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        &self.numbers
    }
}

impl<T: Number> DerefMut for ArrayGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.numbers
    }
}

impl<T: Number> fmt::Debug for ArrayGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// Numbers in a row that processes share without a lock: Python's
/// [`RawArray`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.sharedctypes.RawArray),
/// or `Array(…, lock=False)`.
///
/// ```
/// use multiprocessing::RawArray;
///
/// # fn main() -> Result<(), multiprocessing::Error> {
/// let squares = RawArray::zeroed(3)?;
/// for (i, slot) in squares.iter().enumerate() {
///     slot.set(i * i);
/// }
/// assert_eq!((squares.len(), squares[2].get()), (3, 4));
/// # Ok(())
/// # }
/// ```
///
/// It is a slice of [`Slot`]s. A process that dies leaves the numbers that it wrote.
#[derive(Clone)]
pub struct RawArray<T: Scalar> {
    numbers: Numbers<T, false>,
}

handle!(RawArray<T: Scalar> { numbers });

impl<T: Scalar> RawArray<T> {
    /// An array of these numbers.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if memory or descriptors are short.
    pub fn new(numbers: impl IntoIterator<Item = T>) -> Result<Self, Error> {
        Ok(Self {
            numbers: Numbers::new(numbers)?,
        })
    }

    /// This number of zeroes.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn zeroed(len: usize) -> Result<Self, Error> {
        Ok(Self {
            numbers: Numbers::zeroed(len)?,
        })
    }
}

impl<T: Scalar> Deref for RawArray<T> {
    type Target = [Slot<T>];

    #[inline]
    fn deref(&self) -> &[Slot<T>] {
        self.numbers.slots()
    }
}

impl<T: Scalar> fmt::Debug for RawArray<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RawArray").field(&&**self).finish()
    }
}
