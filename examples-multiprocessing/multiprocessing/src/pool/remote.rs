//! The dispatcher's side of a broker, whose client sends and receives in threads of its
//! own: tasks are entered in the same table, and whoever waits for one waits as a
//! follower of the client's receiving thread.

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
use super::task_table::PoolState;
use crate::broker::{self, BrokerError, Client, Fields, Landed, Lands};

/// Nobody here knows how many processes there are elsewhere: a `map` makes chunks for as
/// many.
pub(super) const PROCESSES: usize = 16;

/// What was not sent when a pool is dropped has this long to be.
const PATIENCE: Duration = Duration::from_secs(5);

/// At most `size` inputs as the arguments of a chunk, and the number of inputs; nothing
/// if there are none.
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

/// A task that can be submitted, if its function has a name.
pub(super) fn order(
    client: &Client,
    function: Function,
    args: String,
    many: bool,
    limit: Option<Duration>,
) -> Result<Fields, TaskError> {
    let name = client.name_of(function.type_id);
    let name = name.ok_or_else(|| TaskError::Unregistered(String::new()))?;
    client.order(name, args, many, limit)
}

impl Dispatcher {
    /// Sends a task, which the calling thread is about to wait for or not. Waits while
    /// too many are still to be sent.
    pub(super) fn submit_elsewhere(
        &self,
        client: &Client,
        order: Fields,
        arrivals: Option<usize>,
        waits: bool,
    ) -> Result<Ticket, TaskError> {
        let (state, task) = self.enter(client, arrivals)?;
        client.submit(task.to_word(), order, waits);
        drop(state);
        if waits {
            client.send_now(self);
        }
        Ok(task.ticket)
    }

    /// Enters a task in the table under the client's next number.
    fn enter(
        &self,
        client: &Client,
        arrivals: Option<usize>,
    ) -> Result<(MutexGuard<'_, State>, TaskId), TaskError> {
        if !self.is_owner() {
            return Err(TaskError::NotTheMaker);
        }
        // Not with the state locked: results go on being received meanwhile.
        client.wait_for_room();
        let mut state = self.lock();
        state.check_open()?;
        state.next_ticket()?;
        // Whoever gives the client another task has the state locked.
        let number = client.next_number() as u32;
        let task = state.tasks.insert(number, arrivals);
        Ok((state, task))
    }

    /// A closed pool is over when its last task has ended.
    pub(super) fn end_if_done(&self, client: &Client, state: &mut State) {
        if state.tasks.state == PoolState::Closed && client.has_nothing_open() {
            state.tasks.end_all(&TaskError::Closed);
        }
        self.notify(state);
    }

    /// The pool is dropped: its tasks stay with the broker, whoever waits here is told.
    pub(super) fn leave(&self, client: &Client) {
        let mut state = self.lock();
        let callbacks = state.tasks.forget_callbacks();
        state.tasks.end_all(&TaskError::Terminated);
        self.notify(&state);
        drop(state);
        drop(callbacks);
        client.end(PATIENCE);
    }
}

/// Where the client brings what it has received.
struct Landing {
    /// Weak, since the dispatcher has the client, which has this.
    dispatcher: Weak<Dispatcher>,
}

impl Lands for Landing {
    fn land(&self, landed: Vec<Landed>) -> bool {
        let dispatcher = self.dispatcher.upgrade();
        dispatcher.is_some_and(|dispatcher| dispatcher.land(landed))
    }
}

impl Lands for Dispatcher {
    fn land(&self, landed: Vec<Landed>) -> bool {
        let mut state = self.lock();
        for (word, outcome) in landed {
            let outcome = outcome.map(|outcome| outcome.map(Payload::json));
            state.tasks.land(TaskId::from_word(word), outcome);
        }
        match &self.workers {
            Workers::Elsewhere(client) => self.end_if_done(client, &mut state),
            Workers::Local { .. } => self.notify(&state),
        }
        true
    }
}

impl Pool {
    pub(crate) fn elsewhere(client: Arc<Client>) -> Result<Self, BrokerError> {
        let pool = Self::over(Dispatcher::new(Workers::Elsewhere(client.clone())));
        let dispatcher = Arc::downgrade(&pool.dispatcher);
        client.start(Landing { dispatcher })?;
        Ok(pool)
    }

    /// The result of a task that any pool over the same broker and queue has submitted,
    /// this program or another, by its [id](AsyncResult::id): if it was submitted by a
    /// pool that [keeps results](crate::broker::BrokerPoolBuilder::result_ttl), and that
    /// time is not over. Otherwise it is [`TaskError::Forgotten`].
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
        AsyncResult::one(dispatcher, sent, Payload::value)
    }
}

impl<T> AsyncResult<T> {
    /// The task's name at the broker, by which other programs can ask for its
    /// [result](Pool::result). None for a task of a local pool, and for a `map`, which is
    /// several tasks.
    #[must_use]
    pub fn id(&self) -> Option<String> {
        let (dispatcher, ticket) = self.single()?;
        let Workers::Elsewhere(client) = &dispatcher.workers else {
            return None;
        };
        let number = dispatcher.lock().tasks.number(ticket)?;
        Some(client.task_id(client.whole_number(number)))
    }
}
