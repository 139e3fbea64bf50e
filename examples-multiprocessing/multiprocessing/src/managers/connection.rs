//! A stream with its messages.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::Instant;

use super::address::Stream;
use super::frame::{FrameError, FrameReader, FrameWriter};
use super::pickle::{MAX_MESSAGE, PickleError, Value, write_call, write_reply};

#[derive(Debug)]
pub(super) struct Connection {
    stream: Arc<Stream>,
    reader: FrameReader,
    writer: FrameWriter,
    /// When everything must be through, however slowly the bytes come. Without it there
    /// is no hurry.
    deadline: Option<Instant>,
}

/// Why a message could not be sent.
#[derive(Debug)]
pub(super) enum SendError {
    /// Nothing was sent, and the connection is as it was.
    Pickle(PickleError),
    /// The connection is of no more use.
    Lost,
    /// Nor is this: the deadline has passed.
    TimedOut,
}

impl From<PickleError> for SendError {
    fn from(error: PickleError) -> Self {
        Self::Pickle(error)
    }
}

impl From<io::Error> for SendError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Lost,
        }
    }
}

impl Connection {
    /// Everything on it must be through by the deadline.
    pub(super) fn new(stream: Arc<Stream>, deadline: Instant) -> Self {
        Self {
            stream,
            reader: FrameReader::default(),
            writer: FrameWriter::default(),
            deadline: Some(deadline),
        }
    }

    /// Lifts the deadline.
    pub(super) fn wait_for_ever(&mut self) -> io::Result<()> {
        self.deadline = None;
        self.stream.set_deadline(None)
    }

    /// Waits for a message.
    pub(super) fn receive(&mut self) -> Result<Option<&[u8]>, FrameError> {
        self.receive_short(MAX_MESSAGE)
    }

    /// Waits for a message of at most so many bytes.
    pub(super) fn receive_short(
        &mut self,
        cap: usize,
    ) -> Result<Option<&[u8]>, FrameError> {
        let stream = Until::new(&self.stream, self.deadline);
        self.reader.read(stream, cap)
    }

    pub(super) fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let stream = Until::new(&self.stream, self.deadline);
        self.writer.write(stream, message)
    }

    pub(super) fn send_call(
        &mut self,
        target: Option<&str>,
        method: &str,
        args: &[Value],
        kwargs: &[(String, Value)],
    ) -> Result<(), SendError> {
        self.send_pickle(|body| write_call(body, target, method, args, kwargs))
    }

    pub(super) fn send_reply(
        &mut self,
        kind: &str,
        value: &Value,
    ) -> Result<(), SendError> {
        self.send_pickle(|body| write_reply(body, kind, value))
    }

    fn send_pickle(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), PickleError>,
    ) -> Result<(), SendError> {
        let stream = Until::new(&self.stream, self.deadline);
        self.writer.write_with(stream, |body| {
            let start = body.len();
            write(body)?;
            if body.len() - start > MAX_MESSAGE {
                return Err(PickleError::TooLong.into());
            }
            Ok(())
        })
    }
}

/// A stream whose every read and write ends at the same deadline.
struct Until<'a> {
    stream: &'a Stream,
    deadline: Option<Instant>,
}

impl<'a> Until<'a> {
    fn new(stream: &'a Stream, deadline: Option<Instant>) -> Self {
        Self { stream, deadline }
    }

    fn keep_deadline(&self) -> io::Result<()> {
        // Without one the stream was told so once.
        match self.deadline {
            Some(_) => self.stream.set_deadline(self.deadline),
            None => Ok(()),
        }
    }
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
        self.keep_deadline()?;
        let mut stream = self.stream;
        stream.read(buffer).map_err(told_plainly)
    }
}

impl Write for Until<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.keep_deadline()?;
        let mut stream = self.stream;
        stream.write(bytes).map_err(told_plainly)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
