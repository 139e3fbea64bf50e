//! A local pool as a worker of a broker uses it: many threads may give tasks, and one
//! receives the endings of all of them as they come.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Pool;
use super::dispatcher::{self, Dispatcher};
use super::error::TaskError;
use super::function::{Function, Once, PoolFn};
pub(crate) use super::message::Ticket;

/// The tasks given through it. It must not outlive the pool's use.
pub(crate) struct Feed {
    dispatcher: Arc<Dispatcher>,
    /// Where the task table lists those that have ended.
    arrivals: usize,
}

impl Feed {
    pub(crate) fn of(pool: &Pool) -> Self {
        let dispatcher = Arc::clone(&pool.dispatcher);
        let arrivals = dispatcher.lock().tasks.add_arrivals();
        Self {
            dispatcher,
            arrivals,
        }
    }

    /// Gives a task. Its ticket is its own until it is [taken](Self::take).
    pub(crate) fn submit<F, A>(
        &self,
        function: F,
        args: &A,
        limit: Option<Duration>,
    ) -> Result<Ticket, TaskError>
    where
        F: PoolFn<A>,
        A: Serialize + DeserializeOwned,
        F::Output: Serialize,
    {
        let function = Function::of::<F, Once<A>>(&function);
        let arrivals = Some(self.arrivals);
        (self.dispatcher).submit_call(function, limit, args, arrivals, false)
    }

    /// Waits until tasks have ended, or until `or` when it is asked again: see
    /// [`wake`](Self::wake).
    pub(crate) fn ended(&self, or: impl Fn() -> bool) -> Vec<Ticket> {
        let mut ended = Vec::new();
        let (_state, _) = self.dispatcher.wait(None, |tasks| {
            ended.extend(std::iter::from_fn(|| tasks.next_arrival(self.arrivals)));
            !ended.is_empty() || or()
        });
        ended
    }

    /// How a task has ended that has.
    pub(crate) fn take<R: DeserializeOwned>(
        &self,
        ticket: Ticket,
    ) -> Result<R, TaskError> {
        let outcome = dispatcher::taken(&mut self.dispatcher.lock().tasks, ticket);
        outcome?.value()
    }

    /// Ends tasks that have not ended, as cancelled.
    pub(crate) fn cancel(&self, tickets: &[Ticket]) {
        self.dispatcher.cancel(tickets);
    }

    /// Has whoever waits for [`ended`](Self::ended) ask again.
    pub(crate) fn wake(&self) {
        let state = self.dispatcher.lock();
        self.dispatcher.announce(state);
    }
}
