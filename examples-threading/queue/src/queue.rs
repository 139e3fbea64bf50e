//! Queues that threads hand items over with: first in first out, last in first out,
//! smallest first.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::error::Error;
use std::fmt;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::sync::{AtomicUsize, Condvar, Mutex, MutexGuard};

/// First in, first out: Python's
/// [`queue.Queue`](https://docs.python.org/3/library/queue.html#queue.Queue).
///
/// ```
/// use queue::Queue;
/// use std::thread;
///
/// let q = &Queue::new(2); // at most two items at a time; 0 for any number
/// thread::scope(|s| {
///     s.spawn(|| (0..10).for_each(|i| q.put(i).unwrap()));
///     for i in 0..10 {
///         assert_eq!(q.get(), Ok(i));
///     }
/// });
/// ```
pub type Queue<T> = BlockingQueue<VecDeque<T>>;

/// Last in, first out: Python's
/// [`queue.LifoQueue`](https://docs.python.org/3/library/queue.html#queue.LifoQueue).
///
/// ```
/// use queue::LifoQueue;
///
/// let q = LifoQueue::new(0);
/// q.put("first").unwrap();
/// q.put("last").unwrap();
/// assert_eq!(q.get(), Ok("last"));
/// ```
pub type LifoQueue<T> = BlockingQueue<Vec<T>>;

/// The smallest item first: Python's
/// [`queue.PriorityQueue`](https://docs.python.org/3/library/queue.html#queue.PriorityQueue).
/// Which of two equal items comes first is not specified.
///
/// ```
/// use queue::PriorityQueue;
///
/// let q = PriorityQueue::new(0);
/// q.put((3, "cx")).unwrap();
/// q.put((1, "cc")).unwrap();
/// assert_eq!(q.get(), Ok((1, "cc")));
/// ```
pub type PriorityQueue<T> = BlockingQueue<BinaryHeap<Reverse<T>>>;

/// The order in which a queue returns its items: what the three queues differ in.
///
/// ```
/// use queue::Order;
///
/// let mut stack = vec![1, 2];
/// assert_eq!(Order::pop(&mut stack), Some(2));
/// ```
pub trait Order: Default {
    /// What the queue holds.
    type Item;
    /// Takes an item in.
    fn push(&mut self, item: Self::Item);
    /// Gives the item whose turn it is.
    fn pop(&mut self) -> Option<Self::Item>;
    /// How many items it holds.
    fn len(&self) -> usize;
    /// Whether it holds none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Order for VecDeque<T> {
    type Item = T;
    fn push(&mut self, item: T) {
        self.push_back(item);
    }
    fn pop(&mut self) -> Option<T> {
        self.pop_front()
    }
    fn len(&self) -> usize {
        self.len()
    }
}

impl<T> Order for Vec<T> {
    type Item = T;
    fn push(&mut self, item: T) {
        self.push(item);
    }
    fn pop(&mut self) -> Option<T> {
        self.pop()
    }
    fn len(&self) -> usize {
        self.len()
    }
}

impl<T: Ord> Order for BinaryHeap<Reverse<T>> {
    type Item = T;
    fn push(&mut self, item: T) {
        self.push(Reverse(item));
    }
    fn pop(&mut self) -> Option<T> {
        self.pop().map(|Reverse(item)| item)
    }
    fn len(&self) -> usize {
        self.len()
    }
}

/// What [`Queue`], [`LifoQueue`] and [`PriorityQueue`] have in common.
///
/// ```
/// use queue::{GetError, PutError, Queue};
/// use std::time::Duration;
///
/// let q = Queue::new(1);
/// q.put("bone").unwrap();
/// assert_eq!(q.put_nowait("bun"), Err(PutError::Full("bun"))); // given back
/// assert_eq!((q.qsize(), q.full()), (1, true));
///
/// assert_eq!(q.get(), Ok("bone"));
/// q.task_done().unwrap();
/// q.join(); // returns: every item that was put is done
/// assert_eq!(q.get_timeout(Duration::from_millis(1)), Err(GetError::Empty));
///
/// q.shutdown();
/// assert_eq!(q.put("bun"), Err(PutError::ShutDown("bun")));
/// assert_eq!(q.get(), Err(GetError::ShutDown));
/// ```
pub struct BlockingQueue<O: Order> {
    state: Mutex<State<O>>,
    /// The most items that the queue holds at a time; 0 for any number.
    maxsize: usize,
    /// Threads that wait for an item, or for the shutdown.
    not_empty: Waiters,
    /// Threads that wait for room, or for the shutdown.
    not_full: Waiters,
    /// Threads that wait until no item is unfinished.
    all_done: Waiters,
}

