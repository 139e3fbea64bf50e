//! Locks of this process that no panic can spoil.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex under which nothing that can panic runs: it cannot be poisoned while
/// what it protects is half changed.
pub(crate) fn lock_unpoisoned<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// [`lock_unpoisoned`], unless another thread has locked it.
#[cfg(feature = "broker")]
pub(crate) fn try_lock_unpoisoned<T: ?Sized>(
    mutex: &Mutex<T>,
) -> Option<MutexGuard<'_, T>> {
    use std::sync::TryLockError;

    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(guard)) => Some(guard.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
