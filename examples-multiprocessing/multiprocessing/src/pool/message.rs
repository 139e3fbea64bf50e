//! The pool's wire: what its two channels carry, and all that is known of the bytes.
//!
//! A task goes from the parent to a worker:
//!
//! | bytes | |
//! | --- | --- |
//! | 8 | the [`TaskId`], and whether the task has a time limit |
//! | 8 | the [`Routine`]: which function, and whether it is one call or a chunk |
//! | 8 | if it has one: for how long the task may run, in nanoseconds |
//! | the rest | the arguments of one call; of a chunk the number of its calls (8 bytes), then the arguments of each |
//!
//! An answer goes from a worker or the supervisor to the parent:
//!
//! | bytes | |
//! | --- | --- |
//! | 8 | the [`TaskId`]; 0 if the message concerns no task |
//! | 8 | the [`Kind`] |
//! | the rest | the value, the values of a chunk, or a [`TaskError`] |
//!
//! The values of a chunk are those of the calls that have one, in order. Then follows
//! the list of the calls that failed, each with its position in the chunk and its
//! error, if any did. The last 8 bytes are the length of the values.
//!
//! Arguments and values are encoded by postcard, with one exception: in a chunk, those that
//! are primitive numbers are sent as they lie in memory.

use std::marker::PhantomData;
use std::mem;
use std::ops::Range;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::TaskError;
#[cfg(feature = "broker")]
use crate::broker;
use crate::codec::{self, Scratch};
use crate::sys::routine::Routine;

const WORD: usize = size_of::<u64>();

/// Names an entry of the parent's task table.
pub(crate) type Ticket = u32;

/// The number of tasks that can be in the task table at a time.
pub(super) const MAX_TICKETS: u32 = 1 << 24;

/// A task that was sent: its entry in the task table, and the number of the message
/// that carries it. Message numbers wrap; the two together tell a task from an earlier
/// one that had the same ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TaskId {
    pub(super) number: u32,
    pub(super) ticket: Ticket,
}

impl TaskId {
    /// The bits of [`to_word`](Self::to_word) that are ever set.
    pub(super) const BITS: u32 = 32 + MAX_TICKETS.trailing_zeros();

    /// In a message that concerns no task.
    const NONE: Self = Self {
        number: 0,
        ticket: 0,
    };

    pub(super) fn to_word(self) -> u64 {
        u64::from(self.ticket) << 32 | u64::from(self.number)
    }

    pub(super) fn from_word(word: u64) -> Self {
        Self {
            number: word as u32,
            ticket: (word >> 32) as u32 % MAX_TICKETS,
        }
    }
}

fn append_word(message: &mut Vec<u8>, word: u64) {
    message.extend_from_slice(&word.to_ne_bytes());
}

/// Takes the word at the front of the bytes.
fn take_word(bytes: &mut &[u8]) -> Option<u64> {
    let (word, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u64::from_ne_bytes(*word))
}

/// Which task this is, and how a worker runs it.
#[derive(Debug, Clone, Copy)]
pub(super) struct TaskHeader {
    pub(super) task: TaskId,
    pub(super) routine: Routine,
    pub(super) limit: Option<Duration>,
}

/// In the word of a [`TaskId`]: a time limit follows. Most tasks have none, and a short
/// message is worth more than a simple one.
const LIMITED: u64 = 1 << 63;

impl TaskHeader {
    /// The header of a task's message, and the arguments after it.
    pub(super) fn decode(mut message: &[u8]) -> Option<(Self, &[u8])> {
        let task = take_word(&mut message)?;
        let header = Self {
            task: TaskId::from_word(task),
            routine: Routine::from_word(take_word(&mut message)?),
            limit: if task & LIMITED == 0 {
                None
            } else {
                Some(Duration::from_nanos(take_word(&mut message)?))
            },
        };
        Some((header, message))
    }

    /// The bytes of the header of a task with this limit.
    fn length(limit: Option<Duration>) -> usize {
        (2 + usize::from(limit.is_some())) * WORD
    }

