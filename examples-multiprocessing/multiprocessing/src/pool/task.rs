//! What a pool can run, and how a worker runs it.

use std::any::Any;
use std::marker::PhantomData;
use std::ops::Range;
use std::panic::{self, AssertUnwindSafe};
use std::{cell, mem};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::TaskError;
use crate::codec::{self, EncodeError};
use crate::process::message_of;
use crate::registry::{self, RegistryId};
use crate::sys::routine::Runner;

/// A function that a pool can run, with its arguments as a tuple: a `fn` item or a
/// closure that captures nothing, of up to six arguments.
///
/// It goes to the workers as itself, since they are copies of this program; what it
/// would capture does not. So that is refused when it is compiled:
///
/// ```compile_fail
/// # use multiprocessing::Pool;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = Pool::new(1)?;
/// let captured = 7;
/// pool.map(move |x: i32| x + captured, 0..10)?;
/// # Ok(())
/// # }
/// ```
pub trait Task<Args>: Copy + Send + 'static {
    /// What it returns.
    type Output;

    /// Calls it.
    fn call(self, args: Args) -> Self::Output;
}

macro_rules! tasks {
    ($($arg:ident)*) => {
        impl<F, R, $($arg),*> Task<($($arg,)*)> for F
        where
            F: Fn($($arg),*) -> R + Copy + Send + 'static,
        {
            type Output = R;

            #[expect(non_snake_case, reason = "named after their types")]
            fn call(self, ($($arg,)*): ($($arg,)*)) -> R {
                self($($arg),*)
            }
        }
    };
}

tasks!(A);
tasks!(A B);
tasks!(A B C);
tasks!(A B C D);
tasks!(A B C D E);
tasks!(A B C D E G);

impl<F, R> Task<()> for F
where
    F: Fn() -> R + Copy + Send + 'static,
{
    type Output = R;

    fn call(self, (): ()) -> R {
        self()
    }
}

/// How a message from a worker begins to be read: the first byte of an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Ended {
    /// Its value follows.
    Well,
    /// A [`TaskError`] follows.
    Badly,
}

/// Runs one task: the arguments in, an [`Ended`] and what belongs to it out.
pub(super) struct Once<A>(PhantomData<A>);

impl<F, A> Runner<F> for Once<A>
where
    F: Task<A>,
    A: DeserializeOwned,
    F::Output: Serialize,
{
    fn run(function: F, message: &[u8], answer: &mut Vec<u8>) {
        let start = answer.len();
        answer.push(Ended::Well as u8);
        let mut message = message;
        let ended = catch(|| run_next(function, &mut message, answer)).flatten();
        if let Err(error) = ended {
            answer.truncate(start);
            answer.push(Ended::Badly as u8);
            append_error(&error, answer);
        }
    }
}

/// Runs a chunk of tasks: their number and all their arguments in; the values of those
/// that ended well out, the position and the error of each that did not, and where in
/// the answer that list begins.
pub(super) struct Each<A>(PhantomData<A>);

/// The length of what an [`Each`] ends its answer with.
const TRAILER: usize = size_of::<u64>();

impl<F, A> Runner<F> for Each<A>
where
    F: Task<A>,
    A: DeserializeOwned,
    F::Output: Serialize,
{
    fn run(function: F, message: &[u8], answer: &mut Vec<u8>) {
        answer.push(Ended::Well as u8);
        let start = answer.len();
        let (count, mut message) =
            message.split_first_chunk().unwrap_or((&[0; 8], &[]));
        let count = u64::from_ne_bytes(*count);
        let mut failures: Vec<(u64, TaskError)> = Vec::new();
        // The next task, and where its value is to begin.
        let (mut next, mut place) = (0, start);
        while next < count {
            // As many as end well in one go.
            let ended = catch(|| {
                while next < count {
                    run_next(function, &mut message, answer)?;
                    next += 1;
                    place = answer.len();
                }
                Ok(())
            });
            if let Err(error) = ended.flatten() {
                answer.truncate(place);
                // Nobody knows where the arguments after one that is unreadable begin.
                let last = match error {
                    TaskError::Argument(_) => count,
                    _ => next + 1,
                };
                failures.extend((next..last).map(|task| (task, error.clone())));
                next = last;
            }
        }
        let values = (answer.len() - start) as u64;
        if !failures.is_empty() {
            append_error(&failures, answer);
        }
        answer.extend_from_slice(&values.to_ne_bytes());
    }
}

/// Inputs that were appended to a message for an [`Each`].
pub(super) struct Chunk {
    pub(super) count: usize,
    /// One of them could not be, and the message is of no use.
    pub(super) refused: Option<EncodeError>,
}

/// Appends at most `size` inputs and their number; nothing if there are none.
pub(super) fn append_chunk<T: Serialize>(
    message: &mut Vec<u8>,
    inputs: &mut impl Iterator<Item = T>,
    size: usize,
) -> Option<Chunk> {
    let place = message.len();
    message.extend_from_slice(&[0; size_of::<u64>()]);
    let mut chunk = Chunk {
        count: 0,
        refused: None,
    };
    for input in inputs.take(size) {
        chunk.count += 1;
        if let Err(error) = codec::append(&input, message) {
            chunk.refused = Some(error);
        }
    }
    let count = (chunk.count as u64).to_ne_bytes();
    message[place..place + count.len()].copy_from_slice(&count);
    (chunk.count > 0).then_some(chunk)
}

