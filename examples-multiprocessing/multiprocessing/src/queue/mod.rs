//! Queues that processes hand items over with: Python's
//! [`Queue`, `JoinableQueue` and `SimpleQueue`](https://docs.python.org/3/library/multiprocessing.html#pipes-and-queues).
//!
//! An item is in the shared ring (see [`channel`](crate::channel)) when `put` returns,
//! whole, and stays there when its process ends. So a process whose items nobody has
//! got yet ends all the same and can be joined, unlike one of Python's, whose feeder
//! thread would still be writing to a pipe.

mod joinable;
mod lifeline;
mod simple;

use std::error;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::channel::{Channel, RecvError, SendError};
use crate::codec::{self, DecodeError, EncodeError};
use crate::error::Error;
use crate::sys::futex::Deadline;
use crate::sys::segment::Shared;
use joinable::TaskCounts;
use lifeline::Lifeline;

pub use joinable::{JoinableQueue, TaskDoneTooOften, TasksLost};
pub use simple::SimpleQueue;

/// First in, first out, for many producers and many consumers in any number of related
/// processes: Python's
/// [`multiprocessing.Queue`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.Queue).
///
/// Make it before the processes that are to use it are started: a forked process has
/// it as it has all else, a spawned one gets it as part of its argument. A clone is
/// the same queue for the same process.
///
/// ```
/// use multiprocessing::{GetError, PutError, Queue};
/// use std::time::Duration;
///
/// # fn main() -> tutorial::Result<()> {
/// let q = Queue::new(1)?; // at most one item at a time; 0 for any number
/// q.put("bone".to_string())?;
/// assert_eq!((q.qsize(), q.full()), (1, true));
/// assert!(matches!(q.put_nowait("bun".into()), Err(PutError::Full(bun)) if bun == "bun"));
///
/// assert_eq!(q.get()?, "bone");
/// assert_eq!(q.get_timeout(Duration::from_millis(1)), Err(GetError::Empty));
///
/// q.close(); // nobody else has this queue, so nobody is left who could put
/// assert_eq!(q.get(), Err(GetError::Closed));
/// # Ok(())
/// # }
/// ```
///
/// # When a process dies
///
/// A process that is killed at whatever moment leaves the queue in order: what it was
/// putting is in whole or not at all, and what it was getting is lost at most itself.
/// The others go on within a fraction of a second.
///
/// Who waits for an item learns when nobody is left who could put one: see
/// [`GetError::Closed`]. A consumer that is killed is no reason for a full queue's
/// `put` to give up, as this process may get, too: use [`put_timeout`](Self::put_timeout)
/// where that matters.
pub struct Queue<T> {
    inner: Arc<Inner>,
    /// Takes items in and gives items out, and keeps none.
    items: PhantomData<fn(T) -> T>,
}

#[derive(Debug)]
struct Inner {
    channel: Channel,
    lifeline: Lifeline,
    /// Of a [`JoinableQueue`], who has taken what.
    ledger: Option<Shared<TaskCounts>>,
}

/// Not to wait at all: a moment long past.
const NOW: Deadline = Deadline::At(Duration::ZERO);

impl<T> Queue<T> {
    /// An empty queue that holds at most `maxsize` items; 0 for any number.
    ///
    /// However large the items are, they have the memory that they need, while there
    /// is any (16 GiB at most): it is only ever their number that a `put` waits for.
    ///
    /// # Errors
    ///
    /// [`Error::System`] where there is no memory or no descriptor for it.
    pub fn new(maxsize: usize) -> Result<Self, Error> {
        Self::with_ledger(maxsize, None)
    }

    fn with_ledger(
        maxsize: usize,
        ledger: Option<Shared<TaskCounts>>,
    ) -> Result<Self, Error> {
        // More than 32 bits can count are not limited by their number.
        let limit = u32::try_from(maxsize).unwrap_or(0);
        Ok(Self::of(Inner {
            channel: Channel::new(limit)?,
            lifeline: Lifeline::new()?,
            ledger,
        }))
    }

