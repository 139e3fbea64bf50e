//! Messages between two ends: Python's
//! [`Pipe` and `Connection`](https://docs.python.org/3/library/multiprocessing.html#pipes-and-queues).
//!
//! A pipe is a pair of sockets that carry packets, and a message is one packet: the
//! system itself hands it over whole or not at all, even if processes are killed
//! meanwhile, and for any number of threads and processes that use one end at once. The
//! part of a message that does not fit into a packet travels in an anonymous file whose
//! descriptor is attached to that packet, so that a message of any size is one packet.
//!
//! The system's pipe in packet mode (`O_DIRECT` of
//! [pipe](https://man7.org/linux/man-pages/man2/pipe.2.html)) carries a small message
//! faster. But what does not fit into a page would have to travel beside it, and a process
//! may be killed between taking the one and the other: for those that share its end, the
//! two would no longer match.
//!
//! No pipe leaves anything behind: its sockets and files are gone with the last process
//! that has them open.

mod named;
mod wait;

use std::borrow::Cow;
use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::MsgFlags;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::channel::HALF_PAGE;
use crate::codec::{self, DecodeError, EncodeError};
use crate::handover::{self, Kind};
use crate::sys::descriptor::{Reason, above_standard};
use crate::sys::memory;
use crate::sys::packet::{self, Packet};
use crate::wait::{Spin, SpinLimits};

pub use named::NamedPipe;
pub use wait::wait;

/// The most bytes of a message that its packet itself holds: 64 KiB, and what the codec
/// puts before them. A few such packets fill a socket's buffer, so that a sender of large
/// messages waits for its receiver.
const INLINE: usize = 64 * 1024 + 64;

/// Up to this many bytes it is faster to copy a message behind its header than to have the
/// system collect the two.
const SMALL: usize = 512 - HEADER;

/// Before the message: its length, eight bytes, the least significant first.
const HEADER: usize = size_of::<u64>();

