//! The queue with the fewest operations.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{GetError, PutError, Queue};
use crate::error::Error;

/// A queue of any number of items with the four operations that most programs need:
/// Python's
/// [`SimpleQueue`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.SimpleQueue).
/// When a process dies it behaves as a [`Queue`] does.
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
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct SimpleQueue<T>(Queue<T>);

impl<T> SimpleQueue<T> {
    /// An empty queue.
    ///
    /// # Errors
    ///
    /// As for [`Queue::new`].
    pub fn new() -> Result<Self, Error> {
        Queue::new(0).map(Self)
    }

    /// See [`Queue::empty`].
    #[must_use]
    pub fn empty(&self) -> bool {
        self.0.empty()
    }

    /// See [`Queue::close`].
    pub fn close(&self) {
        self.0.close();
    }
}

impl<T: Serialize> SimpleQueue<T> {
    /// Puts an item in. Never waits.
    ///
    /// # Errors
    ///
    /// [`PutError`] with the item.
    pub fn put(&self, item: T) -> Result<(), PutError<T>> {
        self.0.put(item)
    }
}

impl<T: DeserializeOwned> SimpleQueue<T> {
    /// See [`Queue::get`].
    ///
    /// # Errors
    ///
    /// [`GetError`], for another reason than `Empty`.
    pub fn get(&self) -> Result<T, GetError> {
        self.0.get()
    }
}

impl<T> Clone for SimpleQueue<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