    fn of(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
            items: PhantomData,
        }
    }

    /// How many items wait in the queue. Another process may have changed that by the
    /// time you look at the answer.
    #[must_use]
    pub fn qsize(&self) -> usize {
        self.inner.channel.len()
    }

    /// Whether no item waits in the queue, with the same caution.
    #[must_use]
    pub fn empty(&self) -> bool {
        self.qsize() == 0
    }

    /// Whether the queue holds `maxsize` items, with the same caution.
    #[must_use]
    pub fn full(&self) -> bool {
        let limit = self.inner.channel.limit() as usize;
        limit != 0 && self.qsize() >= limit
    }

    /// Says that this process, with those that it starts from now on, puts no more.
    /// Other processes, those it started before among them, still can; and what is in
    /// the queue can be got here as elsewhere. Dropping the last handle does the same.
    ///
    /// Python also refuses `get` from then on, and lets a child that is forked later
    /// put again.
    pub fn close(&self) {
        self.inner.lifeline.close();
        self.inner.channel.wake_receivers();
    }

    /// Returns at once: Python waits here until its feeder thread has written what was
    /// put. Here it is in the queue when [`put`](Self::put) returns.
    pub fn join_thread(&self) {}

    /// Does nothing: Python says here that the process may end before its feeder thread
    /// has written what was put, and that is lost. Here nothing is.
    pub fn cancel_join_thread(&self) {}

    fn get_decoded(&self, deadline: Deadline) -> Result<T, GetError>
    where
        T: DeserializeOwned,
    {
        let Inner {
            channel,
            lifeline,
            ledger,
        } = &*self.inner;
        let mut message = codec::scratch();
        let taking = |_: &[u8]| {
            if let Some(ledger) = ledger {
                ledger.record_taken();
            }
        };
        let item = match channel.recv(
            &mut message,
            deadline,
            || lifeline.holds(),
            taking,
        ) {
            Ok(()) => codec::decode(&message).map_err(GetError::Decode),
            Err(RecvError::Empty) => Err(GetError::Empty),
            Err(RecvError::Disconnected) => Err(GetError::Closed),
            Err(RecvError::TooLarge) => Err(GetError::TooLarge),
            Err(RecvError::Broken) => Err(GetError::Broken),
        };
        codec::keep(message);
        item
    }

    fn put_encoded(&self, item: T, deadline: Deadline) -> Result<(), PutError<T>>
    where
        T: Serialize,
    {
        if self.inner.lifeline.is_closed() {
            return Err(PutError::Closed(item));
        }
        let message = match codec::encode(&item, codec::scratch()) {
            Ok(message) => message,
            Err(error) => return Err(PutError::Encode(item, error)),
        };
        let sent = self.inner.channel.send(&message, deadline);
        codec::keep(message);
        sent.map_err(|error| match error {
            SendError::Full => PutError::Full(item),
            SendError::System(error) => PutError::System(item, error),
        })
    }
}

impl<T: Serialize> Queue<T> {
    /// Puts an item in, waiting for room as long as it takes.
    ///
    /// # Errors
    ///
    /// [`PutError`] with the item, for another reason than `Full`.
    pub fn put(&self, item: T) -> Result<(), PutError<T>> {
        self.put_encoded(item, Deadline::Never)
    }

    /// Puts an item in, waiting for room for at most this long.
    ///
    /// # Errors
    ///
    /// [`PutError`] with the item.
    pub fn put_timeout(
        &self,
        item: T,
        timeout: Duration,
    ) -> Result<(), PutError<T>> {
        self.put_encoded(item, Deadline::after(timeout))
    }

    /// Puts an item in if there is room now.
    ///
    /// # Errors
    ///
    /// [`PutError`] with the item.
    pub fn put_nowait(&self, item: T) -> Result<(), PutError<T>> {
        self.put_encoded(item, NOW)
    }
}

