//! Messages on a stream: a length, then that many bytes.
//!
//! The length is four bytes, signed and big-endian; a message of 2 GiB or more has −1
//! there, followed by eight bytes. No memory is reserved for bytes that have not arrived:
//! a peer that claims a length must send the bytes before they take memory.

use std::io::{self, ErrorKind, Read, Write};

/// How much is read at a time, and kept for the next message.
const CHUNK: usize = 1 << 13;

/// Writes each message in one piece, so that a small one is not held back until an
/// acknowledgement comes.
#[derive(Debug, Default)]
pub(in crate::managers) struct FrameWriter {
    buffer: Vec<u8>,
}

impl FrameWriter {
    /// Writes the message that this function appends to a buffer.
    pub(in crate::managers) fn write_with<T, E: From<io::Error>>(
        &mut self,
        mut stream: impl Write,
        body: impl FnOnce(&mut Vec<u8>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.buffer.clear();
        // Room for the header, which the length decides.
        self.buffer.extend([0; 12]);
        let written = body(&mut self.buffer).inspect_err(|_| {
            self.buffer = Vec::new();
        })?;
        let length = self.buffer.len() - 12;
        let start = if let Ok(length) = i32::try_from(length) {
            self.buffer[8..12].copy_from_slice(&length.to_be_bytes());
            8
        } else {
            self.buffer[..4].copy_from_slice(&(-1_i32).to_be_bytes());
            self.buffer[4..12].copy_from_slice(&(length as u64).to_be_bytes());
            0
        };
        stream.write_all(&self.buffer[start..])?;
        // One large message does not keep its memory.
        self.buffer.shrink_to(1 << 20);
        Ok(written)
    }

    pub(in crate::managers) fn write(
        &mut self,
        stream: impl Write,
        body: &[u8],
    ) -> io::Result<()> {
        self.write_with(stream, |buffer| {
            buffer.extend(body);
            Ok(())
        })
    }
}

/// Reads messages, with as few reads as possible.
#[derive(Debug, Default)]
pub(in crate::managers) struct FrameReader {
    buffer: Vec<u8>,
    /// Where the bytes begin that have not been returned yet.
    start: usize,
    /// Where they end.
    end: usize,
}

impl FrameReader {
    /// The next message, or `None` if the stream ends between two messages.
    ///
    /// # Errors
    ///
    /// [`FrameError`]; the stream is of no use afterwards.
    pub(in crate::managers) fn read(
        &mut self,
        mut stream: impl Read,
        cap: usize,
    ) -> Result<Option<&[u8]>, FrameError> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            self.buffer.truncate(CHUNK);
            self.buffer.shrink_to(1 << 20);
        }
        if !self.fill(&mut stream, 4)? {
            return match self.end - self.start {
                0 => Ok(None),
                _ => Err(FrameError::Cut),
            };
        }
        let length = i32::from_be_bytes(self.take());
        let length = match u64::try_from(length) {
            Ok(length) => length,
            Err(_) if length == -1 => {
                if !self.fill(&mut stream, 8)? {
                    return Err(FrameError::Cut);
                }
                u64::from_be_bytes(self.take())
            }
            Err(_) => return Err(FrameError::Negative),
        };
        if length == 0 {
            return Err(FrameError::Empty);
        }
        let length = usize::try_from(length)
            .ok()
            .filter(|&length| length <= cap)
            .ok_or(FrameError::TooLong(length))?;
        if !self.fill(&mut stream, length)? {
            return Err(FrameError::Cut);
        }
        let body = self.start..self.start + length;
        self.start = body.end;
        Ok(Some(&self.buffer[body]))
    }

    /// Reads until at least `count` bytes are there. Returns whether they are: the stream
    /// may end before.
    fn fill(&mut self, stream: &mut impl Read, count: usize) -> io::Result<bool> {
        if self.end - self.start < count && self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        while self.end - self.start < count {
            if self.end == self.buffer.len() {
                // Twice what has come, but no more than is wanted.
                let room = (2 * self.end).clamp(CHUNK, count.max(CHUNK));
                self.buffer.resize(room, 0);
            }
            match stream.read(&mut self.buffer[self.end..]) {
                Ok(0) => return Ok(false),
                Ok(read) => self.end += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.buffer[self.start..self.start + N]);
        self.start += N;
        bytes
    }
}

