//! Queues that processes hand items over with: Python's
//! [`Queue`, `JoinableQueue` and `SimpleQueue`](https://docs.python.org/3/library/multiprocessing.html#pipes-and-queues).
//!
//! When `put` returns, the whole item is in the shared ring (see
//! [`channel`](crate::channel)), and it stays there when its process ends. So a process
//! whose items nobody has got yet ends all the same and can be joined, unlike one of
//! Python's, whose feeder thread would still be writing to a pipe.

mod iter;
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
use crate::handover::{self, as_kind};
use crate::sys::futex::Deadline;
use lifeline::Lifeline;

pub use iter::QueueIter;
pub use joinable::{JoinableQueue, TaskDoneTooOften, TasksLost};
pub use simple::SimpleQueue;

/// The methods that [`Queue`] and [`JoinableQueue`] have in common, on each of them. Both
/// have a `queue` to ask and a `get_until`, which differ.
macro_rules! queue_methods {
    ($name:ident) => {
        impl<T> $name<T> {
            /// The number of items that wait in the queue. Another process may have
            /// changed it by the time you look at the answer.
            #[must_use]
            pub fn qsize(&self) -> usize {
                self.queue().inner.channel.len()
            }

            /// Whether no item waits in the queue, with the same caution.
            #[must_use]
            pub fn empty(&self) -> bool {
                self.qsize() == 0
            }

            /// Whether the queue holds `maxsize` items, with the same caution.
            #[must_use]
            pub fn full(&self) -> bool {
                let limit = self.queue().inner.channel.limit() as usize;
                limit != 0 && self.qsize() >= limit
            }

            /// Says that this process, with those that it starts from now on, puts no
            /// more. Other processes, those that it started before included, still can;
            /// and what is in the queue can be got here as elsewhere. Dropping the last
            /// handle does the same.
            ///
            /// Python also refuses `get` from then on, and lets a child that is forked
            /// later put again.
            pub fn close(&self) {
                self.queue().inner.close();
            }

            /// Returns at once: Python waits here until its feeder thread has written
            /// what was put. Here it is in the queue when [`put`](Self::put) returns.
            pub fn join_thread(&self) {}

            /// Does nothing: Python says here that the process may end before its
            /// feeder thread has written what was put, which is lost then. Here nothing
            /// is lost.
            pub fn cancel_join_thread(&self) {}
        }

        impl<T: Serialize> $name<T> {
            /// Puts an item in, waiting for room as long as it takes.
            ///
            /// # Errors
            ///
            /// [`PutError`] with the item, for another reason than `Full`.
            pub fn put(&self, item: T) -> Result<(), PutError<T>> {
                self.queue().put_until(item, Deadline::Never)
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
                self.queue().put_until(item, Deadline::after(timeout))
            }

            /// Puts an item in if there is room now.
            ///
            /// # Errors
            ///
            /// [`PutError`] with the item.
            pub fn put_nowait(&self, item: T) -> Result<(), PutError<T>> {
                self.queue().put_until(item, Deadline::NOW)
            }
        }

        impl<T: DeserializeOwned> $name<T> {
            /// Takes the next item, waiting for one as long as somebody can put one.
            ///
            /// # Errors
            ///
            /// [`GetError`], for another reason than `Empty`.
            pub fn get(&self) -> Result<T, GetError> {
                self.get_until(Deadline::Never)
            }

            /// Takes the next item, waiting for one for at most this long.
            ///
            /// # Errors
            ///
            /// [`GetError`].
            pub fn get_timeout(&self, timeout: Duration) -> Result<T, GetError> {
                self.get_until(Deadline::after(timeout))
            }

            /// Takes the next item if there is one now.
            ///
            /// # Errors
            ///
            /// [`GetError`].
            pub fn get_nowait(&self) -> Result<T, GetError> {
                self.get_until(Deadline::NOW)
            }
        }
    };
}
use queue_methods;

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
/// # Which queue
///
/// | | where it is, and who can have it | what it can do | when to use it |
/// | --- | --- | --- | --- |
/// | `Queue` | shared memory; processes that descend from its maker, by fork or as a spawned one's argument | `get` and `put` with time-outs, a limit, `close` | for most programs |
/// | [`SimpleQueue`] | the same | `get` and `put` only, no limit | if that is enough |
/// | [`JoinableQueue`] | the same | also `task_done` and `join` | to wait until the work on all items is done |
#[cfg_attr(
    feature = "managers",
    doc = "| [`QueueProxy`](crate::managers::QueueProxy), made by [`SyncManager::queue`](crate::managers::SyncManager::queue) | a manager's process; any process that has the manager's address and key, on other machines and in Python too, and it travels in messages and in a pool's tasks | the same as `Queue` and `JoinableQueue`, for plain data, and far slower | for programs that are not related, or if a task of a pool must take the queue with it |"
)]
/// | a [`Connection`](crate::Connection) | a socket; the same processes | two ends, bytes, [`wait`](crate::wait()) for several at once | for a conversation between two |
/// | [`std::sync::mpsc`] and others of threads | this process's memory; its threads, and no other process: a fork has a copy that is connected to nothing | any value, without serde | within one process |
///
/// # Memory
///
/// Items wait in shared memory, at most 16 GiB of them, and a queue without a limit takes as
/// much as its longest backlog needs. When the backlog is gone, its memory stays for the next
/// one. What was not needed for half a second goes back to the system, all but 4 MiB, while
/// further items go through the empty queue. So a queue that nobody uses after a burst keeps
/// its memory until the last process has dropped it: give it a limit, or make another queue
/// for what follows.
///
/// # When a process dies
///
/// A process that is killed at any moment leaves the queue in order: the item that it was
/// putting is in, whole, or not at all, and at most the one item that it was getting is
/// lost. The others continue within a fraction of a second.
///
/// A process that waits for an item learns when nobody is left who could put one: see
/// [`GetError::Closed`]. A `put` into a full queue does not give up when a consumer is
/// killed, since this process itself may get: use [`put_timeout`](Self::put_timeout) if
/// that matters.
pub struct Queue<T> {
    inner: Arc<Inner>,
    /// Takes items in and gives items out, and keeps none.
    items: PhantomData<fn(T) -> T>,
}

