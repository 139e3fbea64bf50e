//! Loom's counterparts of what the waiting code waits with.
//!
//! Time-outs have no place in loom: a wait that is not over at once waits for ever.
#![allow(
    unused_imports,
    reason = "the threading library's models use all of it"
)]

use std::collections::VecDeque;
use std::sync::LockResult;
use std::time::Duration;

pub(crate) use loom::sync::atomic::{AtomicU64, AtomicUsize, fence};
pub(crate) use loom::sync::{Arc, Mutex, MutexGuard};
pub(crate) use loom::thread;

/// Here a thread sleeps at once: loom has no clock.
#[derive(Debug)]
pub(crate) struct Spin;

impl Spin {
    pub(crate) fn new() -> Self {
        Self
    }

    #[expect(clippy::unused_self, reason = "the library's shape")]
    pub(crate) fn until<R>(
        &self,
        _may_yield: bool,
        _attempt: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        None
    }
}

/// In the place of crossbeam's, which loom cannot look into.
pub(crate) struct SegQueue<T>(Mutex<VecDeque<T>>);

impl<T> SegQueue<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(VecDeque::new()))
    }

    pub(crate) fn push(&self, item: T) {
        self.0.lock().unwrap().push_back(item);
    }

    pub(crate) fn pop(&self) -> Option<T> {
        self.0.lock().unwrap().pop_front()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

#[derive(Debug)]
pub(crate) struct Condvar(loom::sync::Condvar);

pub(crate) struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    pub(crate) fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    pub(crate) fn new() -> Self {
        Self(loom::sync::Condvar::new())
    }

    pub(crate) fn wait<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
    ) -> LockResult<MutexGuard<'a, T>> {
        self.0.wait(guard)
    }

    #[expect(clippy::unnecessary_wraps, reason = "the standard library's shape")]
    pub(crate) fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        _timeout: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let guard = self.0.wait(guard).unwrap();
        Ok((guard, WaitTimeoutResult(false)))
    }

    pub(crate) fn wait_while<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<MutexGuard<'a, T>> {
        while condition(&mut guard) {
            guard = self.0.wait(guard)?;
        }
        Ok(guard)
    }

    #[expect(clippy::unnecessary_wraps, reason = "the standard library's shape")]
    pub(crate) fn wait_timeout_while<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        timeout: Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        if timeout.is_zero() {
            let over = condition(&mut guard);
            return Ok((guard, WaitTimeoutResult(over)));
        }
        let guard = self.wait_while(guard, condition).unwrap();
        Ok((guard, WaitTimeoutResult(false)))
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}
