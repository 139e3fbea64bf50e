//! A stream with its messages.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::Instant;

use super::address::Stream;
use super::frame::{FrameError, FrameReader, FrameWriter, MAX_MESSAGE};
use super::pickle::{PickleError, Value, write_call, write_reply};

#[derive(Debug)]
pub(super) struct Connection {
    stream: Arc<Stream>,
    reader: FrameReader,
    writer: FrameWriter,
}

/// Why a message could not be sent.
#[derive(Debug)]
pub(super) enum SendError {
    /// Nothing was sent, and the connection is as it was.
    Pickle(PickleError),
    /// The connection is of no more use.
    Lost,
}

impl From<PickleError> for SendError {
    fn from(error: PickleError) -> Self {
        Self::Pickle(error)
    }
}

impl From<io::Error> for SendError {
    fn from(_: io::Error) -> Self {
        Self::Lost
    }
}

impl Connection {
    pub(super) fn new(stream: Arc<Stream>) -> Self {
        Self {
            stream,
            reader: FrameReader::default(),
            writer: FrameWriter::default(),
        }
    }

    /// Lifts the deadline that the last message had.
    pub(super) fn wait_for_ever(&self) -> io::Result<()> {
        self.stream.set_deadline(None)
    }

    /// Waits for a message, as long as it takes or as the last deadline left.
    pub(super) fn receive(&mut self) -> Result<Option<&[u8]>, FrameError> {
        self.reader.read(&*self.stream, MAX_MESSAGE)
    }

    /// Waits for a message, but only for one of at most so many bytes and only until
    /// the deadline, however slowly its bytes come.
    pub(super) fn receive_until(
        &mut self,
        deadline: Instant,
        cap: usize,
    ) -> Result<Option<&[u8]>, FrameError> {
        let stream = Until {
            stream: &self.stream,
            deadline,
        };
        self.reader.read(stream, cap)
    }

    pub(super) fn send_until(
        &mut self,
        deadline: Instant,
        message: &[u8],
    ) -> io::Result<()> {
        let stream = Until {
            stream: &self.stream,
            deadline,
        };
        self.writer.write(stream, message)
    }

    pub(super) fn send_call(
        &mut self,
        target: Option<&str>,
        method: &str,
        args: &[Value],
        kwargs: &[(String, Value)],
    ) -> Result<(), SendError> {
        self.writer.write_with(&*self.stream, |body| {
            Ok(write_call(body, target, method, args, kwargs)?)
        })
    }

    pub(super) fn send_reply(
        &mut self,
        kind: &str,
        value: &Value,
    ) -> Result<(), SendError> {
        self.writer
            .write_with(&*self.stream, |body| Ok(write_reply(body, kind, value)?))
    }
}

/// A stream whose every read and write ends at the same deadline.
struct Until<'a> {
    stream: &'a Stream,
    deadline: Instant,
}

/// What the system says when a time-out has passed.
fn told_plainly(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::WouldBlock => ErrorKind::TimedOut.into(),
        _ => error,
    }
}

impl Read for Until<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_deadline(Some(self.deadline))?;
        let mut stream = self.stream;
        stream.read(buffer).map_err(told_plainly)
    }
}

impl Write for Until<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_deadline(Some(self.deadline))?;
        let mut stream = self.stream;
        stream.write(bytes).map_err(told_plainly)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