/// Threads that wait for a change of the state. They are counted because std's condition
/// variable makes a system call for each notification, whether a thread waits or not.
struct Waiters {
    changed: Condvar,
    /// Changed only under the lock of the state, so that a thread that has changed the
    /// state since knows of every thread that has not seen the change.
    count: AtomicUsize,
}

impl Waiters {
    fn new() -> Self {
        Self {
            changed: Condvar::new(),
            count: AtomicUsize::new(0),
        }
    }

    fn notify_one(&self) {
        if self.count.load(Ordering::Relaxed) > 0 {
            self.changed.notify_one();
        }
    }

    fn notify_all(&self) {
        if self.count.load(Ordering::Relaxed) > 0 {
            self.changed.notify_all();
        }
    }
}

struct State<O> {
    items: O,
    /// Items put and not yet reported by `task_done`.
    unfinished: usize,
    shut_down: bool,
}

/// For how long a call may wait.
#[derive(Clone, Copy)]
enum Wait {
    Forever,
    AtMost(Duration),
}

impl<O: Order> BlockingQueue<O> {
    /// An empty queue that holds at most `maxsize` items; 0 for any number.
    #[must_use]
    pub fn new(maxsize: usize) -> Self {
        Self {
            state: Mutex::new(State {
                items: O::default(),
                unfinished: 0,
                shut_down: false,
            }),
            maxsize,
            not_empty: Waiters::new(),
            not_full: Waiters::new(),
            all_done: Waiters::new(),
        }
    }

    /// Puts an item in; waits for as long as there is no room.
    ///
    /// # Errors
    ///
    /// [`PutError::ShutDown`] with the item.
    pub fn put(&self, item: O::Item) -> Result<(), PutError<O::Item>> {
        self.put_waiting(item, Wait::Forever)
    }

    /// Puts an item in; waits for room for at most this long.
    ///
    /// # Errors
    ///
    /// [`PutError`] with the item.
    pub fn put_timeout(
        &self,
        item: O::Item,
        timeout: Duration,
    ) -> Result<(), PutError<O::Item>> {
        self.put_waiting(item, Wait::AtMost(timeout))
    }

    /// Puts an item in if there is room now.
    ///
    /// # Errors
    ///
    /// [`PutError`] with the item.
    pub fn put_nowait(&self, item: O::Item) -> Result<(), PutError<O::Item>> {
        self.put_waiting(item, Wait::AtMost(Duration::ZERO))
    }

    fn put_waiting(
        &self,
        item: O::Item,
        wait: Wait,
    ) -> Result<(), PutError<O::Item>> {
        let full = |state: &State<O>| {
            !state.shut_down
                && self.maxsize != 0
                && state.items.len() >= self.maxsize
        };
        let mut state = self.wait_while(&self.not_full, wait, full);
        if state.shut_down {
            return Err(PutError::ShutDown(item));
        }
        if full(&state) {
            return Err(PutError::Full(item));
        }
        state.items.push(item);
        state.unfinished += 1;
        // First, or the thread that is woken would have to wait for the lock.
        drop(state);
        self.not_empty.notify_one();
        Ok(())
    }

    /// Takes the next item; waits for as long as there is none.
    ///
    /// # Errors
    ///
    /// [`GetError::ShutDown`] once the queue is shut down and empty.
    pub fn get(&self) -> Result<O::Item, GetError> {
        self.get_waiting(Wait::Forever)
    }

    /// Takes the next item; waits for one for at most this long.
    ///
    /// # Errors
    ///
    /// [`GetError::Empty`] if none came in time, [`GetError::ShutDown`] if none will
    /// come.
    pub fn get_timeout(&self, timeout: Duration) -> Result<O::Item, GetError> {
        self.get_waiting(Wait::AtMost(timeout))
    }

    /// Takes the next item if there is one now.
    ///
    /// # Errors
    ///
    /// [`GetError::Empty`] if there is none, [`GetError::ShutDown`] if none will come.
    pub fn get_nowait(&self) -> Result<O::Item, GetError> {
        self.get_waiting(Wait::AtMost(Duration::ZERO))
    }

