//! The options of a pool whose workers are elsewhere.

use std::sync::Arc;
use std::time::Duration;

use super::{Client, Options};
use crate::Pool;
use crate::broker::address::QueueAddress;
use crate::broker::{BrokerError, DEFAULT_QUEUE, DELIVERIES, Tasks};

/// A pool over a broker that is not started yet. Made by
/// [`PoolBuilder::broker`](crate::PoolBuilder::broker).
///
/// ```no_run
/// // Not run: it needs a broker.
/// use multiprocessing::Pool;
/// use multiprocessing::broker::{BrokerError, Tasks};
///
/// fn square(x: u64) -> u64 {
///     x * x
/// }
///
/// fn main() -> Result<(), BrokerError> {
///     let pool = Pool::builder()
///         .broker("redis://127.0.0.1:6379/0")
///         .tasks(Tasks::new().add("square", square))
///         .queue("numbers")
///         .capacity(10_000)
///         .start()?;
///     assert_eq!(pool.apply(square, (7,)), Ok(49));
///     Ok(())
/// }
/// ```
#[derive(Debug)]
#[must_use = "it becomes a pool by `start`"]
pub struct BrokerPoolBuilder {
    url: String,
    queue: String,
    tasks: Tasks,
    options: Options,
    may_forget: bool,
}

/// A million tasks of a few hundred bytes take some hundred megabytes at the broker.
const CAPACITY: u64 = 1_000_000;

impl BrokerPoolBuilder {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            queue: DEFAULT_QUEUE.to_owned(),
            tasks: Tasks::new(),
            options: Options {
                capacity: CAPACITY,
                deliveries: DELIVERIES,
                expires: None,
                keep: None,
            },
            may_forget: false,
        }
    }

    /// The functions that may be sent. The workers must register them by the same names.
    pub fn tasks(mut self, tasks: Tasks) -> Self {
        self.tasks = tasks;
        self
    }

    /// The queue that the tasks go to. It is `default` unless this is called.
    pub fn queue(mut self, name: &str) -> Self {
        name.clone_into(&mut self.queue);
        self
    }

    /// The number of tasks of the queue that may wait or run at the broker, a million by
    /// default. When the queue is full, about a thousand more tasks wait in this process;
    /// a thread that submits another then waits for room.
    pub fn capacity(mut self, tasks: u64) -> Self {
        self.options.capacity = tasks.max(1);
        self
    }

    /// The number of times that a task is delivered to a worker, three by default, before
    /// it ends as lost because none of them lived to report it. With one delivery, a task
    /// runs at most once.
    pub fn deliveries(mut self, times: u32) -> Self {
        self.options.deliveries = times.max(1);
        self
    }

    /// How long a task may wait before it begins. A task that has waited longer ends with
    /// [`TaskError::Expired`](crate::TaskError::Expired) when a worker takes it. The
    /// broker's clock counts.
    pub fn expires(mut self, limit: Duration) -> Self {
        self.options.expires = Some(limit);
        self
    }

    /// How long a result can be looked up by the task's id, with
    /// [`Pool::result`](crate::Pool::result) in this or any other program. By default,
    /// only the sender gets the result, and the broker removes it once it was received.
    pub fn result_ttl(mut self, time: Duration) -> Self {
        self.options.keep = Some(time);
        self
    }

    /// Accepts a broker that would lose its tasks when it ends: for experiments.
    pub fn may_forget(mut self) -> Self {
        self.may_forget = true;
        self
    }

    /// Connects to the broker.
    ///
    /// # Errors
    ///
    /// [`BrokerError::NoTasks`] and [`BrokerError::NameTaken`] for the registered tasks;
    /// the other variants if no broker answers at the address, or if the broker cannot
    /// keep tasks safely.
    pub fn start(self) -> Result<Pool, BrokerError> {
        let address = QueueAddress::new(&self.url, &self.queue)?;
        let tasks = self.tasks.checked()?;
        address.checked(self.may_forget)?;
        let client = Arc::new(Client::new(address, tasks, self.options));
        Pool::elsewhere(client)
    }
}
