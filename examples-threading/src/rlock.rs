//! A lock that its owner may take again.

use std::cell::Cell;
use std::fmt;
use std::ops::Deref;

use parking_lot::{ReentrantMutex, ReentrantMutexGuard};

/// A lock that the thread which holds it may take again without waiting for itself:
/// Python's [`threading.RLock`](https://docs.python.org/3/library/threading.html#rlock-objects).
///
/// It is free again once every guard is dropped. One thread may hold several guards, so
/// they lend the value only to read; a value that changes belongs in a [`Cell`] or a
/// [`RefCell`](std::cell::RefCell).
///
/// It is [`parking_lot::ReentrantMutex`] with a guard that knows its level.
///
/// ```
/// use threading::RLock;
/// use std::cell::Cell;
///
/// let lock = RLock::new(Cell::new(0));
/// let outer = lock.lock();
/// let inner = lock.lock(); // a std::sync::Mutex would hang or panic here
/// inner.set(inner.get() + 10);
/// assert_eq!((inner.level(), outer.get()), (2, 10));
/// ```
pub struct RLock<T> {
    inner: ReentrantMutex<Owned<T>>,
}

struct Owned<T> {
    /// How many guards the owner holds. Only the owner looks, so a `Cell` is enough.
    level: Cell<usize>,
    value: T,
}

impl<T> RLock<T> {
    /// A free lock around this value.
    pub const fn new(value: T) -> Self {
        Self {
            inner: ReentrantMutex::new(Owned {
                level: Cell::new(0),
                value,
            }),
        }
    }

    /// Takes the lock; waits while another thread holds it.
    pub fn lock(&self) -> RLockGuard<'_, T> {
        RLockGuard::new(self.inner.lock())
    }

    /// Takes the lock unless another thread holds it.
    ///
    /// ```
    /// use threading::RLock;
    /// use std::thread;
    ///
    /// let lock = &RLock::new(());
    /// let _mine = lock.lock();
    /// assert!(lock.try_lock().is_some());
    /// thread::scope(|s| {
    ///     s.spawn(|| assert!(lock.try_lock().is_none()));
    /// });
    /// ```
    pub fn try_lock(&self) -> Option<RLockGuard<'_, T>> {
        self.inner.try_lock().map(RLockGuard::new)
    }
}

impl<T> fmt::Debug for RLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RLock").finish_non_exhaustive()
    }
}

/// One level of a held [`RLock`], released when it is dropped.
///
/// Made by [`RLock::lock`]; the example is at [`RLock`].
pub struct RLockGuard<'a, T> {
    inner: ReentrantMutexGuard<'a, Owned<T>>,
}

impl<'a, T> RLockGuard<'a, T> {
    fn new(inner: ReentrantMutexGuard<'a, Owned<T>>) -> Self {
        inner.level.set(inner.level.get() + 1);
        Self { inner }
    }

    /// How many guards of the lock this thread holds, including this one.
    #[must_use]
    pub fn level(&self) -> usize {
        self.inner.level.get()
    }
}

impl<T> Drop for RLockGuard<'_, T> {
    fn drop(&mut self) {
        // Before the inner guard is dropped: afterwards the count may be another
        // thread's.
        self.inner.level.set(self.inner.level.get() - 1);
    }
}

impl<T> Deref for RLockGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner.value
    }
}

impl<T: fmt::Debug> fmt::Debug for RLockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
