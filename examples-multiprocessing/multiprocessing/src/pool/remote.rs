//! The dispatcher's side of a broker, whose client sends and receives in threads of its
//! own. The tasks are entered in the same table as those of a local pool, and a thread
//! that waits for a task is woken by the client's receiving thread.

use std::sync::{Arc, MutexGuard, Weak};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Pool;
use super::dispatcher::{Dispatcher, State, Workers};
use super::error::TaskError;
use super::function::Function;
use super::message::{Payload, TaskId, Ticket};
use super::result::AsyncResult;
use super::submit::PoolCall;
use super::task_table::PoolState;
use crate::broker::{self, BrokerError, Client, Fields, Outcome, Outcomes};

/// The number of processes for which a `map` makes its chunks: the number at the workers
/// is not known here.
pub(super) const PROCESSES: usize = 16;

/// How long a pool that is dropped may take to send the tasks that are not sent yet.
const PATIENCE: Duration = Duration::from_secs(5);

/// Writes at most `size` inputs as the arguments of a chunk. Returns them with the number
/// of inputs, or `None` if there are no inputs.
pub(super) fn write_chunk<A: Serialize>(
    takes_one: bool,
    inputs: &mut impl Iterator<Item = A>,
    size: usize,
) -> Option<(Result<String, TaskError>, usize)> {
    let mut list = String::new();
    let (mut count, mut refused) = (0, None);
    for input in inputs.take(size) {
        count += 1;
        let written = if takes_one {
            broker::write_item(&mut list, &(input,))
        } else {
            broker::write_item(&mut list, &input)
        };
        if let Err(error) = written {
            refused.get_or_insert(error);
        }
    }
    list.push(']');
    (count > 0).then_some((refused.map_or(Ok(list), Err), count))
}

/// The fields of a task that can be submitted. It is an error if its function has no
/// name.
pub(super) fn fields(
    client: &Client,
    function: Function,
    args: String,
    many: bool,
    limit: Option<Duration>,
) -> Result<Fields, TaskError> {
    let name = client.name_of(function.type_id);
    let name = name.ok_or_else(|| TaskError::Unregistered(String::new()))?;
    client.fields(name, args, many, limit)
}

impl Dispatcher {
    /// Submits a task. If the calling thread `waits` for its outcome, this thread sends the
    /// task itself. Waits while the client has no room for another task.
    pub(super) fn submit_elsewhere(
        &self,
        client: &Client,
        fields: Fields,
        arrivals: Option<u32>,
        waits: bool,
    ) -> Result<Ticket, TaskError> {
        let (state, task) = self.enter(client, arrivals)?;
        client.submit(task.to_word(), fields, waits);
        drop(state);
        if waits {
            client.send_now(self);
            client.receive_until(self, || self.lock().tasks.is_done(task.ticket));
        }
        Ok(task.ticket)
    }

    /// Enters a task in the table under the client's next number.
    fn enter(
        &self,
        client: &Client,
        arrivals: Option<u32>,
    ) -> Result<(MutexGuard<'_, State>, TaskId), TaskError> {
        if !self.is_owner() {
            return Err(TaskError::NotTheMaker);
        }
        // The state is not locked during this wait, so that results can be received.
        client.wait_for_room();
        let mut state = self.lock();
        state.check_open()?;
        state.next_ticket()?;
        // Every task is given to the client with the state locked, so that this number is
        // still the next when the task is submitted.
        let number = client.next_number() as u32;
        let task = state.tasks.insert(number, arrivals);
        Ok((state, task))
    }

    /// Ends a closed pool when its last task has ended, and wakes the threads that wait.
    pub(super) fn end_if_done(&self, client: &Client, state: &mut State) {
        if state.tasks.state == PoolState::Closed && client.has_nothing_open() {
            state.tasks.end_all(&TaskError::Closed);
        }
        self.notify(state);
    }

    /// Ends the pool when it is dropped. Its tasks stay with the broker; threads that wait
    /// here get [`TaskError::Terminated`].
    pub(super) fn leave(&self, client: &Client) {
        let mut state = self.lock();
        let callbacks = state.tasks.forget_callbacks();
        state.tasks.terminate();
        self.notify(&state);
        drop(state);
        drop(callbacks);
        client.end(PATIENCE);
    }
}

