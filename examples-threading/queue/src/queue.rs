//! Queues that threads hand items over with: first in first out, last in first out,
//! smallest first.

use std::error::Error;
use std::fmt;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::order::{Fifo, Lifo, Order, SmallestFirst};
use crate::sync::{AtomicU64, thread};
use crate::waiters::{Wait, Waiters};

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
pub type Queue<T> = BlockingQueue<Fifo<T>>;

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
pub type LifoQueue<T> = BlockingQueue<Lifo<T>>;

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
pub type PriorityQueue<T> = BlockingQueue<SmallestFirst<T>>;

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
    items: O,
    /// The most items that the queue holds at a time; 0 for any number.
    maxsize: u64,
    puts: CachePadded<Puts>,
    gets: CachePadded<Gets>,
    /// Threads that wait for an item, or for the shutdown.
    not_empty: Waiters,
    /// Threads that wait for room, or for the shutdown.
    not_full: Waiters,
    /// Threads that wait until no item is unfinished.
    all_done: Waiters,
}

/// What a `put` counts. These and [`Gets`] have cache lines of their own, so that the two
/// sides do not wait for each other's.
struct Puts {
    /// How many were begun, and [`SHUT_DOWN`]: no `put` begins after that bit is set.
    begun: AtomicU64,
    /// How many have their item in the queue. The others are about to.
    finished: AtomicU64,
    /// [`Gets::taken`] as it was when a `put` last looked. There is at least this much
    /// room.
    taken_seen: AtomicU64,
}

/// What is counted of the items that were taken.
struct Gets {
    /// How many are out of the queue. Not counted if it has no limit, since only a `put`
    /// that looks for room asks.
    taken: AtomicU64,
    /// How many were reported by `task_done`.
    done: AtomicU64,
}

/// In [`Puts::begun`].
const SHUT_DOWN: u64 = 1;
/// One `put` in [`Puts::begun`].
const ONE: u64 = 2;

/// How a `put` began.
enum Begun {
    /// It has a place for its item.
    Put,
    ShutDown,
}

