//! Submitting tasks.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::desk::{Desk, Outcome, Ticket, VALUE};
use super::task::{self, Each, Once, Values};
use super::{AsyncResult, Imap, Task, TaskError};
use crate::codec;
use crate::sys::routine::Routine;

/// A pool's methods with options for the tasks that are submitted by them: made by
/// [`Pool::deadline`](super::Pool::deadline) and
/// [`Pool::chunksize`](super::Pool::chunksize).
///
/// ```no_run
/// // Not run: a test has threads, and a process that has threads must not fork.
/// use examples_multiprocessing::{Pool, TaskError};
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
pub struct Call<'pool> {
    desk: &'pool Arc<Desk>,
    limit: Option<Duration>,
    chunksize: Option<usize>,
}

/// As many chunks a `map` makes for each process, if it is not said how large they are.
/// Python makes four, and the last of them to end may leave all other processes idle;
/// a chunk costs about a microsecond.
const CHUNKS_PER_PROCESS: usize = 32;

impl<'pool> Call<'pool> {
    pub(super) fn new(desk: &'pool Arc<Desk>) -> Self {
        Self {
            desk,
            limit: None,
            chunksize: None,
        }
    }

    /// See [`Pool::deadline`](super::Pool::deadline).
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// See [`Pool::chunksize`](super::Pool::chunksize). None is taken for one.
    pub fn chunksize(mut self, tasks: usize) -> Self {
        self.chunksize = Some(tasks.max(1));
        self
    }

    /// See [`Pool::apply`](super::Pool::apply).
    ///
    /// # Errors
    ///
    /// How the task ended instead.
    pub fn apply<F, A>(self, function: F, args: A) -> Result<F::Output, TaskError>
    where
        F: Task<A>,
        A: Serialize + DeserializeOwned,
        F::Output: Serialize + DeserializeOwned,
    {
        let ticket = self.submit_one(function, &args)?;
        let (mut table, _) = self.desk.wait(None, |table| table.is_done(ticket));
        let outcome = table.take(ticket);
        drop(table);
        let bytes = outcome.unwrap_or(Err(TaskError::Broken))?;
        task::value(bytes.get(VALUE..).unwrap_or_default())
    }

    /// See [`Pool::apply_async`](super::Pool::apply_async).
    pub fn apply_async<F, A>(self, function: F, args: A) -> AsyncResult<F::Output>
    where
        F: Task<A>,
        A: Serialize + DeserializeOwned,
        F::Output: Serialize + DeserializeOwned,
    {
        let sent = self.submit_one(function, &args);
        AsyncResult::one(self.desk, sent, task::value)
    }

    fn submit_one<F, A>(self, function: F, args: &A) -> Result<Ticket, TaskError>
    where
        F: Task<A>,
        A: Serialize + DeserializeOwned,
        F::Output: Serialize,
    {
        let routine = Routine::of::<F, Once<A>>(&function);
        let routine = routine.ok_or(TaskError::Foreign)?;
        let mut message = Desk::message();
        let encoded = codec::append(args, &mut message);
        let sent = match encoded {
            Ok(()) => self.desk.submit(routine, self.limit, &mut message, None),
            Err(error) => Err(TaskError::Argument(error.to_string())),
        };
        codec::keep(message);
        sent
    }

