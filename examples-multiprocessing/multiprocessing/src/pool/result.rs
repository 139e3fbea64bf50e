//! What becomes of a task, for the thread that submitted it.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::dispatcher::{self, Dispatcher, State, Waited};
use super::error::TaskError;
use super::message::{Outcome, Payload, Ticket};
use super::task_table::TaskTable;
use crate::poison::lock_unpoisoned;

/// A result that is still to come: Python's
/// [`AsyncResult`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.pool.AsyncResult),
/// of [`apply_async`](super::Pool::apply_async), [`map_async`](super::Pool::map_async)
/// and [`starmap_async`](super::Pool::starmap_async).
///
/// ```no_run
/// // Not run: a test has threads, and a process that has threads must not fork.
/// use multiprocessing::Pool;
/// use std::time::Duration;
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let pool = Pool::new(2)?;
///     let double = pool.apply_async(|x: i32| 2 * x, (21,));
///     let double = match double.get_timeout(Duration::from_secs(1)) {
///         Ok(ended) => ended?,
///         Err(still_running) => still_running.get()?,
///     };
///     assert_eq!(double, 42);
///     Ok(())
/// }
/// ```
///
/// It is a [`Future`] too, which any executor can await:
///
/// ```no_run
/// # // Not run: a test has threads.
/// # async fn sum(pool: multiprocessing::Pool) -> Result<i32, multiprocessing::TaskError> {
/// let double = pool.apply_async(|x: i32| 2 * x, (21,));
/// let triple = pool.apply_async(|x: i32| 3 * x, (14,));
/// Ok(double.await? + triple.await?)
/// # }
/// ```
///
/// A thread that waits for a result receives it, and whatever else comes in the meantime.
/// A thread of the pool receives results only while there are callbacks to be called or
/// futures to be woken. Dropping the handle does not stop the task.
pub struct AsyncResult<T> {
    dispatcher: Arc<Dispatcher>,
    parts: Parts<T>,
    /// The id at the broker of a task that another sender may have submitted. That of
    /// this sender's own tasks follows from their numbers.
    #[cfg(feature = "broker")]
    pub(super) given_id: Option<String>,
}

/// Makes the value of a single call.
type ReadOne<T> = fn(&Payload) -> Result<T, TaskError>;
/// Makes the value of many calls from the outcomes of their chunks, each with the number
/// of its calls.
type ReadMany<T> = fn(Vec<(Outcome, usize)>) -> Result<T, TaskError>;

enum Parts<T> {
    /// It was not even sent.
    Refused(TaskError),
    One(Ticket, ReadOne<T>),
    /// Chunks, each with the number of its calls.
    Many(Vec<(Ticket, usize)>, ReadMany<T>),
}

impl<T> Parts<T> {
    fn tickets(&self) -> Vec<Ticket> {
        match self {
            Self::Refused(_) => Vec::new(),
            Self::One(ticket, _) => vec![*ticket],
            Self::Many(chunks, _) => chunks.iter().map(|chunk| chunk.0).collect(),
        }
    }

    /// A question that can be asked again and again: how many tasks, at least, have not
    /// ended. It does not look twice at those before the first that has not, nor ever at
    /// more than a few after it.
    fn missing(&self) -> impl FnMut(&mut TaskTable) -> usize {
        const FEW: usize = 64;
        let mut done = 0;
        move |tasks| match self {
            Self::Refused(_) => 0,
            Self::One(ticket, _) => usize::from(!tasks.is_done(*ticket)),
            Self::Many(chunks, _) => {
                let is_done = |chunk: &&(Ticket, usize)| tasks.is_done(chunk.0);
                done += chunks[done..].iter().take_while(is_done).count();
                let rest = chunks[done..].iter().take(FEW);
                rest.filter(|chunk| !is_done(chunk)).count()
            }
        }
    }

    /// Takes the result of tasks that have ended. It is decoded when the state is
    /// unlocked again.
    fn take(&mut self, mut state: MutexGuard<'_, State>) -> Result<T, TaskError> {
        let tasks = &mut state.tasks;
        match mem::replace(self, Self::Refused(TaskError::Terminated)) {
            Self::Refused(error) => Err(error),
            Self::One(ticket, read) => {
                let outcome = dispatcher::taken(tasks, ticket);
                drop(state);
                read(&outcome?)
            }
            Self::Many(chunks, read) => {
                let outcomes = chunks
                    .into_iter()
                    .map(|(ticket, count)| (dispatcher::taken(tasks, ticket), count))
                    .collect();
                drop(state);
                read(outcomes)
            }
        }
    }
}

