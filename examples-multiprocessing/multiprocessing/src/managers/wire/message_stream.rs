//! A stream with its messages.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::Instant;

use super::frame::{FrameError, FrameReader, FrameWriter};
use super::{ReplyKind, Stream};
use crate::managers::pickle::{
    Keeper, MAX_MESSAGE, PickleError, Value, write_call, write_reply,
};

/// Sends and receives whole messages, before a deadline or without one.
#[derive(Debug)]
pub(in crate::managers) struct MessageStream {
    stream: Arc<Stream>,
    reader: FrameReader,
    writer: FrameWriter,
    /// When everything must be through, however slowly the bytes come. `None` waits
    /// for ever.
    deadline: Option<Instant>,
}

/// Why a message could not be sent.
#[derive(Debug)]
pub(in crate::managers) enum SendError {
    /// Nothing was sent, and the stream can still be used.
    Pickle(PickleError),
    /// The other side has closed the connection; it cannot be used any more.
    Lost,
    /// The deadline has passed; the connection cannot be used any more.
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

impl MessageStream {
    /// Every message must be through by the deadline.
    pub(in crate::managers) fn new(stream: Arc<Stream>, deadline: Instant) -> Self {
        Self {
            stream,
            reader: FrameReader::default(),
            writer: FrameWriter::default(),
            deadline: Some(deadline),
        }
    }

    /// Removes the deadline.
    pub(in crate::managers) fn wait_for_ever(&mut self) -> io::Result<()> {
        self.deadline = None;
        self.stream.set_deadline(None)
    }

    /// Waits for a message. `None` means that the stream has ended.
    pub(in crate::managers) fn receive(
        &mut self,
    ) -> Result<Option<&[u8]>, FrameError> {
        self.receive_short(MAX_MESSAGE)
    }

    /// Waits for a message of at most `cap` bytes.
    pub(in crate::managers) fn receive_short(
        &mut self,
        cap: usize,
    ) -> Result<Option<&[u8]>, FrameError> {
        let stream = Until::new(&self.stream, self.deadline);
        self.reader.read(stream, cap)
    }

    pub(in crate::managers) fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let stream = Until::new(&self.stream, self.deadline);
        self.writer.write(stream, message)
    }

    pub(in crate::managers) fn send_call(
        &mut self,
        target: Option<&str>,
        method: &str,
        args: &[Value],
        kwargs: &[(String, Value)],
    ) -> Result<(), SendError> {
        self.send_pickle(|body| write_call(body, target, method, args, kwargs))
    }

    /// Sends a reply. Returns what keeps the objects alive whose proxies are in it.
    pub(in crate::managers) fn send_reply(
        &mut self,
        kind: ReplyKind,
        value: &Value,
    ) -> Result<Vec<Keeper>, SendError> {
        self.send_pickle(|body| write_reply(body, kind.name(), value))
    }

    fn send_pickle<T>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<T, PickleError>,
    ) -> Result<T, SendError> {
        let stream = Until::new(&self.stream, self.deadline);
        self.writer.write_with(stream, |body| {
            let start = body.len();
            let written = write(body)?;
            if body.len() - start > MAX_MESSAGE {
                return Err(PickleError::TooLong.into());
            }
            Ok(written)
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

    fn set_deadline(&self) -> io::Result<()> {
        // Without a deadline the stream's time-out was removed once and for all.
        match self.deadline {
            Some(_) => self.stream.set_deadline(self.deadline),
            None => Ok(()),
        }
    }
}

/// The system reports a passed time-out as `WouldBlock`.
fn as_timed_out(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::WouldBlock => ErrorKind::TimedOut.into(),
        _ => error,
    }
}

impl Read for Until<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.set_deadline()?;
        let mut stream = self.stream;
        stream.read(buffer).map_err(as_timed_out)
    }
}

impl Write for Until<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.set_deadline()?;
        let mut stream = self.stream;
        stream.write(bytes).map_err(as_timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