    /// See [`Pool::map`](super::Pool::map).
    ///
    /// # Errors
    ///
    /// How the first task ended that has no value.
    pub fn map<F, A, R>(
        self,
        function: F,
        inputs: impl IntoIterator<Item = A>,
    ) -> Result<Vec<R>, TaskError>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.map_async(function, inputs).get()
    }

    /// See [`Pool::map_async`](super::Pool::map_async).
    pub fn map_async<F, A, R>(
        self,
        function: F,
        inputs: impl IntoIterator<Item = A>,
    ) -> AsyncResult<Vec<R>>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        // One argument and a tuple of it are the same bytes.
        self.submit_all(Routine::of::<F, Each<(A,)>>(&function), inputs)
    }

    /// See [`Pool::starmap`](super::Pool::starmap).
    ///
    /// # Errors
    ///
    /// How the first task ended that has no value.
    pub fn starmap<F, A>(
        self,
        function: F,
        inputs: impl IntoIterator<Item = A>,
    ) -> Result<Vec<F::Output>, TaskError>
    where
        F: Task<A>,
        A: Serialize + DeserializeOwned,
        F::Output: Serialize + DeserializeOwned,
    {
        self.starmap_async(function, inputs).get()
    }

    /// See [`Pool::starmap_async`](super::Pool::starmap_async).
    pub fn starmap_async<F, A>(
        self,
        function: F,
        inputs: impl IntoIterator<Item = A>,
    ) -> AsyncResult<Vec<F::Output>>
    where
        F: Task<A>,
        A: Serialize + DeserializeOwned,
        F::Output: Serialize + DeserializeOwned,
    {
        self.submit_all(Routine::of::<F, Each<A>>(&function), inputs)
    }

    /// See [`Pool::imap`](super::Pool::imap).
    pub fn imap<F, A, R, I>(self, function: F, inputs: I) -> Imap<I::IntoIter, R>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        I: IntoIterator<Item = A>,
    {
        self.iterate(Routine::of::<F, Each<(A,)>>(&function), inputs, true)
    }

    /// See [`Pool::imap_unordered`](super::Pool::imap_unordered).
    pub fn imap_unordered<F, A, R, I>(
        self,
        function: F,
        inputs: I,
    ) -> Imap<I::IntoIter, R>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        I: IntoIterator<Item = A>,
    {
        self.iterate(Routine::of::<F, Each<(A,)>>(&function), inputs, false)
    }

    fn iterate<A, R, I>(
        self,
        routine: Option<Routine>,
        inputs: I,
        ordered: bool,
    ) -> Imap<I::IntoIter, R>
    where
        A: Serialize,
        R: DeserializeOwned,
        I: IntoIterator<Item = A>,
    {
        Imap::new(
            self.desk,
            inputs.into_iter(),
            routine,
            self.limit,
            self.chunksize.unwrap_or(1),
            ordered,
        )
    }

    fn submit_all<A, R, I>(
        self,
        routine: Option<Routine>,
        inputs: I,
    ) -> AsyncResult<Vec<R>>
    where
        A: Serialize,
        R: DeserializeOwned,
        I: IntoIterator<Item = A>,
    {
        let inputs = inputs.into_iter().fuse();
        match (self.chunksize, inputs.size_hint()) {
            (Some(size), _) => self.submit_chunks(routine, inputs, size),
            (None, (least, Some(most))) if least == most => {
                self.submit_chunks(routine, inputs, self.default_size(least))
            }
            (None, _) => {
                let inputs: Vec<A> = inputs.collect();
                let size = self.default_size(inputs.len());
                self.submit_chunks(routine, inputs.into_iter(), size)
            }
        }
    }

    fn default_size(self, inputs: usize) -> usize {
        let chunks = self
            .desk
            .common
            .processes
            .saturating_mul(CHUNKS_PER_PROCESS);
        inputs.div_ceil(chunks).max(1)
    }

    fn submit_chunks<A, R>(
        self,
        routine: Option<Routine>,
        mut inputs: impl Iterator<Item = A>,
        size: usize,
    ) -> AsyncResult<Vec<R>>
    where
        A: Serialize,
        R: DeserializeOwned,
    {
        // It lets go of what was sent, should the inputs panic.
        let mut result = AsyncResult::many(self.desk, values);
        loop {
            let Some((sent, count)) = self.submit_chunk(routine, &mut inputs, size)
            else {
                return result;
            };
            if result.add(sent, count).is_err() {
                return result;
            }
        }
    }

    /// Sends at most `size` inputs as one chunk; nothing if there are none.
    fn submit_chunk<A: Serialize>(
        self,
        routine: Option<Routine>,
        inputs: &mut impl Iterator<Item = A>,
        size: usize,
    ) -> Option<(Result<Ticket, TaskError>, usize)> {
        let mut message = Desk::message();
        let chunk = task::append_chunk(&mut message, inputs, size)?;
        let sent = match (routine, chunk.refused) {
            (_, Some(error)) => Err(TaskError::Argument(error.to_string())),
            (None, _) => Err(TaskError::Foreign),
            (Some(routine), None) => {
                self.desk.submit(routine, self.limit, &mut message, None)
            }
        };
        codec::keep(message);
        Some((sent, chunk.count))
    }
}

/// The values of all chunks, or the first error in their order.
fn values<R: DeserializeOwned>(
    chunks: Vec<(Outcome, usize)>,
) -> Result<Vec<R>, TaskError> {
    let mut values = Vec::with_capacity(chunks.iter().map(|chunk| chunk.1).sum());
    for (outcome, count) in chunks {
        Values::new(outcome?, VALUE, count).append_to(&mut values)?;
    }
    Ok(values)
}

impl std::fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call")
            .field("deadline", &self.limit)
            .field("chunksize", &self.chunksize)
            .finish_non_exhaustive()
    }
}
