//! A queue that knows when the work on its items is done.

use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{GetError, PutError, Queue, queue_methods};
use crate::error::Error;
use crate::registry::{self, RegistryId};
use crate::sys::atomic::{AtomicU32, AtomicU64};
use crate::sys::futex::{Deadline, Slept};
use crate::sys::segment::{Shared, shareable};
use crate::wait::EventCount;

/// A [`Queue`] whose consumers report each item that they have finished, so that others
/// can wait until all are: Python's
/// [`JoinableQueue`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.JoinableQueue).
///
/// ```
/// use multiprocessing::{JoinableQueue, TaskDoneTooOften};
///
/// # fn main() -> tutorial::Result<()> {
/// let q = JoinableQueue::new(0)?;
/// q.put("wash up".to_string())?;
/// assert_eq!(q.get()?, "wash up");
/// q.task_done()?;
/// q.join()?; // returns: everything that was put is done
/// assert_eq!(q.task_done(), Err(TaskDoneTooOften));
/// # Ok(())
/// # }
/// ```
///
/// # When a process dies
///
/// The queue itself behaves as a [`Queue`] does. The tasks that the process had taken and
/// not reported are lost: [`join`](Self::join) waits for the living, and then says how
/// many were lost. What a living process has taken it waits for, even if that was not a
/// value of its type ([`GetError::Decode`]).
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct JoinableQueue<T> {
    queue: Queue<T>,
    counts: Shared<TaskCounts>,
}

shareable! {
    struct TaskCounts {
        /// The number of tasks that were reported, which wraps as the number of items
        /// that were put does; the difference is what is unfinished.
        done: AtomicU32,
        /// Notified when nothing is unfinished.
        all_done: EventCount,
        /// Each process with its [`Open`] tasks, at the place that the low bits of its
        /// id name. It serves only to know what was lost with a process that ended.
        open: [AtomicU64; PROCESSES],
    }
}

/// Two living processes have the same low bits only if there are more than this.
const PROCESSES: usize = 1 << 12;

/// The tasks that a process has taken and not reported, in one word with its id, so that
/// both change at once.
#[derive(Clone, Copy)]
struct Open {
    process: RegistryId,
    tasks: u32,
}

impl Open {
    fn from_word(word: u64) -> Self {
        Self {
            process: (word >> 32) as u32,
            tasks: word as u32,
        }
    }

    fn to_word(self) -> u64 {
        u64::from(self.process) << 32 | u64::from(self.tasks)
    }
}

impl TaskCounts {
    /// Counts a task that this process is about to take.
    fn record_taken(&self) {
        self.change_open(|tasks| tasks.saturating_add(1));
    }

    /// Changes the number of this process's open tasks.
    fn change_open(&self, change: impl Fn(u32) -> u32) {
        let process = registry::me();
        let entry = &self.open[process as usize % PROCESSES];
        let change = |word| {
            let open = Open::from_word(word);
            // An entry with another id is of a process that has ended.
            let tasks = if open.process == process {
                open.tasks
            } else {
                0
            };
            let tasks = change(tasks);
            Some(Open { process, tasks }.to_word())
        };
        // Never an error: the change is never refused.
        entry
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, change)
            .ok();
    }

    /// Whether a living process has tasks open.
    fn somebody_works(&self) -> bool {
        self.open.iter().any(|entry| {
            let open = Open::from_word(entry.load(Ordering::Acquire));
            open.tasks > 0 && registry::is_alive(open.process)
        })
    }
}

impl<T> JoinableQueue<T> {
    /// An empty queue that holds at most `maxsize` items; 0 for any number.
    ///
    /// # Errors
    ///
    /// As for [`Queue::new`].
    pub fn new(maxsize: usize) -> Result<Self, Error> {
        Ok(Self {
            queue: Queue::new(maxsize)?,
            counts: Shared::zeroed(0)?,
        })
    }

    fn queue(&self) -> &Queue<T> {
        &self.queue
    }

    fn get_until(&self, deadline: Deadline) -> Result<T, GetError>
    where
        T: DeserializeOwned,
    {
        let taking = || self.counts.record_taken();
        self.queue.get_counted(deadline, taking)
    }

    /// Reports that the work on one item that was taken is finished.
    ///
    /// # Errors
    ///
    /// [`TaskDoneTooOften`] if no item is unfinished.
    pub fn task_done(&self) -> Result<(), TaskDoneTooOften> {
        let (channel, counts) = (&self.queue.inner.channel, &*self.counts);
        let next =
            |done: u32| (done != channel.sent()).then(|| done.wrapping_add(1));
        let before = (counts.done)
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, next)
            .map_err(|_| TaskDoneTooOften)?;
        // After it counts as done: in between it is counted twice, never not at all.
        counts.change_open(|tasks| tasks.saturating_sub(1));
        if before.wrapping_add(1) == channel.sent() {
            counts.all_done.notify_all();
        }
        Ok(())
    }

    /// Waits until every item that was put has been reported by
    /// [`task_done`](Self::task_done).
    ///
    /// # Errors
    ///
    /// [`TasksLost`] once the only unfinished items are those that were taken by a
    /// process that has ended without reporting them. They count as done then.
    pub fn join(&self) -> Result<(), TasksLost> {
        let (channel, counts) = (&self.queue.inner.channel, &*self.counts);
        let all_done = || channel.sent() == counts.done.load(Ordering::Acquire);
        while !all_done() {
            match counts.all_done.sleep_unless(all_done, Deadline::Never) {
                Slept::Slice => self.write_off()?,
                Slept::Woken | Slept::Deadline => {}
            }
        }
        Ok(())
    }

    fn write_off(&self) -> Result<(), TasksLost> {
        let (channel, counts) = (&self.queue.inner.channel, &*self.counts);
        let put = channel.sent();
        // In this order: a task is in the queue, then open, then done, and so it is
        // seen in one of the three.
        if !channel.is_empty() || counts.somebody_works() {
            return Ok(());
        }
        let done = counts.done.load(Ordering::Acquire);
        let lost = put.wrapping_sub(done);
        let (acq_rel, relaxed) = (Ordering::AcqRel, Ordering::Relaxed);
        // If a task was reported or put meanwhile, it is too early to give up.
        if lost == 0
            || channel.sent() != put
            || counts
                .done
                .compare_exchange(done, put, acq_rel, relaxed)
                .is_err()
        {
            return Ok(());
        }
        counts.all_done.notify_all();
        Err(TasksLost(lost))
    }
}

queue_methods!(JoinableQueue);

impl<T> Clone for JoinableQueue<T> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            counts: self.counts.clone(),
        }
    }
}

/// [`task_done`](JoinableQueue::task_done) was called more often than items were put:
/// Python's `ValueError`. An example is at [`JoinableQueue`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskDoneTooOften;

impl fmt::Display for TaskDoneTooOften {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("task_done() called more often than items were put")
    }
}

impl std::error::Error for TaskDoneTooOften {}

/// The number of items that were taken by processes that ended without reporting them.
/// Made by [`JoinableQueue::join`], which in Python waits for them for ever.
///
/// ```no_run
/// // Not run: it takes a process that dies while it works on a task.
/// use multiprocessing::{JoinableQueue, TasksLost};
///
/// fn all_but_the_lost(q: &JoinableQueue<String>) {
///     while let Err(TasksLost(count)) = q.join() {
///         println!("{count} tasks are lost, waiting for the others");
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TasksLost(pub u32);

impl fmt::Display for TasksLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} tasks were lost with processes that ended before task_done()",
            self.0
        )
    }
}

impl std::error::Error for TasksLost {}
