//! The wakers of futures: those that wait for their task, and those that can be woken.

use std::mem;
use std::task::Waker;

/// Wakers are called by a thread of their own and not where their task ends: a waker may
/// do anything, and nothing of the program's may run while the task table is locked. For
/// the same reason none is dropped here.
#[derive(Default)]
pub(super) struct WakerQueue {
    ready: Vec<Waker>,
    /// The number of wakers whose tasks have not ended.
    waiting: usize,
    /// Whether there is a thread that wakes them.
    has_thread: bool,
}

impl WakerQueue {
    /// Puts a waker in the place of a task's. Returns the one that was there.
    #[must_use]
    pub(super) fn set(
        &mut self,
        place: &mut Option<Waker>,
        waker: Waker,
    ) -> Option<Waker> {
        let before = place.replace(waker);
        if before.is_none() {
            self.waiting += 1;
        }
        before
    }

    /// The task has ended, or its future was dropped. To wake that is allowed.
    pub(super) fn release(&mut self, place: &mut Option<Waker>) {
        if let Some(waker) = place.take() {
            self.waiting -= 1;
            self.ready.push(waker);
        }
    }

    /// Whether there is something to do for the thread: to wake, or to end.
    pub(super) fn is_due(&self) -> bool {
        !self.ready.is_empty() || self.waiting == 0
    }

    pub(super) fn take(&mut self) -> Vec<Waker> {
        mem::take(&mut self.ready)
    }

    pub(super) fn has_thread(&self) -> bool {
        self.has_thread
    }

    pub(super) fn set_thread(&mut self, has_thread: bool) {
        self.has_thread = has_thread;
    }
}