impl<T> AsyncResult<T> {
    /// The ticket, if it is one task that was sent.
    #[cfg(feature = "broker")]
    pub(super) fn single(&self) -> Option<(&Arc<Dispatcher>, Ticket)> {
        match &self.parts {
            Parts::One(ticket, _) => Some((&self.dispatcher, *ticket)),
            _ => None,
        }
    }

    pub(super) fn one(
        dispatcher: &Arc<Dispatcher>,
        sent: Result<Ticket, TaskError>,
        read: ReadOne<T>,
    ) -> Self {
        Self {
            dispatcher: Arc::clone(dispatcher),
            parts: match sent {
                Ok(ticket) => Parts::One(ticket, read),
                Err(error) => Parts::Refused(error),
            },
            #[cfg(feature = "broker")]
            given_id: None,
        }
    }

    pub(super) fn many(dispatcher: &Arc<Dispatcher>, read: ReadMany<T>) -> Self {
        Self {
            dispatcher: Arc::clone(dispatcher),
            parts: Parts::Many(Vec::new(), read),
            #[cfg(feature = "broker")]
            given_id: None,
        }
    }

    /// Adds a chunk of `count` calls. If it was not sent, the others are given up.
    pub(super) fn add(
        &mut self,
        sent: Result<Ticket, TaskError>,
        count: usize,
    ) -> Result<(), ()> {
        match sent {
            Ok(ticket) => {
                if let Parts::Many(chunks, _) = &mut self.parts {
                    chunks.push((ticket, count));
                }
                Ok(())
            }
            Err(error) => {
                self.give_up();
                self.parts = Parts::Refused(error);
                Err(())
            }
        }
    }

    /// Waits for the result.
    ///
    /// # Errors
    ///
    /// A [`TaskError`] that says how the task ended, if it has no value. Of several
    /// tasks, the error of the first in their order that has none; all of them have
    /// ended then.
    pub fn get(mut self) -> Result<T, TaskError> {
        let Self {
            dispatcher, parts, ..
        } = &mut self;
        // The tasks end at the latest when the pool is broken or terminated.
        let (state, _) = dispatcher.wait_for(None, parts.missing());
        parts.take(state)
    }

    /// Waits for the result, but no longer than this.
    ///
    /// # Errors
    ///
    /// The handle, if the result was not there in time: Python's `TimeoutError`.
    pub fn get_timeout(
        self,
        timeout: Duration,
    ) -> Result<Result<T, TaskError>, Self> {
        if self.wait_timeout(timeout) {
            Ok(self.get())
        } else {
            Err(self)
        }
    }

    /// Waits until the task has ended.
    pub fn wait(&self) {
        let (_state, _) = self.dispatcher.wait_for(None, self.parts.missing());
    }

