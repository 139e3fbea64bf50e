//! What the supervisor and its workers both need to know.

use std::num::NonZero;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use super::error::TaskError;
use super::message::append_error;
use crate::handover::{self, Handles};
use crate::sys::descriptor::Reason;
use crate::sys::routine::Routine;

/// Tells the supervisor to look at the workers' slots: a task was cancelled, or one with
/// a time limit has begun.
///
/// SIGURG is ignored by default, so it is harmless before the supervisor has installed
/// its mask; and it is numbered above SIGTERM and SIGCHLD, so that pending signals of
/// those kinds are taken first.
pub(super) const CHECK_SLOTS: Signal = Signal::SIGURG;

/// What every worker of a pool is told.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) initializer: Option<Initializer>,
    pub(super) maxtasksperchild: Option<NonZero<u32>>,
    /// What the workers' names begin with.
    pub(super) name: String,
}

/// A function that every worker runs first, with its arguments.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Initializer {
    /// A [`Routine`], as its number.
    routine: u64,
    args: Vec<u8>,
    /// The locks, queues and other handles among the arguments. They
    /// stay open as long as workers may be started.
    handles: Handles,
}

impl Initializer {
    pub(super) fn new(routine: Routine, args: Vec<u8>, handles: Handles) -> Self {
        Self {
            routine: routine.to_word(),
            args,
            handles,
        }
    }

    /// Runs it, and appends to `answer` how it ended.
    pub(super) fn run(&self, answer: &mut Vec<u8>) {
        match self.handles.try_clone() {
            Ok(handles) => {
                let routine = Routine::from_word(self.routine);
                handover::receive(handles, || routine.run(&self.args, answer));
            }
            Err(error) => {
                append_error(answer, &TaskError::argument(Reason(&error)));
            }
        }
    }
}
