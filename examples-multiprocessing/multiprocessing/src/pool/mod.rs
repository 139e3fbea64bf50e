//! A pool of worker processes that functions are given to: Python's
//! [`multiprocessing.Pool`](https://docs.python.org/3/library/multiprocessing.html#module-multiprocessing.pool).
//!
//! # Layout
//!
//! Each part uses only those below it in this list, and this module only ties them
//! together:
//!
//! | | |
//! | --- | --- |
//! | `builder` | how a pool is started |
//! | `submit`, `imap`, `result` | giving tasks, and what becomes of them |
//! | `dispatcher` | the parent's side: sends tasks, receives answers, decides how each task ended |
//! | `task_table`, `callbacks`, `wakers` | the dispatcher's books |
//! | `supervisor` | starts workers, notices their ends, kills them for a deadline |
//! | `worker` | takes tasks, runs them, sends answers |
//! | `feed` | a pool as a broker's worker uses it (feature `broker`) |
//! | `remote` | the dispatcher's side of a broker (feature `broker`) |
//! | `plan` | what every worker is told |
//! | `function`, `panic` | running a function, and its panic as a value |
//! | `shared` | the shared memory: channels, worker slots, who sleeps |
//! | `message` | every byte that crosses the channels |
//! | `error` | how a task, and a pool, can fail |
//!
//! The supervisor starts the workers while the parent goes on, which may send tasks before
//! there is a worker. The parent waits for the workers only where it could not tell of their
//! failure otherwise: see `builder`.
//!
//! The parent sends tasks into one channel, from which any worker takes the next; answers
//! come back through another. The supervisor stands between them only when a worker ends:
//! it is the workers' parent, and the only process that forks.
//!
//! # The states of a worker
//!
//! A worker's slot in shared memory holds its state and task in one word. The worker
//! writes it, except where the table says otherwise. `t` is a task.
//!
//! | from | to | when |
//! | --- | --- | --- |
//! | no worker | `Initializing` | the supervisor starts a worker that has an initializer to run |
//! | no worker | `Idle` | the supervisor starts a worker without one |
//! | `Initializing` | `Idle` | the initializer has returned |
//! | `Idle` | `Initializing` | there is no memory for the next task: the worker gives up |
//! | `Idle` | `Taking(t)` | the next task is `t`; written before `t` leaves the channel |
//! | `Taking(t)` | `Running(t)` | `t` has left the channel |
//! | `Running(t)` | `Answering(t)` | `t` has ended; a compare-and-swap |
//! | `Running(t)` | `Killing(t)` | `t` is cancelled or past its deadline; the supervisor, by a compare-and-swap |
//! | `Answering(t)` | `Idle` | the answer is in the channel |
//! | any | `Idle` | the worker is dead and the parent was told; the supervisor |
//!
//! The two compare-and-swaps exclude each other. So a worker that is killed for `t`
//! never answers `t` and never takes another task; and a worker whose task has just ended
//! in time is not killed.
//!
//! What the supervisor reports when a worker died, by the state that it died in:
//!
//! | died in | the parent is sent | which means |
//! | --- | --- | --- |
//! | `Idle` | nothing | no task was lost |
//! | `Initializing` | `Unusable`, unless a signal killed it and that has not happened too often in a row | every task ends with [`TaskError::Initializer`] |
//! | `Taking(t)` | `PerhapsLost(t)`, after the slot was cleared | `t` is lost if it has left the channel and no other worker has it: see `dispatcher` |
//! | `Running(t)` | `Ended(t, Killed or Exited)` | `t` is lost |
//! | `Answering(t)` | the same | `t` is lost, unless its answer had been sent: that came first, and the first message on a task counts |
//! | `Killing(t)` | `Ended(t, Cancelled or Deadline)` | `t` ended by that |
//!
//! A task in the parent's table is *in flight* until the last message on it has come, and
//! *held* while somebody may ask for its outcome. Its ticket is free for another task
//! when it is neither.
//!
//! # Why no wake-up is lost
//!
//! A worker without a task spins for a moment and then sleeps. One spinner at a time is
//! enough, and while there is one, submitters wake nobody: they save the system call. This
//! is how [Go's scheduler](https://go.dev/src/runtime/proc.go) parks its threads ("worker
//! thread parking/unparking"), and
//! [rayon's](https://github.com/rayon-rs/rayon/blob/main/rayon-core/src/sleep/README.md)
//! walks through the same race. The steps, in order:
//!
//! | a submitter | a worker |
//! | --- | --- |
//! | S1 puts the task into the channel | W1 spins, finds nothing, is the spinner no more |
//! | S2 fence | W2 fence |
//! | S3 is there a spinner? If not: | W3 looks at the channel |
//! | S4 does a worker sleep? If so, wakes one | W4 marks that a worker sleeps |
//! | | W5 fence |
//! | | W6 looks at the channel |
//! | | W7 sleeps if the mark is still there |
//!
//! All fences are sequentially consistent, so of any two one comes first.
//!
//! - S2 before W2: what was stored before S2 is seen after W2, so W3 finds the task.
//! - W2 before S2: S3 sees that there is no spinner. Then, if S2 comes before W5, W6 finds
//!   the task; otherwise S4 sees the mark, removes it and wakes. A worker between W4 and
//!   W7 does not fall asleep then, as the kernel compares the mark in the same step.
//!
//! A wake-up is for one worker, the one that fell asleep last, and is passed on: a worker
//! that has taken a task wakes another if there are more (`wake_another`). If it dies in
//! between, or is killed while it spins, the supervisor wakes another in its place
//! (`reclaim`). And whatever goes wrong beyond that, no sleep lasts longer than a slice of
//! a tenth of a second.
//!
//! In the parent, one waiting thread sleeps until there are answers, for all others; that
//! is the [leader/followers](https://www.dre.vanderbilt.edu/~schmidt/PDF/lf.pdf) pattern:
//! see `dispatcher`. It says in shared memory at which answer it wants to be woken:
//!
//! | the leader | a sender |
//! | --- | --- |
//! | L1 writes how many answers it wants | A1 puts an answer into the channel |
//! | L2 fence | A2 fence |
//! | L3 looks at the channel | A3 are there as many as are wanted, or many bytes? If so: |
//! | L4 marks that it sleeps | A4 does the leader sleep? If so, wakes it |
//! | L5 fence | |
//! | L6 sleeps if there are too few, and the mark is still there | |
//!
//! - A2 before L2: L3 finds the answer, and the leader begins anew.
//! - L2 before A2: A3 counts as the leader does. If it is the last answer wanted, then
//!   either A2 comes before L5, and L6 finds enough; or A4 sees the mark.
//!
//! What is not the answer to one task may concern all, and wakes the leader in any case:
//! its sender writes, between A2 and A4, that the next answer is wanted. If L1 overwrites
//! that, then A2 came before L2. A thread that becomes a follower writes the same, and
//! then looks at the channel as in L3; both write under the lock of the parent's state.