thread_local! {
    /// The buffer for packets, kept from one to the next at its full length: to fill it
    /// with zeroes takes longer than to receive a small message. It is taken out while in
    /// use, since a value's own `Deserialize` may receive something, too.
    static PACKET: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Makes a pipe: Python's
/// [`Pipe(duplex)`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.Pipe).
///
/// With `duplex` both ends send and receive. Without, the first only receives and the
/// second only sends.
///
/// # Errors
///
/// [`Error::System`](crate::Error::System) if this process has no descriptor left.
///
/// ```
/// use multiprocessing::{RecvError, pipe};
///
/// # fn main() -> tutorial::Result<()> {
/// let (receiver, sender) = pipe(false)?;
/// sender.send(&("hello", 42))?;
/// assert_eq!(receiver.recv::<(String, i32)>()?, ("hello".into(), 42));
/// drop(sender); // the last one
/// assert!(matches!(receiver.recv::<i32>(), Err(RecvError::EndOfFile)));
/// # Ok(())
/// # }
/// ```
pub fn pipe(duplex: bool) -> Result<(Connection, Connection), crate::Error> {
    let (first, second) =
        packet::pair().map_err(crate::Error::system("make a pipe"))?;
    let directions = if duplex {
        [Direction::Both, Direction::Both]
    } else {
        [Direction::Receive, Direction::Send]
    };
    Ok((
        Connection::new(first, directions[0]),
        Connection::new(second, directions[1]),
    ))
}

/// One end of a [`pipe`]: Python's
/// [`Connection`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.connection.Connection).
///
/// Each message is a value of any type that serde can serialise and the receiving side
/// can deserialise. The two sides must agree on the type, since the bytes do not name it.
/// Several threads and processes may use one end at the same time: each message comes
/// whole, to one of them.
///
/// Dropping an end closes it in this process: Python's `close`. A forked child has
/// copies of all ends, and the other side learns of the end only when the last copy is
/// gone. So both processes drop the end that is not theirs.
///
/// A clone is the same end in the same process, where the end is closed with the last
/// clone. So one end can be given to any number of spawned processes:
///
/// ```no_run
/// // Not run: the main of a test does not begin with freeze_support.
/// use multiprocessing::{Connection, Process, freeze_support, pipe};
///
/// fn report((to_parent, n): (Connection, u32)) {
///     to_parent.send(&(n * n)).unwrap();
/// }
///
/// fn main() -> multiprocessing::Result<()> {
///     freeze_support();
///     let (from_children, to_parent) = pipe(false)?;
///     for n in 1..=3 {
///         Process::spawned(report, (to_parent.clone(), n)).start()?;
///     }
///     drop(to_parent); // or the loop would wait for this process's own messages
///     while let Ok(square) = from_children.recv::<u32>() {
///         println!("{square}");
///     }
///     Ok(())
/// }
/// ```
///
/// Its descriptor can be given to poll and its like: it is readable when
/// [`recv`](Self::recv) would not wait. It is closed on exec.
#[derive(Debug)]
pub struct Connection {
    /// All clones share the descriptor.
    socket: Arc<OwnedFd>,
    direction: Direction,
    /// If the other side answers at once, probing again is faster than sleeping.
    spin: Spin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Receive,
    Send,
    Both,
}

impl Direction {
    const ALL: [Self; 3] = [Self::Receive, Self::Send, Self::Both];

    /// What an end with this direction is handed over as.
    fn kind(self) -> Kind {
        Kind::of::<Connection>().with(self as u64)
    }
}

impl Connection {
    fn new(socket: OwnedFd, direction: Direction) -> Self {
        Self {
            socket: Arc::new(socket),
            direction,
            spin: Spin::new(SpinLimits::BY_CALL),
        }
    }

    /// Sends a value, waiting while the other side has too much to receive.
    ///
    /// # Errors
    ///
    /// [`SendError`]. Nothing was sent then.
    pub fn send<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), SendError> {
        let mut bytes = codec::Scratch::take();
        codec::append(value, &mut bytes)?;
        self.send_bytes(&bytes)
    }

    /// Receives a value, waiting for one while a process is left that could send it.
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    pub fn recv<T: DeserializeOwned>(&self) -> Result<T, RecvError> {
        self.receive(|bytes| codec::decode(&bytes))?
            .map_err(RecvError::Decode)
    }

    /// Sends bytes as they are. The other side takes them by
    /// [`recv_bytes`](Self::recv_bytes).
    ///
    /// # Errors
    ///
    /// [`SendError`]. Nothing was sent then.
    pub fn send_bytes(&self, bytes: &[u8]) -> Result<(), SendError> {
        if self.direction == Direction::Receive {
            return Err(SendError::ReceivesOnly);
        }
        let (first, rest) = bytes.split_at(bytes.len().min(INLINE));
        let rest = if rest.is_empty() {
            None
        } else {
            memory::check_file_size(rest.len()).map_err(io::Error::from)?;
            let file = memfd_create(c"message", MFdFlags::MFD_CLOEXEC)
                .map_err(io::Error::from)?;
            let mut file = File::from(above_standard(file)?);
            file.write_all(rest)?;
            Some(file)
        };
        let length = (bytes.len() as u64).to_le_bytes();
        let rest = rest.as_ref().map(AsFd::as_fd);
        let sent = if first.len() <= SMALL {
            let mut both = [0; HEADER + SMALL];
            let both = &mut both[..HEADER + first.len()];
            both[..HEADER].copy_from_slice(&length);
            both[HEADER..].copy_from_slice(first);
            packet::send_bytes(self.socket.as_fd(), both)
        } else {
            let parts = [IoSlice::new(&length), IoSlice::new(first)];
            packet::send(self.socket.as_fd(), &parts, rest)
        };
        sent.map_err(|error| match error {
            Errno::EPIPE | Errno::ECONNRESET => SendError::Closed,
            error => SendError::Io(error.into()),
        })
    }

    /// Receives bytes as they were sent by [`send_bytes`](Self::send_bytes).
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method is not general enough in the lifetime"
    )]
    pub fn recv_bytes(&self) -> Result<Vec<u8>, RecvError> {
        self.receive(|bytes| bytes.into_owned())
    }

    /// Waits at most this long for something to receive. Returns whether there is: a
    /// message, or the end.
    ///
    /// # Errors
    ///
    /// The system's, if it cannot poll, and [`io::ErrorKind::InvalidInput`] at an end that
    /// only sends.
    ///
    /// ```
    /// use multiprocessing::pipe;
    /// use std::time::Duration;
    ///
    /// # fn main() -> tutorial::Result<()> {
    /// let (a, b) = pipe(true)?;
    /// assert!(!a.poll(Duration::ZERO)?);
    /// b.send("here")?;
    /// assert!(a.poll(Duration::MAX)?);
    ///
    /// let (_receiver, sender) = pipe(false)?;
    /// assert!(sender.poll(Duration::MAX).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll(&self, timeout: Duration) -> io::Result<bool> {
        if self.direction == Direction::Send {
            let error = RecvError::SendsOnly.to_string();
            return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
        }
        Ok(!wait(&[self], Some(timeout))?.is_empty())
    }

    /// Closes this end, or this clone of it: the same as dropping it.
    pub fn close(self) {}

    /// Takes one message and returns what `read` makes of it.
    fn receive<R>(
        &self,
        read: impl FnOnce(Cow<'_, [u8]>) -> R,
    ) -> Result<R, RecvError> {
        if self.direction == Direction::Send {
            return Err(RecvError::SendsOnly);
        }
        let mut packet = PACKET.take();
        // See HALF_PAGE.
        packet.resize(HEADER + INLINE + HALF_PAGE, 0);
        let received = self.receive_packet(&mut packet);
        let result = match received {
            Ok(Packet::Bytes(length, rest)) => {
                assemble(&packet[..length], rest, read)
            }
            Ok(Packet::End) => Err(RecvError::EndOfFile),
            Err(error) => Err(RecvError::Io(error.into())),
        };
        PACKET.set(packet);
        result
    }

    fn receive_packet(&self, buffer: &mut [u8]) -> nix::Result<Packet> {
        let socket = self.socket.as_fd();
        let found = self.spin.until(|| {
            match packet::recv(socket, buffer, MsgFlags::MSG_DONTWAIT) {
                Err(Errno::EAGAIN) => None,
                received => Some(received),
            }
        });
        found.unwrap_or_else(|| {
            self.spin
                .sleep(|| packet::recv(socket, buffer, MsgFlags::empty()))
        })
    }
}

