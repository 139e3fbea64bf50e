//! A pool whose workers are elsewhere: on other hosts, over a
//! [Redis](https://redis.io/docs/latest/develop/data-types/streams/) or Valkey server,
//! the *broker*, which keeps the tasks.
//!
//! The program that ran on one machine runs on many. Its functions are registered by
//! name; on each host a worker is started, which takes tasks from the broker and runs
//! them in processes of its own.
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
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
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
//! - *At least once.* A task that the broker has accepted is run, whoever is killed: a
//!   process of a worker (the task begins again at once), a worker (after its lease), the
//!   sender (the tasks go on), or the broker itself (after it is started again, from its
//!   append-only file). So its *effects may double*: let tasks bear being repeated.
//! - *One result.* However often a task was run, its sender gets one outcome.
//! - *An end.* A task that is given to workers three times, and none of them lives to
//!   report it, is [`Lost`](crate::TaskError::Lost), and waits among the
//!   [dead](Queue::dead) for somebody to look at it. One delivery,
//!   [`deliveries(1)`](BrokerPoolBuilder::deliveries), makes it *at most once*.
//! - *No hang.* What the broker has lost, because it was emptied or restored from an
//!   older file, ends as [`Forgotten`](crate::TaskError::Forgotten) within seconds. While
//!   the broker is away, all wait for it, and go on within a second after it is back.
//! - *No clocks.* No host's clock is compared with another's: the broker measures.
//!
//! # What is not
//!
//! - A broker that fails over to a replica loses what the replica did not have yet: Redis
//!   acknowledges before it replicates. A power cut may cost the last second, unless it is
//!   set to `appendfsync always`.
//! - There is no order between tasks, but that what was submitted first is begun first.
//! - Whoever can speak to the broker can give it tasks, of the registered names only, and
//!   read all results: give it a password, in the address, and a network of its own.
//!
//! # Differences from a local pool
//!
//! - Arguments and results cross as JSON, functions by name: a function that is not
//!   registered ends as [`Unregistered`](crate::TaskError::Unregistered).
//! - A pool that is dropped leaves its tasks with the broker;
//!   [`terminate`](crate::Pool::terminate) takes them off it.
//! - A cancelled task ends at once for its sender; the worker ends it a second or so later.
//! - The pool has threads of its own, so that afterwards this program cannot fork.
//!
//! # Layout
//!
//! | | |
//! | --- | --- |
//! | `tasks`, `wire` | functions by name; what crosses |
//! | `scripts` | what the broker does in one piece, and its keys |
//! | `link` | one connection, made again when it breaks |
//! | `client`, `builder` | the sender's side |
//! | `agent` | the worker |
//! | `stats` | looking at a queue, and after its dead tasks |

mod agent;
mod builder;
mod client;
mod error;
mod link;
mod scripts;
mod stats;
mod tasks;
mod wire;

pub use agent::WorkerBuilder;
pub use builder::BrokerPoolBuilder;
pub(crate) use client::{Client, Fields, Landed, Lands};
pub use error::BrokerError;
pub use stats::{DeadTask, Queue, RunningTask, Stats, WorkerState};
pub use tasks::Tasks;
pub(crate) use wire::{
    all_succeeded, read_value, read_values, write_args, write_item,
};

/// The queue of those who name none.
const DEFAULT_QUEUE: &str = "default";

/// The bytes of the largest argument or result: the broker's own limit is 512 MiB.
const LARGEST: usize = 128 << 20;
