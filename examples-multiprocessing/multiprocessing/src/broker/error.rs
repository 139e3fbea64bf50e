//! The errors of a broker. Each message says what to do.

use std::fmt;
use std::time::Duration;

use crate::PoolError;

/// Why a broker cannot be used.
///
/// ```
/// use multiprocessing::broker::BrokerError;
///
/// let error = BrokerError::Forgets { at: "127.0.0.1:6379".into() };
/// assert_eq!(
///     error.to_string(),
///     "The broker at 127.0.0.1:6379 keeps its tasks in memory only and would lose \
///      them with its process: run `redis-cli CONFIG SET appendonly yes`, and write \
///      the same into its configuration."
/// );
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum BrokerError {
    /// The address is not the address of a broker.
    Address {
        /// What is wrong with it.
        why: String,
    },
    /// No broker answers at the address.
    Unreachable {
        /// Host and port.
        at: String,
        /// The system's error.
        why: String,
    },
    /// This process may open no further file, and a connection is one.
    OutOfDescriptors {
        /// Host and port.
        at: String,
    },
    /// A key of the queue holds what the library did not put there.
    ForeignKey {
        /// Host and port.
        at: String,
        /// The key.
        key: String,
    },
    /// The broker answers with an error.
    Refused {
        /// Host and port.
        at: String,
        /// The broker's error.
        why: String,
    },
    /// The broker is older than Redis 7.0.
    TooOld {
        /// Its version.
        version: String,
    },
    /// The broker does not write its tasks to disk.
    Forgets {
        /// Host and port.
        at: String,
    },
    /// The broker removes tasks when its memory is full.
    Evicts {
        /// Host and port.
        at: String,
        /// Its `maxmemory-policy`.
        policy: String,
    },
    /// The workers of this queue have agreed on another lease.
    OtherLease {
        /// The one in force.
        theirs: Duration,
        /// The one that was asked for.
        ours: Duration,
    },
    /// Two functions were registered by the same name.
    NameTaken {
        /// The name.
        name: String,
    },
    /// No task is registered.
    NoTasks,
    /// The dead entry that was to be retried is no task, so no worker could run it.
    NoTask {
        /// Its place among the dead tasks.
        place: String,
    },
    /// A thread of the pool, or the local pool of a worker, cannot be started.
    Pool(PoolError),
    /// The local pool of a worker has broken: its supervisor was killed.
    PoolBroken,
}

impl fmt::Display for BrokerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { why } => write!(
                f,
                "That is not the address of a broker ({why}): write \
                 redis://host:port/0."
            ),
            Self::Unreachable { at, why } => write!(
                f,
                "No broker answers at {at} ({why}): start one, as by `redis-server \
                 --appendonly yes` of Debian's package redis-server."
            ),
            Self::OutOfDescriptors { at } => write!(
                f,
                "This process has too many open files to connect to the broker at {at}: \
                 close some, or raise its limit, as by `ulimit -n 4096`."
            ),
            Self::ForeignKey { at, key } => write!(
                f,
                "Another program has used the key {key} at the broker at {at}: give the \
                 queue another name, or delete that key, as by `redis-cli DEL '{key}'`."
            ),
            Self::Refused { at, why } => write!(
                f,
                "The broker at {at} refuses ({why}): see that it is Redis or Valkey, and \
                 that the address names a user who may use the queue, as in \
                 redis://USER:PASSWORD@host:6379/0."
            ),
            Self::TooOld { version } => write!(
                f,
                "The broker is Redis {version}: install 7.0 or newer, or Valkey."
            ),
            Self::Forgets { at } => write!(
                f,
                "The broker at {at} keeps its tasks in memory only and would lose \
                 them with its process: run `redis-cli CONFIG SET appendonly yes`, \
                 and write the same into its configuration."
            ),
            Self::Evicts { at, policy } => write!(
                f,
                "The broker at {at} throws tasks away when its memory is full \
                 ({policy}): run `redis-cli CONFIG SET maxmemory-policy noeviction`, \
                 and write the same into its configuration."
            ),
            Self::OtherLease { theirs, ours } => write!(
                f,
                "The workers of this queue have a lease of {theirs:?}, not \
                 {ours:?}: give all of them the same, or stop them for a minute."
            ),
            Self::NameTaken { name } => write!(
                f,
                "Two tasks are named {name:?}: give each a name of its own."
            ),
            Self::NoTasks => f.write_str(
                "No task is registered: add functions to `Tasks` before using them.",
            ),
            Self::NoTask { place } => write!(
                f,
                "The dead entry at {place} is no task, and no worker could run it: \
                 drop it."
            ),
            Self::Pool(error) => error.fmt(f),
            Self::PoolBroken => f.write_str(
                "The worker's own pool has broken, its supervisor was killed: start \
                 the worker again. Its tasks were given back.",
            ),
        }
    }
}

impl std::error::Error for BrokerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // This error has the message of that one, so it has the same source.
            Self::Pool(error) => error.source(),
            _ => None,
        }
    }
}

impl From<PoolError> for BrokerError {
    fn from(error: PoolError) -> Self {
        Self::Pool(error)
    }
}
