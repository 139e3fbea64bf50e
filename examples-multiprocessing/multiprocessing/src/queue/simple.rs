//! The queue with the fewest operations.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{GetError, PutError, Queue};
use crate::error::Error;
use crate::handover::handle;

/// A queue of any number of items with the four operations that most programs need:
/// Python's
/// [`SimpleQueue`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.SimpleQueue).
/// When a process dies it behaves as a [`Queue`] does, and it takes memory as one does.
///
/// ```
/// use multiprocessing::SimpleQueue;
///
/// # fn main() -> tutorial::Result<()> {
/// let q = SimpleQueue::new()?;
/// q.put((1, 2.5))?;
/// assert!(!q.empty());
/// assert_eq!(q.get()?, (1, 2.5));
/// q.close();
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SimpleQueue<T> {
    pub(super) queue: Queue<T>,
}

handle!(SimpleQueue<T> { queue });

impl<T> SimpleQueue<T> {
    /// An empty queue.
    ///
    /// # Errors
    ///
    /// As for [`Queue::new`].
    pub fn new() -> Result<Self, Error> {
        Ok(Self {
            queue: Queue::new(0)?,
        })
    }

    /// See [`Queue::empty`].
    #[must_use]
    pub fn empty(&self) -> bool {
        self.queue.empty()
    }

    /// See [`Queue::close`].
    pub fn close(&self) {
        self.queue.close();
    }
}

impl<T: Serialize> SimpleQueue<T> {
    /// Puts an item in. Never waits.
    ///
    /// # Errors
    ///
    /// [`PutError`] with the item.
    pub fn put(&self, item: T) -> Result<(), PutError<T>> {
        self.queue.put(item)
    }
}

impl<T: DeserializeOwned> SimpleQueue<T> {
    /// See [`Queue::get`].
    ///
    /// # Errors
    ///
    /// [`GetError`], for another reason than `Empty`.
    pub fn get(&self) -> Result<T, GetError> {
        self.queue.get()
    }
}

impl<T> Clone for SimpleQueue<T> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
        }
    }
}