    #[inline]
    fn write(&self, message: &mut [u8]) {
        let limit = (self.limit)
            .map(|limit| u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX));
        let limited = limit.map_or(0, |_| LIMITED);
        let words = [self.task.to_word() | limited, self.routine.to_word()];
        let words = words.into_iter().chain(limit);
        for (bytes, word) in message.chunks_exact_mut(WORD).zip(words) {
            bytes.copy_from_slice(&word.to_ne_bytes());
        }
    }
}

/// A task's message. Its arguments are written first; the header follows when the task
/// is sent and has its [`TaskId`].
pub(super) struct TaskMessage {
    bytes: Scratch,
    limit: Option<Duration>,
}

impl TaskMessage {
    /// With no arguments yet.
    #[inline]
    pub(super) fn new(limit: Option<Duration>) -> Self {
        let mut bytes = Scratch::take();
        bytes.resize(TaskHeader::length(limit), 0);
        Self { bytes, limit }
    }

    /// Appends the arguments of one call. If they cannot be encoded, the message is of no
    /// use.
    #[inline]
    pub(super) fn append_call<A: Serialize>(
        &mut self,
        args: &A,
    ) -> Result<(), TaskError> {
        codec::append(args, &mut self.bytes).map_err(TaskError::argument)
    }

    /// The message of a chunk, which takes at most `size` inputs, and the number of
    /// inputs that it took; nothing if there are none. An input that cannot be encoded
    /// makes the whole chunk an error.
    pub(super) fn chunk<A: Serialize>(
        inputs: &mut impl Iterator<Item = A>,
        size: usize,
        limit: Option<Duration>,
    ) -> Option<(Result<Self, TaskError>, usize)> {
        let mut message = Self::new(limit);
        let start = message.bytes.len();
        append_word(&mut message.bytes, 0);
        let (count, refused) =
            codec::append_items(inputs.take(size), &mut message.bytes);
        let calls = (count as u64).to_ne_bytes();
        message.bytes[start..start + WORD].copy_from_slice(&calls);
        let message = match refused {
            None => Ok(message),
            Some(error) => Err(TaskError::argument(error)),
        };
        (count > 0).then_some((message, count))
    }

    /// Writes the header and gives the whole message.
    #[inline]
    pub(super) fn with_header(&mut self, task: TaskId, routine: Routine) -> &[u8] {
        let limit = self.limit;
        let header = TaskHeader {
            task,
            routine,
            limit,
        };
        header.write(&mut self.bytes);
        &self.bytes
    }
}

/// The arguments of a chunk's calls, for the worker that runs it.
pub(super) struct ChunkArguments<'a> {
    /// The number of calls that have not been read.
    left: u64,
    bytes: &'a [u8],
}

impl<'a> ChunkArguments<'a> {
    pub(super) fn new(mut bytes: &'a [u8]) -> Self {
        let left = take_word(&mut bytes).unwrap_or(0);
        Self { left, bytes }
    }

    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// The arguments of the next call. An error leaves the call unread: nobody knows
    /// where the arguments after unreadable ones begin.
    #[inline]
    pub(super) fn next<A: DeserializeOwned>(&mut self) -> Result<A, TaskError> {
        let args = codec::take_item(&mut self.bytes).map_err(TaskError::argument)?;
        self.left -= 1;
        Ok(args)
    }

    /// Gives up on what is left, and returns the number of its calls.
    pub(super) fn skip_all(&mut self) -> u64 {
        mem::take(&mut self.left)
    }
}

/// What an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
enum Kind {
    Value,
    Error,
    Skipped,
    PerhapsLost,
    Ready,
    Unusable,
    Shutdown,
    Wake,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Value,
        Self::Error,
        Self::Skipped,
        Self::PerhapsLost,
        Self::Ready,
        Self::Unusable,
        Self::Shutdown,
        Self::Wake,
    ];

    fn from_word(word: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u64 == word)
    }
}

