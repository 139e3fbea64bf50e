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
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use builder::{PoolBuilder, StartMethod};
pub use call::Call;
use desk::{Desk, State, Waited};
pub use error::{PoolError, TaskError};
pub use imap::Imap;
pub use result::AsyncResult;
pub use task::Task;

/// Worker processes that functions are given to: Python's
/// [`Pool`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.pool.Pool).
///
/// ```no_run
/// // Not run: a test has threads, and a process that has threads must not fork.
/// use examples_multiprocessing::Pool;
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
/// # At the end
///
/// Dropping a pool terminates it, as does the end of the process. Results that were not
/// asked for before are lost, tasks that were running are killed: [`close`](Self::close)
/// and [`join`](Self::join) it, or wait for what you want first.
pub struct Pool {
    desk: Arc<Desk>,
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

    fn call(&self) -> Call<'_> {
        Call::new(&self.desk)
    }

    /// To give each task so much time, from when it begins to run. One that takes longer
    /// ends with [`TaskError::Deadline`], and a new worker takes the place of the one
    /// that had it. Python has nothing like it.
    pub fn deadline(&self, limit: Duration) -> Call<'_> {
        self.call().deadline(limit)
    }

    /// To send so many tasks of a `map` or `imap` in one piece. It is as a piece that
    /// they have a deadline, and that they are lost with a worker.
    pub fn chunksize(&self, tasks: usize) -> Call<'_> {
        self.call().chunksize(tasks)
    }

    /// Has a worker call `function` with these arguments, a tuple, and waits for the
    /// result.
    ///
    /// # Errors
    ///
    /// How the task ended instead.
    pub fn apply<F, A>(&self, function: F, args: A) -> Result<F::Output, TaskError>
    where
        F: Task<A>,
        A: Serialize + DeserializeOwned,
        F::Output: Serialize + DeserializeOwned,
    {
        self.call().apply(function, args)
    }

    /// Has a worker call `function` with these arguments, a tuple, and does not wait.
    pub fn apply_async<F, A>(&self, function: F, args: A) -> AsyncResult<F::Output>
    where
        F: Task<A>,
        A: Serialize + DeserializeOwned,
        F::Output: Serialize + DeserializeOwned,
    {
        self.call().apply_async(function, args)
    }

    /// Has the workers call `function` with each of the inputs, and gives the results
    /// in their order.
    ///
    /// # Errors
    ///
    /// How the first task ended, in the order of the inputs, that has no value. All of
    /// them have ended then.
    pub fn map<F, A, R>(
        &self,
        function: F,
        inputs: impl IntoIterator<Item = A>,
    ) -> Result<Vec<R>, TaskError>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.call().map(function, inputs)
    }

    /// [`map`](Self::map) that does not wait.
    pub fn map_async<F, A, R>(
        &self,
        function: F,
        inputs: impl IntoIterator<Item = A>,
    ) -> AsyncResult<Vec<R>>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.call().map_async(function, inputs)
    }

    /// [`map`](Self::map) for a function of several arguments: each input is a tuple.
    ///
    /// # Errors
    ///
    /// Those of [`map`](Self::map).
    pub fn starmap<F, A>(
        &self,
        function: F,
        inputs: impl IntoIterator<Item = A>,
    ) -> Result<Vec<F::Output>, TaskError>
    where
        F: Task<A>,
        A: Serialize + DeserializeOwned,
        F::Output: Serialize + DeserializeOwned,
    {
        self.call().starmap(function, inputs)
    }

    /// [`starmap`](Self::starmap) that does not wait.
    pub fn starmap_async<F, A>(
        &self,
        function: F,
        inputs: impl IntoIterator<Item = A>,
    ) -> AsyncResult<Vec<F::Output>>
    where
        F: Task<A>,
        A: Serialize + DeserializeOwned,
        F::Output: Serialize + DeserializeOwned,
    {
        self.call().starmap_async(function, inputs)
    }

    /// [`map`](Self::map) as an iterator, which takes inputs while results are taken
    /// from it. It sends them one by one unless there is a
    /// [`chunksize`](Self::chunksize).
    pub fn imap<F, A, R, I>(&self, function: F, inputs: I) -> Imap<I::IntoIter, R>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        I: IntoIterator<Item = A>,
    {
        self.call().imap(function, inputs)
    }

    /// [`imap`](Self::imap) whose results come in the order in which the tasks end.
    pub fn imap_unordered<F, A, R, I>(
        &self,
        function: F,
        inputs: I,
    ) -> Imap<I::IntoIter, R>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        I: IntoIterator<Item = A>,
    {
        self.call().imap_unordered(function, inputs)
    }

    /// Takes no more tasks. Those that were submitted will be done, and then the workers
    /// end.
    pub fn close(&self) {
        if !self.desk.is_makers() {
            return;
        }
        let mut table = self.desk.lock();
        if table.state == State::Open {
            table.state = State::Closed;
            self.desk.common.close();
        }
    }

    /// Ends the pool at once. Tasks that have not ended do so with
    /// [`TaskError::Terminated`]; no callback is called for them.
    pub fn terminate(&self) {
        if !self.desk.is_makers() {
            return;
        }
        let mut table = self.desk.lock();
        let calls = table.drop_calls();
        table.end_all(&TaskError::Terminated);
        // Where it has ended already, so have its workers.
        let _gone = self.desk.supervisor.terminate();
        self.desk.tell(table);
        // Not under the lock: they are the program's, and may do what they like.
        drop(calls);
    }

    /// Waits until all tasks have ended, their callbacks have returned and the workers
    /// are gone. [`close`](Self::close) or [`terminate`](Self::terminate) the pool first.
    ///
    /// # Errors
    ///
    /// [`PoolError::StillRunning`] where neither was called;
    /// [`PoolError::JoinInCallback`] in a callback of the pool.
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
        if !self.desk.is_makers() {
            return Ok(self.desk.supervisor.join().map(|()| true)?);
        }
        if self.desk.is_caller() {
            return Err(PoolError::JoinInCallback);
        }
        if self.desk.lock().state == State::Open {
            return Err(PoolError::StillRunning);
        }
        if matches!(self.desk.wait_for_all(until), Waited::TimedOut) {
            return Ok(false);
        }
        let supervisor = &self.desk.supervisor;
        Ok(match until {
            None => supervisor.join().map(|()| true),
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                supervisor.join_timeout(left)
            }
        }?)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if !self.desk.is_makers() {
            return;
        }
        self.terminate();
        // A callback that drops its pool goes on, and ends by itself.
        if !self.desk.is_caller() {
            let _done = self.desk.wait_for_all(None);
        }
        // Its end is all that is wanted.
        let _gone = self.desk.supervisor.join();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("processes", &self.desk.common.processes)
            .field("state", &self.desk.lock().state)
            .finish_non_exhaustive()
    }
}