/// Runs the task whose arguments come next, and appends its value.
#[inline]
fn run_next<F, A>(
    function: F,
    message: &mut &[u8],
    answer: &mut Vec<u8>,
) -> Result<(), TaskError>
where
    F: Task<A>,
    A: DeserializeOwned,
    F::Output: Serialize,
{
    let args = codec::take_front(message);
    let args = args.map_err(|error| TaskError::Argument(error.to_string()))?;
    let value = function.call(args);
    codec::append(&value, answer)
        .map_err(|error| TaskError::Result(error.to_string()))
}

pub(super) fn append_error<E: Serialize>(error: &E, answer: &mut Vec<u8>) {
    // Numbers, texts and lists of known length always have a form as bytes.
    let _never = codec::append(error, answer);
}

/// The value of a [`Once`]'s answer.
pub(super) fn value<R: DeserializeOwned>(mut bytes: &[u8]) -> Result<R, TaskError> {
    codec::take_front(&mut bytes).map_err(|error| refused(&error))
}

fn refused(error: &codec::DecodeError) -> TaskError {
    TaskError::Result(error.to_string())
}

/// The values of an [`Each`]'s answer, one after the other.
pub(super) struct Values<R> {
    bytes: Vec<u8>,
    /// What of the bytes is still to be read.
    next: usize,
    end: usize,
    position: u64,
    count: u64,
    /// In the order of their positions.
    failures: std::vec::IntoIter<(u64, TaskError)>,
    next_failure: Option<(u64, TaskError)>,
    gives: PhantomData<fn() -> R>,
}

/// Where the list of failures begins in an [`Each`]'s answer, which begins at `start`,
/// and where it ends.
fn failures_of(bytes: &[u8], start: usize) -> Range<usize> {
    let end = bytes.len().saturating_sub(TRAILER);
    let values = bytes.get(end..).and_then(|trailer| trailer.try_into().ok());
    let values = values.map_or(0, u64::from_ne_bytes) as usize;
    start.saturating_add(values).min(end)..end
}

/// Whether no task of an [`Each`] has failed.
pub(super) fn all_well(bytes: &[u8], start: usize) -> bool {
    failures_of(bytes, start).is_empty()
}

impl<R: DeserializeOwned> Values<R> {
    /// Of an answer that begins at `start`, to so many tasks.
    pub(super) fn new(bytes: Vec<u8>, start: usize, count: usize) -> Self {
        let list = failures_of(&bytes, start);
        let end = list.start;
        let mut failures = match bytes.get(list) {
            None | Some([]) => Vec::new(),
            Some(mut list) => codec::take_front(&mut list).unwrap_or_default(),
        }
        .into_iter();
        Self {
            next: start,
            end,
            bytes,
            position: 0,
            count: count as u64,
            next_failure: failures.next(),
            failures,
            gives: PhantomData,
        }
    }

    /// Appends all of them, up to the first error.
    pub(super) fn append_to(mut self, values: &mut Vec<R>) -> Result<(), TaskError> {
        if self.next_failure.is_none() {
            let mut rest = self.bytes.get(self.next..self.end).unwrap_or_default();
            for _ in 0..self.count {
                let value = codec::take_front(&mut rest);
                values.push(value.map_err(|error| refused(&error))?);
            }
            return Ok(());
        }
        self.try_for_each(|value| {
            values.push(value?);
            Ok(())
        })
    }
}

impl<R: DeserializeOwned> Iterator for Values<R> {
    type Item = Result<R, TaskError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.position == self.count {
            return None;
        }
        if let Some((position, _)) = self.next_failure
            && position == self.position
        {
            self.position += 1;
            let failure = mem::replace(&mut self.next_failure, self.failures.next());
            return failure.map(|(_, error)| Err(error));
        }
        self.position += 1;
        let mut rest = self.bytes.get(self.next..self.end).unwrap_or_default();
        let value = codec::take_front(&mut rest).map_err(|error| refused(&error));
        self.next = self.end - rest.len();
        Some(value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.count - self.position) as usize;
        (left, Some(left))
    }
}

thread_local! {
    /// The process in which this thread runs a task, whose panic is a value in the
    /// parent and not a line on standard error; 0 for none. A process that the task
    /// forks has a copy of this, and panics that somebody must tell.
    static IN_TASK: cell::Cell<RegistryId> = const { cell::Cell::new(0) };
    /// Where the task panicked.
    static PLACE: cell::Cell<String> = const { cell::Cell::new(String::new()) };
}

/// Has the panics of tasks noted from now on, in this process and those it forks.
pub(super) fn note_panics() {
    let others = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if IN_TASK.get() == registry::me() {
            PLACE.set(info.location().map(ToString::to_string).unwrap_or_default());
        } else {
            others(info);
        }
    }));
}

/// Runs a task's code. Its panic is an error that tells message and place.
#[inline]
pub(super) fn catch<R>(run: impl FnOnce() -> R) -> Result<R, TaskError> {
    IN_TASK.set(registry::me());
    // One that an earlier task has caught by itself.
    PLACE.take();
    let ended = panic::catch_unwind(AssertUnwindSafe(run));
    IN_TASK.set(0);
    ended.map_err(panicked)
}

#[cold]
fn panicked(panic: Box<dyn Any + Send>) -> TaskError {
    let message = message_of(&*panic).to_string();
    // Its destructor might panic in its turn.
    mem::forget(panic);
    TaskError::Panicked {
        message,
        place: PLACE.take(),
    }
}