/// A message to the parent.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// The task has ended. A worker sends this; or the supervisor, if the worker died
    /// over the task or was killed because of it.
    Ended(TaskId, Outcome),
    /// The worker that took the task found it cancelled, and did not run it.
    Skipped(TaskId),
    /// A worker died while it was taking a task. It may have had this one, or another
    /// worker has it.
    PerhapsLost(TaskId, TaskError),
    /// All workers were started.
    Ready,
    /// The pool can run no tasks.
    Unusable(TaskError),
    /// The supervisor's last message, after all others.
    Shutdown,
    /// From another thread of the parent: the task table has changed, look again.
    Wake,
}

/// How a task ended: with its value, or with the reason why it has none.
pub(super) type Outcome = Result<Payload, TaskError>;

impl Answer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let (task, kind, error) = match self {
            Self::Ended(task, Ok(_)) => (*task, Kind::Value, None),
            Self::Ended(task, Err(error)) => (*task, Kind::Error, Some(error)),
            Self::Skipped(task) => (*task, Kind::Skipped, None),
            Self::PerhapsLost(task, error) => {
                (*task, Kind::PerhapsLost, Some(error))
            }
            Self::Ready => (TaskId::NONE, Kind::Ready, None),
            Self::Unusable(error) => (TaskId::NONE, Kind::Unusable, Some(error)),
            Self::Shutdown => (TaskId::NONE, Kind::Shutdown, None),
            Self::Wake => (TaskId::NONE, Kind::Wake, None),
        };
        let mut message = Vec::new();
        append_word(&mut message, task.to_word());
        append_word(&mut message, kind as u64);
        if let Some(error) = error {
            append_infallible(error, &mut message);
        }
        if let Self::Ended(_, Ok(payload)) = self {
            message.extend_from_slice(payload.0.as_slice());
        }
        message
    }

    /// The task whose value the message is, if it is one.
    #[inline]
    pub(super) fn task_with_value(mut message: &[u8]) -> Option<TaskId> {
        let task = TaskId::from_word(take_word(&mut message)?);
        (take_word(&mut message)? == Kind::Value as u64).then_some(task)
    }

    /// What the message says; nothing if it is none of the pool's. A large message is
    /// taken instead of copied.
    #[inline]
    pub(super) fn decode(message: &mut Vec<u8>) -> Option<Self> {
        let mut rest = message.as_slice();
        let task = TaskId::from_word(take_word(&mut rest)?);
        let kind = Kind::from_word(take_word(&mut rest)?)?;
        let error = || codec::decode(rest).unwrap_or_else(TaskError::result);
        Some(match kind {
            Kind::Value => Self::Ended(task, Ok(Payload::of_answer(message))),
            Kind::Error => Self::Ended(task, Err(error())),
            Kind::Skipped => Self::Skipped(task),
            Kind::PerhapsLost => Self::PerhapsLost(task, error()),
            Kind::Ready => Self::Ready,
            Kind::Unusable => Self::Unusable(error()),
            Kind::Shutdown => Self::Shutdown,
            Kind::Wake => Self::Wake,
        })
    }
}

/// A worker's answer to a task, which is written piece by piece: first the task, then
/// its value or error by [`append_value`], [`append_error`] or a [`ChunkValues`].
pub(super) fn begin_answer(task: TaskId, answer: &mut Vec<u8>) {
    answer.clear();
    append_word(answer, task.to_word());
}

/// Has `run` append the value of the task, or appends its error.
pub(super) fn append_value(
    answer: &mut Vec<u8>,
    run: impl FnOnce(&mut Vec<u8>) -> Result<(), TaskError>,
) {
    let start = answer.len();
    append_word(answer, Kind::Value as u64);
    if let Err(error) = run(answer) {
        answer.truncate(start);
        append_error(answer, &error);
    }
}

pub(super) fn append_error(answer: &mut Vec<u8>, error: &TaskError) {
    append_word(answer, Kind::Error as u64);
    append_infallible(error, answer);
}