/// Passes the client's outcomes to the dispatcher while the pool exists.
struct Receiver {
    /// Weak, since the dispatcher owns the client, whose threads own this.
    dispatcher: Weak<Dispatcher>,
}

impl Outcomes for Receiver {
    fn deliver(&self, outcomes: Vec<Outcome>) -> bool {
        let dispatcher = self.dispatcher.upgrade();
        dispatcher.is_some_and(|dispatcher| dispatcher.deliver(outcomes))
    }
}

impl Outcomes for Dispatcher {
    fn deliver(&self, outcomes: Vec<Outcome>) -> bool {
        let mut state = self.lock();
        for (token, outcome) in outcomes {
            let task = TaskId::from_word(token);
            match outcome {
                Some(outcome) => {
                    state.tasks.land(task, || outcome.map(Payload::json));
                }
                None => state.tasks.skip(task),
            }
        }
        // Outcomes come from a client only.
        if let Workers::Elsewhere(client) = &self.workers {
            self.end_if_done(client, &mut state);
        }
        true
    }
}

impl Pool {
    pub(crate) fn elsewhere(client: Arc<Client>) -> Result<Self, BrokerError> {
        let pool = Self::over(Dispatcher::new(Workers::Elsewhere(client.clone())));
        let dispatcher = Arc::downgrade(&pool.dispatcher);
        client.start(Receiver { dispatcher })?;
        Ok(pool)
    }

    /// The result of a task, by its [id](AsyncResult::id). The task may come from any pool
    /// of this or another program over the same broker and queue, if that pool
    /// [keeps results](crate::broker::BrokerPoolBuilder::result_ttl) and the time is not
    /// over. Otherwise, and in a local pool, the result is [`TaskError::Forgotten`].
    ///
    /// ```no_run
    /// // Not run: it needs a broker.
    /// # use multiprocessing::{Pool, broker::Tasks};
    /// # fn square(x: u64) -> u64 { x * x }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let tasks = Tasks::new().add("square", square);
    /// # let pool = Pool::builder().broker("redis://127.0.0.1/0").tasks(tasks).start()?;
    /// let id = std::fs::read_to_string("task.id")?;
    /// let square: u64 = pool.result(&id).get()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn result<R: DeserializeOwned>(&self, id: &str) -> AsyncResult<R> {
        let dispatcher = &self.dispatcher;
        let sent = match &dispatcher.workers {
            Workers::Local { .. } => Err(TaskError::Forgotten),
            Workers::Elsewhere(client) => {
                dispatcher.enter(client, None).map(|(state, task)| {
                    client.watch(id, task.to_word());
                    drop(state);
                    task.ticket
                })
            }
        };
        let mut result = AsyncResult::one(dispatcher, sent, Payload::value);
        result.given_id = Some(id.to_owned());
        result
    }
}

impl PoolCall<'_> {
    /// Submits a task with a key; see [`Pool::apply_async_with_key`].
    pub(super) fn submit_with_key<R: DeserializeOwned>(
        &self,
        key: &str,
        function: Function,
        args: &impl Serialize,
    ) -> AsyncResult<R> {
        let dispatcher = self.dispatcher;
        let sent = match &dispatcher.workers {
            Workers::Local { .. } => Err(TaskError::Argument(
                "a task of a local pool has no key: use a pool over a broker".into(),
            )),
            Workers::Elsewhere(client) => broker::write_args(args)
                .and_then(|args| fields(client, function, args, false, self.limit))
                .and_then(|mut fields| {
                    client.add_key(key, &mut fields)?;
                    dispatcher.submit_elsewhere(client, fields, None, false)
                }),
        };
        let mut result = AsyncResult::one(dispatcher, sent, Payload::value);
        result.given_id = Some(broker::id_of_key(key));
        result
    }
}

impl<T> AsyncResult<T> {
    /// The task's id at the broker, by which other programs can ask for its
    /// [result](Pool::result). It is `None` for a task of a local pool, and for a `map`,
    /// which may be several tasks.
    #[must_use]
    pub fn id(&self) -> Option<String> {
        let (dispatcher, ticket) = self.single()?;
        let Workers::Elsewhere(client) = &dispatcher.workers else {
            return None;
        };
        if let Some(id) = &self.given_id {
            return Some(id.clone());
        }
        let number = dispatcher.lock().tasks.number(ticket)?;
        Some(client.task_id(client.whole_number(number)))
    }
}
