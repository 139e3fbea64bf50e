//! A pool whose workers are elsewhere: on other hosts, over a
//! [Redis](https://redis.io/docs/latest/develop/data-types/streams/) or Valkey server,
//! the *broker*, which keeps the tasks.
//!
//! A program that ran on one machine runs on many. Its functions are registered by
//! name. Each host runs a worker, which takes tasks from the broker and runs them in
//! processes of its own.
//!
//! ```no_run
//! // Not run: it needs a broker.
//! use multiprocessing::Pool;
//! use multiprocessing::broker::Tasks;
//!
//! fn square(x: u64) -> u64 {
//!     x * x
//! }
//!
//! fn tasks() -> Tasks {
//!     Tasks::new().add("square", square)
//! }
//!
//! fn main() -> multiprocessing::Result<()> {
//!     if let Some(url) = std::env::args().nth(1) {
//!         // On every host: PROGRAM redis://master:6379/0
//!         return Ok(tasks().worker(&url)?.processes(4).serve()?);
//!     }
//!     let pool = Pool::builder().broker("redis://master:6379/0").tasks(tasks()).start()?;
//!     assert_eq!(pool.map(square, 0..4)?, [0, 1, 4, 9]);
//!     Ok(())
//! }
//! ```
//!
//! # What is promised
//!
//! - *At least once.* A task that the broker has accepted is run, even if something is
//!   killed: a process of a worker (the task begins again at once), a worker (it begins
//!   again after the lease), the sender (the tasks go on), or the broker itself (they go
//!   on after it is started again, from its append-only file). The *effects* of a task
//!   *may therefore happen twice*: write tasks that can be repeated.
//! - *One at a time.* A worker that cannot reach the broker ends its tasks before another
//!   worker begins them. One that is stopped for longer than its lease, as by SIGSTOP or
//!   with its machine, or that gets a task so late, learns by its next heartbeat only that
//!   the task runs elsewhere, too. So does any other if the broker's clock is set forward.
//! - *One result.* The sender of a task gets one outcome, even if the task ran several
//!   times.
//! - *Submitted once.* A submission whose answer was lost is repeated, and the broker
//!   detects the repetition. A program that may be killed while it submits gives its
//!   tasks [keys](crate::Pool::apply_async_with_key): it may then submit them again.
//! - *An end.* A task that was delivered to workers three times, none of which lived to
//!   report its outcome, ends as [`Lost`](crate::TaskError::Lost) and is kept among the
//!   [dead tasks](Queue::dead) for inspection. One delivery,
//!   [`deliveries(1)`](BrokerPoolBuilder::deliveries), makes it *at most once*.
//! - *No hang.* A task that the broker has lost, because it was emptied or restored from
//!   an older file, ends as [`Forgotten`](crate::TaskError::Forgotten): within seconds, and
//!   a second more for each two hundred of the sender's older tasks that the broker still
//!   has. While the broker is away, senders and workers wait for it; they go on within a
//!   second after it is back.
//! - *No clocks.* The clocks of two hosts are never compared: the broker's clock counts.
//!
//! # What is not promised
//!
//! - A broker that fails over to a replica loses what the replica did not have yet: Redis
//!   acknowledges before it replicates. A power cut may cost the last seconds, and so may
//!   a kill of the broker while its disk is slow, since Redis then holds its writes back
//!   for up to two seconds. Neither can if the broker is set to `appendfsync always`.
//! - Tasks begin in the order in which they were submitted, but no other order holds
//!   between them.
//! - A program that can reach the broker can submit tasks, of the registered names only,
//!   and read all results: give the broker a password, in the address, and a network of
//!   its own.
//!
//! # Differences from a local pool
//!
//! - Arguments and results cross as JSON, functions by name: a call of a function that is
//!   not registered ends as [`Unregistered`](crate::TaskError::Unregistered).
//! - A pool that is dropped leaves its tasks with the broker;
//!   [`terminate`](crate::Pool::terminate) removes them from it.
//! - A cancelled task ends at once for its sender; the worker ends it about a second
//!   later.
//! - The pool has threads of its own, so this program cannot fork after it is started.
//!
//! # Layout
//!
//! | | |
//! | --- | --- |
//! | `tasks`, `wire` | functions by name; the format of tasks and outcomes |
//! | `scripts/` | the broker's atomic operations, and its keys |
//! | `address`, `link` | the address of a queue; one connection, made again after it breaks |
//! | `answer` | what the broker answers, as texts, numbers and lists |
//! | `record` | what a worker reports about itself |
//! | `client/` | the sender's side: the submitter and the receiver |
//! | `worker/` | the worker: its fetcher, its heartbeat and its collector |
//! | `id` | the names of senders and workers |
//! | `queue/` | the state of a queue, and its dead tasks |

mod address;
mod answer;
mod client;
mod error;
mod id;
mod link;
mod queue;
mod record;
mod scripts;
mod tasks;
mod wire;
mod worker;

pub use client::BrokerPoolBuilder;
pub(crate) use client::{Client, Fields, Outcome, Outcomes, id_of_key};
pub use error::BrokerError;
pub use queue::{DeadTask, Queue, RunningTask, Stats, WorkerState};
pub use tasks::Tasks;
pub(crate) use wire::{
    all_succeeded, read_value, read_values, write_args, write_item,
};
pub use worker::WorkerBuilder;

/// The queue of a pool or a worker for which no queue is named.
const DEFAULT_QUEUE: &str = "default";

/// The number of times that a task is delivered, unless its entry names another.
const DELIVERIES: u32 = 3;