fn append_infallible<E: Serialize>(error: &E, answer: &mut Vec<u8>) {
    let encoded = codec::append(error, answer);
    debug_assert!(encoded.is_ok(), "numbers, texts and lists can be encoded");
}

/// The values of a chunk, as the worker writes them.
pub(super) struct ChunkValues<'a> {
    answer: &'a mut Vec<u8>,
    /// Where the values begin.
    start: usize,
    /// Where the last whole value ends: a call that panics leaves half of one behind.
    end: usize,
    /// The number of calls that have a value or an error.
    done: u64,
    /// The position and the error of each call that failed.
    failures: Vec<(u64, TaskError)>,
}

impl<'a> ChunkValues<'a> {
    pub(super) fn begin(answer: &'a mut Vec<u8>) -> Self {
        append_word(answer, Kind::Value as u64);
        Self {
            start: answer.len(),
            end: answer.len(),
            answer,
            done: 0,
            failures: Vec::new(),
        }
    }

    #[inline]
    pub(super) fn push<R: Serialize>(&mut self, value: &R) -> Result<(), TaskError> {
        codec::append_item(value, self.answer).map_err(TaskError::result)?;
        self.end = self.answer.len();
        self.done += 1;
        Ok(())
    }

    /// The next `calls` calls have failed.
    pub(super) fn fail(&mut self, calls: u64, error: &TaskError) {
        self.answer.truncate(self.end);
        let failed = self.done..self.done + calls;
        self.done = failed.end;
        self.failures
            .extend(failed.map(|call| (call, error.clone())));
    }

    pub(super) fn finish(self) {
        if !self.failures.is_empty() {
            append_infallible(&self.failures, self.answer);
        }
        append_word(self.answer, (self.end - self.start) as u64);
    }
}

/// A value, or the values of a chunk, as a worker sent them.
#[derive(Debug, Clone)]
pub(super) struct Payload(Bytes);

/// The bytes of a value, or of a chunk's values.
#[derive(Debug, Clone)]
enum Bytes {
    /// Here, since most values are short, and memory of their own would cost more than to
    /// copy them.
    Short { length: u8, bytes: [u8; SHORT] },
    /// A copy of the value's bytes.
    Long(Vec<u8>),
    /// From `start` on: the message, so that a large one need not be copied.
    Taken { message: Scratch, start: usize },
    /// It came over a broker. It is JSON then, and nothing else is.
    #[cfg(feature = "broker")]
    Json(Vec<u8>),
}

/// No more bytes than an error takes in the place of a value.
const SHORT: usize = 38;

impl Bytes {
    fn as_slice(&self) -> &[u8] {
        let bytes = match self {
            Self::Short { length, bytes } => bytes.get(..usize::from(*length)),
            Self::Long(value) => Some(&value[..]),
            Self::Taken { message, start } => message.get(*start..),
            #[cfg(feature = "broker")]
            Self::Json(message) => Some(&message[..]),
        };
        bytes.unwrap_or_default()
    }
}

impl Default for Payload {
    fn default() -> Self {
        Self::of(&mut Vec::new(), 0)
    }
}

impl Payload {
    /// Where the value begins in a message.
    const START: usize = 2 * WORD;

    /// The value of an answer that [has one](Answer::task_with_value), which is taken if
    /// it is large.
    #[inline]
    pub(super) fn of_answer(message: &mut Vec<u8>) -> Self {
        Self::of(message, Self::START)
    }

    /// From `start` on, of a message that is taken if it is large.
    #[inline]
    fn of(message: &mut Vec<u8>, start: usize) -> Self {
        const LARGE: usize = 4096;
        let value = message.get(start..).unwrap_or_default();
        let mut short = [0; SHORT];
        Self(if let Some(bytes) = short.get_mut(..value.len()) {
            bytes.copy_from_slice(value);
            Bytes::Short {
                length: value.len() as u8,
                bytes: short,
            }
        } else if message.len() >= LARGE {
            let mut taken = Scratch::take();
            mem::swap(&mut *taken, message);
            Bytes::Taken {
                message: taken,
                start,
            }
        } else {
            Bytes::Long(value.to_vec())
        })
    }

