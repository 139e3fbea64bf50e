//! Giving tasks to a pool: the methods that [`Pool`] and [`PoolCall`] share.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Pool;
use super::dispatcher::{self, Dispatcher};
use super::error::TaskError;
use super::function::{Each, Function, Once, PoolFn};
use super::imap::Imap;
use super::message::{Outcome, Payload, Ticket};
use super::result::AsyncResult;

/// A pool with options for the tasks that it is given next.
/// [`Pool::deadline`] and [`Pool::chunksize`] make one.
///
/// ```no_run
/// // Not run: a test has threads, and a process that has threads must not fork.
/// use multiprocessing::{Pool, TaskError};
/// use std::thread::sleep;
/// use std::time::Duration;
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let pool = Pool::new(2)?;
///     let second = Duration::from_secs(1);
///     let ended = pool.deadline(second).apply(|| sleep(Duration::from_secs(9)), ());
///     assert_eq!(ended, Err(TaskError::Deadline));
///     Ok(())
/// }
/// ```
#[derive(Clone, Copy)]
#[must_use = "it submits nothing by itself"]
pub struct PoolCall<'pool> {
    /// Borrowed from the pool, which ends when it is dropped.
    pub(super) dispatcher: &'pool Arc<Dispatcher>,
    /// For how long each task may run.
    pub(super) limit: Option<Duration>,
    chunksize: Option<usize>,
}

