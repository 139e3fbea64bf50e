//! The interface by which a worker of a broker uses its local pool: several threads may
//! submit tasks, and one thread receives all their outcomes in the order in which they
//! end.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Pool;
use super::dispatcher::{self, Dispatcher, Workers};
use super::error::TaskError;
use super::function::{Function, Once, PoolFn};
pub(crate) use super::message::Ticket;
use super::shared::WorkerState;

/// Submits tasks to a pool and collects their outcomes. It must not be used after the
/// pool was dropped.
pub(crate) struct Feed {
    dispatcher: Arc<Dispatcher>,
    /// The task table's list of the tasks that were submitted here and have ended.
    arrivals: u32,
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

    /// Submits a task. Its ticket is not used for another task until its outcome is
    /// [taken](Self::take).
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

    /// Waits until tasks have ended, and returns their tickets. Returns an empty list if
    /// none has ended and `or` is true; after `or` has changed, [`wake`](Self::wake) has
    /// it checked again.
    pub(crate) fn ended(&self, or: impl Fn() -> bool) -> Vec<Ticket> {
        let mut ended = Vec::new();
        let (_state, _) = self.dispatcher.wait(None, |tasks| {
            ended.extend(std::iter::from_fn(|| tasks.next_arrival(self.arrivals)));
            !ended.is_empty() || or()
        });
        ended
    }

    /// Takes the outcome of a task that has ended.
    pub(crate) fn take<R: DeserializeOwned>(
        &self,
        ticket: Ticket,
    ) -> Result<R, TaskError> {
        let outcome = dispatcher::taken(&mut self.dispatcher.lock().tasks, ticket);
        outcome?.value()
    }

    /// The id of the process that runs the task, if one does.
    pub(crate) fn process_of(&self, ticket: Ticket) -> Option<u32> {
        let Workers::Local { shared, .. } = &self.dispatcher.workers else {
            return None;
        };
        let task = self.dispatcher.lock().tasks.unended(ticket)?;
        let mut slots = shared.slots();
        let slot = slots.find(|slot| slot.state() == WorkerState::Running(task))?;
        Some(slot.pid())
    }

    /// Cancels those of the tasks that have not ended.
    pub(crate) fn cancel(&self, tickets: &[Ticket]) {
        self.dispatcher.cancel(tickets);
    }

    /// Wakes the thread that waits in [`ended`](Self::ended), which checks its `or` again.
    pub(crate) fn wake(&self) {
        let state = self.dispatcher.lock();
        self.dispatcher.announce(state);
    }
}