#[derive(Debug)]
struct Inner {
    channel: Channel,
    lifeline: Lifeline,
}

impl Inner {
    fn close(&self) {
        self.lifeline.close();
        self.channel.wake_receivers();
    }
}

impl<T> Queue<T> {
    /// An empty queue that holds at most `maxsize` items; 0 for any number.
    ///
    /// However large the items are, they get the memory that they need while there is
    /// any (16 GiB at most): `put` only ever waits for their number to shrink.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if there is no memory or no descriptor for it.
    pub fn new(maxsize: usize) -> Result<Self, Error> {
        // A number beyond 32 bits is not a limit.
        let limit = u32::try_from(maxsize).unwrap_or(0);
        Ok(Self::of(Inner {
            channel: Channel::new(limit)?,
            lifeline: Lifeline::new()?,
        }))
    }

    fn of(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
            items: PhantomData,
        }
    }

    fn queue(&self) -> &Self {
        self
    }

    fn get_until(&self, deadline: Deadline) -> Result<T, GetError>
    where
        T: DeserializeOwned,
    {
        self.get_counted(deadline, || ())
    }

    /// Takes an item and calls `taking` just before: if the process is killed in
    /// between, the item stays.
    fn get_counted(
        &self,
        deadline: Deadline,
        taking: impl Fn(),
    ) -> Result<T, GetError>
    where
        T: DeserializeOwned,
    {
        let Inner { channel, lifeline } = &*self.inner;
        let mut message = codec::Scratch::take();
        let received = channel.recv(
            &mut message,
            deadline,
            || lifeline.has_writers(),
            |_| taking(),
        );
        match received {
            Ok(()) => codec::decode(&message).map_err(GetError::Decode),
            Err(RecvError::Empty) => Err(GetError::Empty),
            Err(RecvError::Disconnected) => Err(GetError::Closed),
            Err(RecvError::TooLarge) => Err(GetError::TooLarge),
            Err(RecvError::Broken) => Err(GetError::Broken),
        }
    }

    fn put_until(&self, item: T, deadline: Deadline) -> Result<(), PutError<T>>
    where
        T: Serialize,
    {
        if self.inner.lifeline.is_closed() {
            return Err(PutError::Closed(item));
        }
        let mut message = codec::Scratch::take();
        if let Err(error) = codec::append(&item, &mut message) {
            return Err(PutError::Encode(item, error));
        }
        let sent = self.inner.channel.send(&message, deadline);
        sent.map_err(|error| match error {
            SendError::Full => PutError::Full(item),
            SendError::System(error) => PutError::System(item, error),
        })
    }
}

