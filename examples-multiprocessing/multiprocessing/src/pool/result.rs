//! What becomes of a task, for whoever submitted it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::TaskError;
use super::desk::{Desk, Outcome, Table, Ticket, VALUE, Waited};

/// A result that is still to come: Python's
/// [`AsyncResult`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.pool.AsyncResult),
/// of [`apply_async`](super::Call::apply_async) and of
/// [`map_async`](super::Call::map_async).
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
/// Whoever waits for a result receives it, and whatever else comes meanwhile: no thread
/// does so in the background. Dropping the handle does not stop the task.
pub struct AsyncResult<T> {
    desk: Arc<Desk>,
    parts: Parts<T>,
}

/// From the bytes of an answer to the value.
type ReadOne<T> = fn(&[u8]) -> Result<T, TaskError>;
/// From the outcomes of chunks, each with its number of tasks, to the value.
type ReadMany<T> = fn(Vec<(Outcome, usize)>) -> Result<T, TaskError>;

enum Parts<T> {
    /// It was not even sent.
    Refused(TaskError),
    One(Ticket, ReadOne<T>),
    /// Chunks, each with its number of tasks.
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

    /// A look whether all have ended. None is looked at again that had.
    fn all_done(&self) -> impl FnMut(&mut Table) -> bool {
        let mut done = 0;
        move |table| match self {
            Self::Refused(_) => true,
            Self::One(ticket, _) => table.is_done(*ticket),
            Self::Many(chunks, _) => {
                let rest = chunks[done..].iter();
                done += rest.take_while(|chunk| table.is_done(chunk.0)).count();
                done == chunks.len()
            }
        }
    }
}

impl<T> Parts<T> {
    /// Takes the result of what has ended. Decodes it when the table is free again.
    fn take(&mut self, mut table: MutexGuard<'_, Table>) -> Result<T, TaskError> {
        let missing = || Err(TaskError::Broken);
        match std::mem::replace(self, Self::Refused(TaskError::Terminated)) {
            Self::Refused(error) => Err(error),
            Self::One(ticket, read) => {
                let outcome = table.take(ticket);
                drop(table);
                let bytes = outcome.unwrap_or_else(missing)?;
                read(bytes.get(VALUE..).unwrap_or_default())
            }
            Self::Many(chunks, read) => {
                let outcomes = chunks.into_iter().map(|(ticket, count)| {
                    (table.take(ticket).unwrap_or_else(missing), count)
                });
                let outcomes = outcomes.collect();
                drop(table);
                read(outcomes)
            }
        }
    }
}

impl<T> AsyncResult<T> {
    pub(super) fn one(
        desk: &Arc<Desk>,
        sent: Result<Ticket, TaskError>,
        read: ReadOne<T>,
    ) -> Self {
        let parts = match sent {
            Ok(ticket) => Parts::One(ticket, read),
            Err(error) => Parts::Refused(error),
        };
        let desk = Arc::clone(desk);
        Self { desk, parts }
    }

    pub(super) fn many(desk: &Arc<Desk>, read: ReadMany<T>) -> Self {
        Self {
            desk: Arc::clone(desk),
            parts: Parts::Many(Vec::new(), read),
        }
    }