    /// A value, or a chunk's outcomes, that came over a broker.
    #[cfg(feature = "broker")]
    pub(super) fn json(message: Vec<u8>) -> Self {
        Self(Bytes::Json(message))
    }

    /// The value of a single call.
    pub(super) fn value<R: DeserializeOwned>(&self) -> Result<R, TaskError> {
        #[cfg(feature = "broker")]
        if let Bytes::Json(message) = &self.0 {
            return broker::read_value(message);
        }
        codec::take_front(&mut self.0.as_slice()).map_err(TaskError::result)
    }

    /// The values of a chunk of `count` calls.
    pub(super) fn values<R: DeserializeOwned>(self, count: usize) -> Values<R> {
        Values::new(self, count)
    }

    /// Whether no call of a chunk has failed.
    pub(super) fn all_succeeded(&self) -> bool {
        #[cfg(feature = "broker")]
        if let Bytes::Json(message) = &self.0 {
            return broker::all_succeeded(message);
        }
        self.failures().is_empty()
    }

    /// Where the list of a chunk's failures lies among its bytes.
    fn failures(&self) -> Range<usize> {
        let bytes = self.0.as_slice();
        let end = bytes.len().saturating_sub(WORD);
        let mut length = bytes.get(end..).unwrap_or_default();
        let values = take_word(&mut length).unwrap_or(0) as usize;
        values.min(end)..end
    }
}

/// The values of a chunk, one after the other.
pub(super) struct Values<R> {
    bytes: Bytes,
    /// Where the values that have not been read begin.
    next: usize,
    /// Where they end.
    end: usize,
    position: u64,
    count: u64,
    /// In the order of their positions.
    failures: std::vec::IntoIter<(u64, TaskError)>,
    next_failure: Option<(u64, TaskError)>,
    /// Instead of all that, if they came over a broker.
    #[cfg(feature = "broker")]
    json: Option<std::vec::IntoIter<Result<R, TaskError>>>,
    gives: PhantomData<fn() -> R>,
}

impl<R: DeserializeOwned> Values<R> {
    fn new(payload: Payload, count: usize) -> Self {
        #[cfg(feature = "broker")]
        let json = if let Bytes::Json(message) = &payload.0 {
            let mut values = broker::read_values(message);
            let missing = || Err(TaskError::Result("it is missing".into()));
            values.resize_with(count, missing);
            Some(values.into_iter())
        } else {
            None
        };
        let list = payload.failures();
        let end = list.start;
        let bytes = payload.0;
        let mut failures = match bytes.as_slice().get(list) {
            None | Some([]) => Vec::new(),
            Some(list) => codec::decode(list).unwrap_or_default(),
        }
        .into_iter();
        Self {
            next: 0,
            end,
            bytes,
            position: 0,
            count: count as u64,
            next_failure: failures.next(),
            failures,
            #[cfg(feature = "broker")]
            json,
            gives: PhantomData,
        }
    }