    /// Waits until the task has ended, but no longer than this. Returns whether it has.
    #[must_use]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        let until = Instant::now().checked_add(timeout);
        let (_state, waited) = self.dispatcher.wait_for(until, self.parts.missing());
        waited == Waited::Done
    }

    /// Whether the task has ended.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.wait_timeout(Duration::ZERO)
    }

    /// Whether the task has ended with a value; nothing while it has not ended. Python
    /// raises `ValueError` then. The value is not decoded: only [`get`](Self::get) finds
    /// out if its bytes do not make a value of this type.
    #[must_use]
    pub fn successful(&self) -> Option<bool> {
        if !self.ready() {
            return None;
        }
        let tasks = &self.dispatcher.lock().tasks;
        Some(match &self.parts {
            Parts::Refused(_) => false,
            Parts::One(ticket, _) => matches!(tasks.outcome(*ticket), Some(Ok(_))),
            Parts::Many(chunks, _) => chunks.iter().all(|(ticket, _)| {
                matches!(tasks.outcome(*ticket), Some(Ok(payload)) if payload.all_succeeded())
            }),
        })
    }

    /// Cancels the task. If it has not begun, it never does; if it runs, its worker is
    /// killed, and another takes that one's place. Returns whether the task is
    /// cancelled, since it may have ended before. Python has nothing like it.
    ///
    /// What the task has done until then stays done, perhaps half of it.
    #[expect(clippy::must_use_candidate, reason = "it is cancelled either way")]
    pub fn cancel(&self) -> bool {
        self.dispatcher.cancel(&self.parts.tickets())
    }

    /// Has a function called with the value once it is there: by a thread of the pool,
    /// one callback at a time, in the order in which tasks end. Python's argument
    /// `callback`.
    ///
    /// The handle remains good for the value too. If a callback panics, that is reported
    /// on standard error, and the callbacks after it are called all the same.
    #[expect(
        clippy::return_self_not_must_use,
        reason = "Python ignores the handle too"
    )]
    pub fn callback(self, callback: impl FnOnce(T) + Send + 'static) -> Self
    where
        T: 'static,
    {
        self.add_callback(|ended| {
            if let Ok(value) = ended {
                callback(value);
            }
        })
    }

    /// Has a function called with the error, if the task ends without a value. Python's
    /// argument `error_callback`.
    #[expect(
        clippy::return_self_not_must_use,
        reason = "Python ignores the handle too"
    )]
    pub fn error_callback(
        self,
        callback: impl FnOnce(TaskError) + Send + 'static,
    ) -> Self
    where
        T: 'static,
    {
        self.add_callback(|ended| {
            if let Err(error) = ended {
                callback(error);
            }
        })
    }

    fn add_callback(
        self,
        callback: impl FnOnce(Result<T, TaskError>) + Send + 'static,
    ) -> Self
    where
        T: 'static,
    {
        let mut state = self.dispatcher.lock();
        let tasks = &mut state.tasks;
        match &self.parts {
            Parts::Refused(error) => {
                let error = error.clone();
                let call = Box::new(|outcome: Outcome| {
                    callback(outcome.and(Err(TaskError::Closed)));
                });
                tasks.add_callback_now(call, Err(error));
            }
            Parts::One(ticket, read) => {
                let read = *read;
                let call = move |outcome: Outcome| {
                    callback(outcome.and_then(|payload| read(&payload)));
                };
                tasks.add_callback(*ticket, Box::new(call));
            }
            Parts::Many(chunks, read) if chunks.is_empty() => {
                let read = *read;
                let call = Box::new(move |_| callback(read(Vec::new())));
                tasks.add_callback_now(call, Ok(Payload::default()));
            }
            Parts::Many(chunks, read) => {
                let read = *read;
                let gathering = Arc::new(Mutex::new(Gathering {
                    outcomes: chunks.iter().map(|chunk| (None, chunk.1)).collect(),
                    missing: chunks.len(),
                    callback: Some(Box::new(move |outcomes| {
                        callback(read(outcomes));
                    })),
                }));
                for (position, (ticket, _)) in chunks.iter().enumerate() {
                    let gathering = Arc::clone(&gathering);
                    let call =
                        move |outcome| Gathering::add(&gathering, position, outcome);
                    tasks.add_callback(*ticket, Box::new(call));
                }
            }
        }
        self.dispatcher.start_callbacks(state);
        self
    }

    /// Nobody will ask for the outcomes.
    fn give_up(&mut self) {
        let tickets = self.parts.tickets();
        if !tickets.is_empty() && self.dispatcher.is_owner() {
            let mut state = self.dispatcher.lock();
            let outcomes: Vec<_> = tickets
                .into_iter()
                .map(|ticket| state.tasks.take(ticket))
                .collect();
            // Unlocked first: the outcomes may be large.
            drop(state);
            drop(outcomes);
        }
    }
}

type GatheredCallback = Box<dyn FnOnce(Vec<(Outcome, usize)>) + Send>;

/// The outcomes of the chunks that a callback waits for.
struct Gathering {
    outcomes: Vec<(Option<Outcome>, usize)>,
    missing: usize,
    callback: Option<GatheredCallback>,
}

impl Gathering {
    fn add(this: &Mutex<Self>, position: usize, outcome: Outcome) {
        let mut this = lock_unpoisoned(this);
        this.outcomes[position].0 = Some(outcome);
        this.missing -= 1;
        if this.missing > 0 {
            return;
        }
        let outcomes = mem::take(&mut this.outcomes).into_iter();
        let outcomes =
            outcomes.filter_map(|(outcome, count)| Some((outcome?, count)));
        let outcomes = outcomes.collect();
        let callback = this.callback.take();
        drop(this);
        if let Some(callback) = callback {
            callback(outcomes);
        }
    }
}

/// The first poll that finds the task running starts a thread of the pool, which ends
/// when no future waits. If the system refuses the thread, the poll waits for the result.
impl<T> Future for AsyncResult<T> {
    type Output = Result<T, TaskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self {
            dispatcher, parts, ..
        } = &mut *self;
        // Receives what has come already.
        let now = Some(Instant::now());
        let (mut state, waited) = dispatcher.wait_for(now, parts.missing());
        if waited == Waited::Done {
            return Poll::Ready(parts.take(state));
        }
        // The next poll looks for the next one.
        let running = parts
            .tickets()
            .into_iter()
            .find(|t| !state.tasks.is_done(*t));
        let replaced =
            running.and_then(|t| state.tasks.set_waker(t, cx.waker().clone()));
        if dispatcher.start_wakers(state) {
            drop(replaced);
            return Poll::Pending;
        }
        let (state, _) = dispatcher.wait_for(None, parts.missing());
        Poll::Ready(parts.take(state))
    }
}

impl<T> Drop for AsyncResult<T> {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl<T> fmt::Debug for AsyncResult<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncResult").finish_non_exhaustive()
    }
}
