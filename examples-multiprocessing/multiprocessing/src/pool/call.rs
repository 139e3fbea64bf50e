//! Submitting tasks.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::desk::{Desk, Outcome, Ticket, VALUE};
use super::task::{self, Each, Once, Values};
use super::{AsyncResult, Imap, Task, TaskError};
use crate::codec;
use crate::sys::routine::Routine;

/// What a pool can be asked to do, and with what options: a [`Pool`](super::Pool) has all
/// of these methods, and [`Pool::deadline`](super::Pool::deadline) and
/// [`Pool::chunksize`](super::Pool::chunksize) give one with options.
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
#[must_use = "it submits nothing by itself"]
pub struct Call<'pool> {
    pub(super) desk: Arc<Desk>,
    limit: Option<Duration>,
    chunksize: Option<usize>,
    /// Dropping the pool ends it, and so this is to end before.
    of: PhantomData<&'pool Desk>,
}

/// As many chunks a `map` makes for each process, if it is not said how large they are.
/// Python makes four, and the last of them to end may leave all other processes idle;
/// a chunk costs about a microsecond.
const CHUNKS_PER_PROCESS: usize = 32;

impl Call<'_> {
    pub(super) fn new(desk: &Arc<Desk>) -> Self {
        Self {
            desk: Arc::clone(desk),
            limit: None,
            chunksize: None,
            of: PhantomData,
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
        let ticket = self.submit_one(function, &args)?;
        let (mut table, _) = self.desk.wait(None, |table| table.is_done(ticket));
        let outcome = table.take(ticket);
        drop(table);
        let bytes = outcome.unwrap_or(Err(TaskError::Broken))?;
        task::value(bytes.get(VALUE..).unwrap_or_default())
    }

    /// Has a worker call `function` with these arguments, a tuple, and does not wait.
    pub fn apply_async<F, A>(&self, function: F, args: A) -> AsyncResult<F::Output>
    where
        F: Task<A>,
        A: Serialize + DeserializeOwned,
        F::Output: Serialize + DeserializeOwned,
    {
        let sent = self.submit_one(function, &args);
        AsyncResult::one(&self.desk, sent, task::value)
    }

    fn submit_one<F, A>(&self, function: F, args: &A) -> Result<Ticket, TaskError>
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

    /// Has the workers call `function` with each of the inputs, and gives the results
    /// in their order.
    ///
    /// # Errors
    ///
    /// How the first task ended, in the order of the inputs, that has no value. All of
    /// them have ended then; but if an input has no form as bytes, or the pool takes no
    /// more, that is told at once: tasks sent before it go on unasked for, and those
    /// behind it are not sent.
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
        self.map_async(function, inputs).get()
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
        // One argument and a tuple of it are the same bytes.
        self.submit_all(Routine::of::<F, Each<(A,)>>(&function), inputs)
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
        self.starmap_async(function, inputs).get()
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
        self.submit_all(Routine::of::<F, Each<A>>(&function), inputs)
    }

    /// [`map`](Self::map) as an iterator, which takes inputs while results are taken
    /// from it. It sends them one by one unless there is a
    /// [`chunksize`](super::Pool::chunksize).
    pub fn imap<F, A, R, I>(&self, function: F, inputs: I) -> Imap<I::IntoIter, R>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        I: IntoIterator<Item = A>,
    {
        self.iterate(Routine::of::<F, Each<(A,)>>(&function), inputs, true)
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
        self.iterate(Routine::of::<F, Each<(A,)>>(&function), inputs, false)
    }

    fn iterate<A, R, I>(
        &self,
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
            &self.desk,
            inputs.into_iter(),
            routine,
            self.limit,
            self.chunksize.unwrap_or(1),
            ordered,
        )
    }

    fn submit_all<A, R, I>(
        &self,
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

    fn default_size(&self, inputs: usize) -> usize {
        let chunks = self
            .desk
            .common
            .processes
            .saturating_mul(CHUNKS_PER_PROCESS);
        inputs.div_ceil(chunks).max(1)
    }

    fn submit_chunks<A, R>(
        &self,
        routine: Option<Routine>,
        mut inputs: impl Iterator<Item = A>,
        size: usize,
    ) -> AsyncResult<Vec<R>>
    where
        A: Serialize,
        R: DeserializeOwned,
    {
        // It lets go of what was sent, should the inputs panic.
        let mut result = AsyncResult::many(&self.desk, values);
        loop {
            let inputs = &mut inputs;
            let chunk = self
                .desk
                .submit_chunk(routine, self.limit, inputs, size, None);
            let Some((sent, count)) = chunk else {
                return result;
            };
            if result.add(sent, count).is_err() {
                return result;
            }
        }
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
