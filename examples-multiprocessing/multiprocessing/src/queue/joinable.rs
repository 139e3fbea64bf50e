//! A queue that knows when the work on its items is done.

use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{GetError, PutError, Queue, queue_methods};
use crate::error::Error;
use crate::handover::handle;
use crate::process;
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
/// The queue itself behaves as a [`Queue`] does. Any process may report a task, also one
/// that another process took: a consumer may pass its item on and end. So
/// [`join`](Self::join) waits for
///
/// - a task that a living process has taken, even if that was not a value of its type
///   ([`GetError::Decode`]);
/// - a task that was taken by a process that has ended in good order, with exit code 0:
///   some other process has to report it, and if none does, `join` waits for ever, as in
///   Python.
///
/// A task is lost if the process that took it was killed, panicked, or ended with another
/// exit code, and nobody has reported it. Tasks in the queue are lost, too, if a consumer
/// ended like that and no other process is left that could take them. `join` waits for the
/// others, and then says how many were lost.
#[derive(Debug)]
pub struct JoinableQueue<T> {
    queue: Queue<T>,
    counts: Shared<TaskCounts>,
}

handle!(JoinableQueue<T> { queue, counts });

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
    /// The process of an entry; `None` if it has none yet.
    fn of(entry: &AtomicU64) -> Option<Self> {
        Self::of_word(entry.load(Ordering::Acquire))
    }

    fn of_word(word: u64) -> Option<Self> {
        Some(Self::from_word(word)).filter(|open| open.process != 0)
    }

    fn is_open(self) -> bool {
        self.tasks > 0
    }

    fn fate(self) -> Fate {
        if registry::is_alive(self.process) {
            Fate::Lives
        } else if registry::has_ended_well(self.process) {
            Fate::EndedWell
        } else {
            Fate::Died
        }
    }

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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Lives,
    EndedWell,
    Died,
}

impl TaskCounts {
    /// Counts a task that this process is about to take.
    fn record_taken(&self) {
        let process = registry::me();
        let entry = &self.open[process as usize % PROCESSES];
        let one_more = |word| {
            let open = Open::from_word(word);
            // An entry with another id is of a process that has ended.
            let tasks = if open.process == process {
                open.tasks
            } else {
                0
            };
            let tasks = tasks.saturating_add(1);
            Some(Open { process, tasks }.to_word())
        };
        // Never an error: the change is never refused.
        entry
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, one_more)
            .ok();
    }

    /// Counts a task as reported by this process, if it has taken one; otherwise by another
    /// that has, preferably one that has ended.
    fn record_done(&self) {
        let less_one = |word| {
            let open = Open::from_word(word);
            let tasks = open.tasks.checked_sub(1)?;
            Some(Open { tasks, ..open }.to_word())
        };
        let take_off = |entry: &AtomicU64| {
            let (acq_rel, relaxed) = (Ordering::AcqRel, Ordering::Relaxed);
            entry.fetch_update(acq_rel, relaxed, less_one).is_ok()
        };
        let me = registry::me();
        let mine = &self.open[me as usize % PROCESSES];
        if Open::of(mine).is_some_and(|open| open.process == me) && take_off(mine) {
            return;
        }
        for fate in [Fate::EndedWell, Fate::Lives, Fate::Died] {
            let of_that_fate = |entry: &&AtomicU64| {
                Open::of(entry)
                    .is_some_and(|open| open.is_open() && open.fate() == fate)
            };
            if self.open.iter().filter(of_that_fate).any(take_off) {
                return;
            }
        }
        // None is open if a process died between its report and this count.
    }

    fn taken(&self) -> Taken {
        let me = registry::me();
        let mut taken = Taken::default();
        for open in self.open.iter().filter_map(Open::of) {
            taken.by_me |= open.process == me;
            match open.fate() {
                Fate::Lives => taken.by_the_living |= open.is_open(),
                Fate::EndedWell => {}
                Fate::Died => {
                    taken.a_taker_died = true;
                    taken.lost = taken.lost.saturating_add(open.tasks);
                }
            }
        }
        taken
    }

    /// Forgets the processes that died.
    fn forget_the_dead(&self) {
        for entry in &self.open {
            let died = |word| {
                let died = Open::of_word(word)?.fate() == Fate::Died;
                died.then_some(0)
            };
            // An error is an entry that stays.
            entry
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, died)
                .ok();
        }
    }
}

/// What is known of the tasks that were taken and not reported.
#[derive(Default)]
struct Taken {
    /// Whether a living process has some.
    by_the_living: bool,
    /// Whether the calling process has ever taken a task.
    by_me: bool,
    /// Whether a process that has taken tasks died, with or without some.
    a_taker_died: bool,
    /// The number of tasks that died with their processes.
    lost: u32,
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
        counts.record_done();
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
    /// [`TasksLost`] once nothing is left to wait for but tasks that are lost: see above.
    /// They count as done then.
    pub fn join(&self) -> Result<(), TasksLost> {
        let (channel, counts) = (&self.queue.inner.channel, &*self.counts);
        let all_done = || channel.sent() == counts.done.load(Ordering::Acquire);
        while !all_done() {
            match counts.all_done.sleep_unless(all_done, Deadline::Never) {
                Slept::Slice => self.write_off()?,
                Slept::Woken | Slept::Deadline => {}
            }
        }
        // Hands the wake-up on: see `notify_all`.
        counts.all_done.notify_all();
        Ok(())
    }

    /// Gives the lost tasks up, if there is nothing else to wait for.
    fn write_off(&self) -> Result<(), TasksLost> {
        let (channel, counts) = (&self.queue.inner.channel, &*self.counts);
        let put = channel.sent();
        // In this order: a task is in the queue, then open, then done, and so it is
        // seen in one of the three.
        let queued = !channel.is_empty();
        let taken = counts.taken();
        let done = counts.done.load(Ordering::Acquire);
        let unfinished = put.wrapping_sub(done);
        if taken.by_the_living {
            return Ok(());
        }
        let lost = if queued {
            if !taken.a_taker_died || taken.by_me || process::has_living_relatives()
            {
                return Ok(());
            }
            unfinished
        } else {
            taken.lost.min(unfinished)
        };
        let (acq_rel, relaxed) = (Ordering::AcqRel, Ordering::Relaxed);
        let after = done.wrapping_add(lost);
        // If a task was reported or put meanwhile, it is too early to give up.
        if lost == 0
            || channel.sent() != put
            || counts
                .done
                .compare_exchange(done, after, acq_rel, relaxed)
                .is_err()
        {
            return Ok(());
        }
        counts.forget_the_dead();
        if after == put {
            counts.all_done.notify_all();
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Only what was counted can be missed with a process that died.
    #[test]
    fn what_is_iterated_over_is_counted_as_taken() {
        let q = JoinableQueue::new(0).unwrap();
        q.put(1).unwrap();
        assert_eq!(q.iter().next(), Some(Ok(1)));
        assert!(q.counts.taken().by_the_living);
    }
}