/// Why a message could not be read.
#[derive(Debug)]
pub(in crate::managers) enum FrameError {
    /// The stream ended in the middle of one.
    Cut,
    /// Its length is negative.
    Negative,
    /// It is empty, which no message may be.
    Empty,
    /// It is longer than is allowed.
    TooLong(u64),
    /// The stream failed.
    Io(io::Error),
}

impl From<io::Error> for FrameError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managers::pickle::MAX_MESSAGE;

    fn read_all(mut bytes: &[u8], cap: usize) -> Result<Vec<Vec<u8>>, FrameError> {
        let mut reader = FrameReader::default();
        let mut messages = Vec::new();
        while let Some(message) = reader.read(&mut bytes, cap)? {
            messages.push(message.to_vec());
        }
        Ok(messages)
    }

    #[test]
    fn messages_are_read_as_they_were_written() {
        let mut bytes = Vec::new();
        let mut writer = FrameWriter::default();
        let messages = [vec![1], vec![2; 20_000], vec![3; 3], vec![4; 200_000]];
        for message in &messages {
            writer.write(&mut bytes, message).unwrap();
        }
        assert_eq!(bytes[..5], [0, 0, 0, 1, 1]);
        assert_eq!(read_all(&bytes, MAX_MESSAGE).unwrap(), messages);
    }

    #[test]
    fn a_message_may_come_in_pieces_of_one_byte() {
        struct OneByOne<'a>(&'a [u8]);
        impl Read for OneByOne<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                (&mut self.0).take(1).read(buffer)
            }
        }
        let mut stream = OneByOne(b"\0\0\0\x02ab\0\0\0\x01c");
        let mut reader = FrameReader::default();
        for expected in [&b"ab"[..], b"c"] {
            assert_eq!(reader.read(&mut stream, 10).unwrap(), Some(expected));
        }
        assert!(reader.read(&mut stream, 10).unwrap().is_none());
    }

    #[test]
    fn the_long_header_is_read_for_short_messages_too() {
        let bytes = b"\xff\xff\xff\xff\0\0\0\0\0\0\0\x02ab";
        assert_eq!(read_all(bytes, 10).unwrap(), [b"ab"]);
    }

    #[test]
    fn hostile_lengths_are_refused_before_memory_is_taken() {
        let huge = b"\xff\xff\xff\xff\x80\0\0\0\0\0\0\0";
        assert!(matches!(
            read_all(huge, MAX_MESSAGE),
            Err(FrameError::TooLong(length)) if length == 1 << 63
        ));
        let negative = (-5_i32).to_be_bytes();
        assert!(matches!(read_all(&negative, 10), Err(FrameError::Negative)));
        assert!(matches!(read_all(&[0; 4], 10), Err(FrameError::Empty)));
        assert!(matches!(
            read_all(b"\0\0\x01\x01", 256),
            Err(FrameError::TooLong(257))
        ));
    }

    #[test]
    fn a_claimed_length_takes_no_memory_until_the_bytes_come() {
        let mut reader = FrameReader::default();
        let mut bytes = &b"\x03\0\0\0abc"[..];
        assert!(matches!(
            reader.read(&mut bytes, MAX_MESSAGE),
            Err(FrameError::Cut)
        ));
        assert!(reader.buffer.capacity() <= CHUNK);
    }

    #[test]
    fn an_end_inside_a_message_differs_from_one_between_two() {
        assert!(read_all(b"", 10).unwrap().is_empty());
        for cut in [
            &b"\0"[..],
            b"\0\0\0\x02",
            b"\0\0\0\x02a",
            b"\xff\xff\xff\xff\0",
        ] {
            assert!(matches!(read_all(cut, 10), Err(FrameError::Cut)), "{cut:?}");
        }
    }
}
