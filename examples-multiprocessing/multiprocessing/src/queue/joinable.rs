//! A queue that knows when the work on its items is done.

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::Queue;
use crate::channel::Channel;
use crate::error::Error;
use crate::registry;
use crate::sys::atomic::{AtomicU32, AtomicU64};
use crate::sys::futex::{Deadline, Slept};
use crate::sys::segment::{Shared, shareable};
use crate::wait::EventCount;

/// A [`Queue`] whose consumers report each item that they are finished with, so that
/// others can wait until all are: Python's
/// [`JoinableQueue`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.JoinableQueue).
/// It has all that a `Queue` has, and is one where one is asked for.
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
/// What holds for a [`Queue`] holds here. The tasks that it had taken and not reported
/// are lost: [`join`](Self::join) waits for the living, and then says how many were.
/// What a living process has taken it is waited for, even where it took something that
/// was no value of its type ([`GetError::Decode`](crate::GetError::Decode)).
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct JoinableQueue<T>(
    /// One that has a ledger.
    Queue<T>,
);

shareable! {
    pub(super) struct TaskCounts {
        /// How many tasks were reported, a number that wraps as that of the items that
        /// were put does; the difference is what is unfinished.
        done: AtomicU32,
        /// Rung when nothing is unfinished.
        all_done: EventCount,
        /// By the low bits of its id, each process with its [`Open`] tasks. Only for
        /// knowing what was lost with a process that ended.
        open: [AtomicU64; MEMBERS],
    }
}

/// Two living members have the same low bits only if there are more than that.
const MEMBERS: usize = 1 << 12;

/// The tasks that a process has taken and not reported, in one word with its id.
#[derive(Clone, Copy)]
struct Open {
    member: registry::RegistryId,
    tasks: u32,
}

impl Open {
    fn from_word(word: u64) -> Self {
        Self {
            member: (word >> 32) as u32,
            tasks: word as u32,
        }
    }

    fn to_word(self) -> u64 {
        u64::from(self.member) << 32 | u64::from(self.tasks)
    }
}

impl TaskCounts {
    /// Counts one more that this process is about to take.
    pub(super) fn record_taken(&self) {
        self.count(|tasks| tasks.saturating_add(1));
    }

    /// Changes the number of this process's open tasks.
    fn count(&self, change: impl Fn(u32) -> u32) {
        let member = registry::me();
        let change = |word| {
            let open = Open::from_word(word);
            // What is there of another member is of one that has ended.
            let tasks = if open.member == member { open.tasks } else { 0 };
            let tasks = change(tasks);
            Some(Open { member, tasks }.to_word())
        };
        let entry = &self.open[member as usize % MEMBERS];
        let relaxed = Ordering::Relaxed;
        // Ends at once: the change is never refused.
        let _before = entry.fetch_update(Ordering::AcqRel, relaxed, change);
    }

    /// Whether a living process has tasks open.
    fn somebody_works(&self) -> bool {
        self.open.iter().any(|entry| {
            let open = Open::from_word(entry.load(Ordering::Acquire));
            open.tasks > 0 && registry::is_alive(open.member)
        })
    }
}

impl<T> JoinableQueue<T> {
    /// An empty queue that holds at most `maxsize` items; 0 for any number.
    ///
    /// # Errors
    ///
    /// As of [`Queue::new`].
    pub fn new(maxsize: usize) -> Result<Self, Error> {
        let ledger = Shared::zeroed(0)?;
        Queue::with_ledger(maxsize, Some(ledger)).map(Self)
    }

    fn parts(&self) -> (&Channel, &TaskCounts) {
        let inner = &self.0.inner;
        let ledger = inner.ledger.as_ref().expect("`new` made one");
        (&inner.channel, ledger)
    }

    /// Says that the work on one item that was taken is finished.
    ///
    /// # Errors
    ///
    /// [`TaskDoneTooOften`] where no item is unfinished.
    pub fn task_done(&self) -> Result<(), TaskDoneTooOften> {
        let (channel, ledger) = self.parts();
        let next =
            |done: u32| (done != channel.sent()).then(|| done.wrapping_add(1));
        let before = (ledger.done)
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, next)
            .map_err(|_| TaskDoneTooOften)?;
        // After it counts as done: in between it is counted twice, never not at all.
        ledger.count(|tasks| tasks.saturating_sub(1));
        if before.wrapping_add(1) == channel.sent() {
            ledger.all_done.notify_all();
        }
        Ok(())
    }

    /// Waits until every item that was put has been reported by
    /// [`task_done`](Self::task_done).
    ///
    /// # Errors
    ///
    /// [`TasksLost`] once the only unfinished items are those that a process had taken
    /// that has ended without reporting them. They count as done then.
    pub fn join(&self) -> Result<(), TasksLost> {
        let (channel, ledger) = self.parts();
        let all_done = || channel.sent() == ledger.done.load(Ordering::Acquire);
        while !all_done() {
            match ledger.all_done.sleep_unless(all_done, Deadline::Never) {
                Slept::Slice => self.write_off()?,
                Slept::Woken | Slept::Deadline => {}
            }
        }
        Ok(())
    }

    fn write_off(&self) -> Result<(), TasksLost> {
        let (channel, ledger) = self.parts();
        let put = channel.sent();
        // In this order: a task is in the queue, then open, then done, and seen in
        // one of the three.
        if !channel.is_empty() || ledger.somebody_works() {
            return Ok(());
        }
        let done = ledger.done.load(Ordering::Acquire);
        let lost = put.wrapping_sub(done);
        let (acq_rel, relaxed) = (Ordering::AcqRel, Ordering::Relaxed);
        // Whoever reports or puts meanwhile is no reason to give up yet.
        if lost == 0
            || channel.sent() != put
            || ledger
                .done
                .compare_exchange(done, put, acq_rel, relaxed)
                .is_err()
        {
            return Ok(());
        }
        ledger.all_done.notify_all();
        Err(TasksLost(lost))
    }
}

impl<T> Clone for JoinableQueue<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Deref for JoinableQueue<T> {
    type Target = Queue<T>;

    fn deref(&self) -> &Queue<T> {
        &self.0
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

/// So many items were taken by processes that ended without reporting them. Made by
/// [`JoinableQueue::join`], which would wait for ever for them, as Python does.
///
/// ```no_run
/// // Not run: it takes a process that dies with a task in its hands.
/// use multiprocessing::{JoinableQueue, TasksLost};
///
/// fn all_but_the_lost(q: &JoinableQueue<String>) {
///     while let Err(TasksLost(count)) = q.join() {
///         println!("{count} lost, going on without");
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