    /// [`get_timeout`](Self::get_timeout) for a receiver that may have gone in the
    /// meantime: an item that is no longer wanted is left to the next one.
    ///
    /// `wanted` is asked once there is an item, and the queue waits for the answer.
    /// `None` means that it said no.
    ///
    /// # Errors
    ///
    /// Those of [`get_timeout`](Self::get_timeout).
    ///
    /// ```
    /// use queue::Queue;
    /// use std::time::Duration;
    ///
    /// let q = Queue::new(0);
    /// q.put(1).unwrap();
    /// assert_eq!(q.get_timeout_if(Duration::ZERO, || false), Ok(None));
    /// assert_eq!(q.get_timeout_if(Duration::ZERO, || true), Ok(Some(1)));
    /// ```
    pub fn get_timeout_if(
        &self,
        timeout: Duration,
        wanted: impl FnOnce() -> bool,
    ) -> Result<Option<O::Item>, GetError> {
        let state = self.wait_for_item(Wait::AtMost(timeout));
        if !state.items.is_empty() && !wanted() {
            // The wake-up that came with the item is the next one's too.
            self.not_empty.notify_one();
            return Ok(None);
        }
        self.take(state).map(Some)
    }

    fn get_waiting(&self, wait: Wait) -> Result<O::Item, GetError> {
        self.take(self.wait_for_item(wait))
    }

    fn wait_for_item(&self, wait: Wait) -> MutexGuard<'_, State<O>> {
        self.wait_while(&self.not_empty, wait, |state| {
            !state.shut_down && state.items.is_empty()
        })
    }

    fn take(
        &self,
        mut state: MutexGuard<'_, State<O>>,
    ) -> Result<O::Item, GetError> {
        match state.items.pop() {
            Some(item) => {
                drop(state);
                self.not_full.notify_one();
                Ok(item)
            }
            None if state.shut_down => Err(GetError::ShutDown),
            None => Err(GetError::Empty),
        }
    }

    /// How many items are in the queue. Another thread may have changed that by the time
    /// you look at the answer.
    #[must_use]
    pub fn qsize(&self) -> usize {
        self.lock().items.len()
    }

    /// Whether no item is in the queue, with the same caution.
    #[must_use]
    pub fn empty(&self) -> bool {
        self.qsize() == 0
    }

    /// Whether the queue holds `maxsize` items, with the same caution.
    #[must_use]
    pub fn full(&self) -> bool {
        self.maxsize != 0 && self.qsize() >= self.maxsize
    }

    /// Reports that the work on one item that was taken is finished.
    ///
    /// # Errors
    ///
    /// [`TaskDoneTooOften`] if no item is unfinished.
    pub fn task_done(&self) -> Result<(), TaskDoneTooOften> {
        let mut state = self.lock();
        state.unfinished =
            state.unfinished.checked_sub(1).ok_or(TaskDoneTooOften)?;
        if state.unfinished == 0 {
            self.all_done.notify_all();
        }
        Ok(())
    }

    /// Waits until every item that was put has been reported by
    /// [`task_done`](Self::task_done).
    pub fn join(&self) {
        drop(self.wait_while(&self.all_done, Wait::Forever, |state| {
            state.unfinished > 0
        }));
    }

    /// [`join`](Self::join) for at most this long. Returns whether all were reported.
    #[must_use = "items may still be unfinished"]
    pub fn join_timeout(&self, timeout: Duration) -> bool {
        let wait = Wait::AtMost(timeout);
        let unfinished = |state: &State<O>| state.unfinished > 0;
        !unfinished(&self.wait_while(&self.all_done, wait, unfinished))
    }

    /// Ends the queue. From now on nothing can be put, and a `get` returns the items that
    /// are left and then [`GetError::ShutDown`]. Every thread that waits is woken.
    /// Python has it from 3.13 on.
    pub fn shutdown(&self) {
        self.lock().shut_down = true;
        self.not_empty.notify_all();
        self.not_full.notify_all();
    }

    /// [`shutdown`](Self::shutdown) that leaves nothing to get: the items that are left
    /// are returned and count as done. Python's `shutdown(immediate=True)` throws them
    /// away.
    ///
    /// ```
    /// use queue::Queue;
    ///
    /// let q = Queue::new(0);
    /// q.put(1).unwrap();
    /// assert_eq!(q.shutdown_immediate(), [1]);
    /// q.join(); // returns
    /// ```
    pub fn shutdown_immediate(&self) -> Vec<O::Item> {
        let mut state = self.lock();
        state.shut_down = true;
        let left: Vec<_> = std::iter::from_fn(|| state.items.pop()).collect();
        state.unfinished = state.unfinished.saturating_sub(left.len());
        if state.unfinished == 0 {
            self.all_done.notify_all();
        }
        drop(state);
        self.not_empty.notify_all();
        self.not_full.notify_all();
        left
    }

    /// Only an item's own `Ord` can panic under this lock. The heap is still a heap
    /// afterwards, so the lock's poison is ignored.
    fn lock(&self) -> MutexGuard<'_, State<O>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while `blocked`. A wait that ran out of time returns too, so the caller has
    /// to look again. No wake-up is lost between the look and the wait: a change of the
    /// state needs the lock, which a waiter gives up only once it waits.
    fn wait_while(
        &self,
        waiters: &Waiters,
        wait: Wait,
        mut blocked: impl FnMut(&State<O>) -> bool,
    ) -> MutexGuard<'_, State<O>> {
        let state = self.lock();
        if !blocked(&state) {
            return state;
        }
        let blocked = |state: &mut State<O>| blocked(state);
        waiters.count.fetch_add(1, Ordering::Relaxed);
        let state = match wait {
            Wait::Forever => waiters
                .changed
                .wait_while(state, blocked)
                .unwrap_or_else(PoisonError::into_inner),
            Wait::AtMost(timeout) => {
                waiters
                    .changed
                    .wait_timeout_while(state, timeout, blocked)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        };
        waiters.count.fetch_sub(1, Ordering::Relaxed);
        state
    }
}

