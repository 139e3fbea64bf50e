//! Results as an iterator, from inputs as an iterator.

use std::collections::VecDeque;
use std::fmt;
use std::iter::Fuse;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::TaskError;
use super::desk::{Desk, Ticket, VALUE};
use super::task::Values;
use crate::sys::routine::Routine;

/// As many chunks are on their way for each process: enough that none of them waits for
/// the parent, and few enough that the parent's memory does not depend on how many
/// there are.
const WINDOW: usize = 32;

/// The results of [`imap`](super::Call::imap) and
/// [`imap_unordered`](super::Call::imap_unordered): of each input its value, or how its
/// task ended instead.
///
/// Inputs are taken as results are asked for, a few ahead of them; so it can go on for
/// ever, in constant memory. An iterator of inputs that panics does so here. If the pool
/// is closed meanwhile, the iteration ends with that error behind what was on its way.
pub struct Imap<I, R> {
    desk: Arc<Desk>,
    inputs: Fuse<I>,
    /// Nothing for a function that cannot be sent.
    routine: Option<Routine>,
    limit: Option<Duration>,
    chunksize: usize,
    window: usize,
    /// Whether the pool takes no more.
    refused: bool,
    /// What is on its way, in the order of the inputs.
    chunks: VecDeque<Chunk>,
    /// Where those that come first are found, if that is the order.
    arrivals: Option<usize>,
    /// What has come of the chunk that is being gone through.
    values: Option<Values<R>>,
    /// Errors of tasks that have no values to be gone through.
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
        desk: &Arc<Desk>,
        inputs: I,
        routine: Option<Routine>,
        limit: Option<Duration>,
        chunksize: usize,
        ordered: bool,
    ) -> Self {
        let arrivals = (!ordered).then(|| desk.lock().add_arrivals());
        let mut this = Self {
            desk: Arc::clone(desk),
            inputs: inputs.fuse(),
            routine,
            limit,
            chunksize,
            window: desk.common.processes * WINDOW,
            refused: false,
            chunks: VecDeque::new(),
            arrivals,
            values: None,
            errors: None,
        };
        this.send();
        this
    }

    /// Sends what the window has room for.
    fn send(&mut self) {
        while self.chunks.len() < self.window && !self.refused {
            let chunk = self.desk.submit_chunk(
                self.routine,
                self.limit,
                &mut self.inputs,
                self.chunksize,
                self.arrivals,
            );
            let Some((sent, count)) = chunk else {
                break;
            };
            // One that the pool refuses is the last; one that cannot be sent is not.
            self.refused = !matches!(sent, Ok(_) | Err(TaskError::Argument(_)));
            self.chunks.push_back(Chunk { sent, count });
        }
    }
}

impl<I, R> Imap<I, R> {
    /// Waits for the next chunk.
    fn next_chunk(&mut self) -> Option<Chunk> {
        let first = self.chunks.front()?;
        let Some(list) = self.arrivals else {
            if let Ok(ticket) = first.sent {
                let (_table, _) = self.desk.wait(None, |t| t.is_done(ticket));
            }
            return self.chunks.pop_front();
        };
        if first.sent.is_err() {
            return self.chunks.pop_front();
        }
        let mut arrived = None;
        let (_table, _) = self.desk.wait(None, |table| {
            arrived = table.arrivals(list).and_then(VecDeque::pop_front);
            arrived.is_some()
        });
        let position = self
            .chunks
            .iter()
            .position(|chunk| chunk.sent.as_ref().ok() == arrived.as_ref())?;
        self.chunks.swap_remove_front(position)
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
                return Some(value);
            }
            if let Some((error, left @ 1..)) = &mut self.errors {
                *left -= 1;
                return Some(Err(error.clone()));
            }
            let Chunk { sent, count } = self.next_chunk()?;
            let outcome = match sent {
                Ok(ticket) => {
                    let outcome = self.desk.lock().take(ticket);
                    outcome.unwrap_or(Err(TaskError::Broken))
                }
                Err(error) => Err(error),
            };
            match outcome {
                Ok(bytes) => self.values = Some(Values::new(bytes, VALUE, count)),
                Err(error) => self.errors = Some((error, count)),
            }
            self.send();
        }
    }
}

impl<I, R> Drop for Imap<I, R> {
    fn drop(&mut self) {
        if !self.desk.is_makers() {
            return;
        }
        let mut table = self.desk.lock();
        for chunk in &self.chunks {
            if let Ok(ticket) = chunk.sent {
                table.take(ticket);
            }
        }
        if let Some(list) = self.arrivals {
            table.remove_arrivals(list);
        }
    }
}

impl<I, R> fmt::Debug for Imap<I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Imap")
            .field("on_their_way", &self.chunks.len())
            .finish_non_exhaustive()
    }
}
