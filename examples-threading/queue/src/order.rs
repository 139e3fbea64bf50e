//! The orders in which items leave a queue.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::sync::{AtomicUsize, Mutex, MutexGuard, SegQueue};

/// The order in which a queue returns its items: what the three queues differ in. What
/// holds the items is shared by threads, and waits for nothing.
///
/// ```
/// use queue::{Lifo, Order};
///
/// let stack = Lifo::default();
/// stack.push(1);
/// stack.push(2);
/// assert_eq!((stack.pop(), stack.len()), (Some(2), 1));
/// ```
pub trait Order: Default {
    /// What the queue holds.
    type Item;
    /// Takes an item in.
    fn push(&self, item: Self::Item);
    /// Gives the item whose turn it is.
    fn pop(&self) -> Option<Self::Item>;
    /// How many items it holds.
    fn len(&self) -> usize;
    /// Whether it holds none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// First in, first out. The example is at [`Order`].
pub struct Fifo<T> {
    items: SegQueue<T>,
    /// Items that were put back, the first one last. They come before all others.
    returned: Mutex<Vec<T>>,
    /// How many those are: a `pop` that finds none takes no lock.
    returned_count: AtomicUsize,
}

impl<T> Default for Fifo<T> {
    fn default() -> Self {
        Self {
            items: SegQueue::new(),
            returned: Mutex::new(Vec::new()),
            returned_count: AtomicUsize::new(0),
        }
    }
}

impl<T> Fifo<T> {
    pub(crate) fn put_back(&self, item: T) {
        let mut returned = lock(&self.returned);
        returned.push(item);
        self.returned_count.store(returned.len(), Release);
    }
}

impl<T> Order for Fifo<T> {
    type Item = T;
    fn push(&self, item: T) {
        self.items.push(item);
    }
    fn pop(&self) -> Option<T> {
        if self.returned_count.load(Acquire) > 0 {
            let mut returned = lock(&self.returned);
            let item = returned.pop();
            self.returned_count.store(returned.len(), Release);
            if item.is_some() {
                return item;
            }
        }
        self.items.pop()
    }
    fn len(&self) -> usize {
        self.returned_count.load(Relaxed) + self.items.len()
    }
}

/// Last in, first out. The example is at [`Order`].
pub struct Lifo<T>(Mutex<Vec<T>>);

impl<T> Default for Lifo<T> {
    fn default() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

impl<T> Order for Lifo<T> {
    type Item = T;
    fn push(&self, item: T) {
        lock(&self.0).push(item);
    }
    fn pop(&self) -> Option<T> {
        lock(&self.0).pop()
    }
    fn len(&self) -> usize {
        lock(&self.0).len()
    }
}

/// The smallest item first. The example is at [`Order`].
pub struct SmallestFirst<T>(Mutex<BinaryHeap<Reverse<T>>>);

impl<T: Ord> Default for SmallestFirst<T> {
    fn default() -> Self {
        Self(Mutex::new(BinaryHeap::new()))
    }
}

impl<T: Ord> Order for SmallestFirst<T> {
    type Item = T;
    fn push(&self, item: T) {
        lock(&self.0).push(Reverse(item));
    }
    fn pop(&self) -> Option<T> {
        lock(&self.0).pop().map(|Reverse(item)| item)
    }
    fn len(&self) -> usize {
        lock(&self.0).len()
    }
}

/// Only an item's own `Ord` can panic under these locks. The heap is still a heap
/// afterwards, so a lock's poison is ignored.
fn lock<T>(items: &Mutex<T>) -> MutexGuard<'_, T> {
    items.lock().unwrap_or_else(PoisonError::into_inner)
}