    /// One chunk more, of so many tasks. If it was not sent, nothing will come of the
    /// others.
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
                self.let_go();
                self.parts = Parts::Refused(error);
                Err(())
            }
        }
    }

    /// Waits for the result.
    ///
    /// # Errors
    ///
    /// How the task ended instead. Of several, the first in their order that has no
    /// value; all of them have ended then.
    pub fn get(mut self) -> Result<T, TaskError> {
        let Self { desk, parts } = &mut self;
        // Over when it is broken or terminated at the latest.
        let (table, _) = desk.wait(None, parts.all_done());
        parts.take(table)
    }

    /// Waits for the result, but no longer than this.
    ///
    /// # Errors
    ///
    /// The handle, where the result was not there in time: Python's `TimeoutError`.
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
        let (_table, _) = self.desk.wait(None, self.parts.all_done());
    }

    /// Waits until the task has ended, but no longer than this. Returns whether it has.
    #[must_use]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        let until = Instant::now().checked_add(timeout);
        let (_table, waited) = self.desk.wait(until, self.parts.all_done());
        matches!(waited, Waited::Done)
    }

    /// Whether the task has ended.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.wait_timeout(Duration::ZERO)
    }

    /// Whether the task has ended with a value; nothing while it has not ended. Python
    /// raises `ValueError` then. The value's bytes are not looked at: that they make
    /// none of this type, only [`get`](Self::get) finds out.
    #[must_use]
    pub fn successful(&self) -> Option<bool> {
        if !self.ready() {
            return None;
        }
        let table = self.desk.lock();
        Some(match &self.parts {
            Parts::Refused(_) => false,
            Parts::One(ticket, _) => matches!(table.outcome(*ticket), Some(Ok(_))),
            Parts::Many(chunks, _) => {
                chunks.iter().all(|(ticket, _)| table.ended_well(*ticket))
            }
        })
    }

    /// Cancels the task: if it has not begun, it never does; if it runs, its worker is
    /// killed, and another takes that one's place. Returns whether it is cancelled,
    /// since it may have ended before. Python has nothing like it.
    ///
    /// What the task has done until then stays done, half of it as the case may be.
    #[expect(clippy::must_use_candidate, reason = "it is cancelled either way")]
    pub fn cancel(&self) -> bool {
        self.desk.cancel(&self.parts.tickets())
    }

    /// Has a function called with the value, once it is there, by a thread of the pool:
    /// one at a time, in the order in which tasks end. Python's argument `callback`.
    ///
    /// The handle remains good for the value too. A callback that panics is told on
    /// standard error, and the next ones are called all the same.
    #[expect(
        clippy::return_self_not_must_use,
        reason = "Python ignores the handle too"
    )]
    pub fn callback(self, callback: impl FnOnce(T) + Send + 'static) -> Self
    where
        T: 'static,
    {
        self.call(|ended| {
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
        self.call(|ended| {
            if let Err(error) = ended {
                callback(error);
            }
        })
    }

    fn call(self, call: impl FnOnce(Result<T, TaskError>) + Send + 'static) -> Self
    where
        T: 'static,
    {
        let mut table = self.desk.lock();
        match &self.parts {
            Parts::Refused(error) => {
                let call =
                    |outcome: Outcome| call(outcome.and(Err(TaskError::Closed)));
                table.add_call_now(Box::new(call), Err(error.clone()));
            }
            Parts::One(ticket, read) => {
                let read = *read;
                let call = move |outcome: Outcome| {
                    let bytes = outcome.as_ref();
                    let value = bytes.map_err(TaskError::clone);
                    call(
                        value.and_then(|b| read(b.get(VALUE..).unwrap_or_default())),
                    );
                };
                table.add_call(*ticket, Box::new(call));
            }
            Parts::Many(chunks, read) if chunks.is_empty() => {
                let read = *read;
                let call = move |_| call(read(Vec::new()));
                table.add_call_now(Box::new(call), Ok(Vec::new()));
            }
            Parts::Many(chunks, read) => {
                let read = *read;
                let gathering = Arc::new(Mutex::new(Gathering {
                    outcomes: chunks.iter().map(|chunk| (None, chunk.1)).collect(),
                    missing: chunks.len(),
                    call: Some(Box::new(move |outcomes| call(read(outcomes)))),
                }));
                for (position, (ticket, _)) in chunks.iter().enumerate() {
                    let gathering = Arc::clone(&gathering);
                    let call =
                        move |outcome| Gathering::add(&gathering, position, outcome);
                    table.add_call(*ticket, Box::new(call));
                }
            }
        }
        self.desk.start_calling(table);
        self
    }

    fn let_go(&mut self) {
        let tickets = self.parts.tickets();
        if !tickets.is_empty() && self.desk.is_makers() {
            let mut table = self.desk.lock();
            let outcomes: Vec<_> = tickets
                .into_iter()
                .map(|ticket| table.take(ticket))
                .collect();
            // Not under the lock: they may be large.
            drop(table);
            drop(outcomes);
        }
    }
}

type GatheredCall = Box<dyn FnOnce(Vec<(Outcome, usize)>) + Send>;

/// The outcomes of the chunks that a callback waits for.
struct Gathering {
    outcomes: Vec<(Option<Outcome>, usize)>,
    missing: usize,
    call: Option<GatheredCall>,
}

impl Gathering {
    fn add(this: &Mutex<Self>, position: usize, outcome: Outcome) {
        let mut this = this.lock().unwrap_or_else(PoisonError::into_inner);
        this.outcomes[position].0 = Some(outcome);
        this.missing -= 1;
        if this.missing > 0 {
            return;
        }
        let outcomes = std::mem::take(&mut this.outcomes).into_iter();
        let outcomes =
            outcomes.filter_map(|(outcome, count)| Some((outcome?, count)));
        let outcomes = outcomes.collect();
        let call = this.call.take();
        drop(this);
        if let Some(call) = call {
            call(outcomes);
        }
    }
}

impl<T> Drop for AsyncResult<T> {
    fn drop(&mut self) {
        self.let_go();
    }
}

impl<T> fmt::Debug for AsyncResult<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncResult").finish_non_exhaustive()
    }
}