    /// Appends all of them, up to the first error.
    pub(super) fn append_to(mut self, values: &mut Vec<R>) -> Result<(), TaskError> {
        #[cfg(feature = "broker")]
        if let Some(json) = &mut self.json {
            return json.try_for_each(|value| {
                values.push(value?);
                Ok(())
            });
        }
        if self.next_failure.is_none() {
            let bytes = self.bytes.as_slice();
            let mut rest = bytes.get(self.next..self.end).unwrap_or_default();
            let count = self.count as usize;
            return codec::take_items(count, &mut rest, values)
                .map_err(TaskError::result);
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
        #[cfg(feature = "broker")]
        if let Some(json) = &mut self.json {
            return json.next();
        }
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
        let bytes = self.bytes.as_slice();
        let mut rest = bytes.get(self.next..self.end).unwrap_or_default();
        let value = codec::take_item(&mut rest).map_err(TaskError::result);
        self.next = self.end - rest.len();
        Some(value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.count - self.position) as usize;
        (left, Some(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: TaskId = TaskId {
        number: u32::MAX,
        ticket: MAX_TICKETS - 1,
    };
    const KILLED: TaskError = TaskError::Killed { signal: 9 };

    #[test]
    fn a_task_arrives_with_its_header_and_arguments() {
        let millisecond = Some(Duration::from_millis(1));
        // A limit of zero ends the task at once; it must not be taken for no limit.
        for limit in [None, millisecond, Some(Duration::ZERO)] {
            let mut message = TaskMessage::new(limit);
            message.append_call(&(7_u32, "seven")).unwrap();
            let routine = Routine::from_word(11);
            let sent = message.with_header(TASK, routine);
            let (read, mut args) = TaskHeader::decode(sent).unwrap();
            assert_eq!((read.task, read.routine), (TASK, routine));
            assert_eq!(read.limit, limit);
            let args: (u32, String) = codec::take_front(&mut args).unwrap();
            assert_eq!(args, (7, "seven".to_string()));
        }
    }

    #[test]
    fn every_answer_arrives_as_what_it_was_sent_as() {
        for answer in [
            Answer::Ended(TASK, Err(KILLED)),
            Answer::Skipped(TASK),
            Answer::PerhapsLost(TASK, KILLED),
            Answer::Ready,
            Answer::Unusable(KILLED),
            Answer::Shutdown,
            Answer::Wake,
        ] {
            let decoded = Answer::decode(&mut answer.encode()).unwrap();
            assert_eq!(format!("{decoded:?}"), format!("{answer:?}"));
        }
        let mut message = Vec::new();
        begin_answer(TASK, &mut message);
        append_value(&mut message, |bytes| {
            codec::append(&5_u8, bytes).map_err(TaskError::result)
        });
        match Answer::decode(&mut message) {
            Some(Answer::Ended(TASK, Ok(payload))) => {
                assert_eq!(payload.value::<u8>(), Ok(5));
            }
            other => panic!("{other:?}"),
        }
        assert!(Answer::decode(&mut vec![7; 12]).is_none(), "too short");
        assert!(Answer::decode(&mut vec![9; 16]).is_none(), "not a kind");
    }

    #[test]
    fn the_values_of_a_chunk_come_back_with_its_failures_in_their_places() {
        let mut message = Vec::new();
        begin_answer(TASK, &mut message);
        let mut values = ChunkValues::begin(&mut message);
        values.push(&1_u64).unwrap();
        values.fail(2, &KILLED);
        values.push(&300_u64).unwrap();
        values.finish();
        let Some(Answer::Ended(_, Ok(payload))) = Answer::decode(&mut message)
        else {
            panic!("it has values");
        };
        assert!(!payload.all_succeeded());
        let mut read = Vec::new();
        let stopped = payload.clone().values::<u64>(4).append_to(&mut read);
        assert_eq!((read, stopped), (vec![1], Err(KILLED)));
        let read: Vec<_> = payload.values::<u64>(4).collect();
        assert_eq!(read, [Ok(1), Err(KILLED), Err(KILLED), Ok(300)]);
    }

    #[test]
    fn unreadable_arguments_are_left_unread() {
        let (message, count) =
            TaskMessage::chunk(&mut [true, false, true].into_iter(), 2, None)
                .unwrap();
        assert_eq!(count, 2);
        let mut message = message.unwrap();
        let message = message.with_header(TASK, Routine::from_word(0));
        let (_, arguments) = TaskHeader::decode(message).unwrap();
        let mut arguments = ChunkArguments::new(arguments);
        assert_eq!(arguments.next(), Ok(true));
        assert!(arguments.next::<String>().is_ok(), "the length 0");
        assert!(matches!(
            arguments.next::<String>(),
            Err(TaskError::Argument(_))
        ));
    }
}