/// The methods by which a pool is given tasks. Each needs `self.with_options()`. The
/// compiler shows the line of the bound `F: Copy` to whoever passes a closure that captures
/// something without `Copy`, and so the line says what to do.
macro_rules! submitting_methods {
    () => {
        /// Has a worker call `function` with these arguments, a tuple, and waits for the
        /// result.
        ///
        /// ```no_run
        /// # // Not run: a test has threads.
        /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
        /// # let pool = multiprocessing::Pool::new(2)?;
        /// assert_eq!(pool.apply(|a: u64, b: u64| a + b, (1, 2))?, 3);
        /// # Ok(())
        /// # }
        /// ```
        ///
        /// # Errors
        ///
        /// A [`TaskError`] that says how the task ended, if it has no value.
        pub fn apply<F, A>(
            &self,
            function: F,
            args: A,
        ) -> Result<F::Output, TaskError>
        where
            F: Copy, // Capture nothing: use another argument, or a `static`.
            F: PoolFn<A>,
            A: Serialize + DeserializeOwned,
            F::Output: Serialize + DeserializeOwned,
        {
            self.with_options().call_and_wait(function, args)
        }

        /// Has a worker call `function` with these arguments, a tuple, and does not
        /// wait.
        ///
        /// ```no_run
        /// # // Not run: a test has threads.
        /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
        /// # let pool = multiprocessing::Pool::new(2)?;
        /// let length = pool.apply_async(|text: String| text.len(), ("seven".into(),));
        /// println!("this is printed while the task runs");
        /// assert_eq!(length.get()?, 5);
        /// # Ok(())
        /// # }
        /// ```
        pub fn apply_async<F, A>(
            &self,
            function: F,
            args: A,
        ) -> AsyncResult<F::Output>
        where
            F: Copy, // Capture nothing: use another argument, or a `static`.
            F: PoolFn<A>,
            A: Serialize + DeserializeOwned,
            F::Output: Serialize + DeserializeOwned,
        {
            let pool = self.with_options();
            let sent = pool.submit_call(function, &args, false);
            AsyncResult::one(pool.dispatcher, sent, Payload::value)
        }

        /// [`apply_async`](Self::apply_async) with an idempotency key: of all calls with
        /// the same key in a queue, from any program, the first makes a task, and the
        /// others get its outcome, even if it is an error, and whatever their function
        /// and arguments are. So a program that was killed may submit its tasks again
        /// without doubling them.
        ///
        /// The key is free again when the result is no longer kept: after the pool's
        /// [`result_ttl`](crate::broker::BrokerPoolBuilder::result_ttl), or a day if it
        /// has none. A key has at most 1024 bytes. [`cancel`](AsyncResult::cancel) only
        /// ends the wait of its caller, since others may wait for the same task. A local
        /// pool refuses the task with [`TaskError::Argument`].
        ///
        /// ```no_run
        /// // Not run: it needs a broker.
        /// # use multiprocessing::{Pool, broker::Tasks};
        /// # fn charge(order: u64) -> u64 { order }
        /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
        /// # let tasks = Tasks::new().add("charge", charge);
        /// # let url = "redis://127.0.0.1/0";
        /// # let pool = Pool::builder().broker(url).tasks(tasks).start()?;
        /// let receipt = pool.apply_async_with_key("order-17", charge, (17,));
        /// let again = pool.apply_async_with_key("order-17", charge, (17,));
        /// assert_eq!(receipt.get()?, again.get()?);
        /// # Ok(())
        /// # }
        /// ```
        #[cfg(feature = "broker")]
        pub fn apply_async_with_key<F, A>(
            &self,
            key: &str,
            function: F,
            args: A,
        ) -> AsyncResult<F::Output>
        where
            F: Copy, // Capture nothing: use another argument, or a `static`.
            F: PoolFn<A>,
            A: Serialize + DeserializeOwned,
            F::Output: Serialize + DeserializeOwned,
        {
            let function = Function::of::<F, Once<A>>(&function);
            self.with_options().submit_with_key(key, function, &args)
        }

        /// Has the workers call `function` with each of the inputs, and returns the
        /// results in the order of the inputs.
        ///
        /// ```no_run
        /// # // Not run: a test has threads.
        /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
        /// # let pool = multiprocessing::Pool::new(2)?;
        /// assert_eq!(pool.map(|x: u64| x * x, 0..4)?, [0, 1, 4, 9]);
        /// # Ok(())
        /// # }
        /// ```
        ///
        /// # Errors
        ///
        /// The [`TaskError`] of the first task, in the order of the inputs, that has no
        /// value. All tasks have ended then, with two exceptions: if an input cannot be
        /// encoded, or the pool takes no more tasks, that is reported at once. Tasks
        /// sent before it still run, but their results are dropped; inputs after it are
        /// not sent.
        pub fn map<F, A, R>(
            &self,
            function: F,
            inputs: impl IntoIterator<Item = A>,
        ) -> Result<Vec<R>, TaskError>
        where
            F: Copy, // Capture nothing: use `starmap` with tuples, or a `static`.
            F: Fn(A) -> R + Send + 'static,
            A: Serialize + DeserializeOwned,
            R: Serialize + DeserializeOwned,
        {
            self.map_async(function, inputs).get()
        }

        /// [`map`](Self::map) that does not wait.
        ///
        /// ```no_run
        /// # // Not run: a test has threads.
        /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
        /// # let pool = multiprocessing::Pool::new(2)?;
        /// let squares = pool.map_async(|x: u64| x * x, 0..4);
        /// assert_eq!(squares.get()?, [0, 1, 4, 9]);
        /// # Ok(())
        /// # }
        /// ```
        pub fn map_async<F, A, R>(
            &self,
            function: F,
            inputs: impl IntoIterator<Item = A>,
        ) -> AsyncResult<Vec<R>>
        where
            F: Copy, // Capture nothing: use `starmap` with tuples, or a `static`.
            F: Fn(A) -> R + Send + 'static,
            A: Serialize + DeserializeOwned,
            R: Serialize + DeserializeOwned,
        {
            let function = Function::of_one::<F, A>(&function);
            self.with_options().submit_all(function, inputs)
        }

        /// [`map`](Self::map) for a function of several arguments: each input is a
        /// tuple.
        ///
        /// ```no_run
        /// # // Not run: a test has threads.
        /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
        /// # let pool = multiprocessing::Pool::new(2)?;
        /// let sums = pool.starmap(|a: u64, b: u64| a + b, [(1, 2), (3, 4)])?;
        /// assert_eq!(sums, [3, 7]);
        /// # Ok(())
        /// # }
        /// ```
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
            F: Copy, // Capture nothing: use another argument, or a `static`.
            F: PoolFn<A>,
            A: Serialize + DeserializeOwned,
            F::Output: Serialize + DeserializeOwned,
        {
            self.starmap_async(function, inputs).get()
        }

        /// [`starmap`](Self::starmap) that does not wait.
        ///
        /// ```no_run
        /// # // Not run: a test has threads.
        /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
        /// # let pool = multiprocessing::Pool::new(2)?;
        /// let sums = pool.starmap_async(|a: u64, b: u64| a + b, [(1, 2), (3, 4)]);
        /// assert_eq!(sums.get()?, [3, 7]);
        /// # Ok(())
        /// # }
        /// ```
        pub fn starmap_async<F, A>(
            &self,
            function: F,
            inputs: impl IntoIterator<Item = A>,
        ) -> AsyncResult<Vec<F::Output>>
        where
            F: Copy, // Capture nothing: use another argument, or a `static`.
            F: PoolFn<A>,
            A: Serialize + DeserializeOwned,
            F::Output: Serialize + DeserializeOwned,
        {
            let function = Function::of::<F, Each<A>>(&function);
            self.with_options().submit_all(function, inputs)
        }

        /// [`map`](Self::map) as an iterator, which takes inputs as results are taken
        /// from it. It sends the inputs one by one unless there is a
        /// [`chunksize`](crate::Pool::chunksize).
        ///
        /// ```no_run
        /// # // Not run: a test has threads.
        /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
        /// # let pool = multiprocessing::Pool::new(2)?;
        /// for square in pool.imap(|x: u64| x * x, 0..).take(10) {
        ///     println!("{}", square?);
        /// }
        /// # Ok(())
        /// # }
        /// ```
        pub fn imap<F, A, R, I>(
            &self,
            function: F,
            inputs: I,
        ) -> Imap<I::IntoIter, R>
        where
            F: Copy, // Capture nothing: use `starmap` with tuples, or a `static`.
            F: Fn(A) -> R + Send + 'static,
            A: Serialize + DeserializeOwned,
            R: Serialize + DeserializeOwned,
            I: IntoIterator<Item = A>,
        {
            let function = Function::of_one::<F, A>(&function);
            self.with_options().iterate(function, inputs, true)
        }

        /// [`imap`](Self::imap) whose results come in the order in which the tasks end.
        ///
        /// ```no_run
        /// # // Not run: a test has threads.
        /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
        /// # let pool = multiprocessing::Pool::new(2)?;
        /// let squares = pool.imap_unordered(|x: u64| x * x, 0..4);
        /// let mut squares = squares.collect::<Result<Vec<_>, _>>()?;
        /// squares.sort_unstable();
        /// assert_eq!(squares, [0, 1, 4, 9]);
        /// # Ok(())
        /// # }
        /// ```
        pub fn imap_unordered<F, A, R, I>(
            &self,
            function: F,
            inputs: I,
        ) -> Imap<I::IntoIter, R>
        where
            F: Copy, // Capture nothing: use `starmap` with tuples, or a `static`.
            F: Fn(A) -> R + Send + 'static,
            A: Serialize + DeserializeOwned,
            R: Serialize + DeserializeOwned,
            I: IntoIterator<Item = A>,
        {
            let function = Function::of_one::<F, A>(&function);
            self.with_options().iterate(function, inputs, false)
        }
    };
}