impl<T> Queue<T> {
    /// Puts an item that was taken back to its place, as if it had never been taken, even
    /// if the queue is full or shut down by now.
    ///
    /// ```
    /// use queue::Queue;
    ///
    /// let q = Queue::new(0);
    /// (1..=2).for_each(|i| q.put(i).unwrap());
    /// let first = q.get().unwrap();
    /// q.put_back(first);
    /// assert_eq!(q.get(), Ok(1));
    /// ```
    pub fn put_back(&self, item: T) {
        self.lock().items.push_front(item);
        self.not_empty.notify_one();
    }
}

impl<O: Order> fmt::Debug for BlockingQueue<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingQueue")
            .field("qsize", &self.qsize())
            .field("maxsize", &self.maxsize)
            .finish_non_exhaustive()
    }
}

/// Why an item was not put, with the item. The example is at [`BlockingQueue`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PutError<T> {
    /// There was no room: Python's `queue.Full`.
    Full(T),
    /// The queue takes no more: Python's `queue.ShutDown`.
    ShutDown(T),
}

impl<T> PutError<T> {
    /// The item that was not put.
    ///
    /// ```
    /// # use queue::PutError;
    /// assert_eq!(PutError::Full(7).into_item(), 7);
    /// ```
    pub fn into_item(self) -> T {
        let (Self::Full(item) | Self::ShutDown(item)) = self;
        item
    }
}

// By hand: an item need not be printable for its error to be.
impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::ShutDown(_) => "ShutDown(..)",
        })
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the queue is full",
            Self::ShutDown(_) => "the queue is shut down",
        })
    }
}

impl<T> Error for PutError<T> {}

/// Why no item was got. The example is at [`BlockingQueue`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GetError {
    /// There is no item, or none came in time: Python's `queue.Empty`.
    Empty,
    /// There is no item and none will come: Python's `queue.ShutDown`.
    ShutDown,
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the queue is empty",
            Self::ShutDown => "the queue is shut down and empty",
        })
    }
}

impl Error for GetError {}

/// [`task_done`](BlockingQueue::task_done) was called more often than items were put.
///
/// ```
/// use queue::{Queue, TaskDoneTooOften};
///
/// assert_eq!(Queue::<i32>::new(0).task_done(), Err(TaskDoneTooOften));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskDoneTooOften;

impl fmt::Display for TaskDoneTooOften {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("task_done() called more often than items were put")
    }
}

impl Error for TaskDoneTooOften {}
