//! Whether a process is left that could put.

use std::io::{PipeReader, PipeWriter, pipe};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Error;
use crate::handover::{Given, Taken};
use crate::poison::lock_unpoisoned;
use crate::sys::descriptor::above_standard;

/// A pipe into which nothing is written. Every process that may put into the queue has its
/// writing end, which a forked child has from its first moment on and which the system
/// closes when a process is killed. So the pipe is at its end exactly when no process is
/// left that could put.
#[derive(Debug)]
pub(super) struct Lifeline {
    reader: PipeReader,
    writer: Mutex<Option<PipeWriter>>,
    /// Whether the writer is gone, which every put asks: a load instead of a lock.
    closed: AtomicBool,
}

impl Lifeline {
    pub(super) fn new() -> Result<Self, Error> {
        const DOING: &str = "make a queue";
        let (reader, writer) = pipe().map_err(Error::system(DOING))?;
        let reader = above_standard(reader).map_err(Error::system(DOING))?;
        let writer = above_standard(writer).map_err(Error::system(DOING))?;
        Ok(Self::of(reader.into(), Some(writer.into())))
    }

    fn of(reader: PipeReader, writer: Option<PipeWriter>) -> Self {
        Self {
            reader,
            closed: AtomicBool::new(writer.is_none()),
            writer: Mutex::new(writer),
        }
    }

    /// This process, with those that it starts from now on, puts no more.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        *lock_unpoisoned(&self.writer) = None;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Whether this process or another can still put. A system call only if this one
    /// cannot.
    pub(super) fn has_writers(&self) -> bool {
        if !self.is_closed() {
            return true;
        }
        let mut polled = [PollFd::new(self.reader.as_fd(), PollFlags::POLLIN)];
        // If the question cannot be asked, the answer is yes.
        poll(&mut polled, PollTimeout::ZERO).is_err()
            || !(polled[0].revents())
                .is_some_and(|events| events.contains(PollFlags::POLLHUP))
    }
}

impl Serialize for Lifeline {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let writer = lock_unpoisoned(&self.writer);
        let writer = writer.as_ref().map(|writer| Given(writer.as_fd()));
        (Given(self.reader.as_fd()), writer).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Lifeline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (Taken(reader), writer) =
            <(Taken, Option<Taken>)>::deserialize(deserializer)?;
        let writer = writer.map(|Taken(writer)| PipeWriter::from(writer));
        Ok(Self::of(OwnedFd::into(reader), writer))
    }
}