queue_methods!(Queue);

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
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

/// Only as part of the argument of a spawned process.
impl<T> Serialize for Queue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Inner { channel, lifeline } = &*self.inner;
        // Clones stay clones: to close one closes all of them.
        let number = handover::number_of(&self.inner);
        as_kind("Queue", || {
            (channel.ring(), lifeline, number).serialize(serializer)
        })
    }
}

impl<'de, T> Deserialize<'de> for Queue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (ring, lifeline, number) =
            as_kind("Queue", || Deserialize::deserialize(deserializer))?;
        let inner = Inner {
            channel: Channel::over(ring),
            lifeline,
        };
        Ok(Self {
            inner: handover::unify(number, Arc::new(inner)),
            items: PhantomData,
        })
    }
}

/// Why an item was not put, with the item. An example is at [`Queue`].
#[non_exhaustive]
pub enum PutError<T> {
    /// There was no room in time: Python's `queue.Full`. It may also be that another
    /// process was putting an item all that time, and for a twentieth of a second at
    /// least: a very large one, or the process is stopped. So a queue without a limit may
    /// say so, too.
    Full(T),
    /// This process has closed the queue: Python's `ValueError`.
    Closed(T),
    /// The item cannot be serialised.
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

    /// The same with another item.
    pub(crate) fn map<U>(self, function: impl FnOnce(T) -> U) -> PutError<U> {
        match self {
            Self::Full(item) => PutError::Full(function(item)),
            Self::Closed(item) => PutError::Closed(function(item)),
            Self::Encode(item, error) => PutError::Encode(function(item), error),
            Self::System(item, error) => PutError::System(function(item), error),
        }
    }
}

// By hand, so that the error can be printed although the item cannot.
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
            Self::Full(_) => f.write_str(
                "the queue is full, or another process is still putting an item: try \
                 again later",
            ),
            Self::Closed(_) => f.write_str("this process has closed the queue"),
            Self::Encode(_, error) => error.fmt(f),
            Self::System(_, error) => error.fmt(f),
        }
    }
}

impl<T> error::Error for PutError<T> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Full(_) | Self::Closed(_) => None,
            Self::Encode(_, error) => error.source(),
            Self::System(_, error) => error.source(),
        }
    }
}

/// Why no item was got. An example is at [`Queue`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GetError {
    /// There is no item, or none came in time: Python's `queue.Empty`. It may also be that
    /// another process was taking one all that time, and for a twentieth of a second at
    /// least: see [`PutError::Full`].
    Empty,
    /// There is no item and none will come: this process has closed the queue, and
    /// every other process that had it has closed it or ended. A forked process has
    /// every queue that its parent had not closed, whether it uses it or not. Python
    /// waits for ever.
    Closed,
    /// The item is not a value of this type: the process that put it uses another
    /// type. The item is taken; in a [`JoinableQueue`] it is a task that must be
    /// reported like any other.
    Decode(DecodeError),
    /// There is no memory for the item, which stays in the queue. Free some and get
    /// again.
    TooLarge,
    /// The shared memory holds what no queue writes. Make a new queue.
    Broken,
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the queue is empty"),
            Self::Closed => {
                f.write_str("the queue is empty, and no process is left that could put")
            }
            Self::Decode(error) => error.fmt(f),
            Self::TooLarge => f.write_str(
                "there is no memory for the item, which stays in the queue: free some \
                 and get again",
            ),
            Self::Broken => f.write_str(
                "the queue's shared memory is broken: make a new queue",
            ),
        }
    }
}

impl error::Error for GetError {}
