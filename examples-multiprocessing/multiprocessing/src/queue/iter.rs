//! The items of a queue as an iterator.

use std::fmt;
use std::iter::FusedIterator;

use serde::de::DeserializeOwned;

use super::{GetError, JoinableQueue, Queue, SimpleQueue};

/// The items that are got from a queue, until nobody is left who could put one. It is made
/// by [`Queue::iter`], [`JoinableQueue::iter`] and [`SimpleQueue::iter`], and by
/// `for item in &queue`.
///
/// It waits for each item as [`get`](Queue::get) does, and ends where `get` would say
/// [`GetError::Closed`]: this process has closed the queue, and every other that had it has
/// closed it or ended. So a consumer that puts nothing closes the queue first.
///
/// ```
/// use multiprocessing::{GetError, Process, Queue};
///
/// fn main() -> multiprocessing::Result<()> {
/// #   // A test has threads, and a process that has threads must not fork.
/// #   if std::env::var_os("RUN_ME").is_none() {
/// #       let me = std::env::current_exe().unwrap();
/// #       let status = std::process::Command::new(me).env("RUN_ME", "").status();
/// #       assert!(status.unwrap().success());
/// #       return Ok(());
/// #   }
///     let q = Queue::new(0)?;
///     let mut producer = Process::new(|| (1..=3).for_each(|n| q.put(n).unwrap()));
///     producer.start()?;
///     q.close(); // or this process would wait for itself
///     let mut sum = 0;
///     for n in &q {
///         sum += n?;
///     }
///     assert_eq!(sum, 6);
///     producer.join()?;
///     assert_eq!(q.iter().sum::<Result<i32, GetError>>()?, 0);
///     Ok(())
/// }
/// ```
///
/// # Errors
///
/// An item that is not a value of the type is taken and is an [`Err`] with
/// [`GetError::Decode`]; the next one follows. Any other error is returned, and the
/// iteration ends after it: the item stays in the queue ([`GetError::TooLarge`]), or there
/// is none to be had ([`GetError::Broken`]).
pub struct QueueIter<'a, T> {
    source: Source<'a, T>,
    /// Set by the end, and by an error that every further `get` would return.
    ended: bool,
}

enum Source<'a, T> {
    Queue(&'a Queue<T>),
    /// Counts what it gives as tasks that are taken.
    Joinable(&'a JoinableQueue<T>),
}

impl<T: DeserializeOwned> Iterator for QueueIter<'_, T> {
    type Item = Result<T, GetError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = match self.source {
            Source::Queue(queue) => queue.get(),
            Source::Joinable(queue) => queue.get(),
        };
        self.ended = !matches!(item, Ok(_) | Err(GetError::Decode(_)));
        (!matches!(item, Err(GetError::Closed))).then_some(item)
    }
}

impl<T: DeserializeOwned> FusedIterator for QueueIter<'_, T> {}

impl<T> fmt::Debug for QueueIter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueIter")
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

macro_rules! iterated {
    ($name:ident: $self:ident => $source:expr) => {
        impl<T: DeserializeOwned> $name<T> {
            /// The items until nobody is left who could put one: see [`QueueIter`].
            pub fn iter(&self) -> QueueIter<'_, T> {
                let $self = self;
                QueueIter {
                    source: $source,
                    ended: false,
                }
            }
        }

        impl<'a, T: DeserializeOwned> IntoIterator for &'a $name<T> {
            type Item = Result<T, GetError>;
            type IntoIter = QueueIter<'a, T>;

            fn into_iter(self) -> QueueIter<'a, T> {
                self.iter()
            }
        }
    };
}

iterated!(Queue: queue => Source::Queue(queue));
iterated!(JoinableQueue: queue => Source::Joinable(queue));
iterated!(SimpleQueue: simple => Source::Queue(&simple.queue));