/// Giving it tasks. [`deadline`](Self::deadline) and [`chunksize`](Self::chunksize) say
/// more about those that follow, as in `pool.chunksize(10).map(f, inputs)`.
impl Pool {
    submitting_methods!();

    /// Limits the time that each task may run, counted from when it begins to run. A
    /// task that takes longer ends with [`TaskError::Deadline`], and a new worker takes
    /// the place of the one that had it. Python has nothing like it.
    pub fn deadline(&self, limit: Duration) -> PoolCall<'_> {
        self.with_options().deadline(limit)
    }

    /// Sends this many inputs of a `map` or `imap` as one task. A deadline then limits the
    /// task as a whole, and a worker that dies takes all its inputs with it. Zero counts
    /// as one.
    pub fn chunksize(&self, inputs: usize) -> PoolCall<'_> {
        self.with_options().chunksize(inputs)
    }

    fn with_options(&self) -> PoolCall<'_> {
        PoolCall {
            dispatcher: &self.dispatcher,
            limit: None,
            chunksize: None,
        }
    }
}

impl PoolCall<'_> {
    submitting_methods!();

    /// See [`Pool::deadline`].
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// See [`Pool::chunksize`].
    pub fn chunksize(mut self, inputs: usize) -> Self {
        self.chunksize = Some(inputs.max(1));
        self
    }

    fn with_options(&self) -> Self {
        *self
    }
}

