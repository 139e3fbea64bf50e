//! A panic of a task as a value for the parent.

use std::any::Any;
use std::cell::Cell;
use std::mem;
use std::panic::{self, AssertUnwindSafe};

use super::error::TaskError;
use crate::process::message_of;
use crate::registry::{self, RegistryId};

thread_local! {
    /// The process in which this thread runs a task, whose panic is reported to the
    /// parent instead of on standard error; 0 for none. A process that the task forks
    /// has a copy of this, but its own id, and its panics must be printed.
    static IN_TASK: Cell<RegistryId> = const { Cell::new(0) };
    /// Where the task panicked.
    static PLACE: Cell<String> = const { Cell::new(String::new()) };
}

/// From now on, has the place of a task's panic noted, in this process and in those that
/// it forks. Other panics are reported as before.
pub(super) fn install_hook() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if IN_TASK.get() == registry::me() {
            PLACE.set(info.location().map(ToString::to_string).unwrap_or_default());
        } else {
            before(info);
        }
    }));
}

/// Runs a task's code. A panic of it becomes an error with its message and place.
#[inline]
pub(crate) fn catch<R>(
    run: impl FnOnce() -> Result<R, TaskError>,
) -> Result<R, TaskError> {
    IN_TASK.set(registry::me());
    // The place of a panic that an earlier task caught by itself.
    PLACE.take();
    let ended = panic::catch_unwind(AssertUnwindSafe(run));
    IN_TASK.set(0);
    ended.unwrap_or_else(|panic| Err(panicked(panic)))
}

#[cold]
fn panicked(panic: Box<dyn Any + Send>) -> TaskError {
    let message = message_of(&*panic).to_string();
    // Its destructor might panic in its turn.
    mem::forget(panic);
    TaskError::Panicked {
        message,
        place: PLACE.take(),
    }
}
