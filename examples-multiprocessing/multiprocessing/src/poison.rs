//! Locks of this process that no panic can spoil.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex under which nothing that can panic runs: it cannot be poisoned while
/// what it protects is half changed.
pub(crate) fn lock_unpoisoned<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