impl<O: Order> BlockingQueue<O> {
    /// An empty queue that holds at most `maxsize` items; 0 for any number.
    #[must_use]
    pub fn new(maxsize: usize) -> Self {
        Self {
            items: O::default(),
            maxsize: maxsize as u64,
            puts: CachePadded::new(Puts {
                begun: AtomicU64::new(0),
                finished: AtomicU64::new(0),
                taken_seen: AtomicU64::new(0),
            }),
            gets: CachePadded::new(Gets {
                taken: AtomicU64::new(0),
                done: AtomicU64::new(0),
            }),
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
        match self.not_full.wait_for(wait, || self.begin_put()) {
            Some(Begun::Put) => {}
            Some(Begun::ShutDown) => return Err(PutError::ShutDown(item)),
            None => return Err(PutError::Full(item)),
        }
        let _finish = FinishPut(self);
        self.items.push(item);
        Ok(())
    }

    /// Takes a place for an item; `None` if there is no room.
    fn begin_put(&self) -> Option<Begun> {
        let Puts {
            begun, taken_seen, ..
        } = &*self.puts;
        let mut now = begun.load(Relaxed);
        loop {
            if now & SHUT_DOWN != 0 {
                return Some(Begun::ShutDown);
            }
            // `taken` may be of a later moment than `now`, which is then replaced below.
            let full = |taken| (now / ONE).saturating_sub(taken) >= self.maxsize;
            if self.maxsize != 0 && full(taken_seen.load(Relaxed)) {
                let taken = self.gets.taken.load(Acquire);
                taken_seen.store(taken, Relaxed);
                if full(taken) {
                    return None;
                }
            }
            match begun.compare_exchange_weak(now, now + ONE, Relaxed, Relaxed) {
                Ok(_) => return Some(Begun::Put),
                Err(other) => now = other,
            }
        }
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

    fn get_waiting(&self, wait: Wait) -> Result<O::Item, GetError> {
        let taken = self.not_empty.wait_for(wait, || self.take());
        let item = taken.unwrap_or(Err(GetError::Empty))?;
        self.room_made();
        Ok(item)
    }

    /// [`get_timeout`](Self::get_timeout) for a receiver that may have gone in the
    /// meantime: an item that is no longer wanted is left to the next one.
    ///
    /// `wanted` is asked when there is an item, and asked again if another thread was
    /// quicker to take it. `None` means that it said no.
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
        mut wanted: impl FnMut() -> bool,
    ) -> Result<Option<O::Item>, GetError> {
        let taken = self.not_empty.wait_for(Wait::AtMost(timeout), || {
            // Nothing is taken that was not there when `wanted` was asked.
            if self.items.is_empty() {
                return self.is_over().then_some(Err(GetError::ShutDown));
            }
            if !wanted() {
                return Some(Ok(None));
            }
            self.take().map(|taken| taken.map(Some))
        });
        let item = taken.unwrap_or(Err(GetError::Empty))?;
        if item.is_some() {
            self.room_made();
        } else {
            // The wake-up that came with the item is the next one's too.
            self.not_empty.notify_one();
        }
        Ok(item)
    }

    /// Takes an item; `None` if there is none yet.
    fn take(&self) -> Option<Result<O::Item, GetError>> {
        match self.items.pop() {
            Some(item) => Some(Ok(item)),
            None => self.is_over().then_some(Err(GetError::ShutDown)),
        }
    }

    /// Whether there is no item and none will come. An item that comes between the two
    /// looks has its `put` wake a getter, after it has counted as finished.
    fn is_over(&self) -> bool {
        let begun = self.puts.begun.load(Acquire);
        let finished = self.puts.finished.load(Acquire);
        begun & SHUT_DOWN != 0 && finished == begun / ONE && self.items.is_empty()
    }

    /// Makes the place of an item that was taken known to those that wait for room.
    fn room_made(&self) {
        if self.maxsize != 0 {
            self.gets.taken.fetch_add(1, Release);
            self.not_full.notify_one();
        }
    }

    /// How many items are in the queue. Another thread may have changed that by the time
    /// you look at the answer.
    #[must_use]
    pub fn qsize(&self) -> usize {
        self.items.len()
    }

    /// Whether no item is in the queue, with the same caution.
    #[must_use]
    pub fn empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether the queue holds `maxsize` items, with the same caution.
    #[must_use]
    pub fn full(&self) -> bool {
        self.maxsize != 0 && self.qsize() as u64 >= self.maxsize
    }

    /// Reports that the work on one item that was taken is finished.
    ///
    /// # Errors
    ///
    /// [`TaskDoneTooOften`] if no item is unfinished.
    pub fn task_done(&self) -> Result<(), TaskDoneTooOften> {
        match self.report_done(1) {
            0 => Err(TaskDoneTooOften),
            _ => Ok(()),
        }
    }

    /// Counts this number of items as done, or those that are unfinished if there are
    /// fewer. Returns how many it has counted.
    fn report_done(&self, count: u64) -> u64 {
        let mut done = self.gets.done.load(Acquire);
        let counted = loop {
            let unfinished = self.puts.begun.load(Acquire) / ONE - done;
            let (before, more) = (done, count.min(unfinished));
            let after = before + more;
            match self
                .gets
                .done
                .compare_exchange_weak(before, after, AcqRel, Acquire)
            {
                Ok(_) => break more,
                Err(other) => done = other,
            }
        };
        if self.are_all_done().is_some() {
            self.all_done.notify_all();
        }
        counted
    }

    /// Waits until every item that was put has been reported by
    /// [`task_done`](Self::task_done).
    pub fn join(&self) {
        self.all_done
            .wait_for(Wait::Forever, || self.are_all_done());
    }

    /// [`join`](Self::join) for at most this long. Returns whether all were reported.
    #[must_use = "items may still be unfinished"]
    pub fn join_timeout(&self, timeout: Duration) -> bool {
        let wait = Wait::AtMost(timeout);
        self.all_done
            .wait_for(wait, || self.are_all_done())
            .is_some()
    }

    fn are_all_done(&self) -> Option<()> {
        let done = self.gets.done.load(Acquire);
        (self.puts.begun.load(Acquire) / ONE == done).then_some(())
    }

    /// Ends the queue. From now on nothing can be put, and a `get` returns the items that
    /// are left and then [`GetError::ShutDown`]. Every thread that waits is woken.
    /// Python has it from 3.13 on.
    pub fn shutdown(&self) {
        self.puts.begun.fetch_or(SHUT_DOWN, AcqRel);
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
        self.shutdown();
        let mut left = Vec::new();
        loop {
            match self.take() {
                Some(Ok(item)) => left.push(item),
                Some(Err(_)) => break,
                // A `put` that had begun is about to finish; it waits for nothing.
                None => thread::yield_now(),
            }
        }
        self.report_done(left.len() as u64);
        left
    }
}

/// Says when it is dropped that a `put` that had begun has its item in the queue. It also
/// does so if the item's own `Ord` panics: otherwise getters would wait for that `put`.
struct FinishPut<'a, O: Order>(&'a BlockingQueue<O>);

impl<O: Order> Drop for FinishPut<'_, O> {
    fn drop(&mut self) {
        let Puts {
            begun, finished, ..
        } = &*self.0.puts;
        finished.fetch_add(1, Release);
        // The last one after the shutdown ends the wait of every getter.
        let ends = || begun.load(Relaxed) & SHUT_DOWN != 0;
        self.0.not_empty.notify(ends);
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
        // A `put` of an item that counts as done: it was counted when it was first put.
        self.puts.begun.fetch_add(ONE, AcqRel);
        self.report_done(1);
        let _finish = FinishPut(self);
        self.items.put_back(item);
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
