//! Results as an iterator, from inputs as an iterator.

use std::collections::VecDeque;
use std::fmt;
use std::iter::Fuse;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::dispatcher::{self, Dispatcher};
use super::error::TaskError;
use super::function::Function;
use super::message::{Outcome, Ticket, Values};

/// The number of chunks on their way for each worker: enough that no worker waits for the
/// parent, and few enough that the parent's memory does not depend on the number of
/// inputs.
const CHUNKS_PER_WORKER: usize = 32;

/// The results of [`imap`](super::Pool::imap) and
/// [`imap_unordered`](super::Pool::imap_unordered): for each input its value, or a
/// [`TaskError`] that says how its task ended instead.
///
/// Inputs are taken as results are asked for, a few ahead of them; so it can go on for
/// ever, in constant memory. If the iterator of inputs panics, it does so here.
///
/// If the pool takes no more tasks in the meantime, as after a
/// [`close`](super::Pool::close), what was on its way comes first. Then that error comes
/// for each of the other inputs; or once, if the iterator of inputs does not know how
/// many there are at most, since it may be endless.
pub struct Imap<I, R> {
    dispatcher: Arc<Dispatcher>,
    inputs: Fuse<I>,
    function: Function,
    limit: Option<Duration>,
    chunksize: usize,
    /// The most chunks that are on their way at a time.
    window: usize,
    /// Whether the pool took tasks when the last result was received.
    is_open: bool,
    /// Why the pool takes no more tasks, if it does not.
    refused: Option<TaskError>,
    /// The chunks on their way, in the order of the inputs.
    chunks: VecDeque<Chunk>,
    /// The number of inputs that were taken and whose results were not given out.
    pending: usize,
    /// Where the task table lists those that have ended, if the results are to come in
    /// that order.
    arrivals: Option<u32>,
    /// What is left of the chunk whose values are being given out.
    values: Option<Values<R>>,
    /// The error of a chunk that has no values, and how often it is still to be given
    /// out.
    errors: Option<(TaskError, usize)>,
}

struct Chunk {
    /// Or why it was not sent.
    sent: Result<Ticket, TaskError>,
    count: usize,
}

impl<I, R> Imap<I, R>
where
    I: Iterator<Item: Serialize>,
    R: DeserializeOwned,
{
    pub(super) fn new(
        dispatcher: &Arc<Dispatcher>,
        inputs: I,
        function: Function,
        limit: Option<Duration>,
        chunksize: usize,
        ordered: bool,
    ) -> Self {
        let arrivals = (!ordered).then(|| dispatcher.lock().tasks.add_arrivals());
        let mut this = Self {
            dispatcher: Arc::clone(dispatcher),
            inputs: inputs.fuse(),
            function,
            limit,
            chunksize,
            window: dispatcher.processes().saturating_mul(CHUNKS_PER_WORKER),
            is_open: true,
            refused: None,
            chunks: VecDeque::new(),
            pending: 0,
            arrivals,
            values: None,
            errors: None,
        };
        this.send();
        this
    }

    /// Sends what the window has room for, once half of it is free. So many inputs go at
    /// once, and a worker that wakes up for one finds others. If the pool takes no more,
    /// that is found out at once, as [`size_hint`](Iterator::size_hint) depends on it.
    fn send(&mut self) {
        if self.is_open && self.chunks.len() > self.window / 2 {
            return;
        }
        while self.chunks.len() < self.window && self.refused.is_none() {
            let chunk = self.dispatcher.submit_chunk(
                self.function,
                self.limit,
                &mut self.inputs,
                self.chunksize,
                self.arrivals,
            );
            let Some((sent, count)) = chunk else {
                break;
            };
            // A chunk that the pool refuses is the last; one that cannot be encoded is
            // not.
            self.refused = match &sent {
                Ok(_) | Err(TaskError::Argument(_)) => None,
                Err(error) => Some(error.clone()),
            };
            self.pending += count;
            self.chunks.push_back(Chunk { sent, count });
        }
    }
}

impl<I: Iterator, R> Imap<I, R> {
    /// The error of the next input that was not sent because the pool takes no more.
    fn next_unsent(&mut self) -> Option<TaskError> {
        let error = self.refused.clone()?;
        self.inputs.size_hint().1?;
        self.inputs.next().map(|_unsent| error)
    }
}

impl<I, R> Imap<I, R> {
    /// Waits for the chunk whose results come next, and takes its outcome. Returns the
    /// number of its inputs, too.
    fn next_chunk(&mut self) -> Option<(Outcome, usize)> {
        let Ok(ticket) = self.chunks.front()?.sent else {
            let chunk = self.chunks.pop_front()?;
            return Some((Err(chunk.sent.err()?), chunk.count));
        };
        let mut next = Some(ticket);
        let (mut state, _) =
            self.dispatcher.wait(None, |tasks| match self.arrivals {
                None => tasks.is_done(ticket),
                Some(list) => {
                    next = tasks.next_arrival(list);
                    next.is_some()
                }
            });
        self.is_open = state.check_open().is_ok();
        let outcome = dispatcher::taken(&mut state.tasks, next?);
        drop(state);
        let sent = |chunk: &Chunk| chunk.sent.as_ref().ok().copied();
        let position = self.chunks.iter().position(|chunk| sent(chunk) == next)?;
        let chunk = self.chunks.swap_remove_front(position)?;
        Some((outcome, chunk.count))
    }
}

impl<I, R> Iterator for Imap<I, R>
where
    I: Iterator<Item: Serialize>,
    R: DeserializeOwned,
{
    type Item = Result<R, TaskError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(value) = self.values.as_mut().and_then(Iterator::next) {
                self.pending -= 1;
                return Some(value);
            }
            if let Some((error, left @ 1..)) = &mut self.errors {
                *left -= 1;
                self.pending -= 1;
                return Some(Err(error.clone()));
            }
            let Some((outcome, count)) = self.next_chunk() else {
                return self.next_unsent().map(Err);
            };
            match outcome {
                Ok(payload) => self.values = Some(payload.values(count)),
                Err(error) => self.errors = Some((error, count)),
            }
            self.send();
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let (least, most) = match (self.inputs.size_hint(), &self.refused) {
            ((_, None), Some(_)) => (0, Some(0)),
            (unsent, _) => unsent,
        };
        let most = most.and_then(|most| most.checked_add(self.pending));
        (least.saturating_add(self.pending), most)
    }
}

impl<I, R> ExactSizeIterator for Imap<I, R>
where
    I: ExactSizeIterator<Item: Serialize>,
    R: DeserializeOwned,
{
}

impl<I, R> Drop for Imap<I, R> {
    fn drop(&mut self) {
        if !self.dispatcher.is_owner() {
            return;
        }
        let tasks = &mut self.dispatcher.lock().tasks;
        for chunk in &self.chunks {
            if let Ok(ticket) = chunk.sent {
                tasks.take(ticket);
            }
        }
        if let Some(list) = self.arrivals {
            tasks.remove_arrivals(list);
        }
    }
}

impl<I, R> fmt::Debug for Imap<I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Imap")
            .field("chunks_on_their_way", &self.chunks.len())
            .finish_non_exhaustive()
    }
}