/// Reads the message of a packet and of the file that came with it, if one did.
fn assemble<R>(
    packet: &[u8],
    rest: Option<OwnedFd>,
    read: impl FnOnce(Cow<'_, [u8]>) -> R,
) -> Result<R, RecvError> {
    let (length, first) = packet.split_first_chunk().ok_or(RecvError::Broken)?;
    let length = u64::from_le_bytes(*length);
    if length == first.len() as u64 && rest.is_none() {
        return Ok(read(first.into()));
    }
    // Without its file the message is lost: this process had no descriptor left.
    let rest = File::from(rest.ok_or(RecvError::Broken)?);
    let there = rest.metadata()?.len();
    if first.len() as u64 + there != length {
        return Err(RecvError::Broken);
    }
    let mut message = Vec::new();
    message
        .try_reserve_exact((length as usize).saturating_add(HALF_PAGE))
        .map_err(io::Error::other)?;
    message.extend_from_slice(first);
    message.resize(length as usize, 0);
    rest.read_exact_at(&mut message[first.len()..], 0)?;
    Ok(read(message.into()))
}

impl Clone for Connection {
    fn clone(&self) -> Self {
        Self {
            socket: Arc::clone(&self.socket),
            direction: self.direction,
            spin: Spin::new(SpinLimits::BY_CALL),
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Only as part of the argument of a spawned process. The parent keeps its copy of this
/// end.
impl Serialize for Connection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        handover::give(self.as_fd(), self.direction.kind(), serializer)
    }
}

impl<'de> Deserialize<'de> for Connection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let kinds = Direction::ALL.map(Direction::kind);
        let (index, socket) = handover::take_one_of(&kinds, deserializer)?;
        Ok(Self::new(socket, Direction::ALL[index]))
    }
}

