//! Whether a process is left that could put.

use std::io::{PipeReader, PipeWriter, pipe};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Error;
use crate::handover::{self, Kind};
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

    #[inline]
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

/// One end as it is handed over.
struct Given<'a, T>(&'a T);

impl<T: AsFd + 'static> Serialize for Given<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        handover::give(self.0.as_fd(), Kind::of::<T>(), serializer)
    }
}

/// One end as it arrives.
struct Taken<T>(T);

impl<'de, T: From<OwnedFd> + 'static> Deserialize<'de> for Taken<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fd = handover::take(Kind::of::<T>(), deserializer)?;
        Ok(Self(T::from(fd)))
    }
}

impl Serialize for Lifeline {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let writer = lock_unpoisoned(&self.writer);
        (Given(&self.reader), writer.as_ref().map(Given)).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Lifeline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (Taken(reader), writer) = <(
            Taken<PipeReader>,
            Option<Taken<PipeWriter>>,
        )>::deserialize(deserializer)?;
        Ok(Self::of(reader, writer.map(|Taken(writer)| writer)))
    }
}