mod builder;
mod callbacks;
mod dispatcher;
mod error;
#[cfg(feature = "broker")]
mod feed;
mod function;
mod imap;
mod message;
mod panic;
mod plan;
#[cfg(feature = "broker")]
mod remote;
mod result;
mod shared;
mod submit;
mod supervisor;
mod task_table;
mod wakers;
mod worker;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use builder::{PoolBuilder, StartMethod};
use dispatcher::Dispatcher;
pub use error::{PoolError, TaskError};
#[cfg(feature = "broker")]
pub(crate) use feed::{Feed, Ticket};
pub use function::PoolFn;
pub use imap::Imap;
#[cfg(feature = "broker")]
pub(crate) use panic::catch;
pub use result::AsyncResult;
pub use submit::PoolCall;

/// Worker processes that functions are given to: Python's
/// [`Pool`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.pool.Pool).
///
/// ```no_run
/// // Not run: a test has threads, and a process that has threads must not fork.
/// use multiprocessing::Pool;
///
/// fn square(x: u64) -> u64 {
///     x * x
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let pool = Pool::new(4)?;
///     assert_eq!(pool.apply(square, (7,))?, 49);
///     assert_eq!(pool.map(square, 0..4)?, [0, 1, 4, 9]);
///     pool.close();
///     pool.join()?;
///     Ok(())
/// }
/// ```
///
/// A task is a `fn` item or a closure that captures nothing: see [`PoolFn`]. Its
/// arguments and its result are values that serde can carry. What workers print goes to
/// the parent's own output.
///
/// # What becomes of a task
///
/// Exactly one of these: its value, or a [`TaskError`] that says how else it ended. A
/// worker that is killed takes the task with it that it was running, and no other; the
/// task ends with [`TaskError::Killed`], and a new worker takes the place. Python waits
/// for ever for such a task. If the pool's supervisor is killed, every task ends with
/// [`TaskError::Broken`] within a second. If the parent is killed, so are all the others.
///
/// # Threads
///
/// A pool can be used from several threads at once. Starting one by fork needs a process
/// without other threads; by [`StartMethod::Spawn`] it does not. Afterwards there may be
/// any number of threads, since it is the supervisor that forks.
///
/// # Memory
///
/// Tasks that wait for a worker, and answers that nobody has received yet, lie in shared
/// memory, at most 16 GiB of either. What a burst of them has taken goes back to the system
/// as it does for a [`Queue`](crate::Queue#memory). A task that finds no room ends with
/// [`TaskError::System`], one whose result finds none with [`TaskError::Result`].
///
/// # Ctrl+C
///
/// Ctrl+C sends SIGINT to the program and to its workers. If the program does not handle
/// it, all of them end, silently. If it does, its pool stays: the workers take no notice,
/// and tasks that were submitted end with their values. So the handler decides: it may
/// set a flag, by which the program stops submitting and then
/// [`close`](Self::close)s and [`join`](Self::join)s the pool. A function that handles
/// SIGINT in a worker too can be its
/// [`initializer`](PoolBuilder::initializer). See also [`graceful_end`](crate::graceful_end).
///
/// ```no_run
/// // Not run: a test has threads, and a process that has threads must not fork.
/// use multiprocessing::Pool;
/// use signal_hook::consts::SIGINT;
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let stop = Arc::new(AtomicBool::new(false));
///     signal_hook::flag::register(SIGINT, Arc::clone(&stop))?;
///     let pool = Pool::new(4)?;
///     for square in pool.imap(|x: u64| x * x, 0..) {
///         println!("{}", square?);
///         if stop.load(Ordering::Relaxed) {
///             break;
///         }
///     }
///     pool.close();
///     pool.join()?;
///     println!("all tasks have ended");
///     Ok(())
/// }
/// ```
///
/// # At the end
///
/// Dropping a pool terminates it, as does the end of the process. Results that were not
/// asked for before are lost, and tasks that were running are killed:
/// [`close`](Self::close) and [`join`](Self::join) it, or wait for what you want first.
pub struct Pool {
    dispatcher: Arc<Dispatcher>,
}