/// Why a message was not sent.
///
/// ```
/// use multiprocessing::{SendError, pipe};
///
/// # fn main() -> tutorial::Result<()> {
/// let (receiver, sender) = pipe(false)?;
/// assert!(matches!(receiver.send(&1), Err(SendError::ReceivesOnly)));
/// receiver.close();
/// assert!(matches!(sender.send(&1), Err(SendError::Closed)));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum SendError {
    /// Every copy of the other end is closed: Python's `BrokenPipeError`.
    Closed,
    /// This is the end of a one-way pipe that receives.
    ReceivesOnly,
    /// The value cannot be serialised.
    Encode(EncodeError),
    /// The system refused: it has no memory or no descriptor left.
    Io(io::Error),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => {
                f.write_str("no process is left that could receive the message")
            }
            Self::ReceivesOnly => f.write_str(
                "this end of the pipe only receives: send at the other end",
            ),
            Self::Encode(error) => error.fmt(f),
            Self::Io(error) => {
                write!(f, "the message could not be sent: {}", Reason(error))
            }
        }
    }
}

impl Error for SendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<EncodeError> for SendError {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}

impl From<io::Error> for SendError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Why no message was received. The examples are at [`pipe`] and at [`DecodeError`].
#[derive(Debug)]
#[non_exhaustive]
pub enum RecvError {
    /// No message is left, and no process that could send one: Python's `EOFError`.
    EndOfFile,
    /// This is the end of a one-way pipe that sends.
    SendsOnly,
    /// The message is not a value of the type asked for. It is taken.
    Decode(DecodeError),
    /// The message is not what a [`Connection`] sends, or came without its larger part
    /// because this process has no descriptor left. It is taken.
    Broken,
    /// The system refused.
    Io(io::Error),
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EndOfFile => {
                f.write_str("no process is left that could send a message")
            }
            Self::SendsOnly => f.write_str(
                "this end of the pipe only sends: receive at the other end",
            ),
            Self::Decode(error) => error.fmt(f),
            Self::Broken => f.write_str(
                "a message arrived broken: it was not sent by a Connection, or too many \
                 files are open to take it (close some, or raise their limit, as by \
                 `ulimit -n 4096`)",
            ),
            Self::Io(error) => {
                write!(f, "the message could not be received: {}", Reason(error))
            }
        }
    }
}

impl Error for RecvError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for RecvError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_64_kib_needs_no_file() {
        let (receiver, sender) = pipe(false).unwrap();
        sender.send(&vec![7_u8; 64 << 10]).unwrap();
        let mut buffer = vec![0; HEADER + INLINE];
        let packet = receiver.receive_packet(&mut buffer).unwrap();
        assert!(matches!(packet, Packet::Bytes(_, None)));
    }

    #[test]
    fn the_buffer_of_a_message_is_half_a_page_longer() {
        let (receiver, sender) = pipe(false).unwrap();
        let mut bytes = vec![7; INLINE];
        sender.send_bytes(&bytes).unwrap();
        assert_eq!(receiver.recv_bytes().unwrap(), bytes);
        assert!(PACKET.take().capacity() >= HEADER + INLINE + HALF_PAGE);

        bytes.push(7);
        sender.send_bytes(&bytes).unwrap();
        let message = receiver.recv_bytes().unwrap();
        assert_eq!(message, bytes);
        assert!(message.capacity() >= message.len() + HALF_PAGE);
    }
}
