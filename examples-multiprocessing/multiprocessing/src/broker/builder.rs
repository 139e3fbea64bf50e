//! The options of a pool whose workers are elsewhere.

use std::sync::Arc;
use std::time::Duration;

use super::client::{Client, Options};
use super::link::Place;
use super::{BrokerError, DEFAULT_QUEUE, Tasks};
use crate::Pool;

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

/// So many tasks of a few hundred bytes are some hundred megabytes at the broker.
const CAPACITY: u64 = 1_000_000;
const DELIVERIES: u32 = 3;

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

    /// The functions that may be sent. The workers know them by the same names.
    pub fn tasks(mut self, tasks: Tasks) -> Self {
        self.tasks = tasks;
        self
    }

    /// Which queue the tasks go to: `default` where nothing is said.
    pub fn queue(mut self, name: &str) -> Self {
        name.clone_into(&mut self.queue);
        self
    }

    /// How many tasks of the queue may wait or run before those that are submitted wait
    /// here: a million where nothing is said. A thousand more wait in this process, and
    /// then whoever submits another does.
    pub fn capacity(mut self, tasks: u64) -> Self {
        self.options.capacity = tasks.max(1);
        self
    }

    /// How often a task is given to a worker if none of them lives to report it: three
    /// times where nothing is said. Once means that it runs at most once.
    pub fn deliveries(mut self, times: u32) -> Self {
        self.options.deliveries = times.max(1);
        self
    }

    /// How long a task may wait before it begins; after that it ends with
    /// [`TaskError::Expired`](crate::TaskError::Expired) when a worker comes to it. It is
    /// the broker's clock that counts.
    pub fn expires(mut self, limit: Duration) -> Self {
        self.options.expires = Some(limit);
        self
    }

    /// For how long a result can be looked up by the task's id, by
    /// [`Pool::result`](crate::Pool::result) of this or any other program. Where nothing
    /// is said, only its sender gets it, and it is gone when it has.
    pub fn result_ttl(mut self, time: Duration) -> Self {
        self.options.keep = Some(time);
        self
    }

    /// Accepts a broker that would lose its tasks: for trying things out.
    pub fn may_forget(mut self) -> Self {
        self.may_forget = true;
        self
    }

    /// Connects to the broker.
    ///
    /// # Errors
    ///
    /// Why this broker is refused, or nobody answers; or that no task is registered, or
    /// two of them by one name.
    pub fn start(self) -> Result<Pool, BrokerError> {
        let place = Place::new(&self.url, &self.queue)?;
        let tasks = self.tasks.checked()?;
        place.checked(self.may_forget)?;
        let client = Arc::new(Client::new(place, tasks, self.options));
        Pool::elsewhere(client)
    }
}
