//! The callbacks of tasks: those that wait for their task, and those that can be called.

use std::collections::VecDeque;
use std::mem;
use std::panic::{self, AssertUnwindSafe};
use std::thread::{self, ThreadId};

use super::message::Outcome;

/// What is to be called when a task has ended.
pub(super) type Callback = Box<dyn FnOnce(Outcome) + Send>;

/// Callbacks whose tasks have ended, in the order in which they did.
#[derive(Default)]
pub(super) struct CallbackQueue {
    ready: VecDeque<(Callback, Outcome)>,
    /// The number of callbacks that have not returned: those in the queue, those whose
    /// task has not ended, and the one that is being called.
    unreturned: usize,
    /// The thread that calls them, while there is one.
    thread: Option<ThreadId>,
}

impl CallbackQueue {
    /// A callback was registered, and will be [pushed](Self::push) or
    /// [forgotten](Self::forget).
    pub(super) fn expect_one(&mut self) {
        self.unreturned += 1;
    }

    pub(super) fn push(&mut self, callback: Callback, outcome: Outcome) {
        self.ready.push_back((callback, outcome));
    }

    pub(super) fn pop(&mut self) -> Option<(Callback, Outcome)> {
        self.ready.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// The callback that was popped has returned.
    pub(super) fn returned(&mut self) {
        self.unreturned -= 1;
    }

    pub(super) fn all_returned(&self) -> bool {
        self.unreturned == 0
    }

    /// Forgets the callbacks in the queue and those given, whose tasks have not ended.
    /// Returns them all: they are the program's, and dropping them may do anything.
    pub(super) fn forget(&mut self, mut waiting: Vec<Callback>) -> Vec<Callback> {
        waiting.extend(mem::take(&mut self.ready).into_iter().map(|(call, _)| call));
        self.unreturned -= waiting.len();
        waiting
    }

    pub(super) fn has_thread(&self) -> bool {
        self.thread.is_some()
    }

    pub(super) fn set_thread(&mut self, thread: Option<ThreadId>) {
        self.thread = thread;
    }

    /// Whether the calling thread is the one that calls callbacks.
    pub(super) fn is_this_thread(&self) -> bool {
        self.thread == Some(thread::current().id())
    }
}

/// Calls something of the program's. If it panics, the panic hook has reported that, and
/// what comes after it is called all the same.
pub(super) fn catch(call: impl FnOnce()) {
    if let Err(panic) = panic::catch_unwind(AssertUnwindSafe(call)) {
        // Its destructor might panic in its turn.
        mem::forget(panic);
    }
}