impl<T: DeserializeOwned> Queue<T> {
    /// Takes the next item, waiting for one as long as there is hope.
    ///
    /// # Errors
    ///
    /// [`GetError`], for another reason than `Empty`.
    pub fn get(&self) -> Result<T, GetError> {
        self.get_decoded(Deadline::Never)
    }

    /// Takes the next item, waiting for one for at most this long.
    ///
    /// # Errors
    ///
    /// [`GetError`].
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, GetError> {
        self.get_decoded(Deadline::after(timeout))
    }

    /// Takes the next item if there is one now.
    ///
    /// # Errors
    ///
    /// [`GetError`].
    pub fn get_nowait(&self) -> Result<T, GetError> {
        self.get_decoded(NOW)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.lifeline.close();
        self.channel.wake_receivers();
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            items: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("qsize", &self.qsize())
            .field("maxsize", &self.inner.channel.limit())
            .finish_non_exhaustive()
    }
}

/// Only as part of what a spawned process starts with.
impl<T> Serialize for Queue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Inner {
            channel,
            lifeline,
            ledger,
        } = &*self.inner;
        (channel.ring(), lifeline, ledger).serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Queue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (ring, lifeline, ledger) = Deserialize::deserialize(deserializer)?;
        Ok(Self::of(Inner {
            channel: Channel::over(ring),
            lifeline,
            ledger,
        }))
    }
}

/// Why an item was not put, with the item. An example is at [`Queue`].
#[non_exhaustive]
pub enum PutError<T> {
    /// There was no room: Python's `queue.Full`.
    Full(T),
    /// This process has closed the queue: Python's `ValueError`.
    Closed(T),
    /// The item could not be made bytes of.
    Encode(T, EncodeError),
    /// There is no memory for it.
    System(T, Error),
}

impl<T> PutError<T> {
    /// The item that was not put.
    ///
    /// ```
    /// # use multiprocessing::PutError;
    /// assert_eq!(PutError::Full(7).into_item(), 7);
    /// ```
    pub fn into_item(self) -> T {
        let (Self::Full(item)
        | Self::Closed(item)
        | Self::Encode(item, _)
        | Self::System(item, _)) = self;
        item
    }
}

// By hand: an item need not be printable for its error to be.
impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("Full(..)"),
            Self::Closed(_) => f.write_str("Closed(..)"),
            Self::Encode(_, error) => write!(f, "Encode(.., {error:?})"),
            Self::System(_, error) => write!(f, "System(.., {error:?})"),
        }
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("the queue is full"),
            Self::Closed(_) => f.write_str("this process has closed the queue"),
            Self::Encode(_, error) => error.fmt(f),
            Self::System(_, error) => error.fmt(f),
        }
    }
}

impl<T> error::Error for PutError<T> {}

/// Why no item was got. An example is at [`Queue`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GetError {
    /// There is no item, or none came in time: Python's `queue.Empty`.
    Empty,
    /// There is no item and none will come: this process has closed the queue, and
    /// every other that had it has closed it or ended. A forked process has every
    /// queue that its parent had not closed, whether it uses it or not. Python waits
    /// for ever.
    Closed,
    /// The item is no value of this type: it was put by a program whose types are
    /// others. It is taken; of a [`JoinableQueue`], as a task that is to be reported
    /// like any other.
    Decode(DecodeError),
    /// There is no memory for the item, which stays in the queue. Free some and get
    /// again.
    TooLarge,
    /// The shared memory was written to by somebody else. Make a new queue.
    Broken,
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the queue is empty"),
            Self::Closed => {
                f.write_str("the queue is empty and nobody is left who could put")
            }
            Self::Decode(error) => error.fmt(f),
            Self::TooLarge => f.write_str(
                "there is no memory for the item, which stays in the queue: free some \
                 and get again",
            ),
            Self::Broken => f.write_str(
                "the queue's shared memory is broken, go on with a new queue",
            ),
        }
    }
}

impl error::Error for GetError {}