/// The number of chunks that `map` makes for each worker if no `chunksize` is given.
/// Python makes four, and the last of them to end may leave all other workers idle; a
/// chunk costs about a microsecond.
const CHUNKS_PER_WORKER: usize = 32;

/// What the methods above are made of.
impl PoolCall<'_> {
    fn submit_call<F, A>(
        &self,
        function: F,
        args: &A,
        waits: bool,
    ) -> Result<Ticket, TaskError>
    where
        F: PoolFn<A>,
        A: Serialize + DeserializeOwned,
        F::Output: Serialize,
    {
        let function = Function::of::<F, Once<A>>(&function);
        self.dispatcher
            .submit_call(function, self.limit, args, None, waits)
    }

    fn call_and_wait<F, A>(
        &self,
        function: F,
        args: A,
    ) -> Result<F::Output, TaskError>
    where
        F: PoolFn<A>,
        A: Serialize + DeserializeOwned,
        F::Output: Serialize + DeserializeOwned,
    {
        let ticket = self.submit_call(function, &args, true)?;
        let waited = self.dispatcher.wait(None, |tasks| tasks.is_done(ticket));
        let (mut state, _) = waited;
        let outcome = dispatcher::taken(&mut state.tasks, ticket);
        drop(state);
        outcome?.value()
    }

    fn submit_all<A, R, I>(
        &self,
        function: Function,
        inputs: I,
    ) -> AsyncResult<Vec<R>>
    where
        A: Serialize,
        R: DeserializeOwned,
        I: IntoIterator<Item = A>,
    {
        let inputs = inputs.into_iter().fuse();
        match (self.chunksize, inputs.size_hint()) {
            (Some(size), _) => self.submit_chunks(function, inputs, size),
            (None, (least, Some(most))) if least == most => {
                self.submit_chunks(function, inputs, self.default_chunksize(least))
            }
            (None, _) => {
                let inputs: Vec<A> = inputs.collect();
                let size = self.default_chunksize(inputs.len());
                self.submit_chunks(function, inputs.into_iter(), size)
            }
        }
    }

    fn default_chunksize(&self, inputs: usize) -> usize {
        let workers = self.dispatcher.processes();
        let chunks = workers.saturating_mul(CHUNKS_PER_WORKER);
        inputs.div_ceil(chunks).max(1)
    }

    fn submit_chunks<A, R>(
        &self,
        function: Function,
        mut inputs: impl Iterator<Item = A>,
        size: usize,
    ) -> AsyncResult<Vec<R>>
    where
        A: Serialize,
        R: DeserializeOwned,
    {
        // If the inputs panic, dropping it gives up what was sent.
        let mut result = AsyncResult::many(self.dispatcher, join_values);
        let limit = self.limit;
        while let Some((sent, count)) =
            (self.dispatcher).submit_chunk(function, limit, &mut inputs, size, None)
        {
            if result.add(sent, count).is_err() {
                break;
            }
        }
        result
    }

    fn iterate<A, R, I>(
        &self,
        function: Function,
        inputs: I,
        ordered: bool,
    ) -> Imap<I::IntoIter, R>
    where
        A: Serialize,
        R: DeserializeOwned,
        I: IntoIterator<Item = A>,
    {
        Imap::new(
            self.dispatcher,
            inputs.into_iter(),
            function,
            self.limit,
            self.chunksize.unwrap_or(1),
            ordered,
        )
    }
}

/// The values of all chunks, or the first error in their order.
fn join_values<R: DeserializeOwned>(
    chunks: Vec<(Outcome, usize)>,
) -> Result<Vec<R>, TaskError> {
    let mut values = Vec::with_capacity(chunks.iter().map(|chunk| chunk.1).sum());
    for (outcome, count) in chunks {
        outcome?.values(count).append_to(&mut values)?;
    }
    Ok(values)
}

impl fmt::Debug for PoolCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolCall")
            .field("deadline", &self.limit)
            .field("chunksize", &self.chunksize)
            .finish_non_exhaustive()
    }
}