impl Pool {
    fn over(dispatcher: Dispatcher) -> Self {
        Self {
            dispatcher: Arc::new(dispatcher),
        }
    }

    /// Takes no more tasks. Those that were submitted will be done, and then the workers
    /// end.
    pub fn close(&self) {
        self.dispatcher.close();
    }

    /// Ends the pool at once. Tasks that have not ended do so with
    /// [`TaskError::Terminated`]; no callback is called for them.
    pub fn terminate(&self) {
        self.dispatcher.terminate();
    }

    /// Waits until all tasks have ended, their callbacks have returned and the workers
    /// are gone. [`close`](Self::close) or [`terminate`](Self::terminate) the pool first.
    ///
    /// # Errors
    ///
    /// If neither was called, [`PoolError::StillRunning`], or [`PoolError::Failed`] for a
    /// pool that has ended by itself, as one whose supervisor was killed does. Tasks that
    /// are lost with a closed pool say so themselves. [`PoolError::JoinInCallback`]
    /// in a callback of the pool; [`PoolError::Process`] in any process but the one that
    /// made the pool.
    pub fn join(&self) -> Result<(), PoolError> {
        self.dispatcher.join(None).map(|_in_time| ())
    }

    /// [`join`](Self::join), but no longer than this. Returns whether all was done.
    ///
    /// # Errors
    ///
    /// Those of [`join`](Self::join).
    pub fn join_timeout(&self, timeout: Duration) -> Result<bool, PoolError> {
        self.dispatcher.join(Instant::now().checked_add(timeout))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.dispatcher.shut_down();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("processes", &self.dispatcher.processes())
            .field("state", &self.dispatcher.pool_state())
            .finish_non_exhaustive()
    }
}
