//! A pool of worker processes that functions are given to: Python's
//! [`multiprocessing.Pool`](https://docs.python.org/3/library/multiprocessing.html#module-multiprocessing.pool).
//!
//! Layout, from the caller to the worker and back:
//!
//! - [`call`], [`result`], [`imap`], `builder`: what the program sees;
//! - [`desk`]: the parent's side, which sends tasks and knows how each of them ended;
//! - [`board`], [`message`]: what crosses, in shared memory;
//! - [`supervisor`]: starts workers and sees to their ends;
//! - [`worker`], [`task`]: runs what comes.

mod board;
mod builder;
mod call;
mod desk;
mod error;
mod imap;
mod message;
mod result;
mod supervisor;
mod task;
mod worker;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use builder::{PoolBuilder, StartMethod};
pub use call::Call;
use desk::{Desk, State, Waited};
pub use error::{PoolError, TaskError};
pub use imap::Imap;
pub use result::AsyncResult;
pub use task::Task;

/// Worker processes that functions are given to: Python's
/// [`Pool`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.pool.Pool).
/// The methods that do so are those of [`Call`]: [`apply`](Call::apply),
/// [`apply_async`](Call::apply_async), [`map`](Call::map),
/// [`map_async`](Call::map_async), [`starmap`](Call::starmap),
/// [`starmap_async`](Call::starmap_async), [`imap`](Call::imap) and
/// [`imap_unordered`](Call::imap_unordered).
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
/// A task is a `fn` item or a closure that captures nothing. Its arguments and its
/// result are values of serde's. What workers print comes out as the parent's own
/// output does.
///
/// # What becomes of a task
///
/// Exactly one of these: its value, or a [`TaskError`] that says how else it ended. A
/// worker that is killed takes the task along that it was running, and no other; the
/// task ends with [`TaskError::Killed`], and a new worker takes the place. Python waits
/// for ever for such a task. If the pool's supervisor is killed, every task ends with
/// [`TaskError::Broken`] within a second. If the parent is, so are all the others.
///
/// # Threads
///
/// A pool can be used from several threads at once. Starting one by fork needs a
/// process without other threads, by [`StartMethod::Spawn`] not. Afterwards there may be
/// any number of them, for it is the supervisor that forks.
///
/// # Memory
///
/// Tasks that wait for a worker, and answers that nobody has received yet, lie in shared
/// memory, 16 GiB of either at most. A task that finds no room ends with
/// [`TaskError::System`], one whose result finds none with [`TaskError::Result`].
///
/// # At the end
///
/// Dropping a pool terminates it, as does the end of the process. Results that were not
/// asked for before are lost, tasks that were running are killed: [`close`](Self::close)
/// and [`join`](Self::join) it, or wait for what you want first.
pub struct Pool {
    /// Without options.
    call: Call<'static>,
}

impl Pool {
    /// A pool of so many workers, started by fork.
    ///
    /// # Errors
    ///
    /// Those of [`PoolBuilder::start`].
    pub fn new(processes: usize) -> Result<Self, PoolError> {
        Self::builder().processes(processes).start()
    }

    /// To choose more than the number of workers, or to leave that to the machine.
    pub fn builder() -> PoolBuilder {
        PoolBuilder::new()
    }

    fn of(desk: Desk) -> Self {
        Self {
            call: Call::new(&Arc::new(desk)),
        }
    }

    fn desk(&self) -> &Arc<Desk> {
        &self.call.desk
    }

    /// To give each task so much time, from when it begins to run. One that takes longer
    /// ends with [`TaskError::Deadline`], and a new worker takes the place of the one
    /// that had it. Python has nothing like it.
    pub fn deadline(&self, limit: Duration) -> Call<'_> {
        Call::new(self.desk()).deadline(limit)
    }

    /// To send so many tasks of a `map` or `imap` in one piece. It is as a piece that
    /// they have a deadline, and that they are lost with a worker.
    pub fn chunksize(&self, tasks: usize) -> Call<'_> {
        Call::new(self.desk()).chunksize(tasks)
    }

    /// Takes no more tasks. Those that were submitted will be done, and then the workers
    /// end.
    pub fn close(&self) {
        if !self.desk().is_makers() {
            return;
        }
        let mut table = self.desk().lock();
        if table.state == State::Open {
            table.state = State::Closed;
            self.desk().common.close();
        }
    }

    /// Ends the pool at once. Tasks that have not ended do so with
    /// [`TaskError::Terminated`]; no callback is called for them.
    pub fn terminate(&self) {
        if !self.desk().is_makers() {
            return;
        }
        let mut table = self.desk().lock();
        let calls = table.drop_calls();
        table.end_all(&TaskError::Terminated);
        // Where it has ended already, so have its workers.
        let _gone = self.desk().supervisor.terminate();
        self.desk().tell(table);
        // Not under the lock: they are the program's, and may do what they like.
        drop(calls);
    }

    /// Waits until all tasks have ended, their callbacks have returned and the workers
    /// are gone. [`close`](Self::close) or [`terminate`](Self::terminate) the pool first.
    ///
    /// # Errors
    ///
    /// [`PoolError::StillRunning`] where neither was called;
    /// [`PoolError::JoinInCallback`] in a callback of the pool;
    /// [`PoolError::Process`] in any process but the one that made the pool.
    pub fn join(&self) -> Result<(), PoolError> {
        self.join_until(None).map(|_done| ())
    }

    /// [`join`](Self::join), but no longer than this. Returns whether all was done.
    ///
    /// # Errors
    ///
    /// Those of [`join`](Self::join).
    pub fn join_timeout(&self, timeout: Duration) -> Result<bool, PoolError> {
        self.join_until(Instant::now().checked_add(timeout))
    }

    fn join_until(&self, until: Option<Instant>) -> Result<bool, PoolError> {
        if !self.desk().is_makers() {
            return Ok(self.desk().supervisor.join().map(|()| true)?);
        }
        if self.desk().is_caller() {
            return Err(PoolError::JoinInCallback);
        }
        if self.desk().lock().state == State::Open {
            return Err(PoolError::StillRunning);
        }
        if matches!(self.desk().wait_for_all(until), Waited::TimedOut) {
            return Ok(false);
        }
        let supervisor = &self.desk().supervisor;
        Ok(match until {
            None => supervisor.join().map(|()| true),
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                supervisor.join_timeout(left)
            }
        }?)
    }
}

impl Deref for Pool {
    type Target = Call<'static>;

    fn deref(&self) -> &Call<'static> {
        &self.call
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if !self.desk().is_makers() {
            return;
        }
        self.terminate();
        // A callback that drops its pool goes on, and ends by itself.
        if !self.desk().is_caller() {
            let _done = self.desk().wait_for_all(None);
        }
        // Its end is all that is wanted.
        let _gone = self.desk().supervisor.join();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("processes", &self.desk().common.processes)
            .field("state", &self.desk().lock().state)
            .finish_non_exhaustive()
    }
}
