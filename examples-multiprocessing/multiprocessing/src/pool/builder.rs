//! A pool's options.

use std::num::NonZero;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::board::{Common, SpawnedPool};
use super::desk::Desk;
use super::supervisor::{Initializer, Plan, supervise, supervise_spawned};
use super::task::Once;
use super::{Pool, PoolError, Task};
use crate::codec::{self, EncodeError};
use crate::process::{Process, ProcessError, cpu_count};
use crate::sys::routine::Routine;

/// How a pool's supervisor is started. The workers are forks of it in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StartMethod {
    /// As a fork of this process, which must have one thread only.
    #[default]
    Fork,
    /// As a fresh copy of this program, for a process that has other threads. Its `main`
    /// begins with [`freeze_support`](crate::freeze_support).
    Spawn,
}

/// A pool that is not started yet: the keyword arguments of Python's `Pool`. Made by
/// [`Pool::builder`].
///
/// ```no_run
/// // Not run: a test has threads, and a process that has threads must not fork.
/// use multiprocessing::{Pool, PoolError, current_process};
///
/// fn greet(greeting: String) {
///     println!("{greeting}, I am {}", current_process().name());
/// }
///
/// fn main() -> Result<(), PoolError> {
///     let pool = Pool::builder()
///         .processes(2)
///         .initializer(greet, ("hello".to_string(),))
///         .maxtasksperchild(100)
///         .start()?;
///     pool.close();
///     pool.join()
/// }
/// ```
#[derive(Debug)]
#[must_use = "it becomes a pool by `start`"]
pub struct PoolBuilder {
    /// As many as there are processors where nothing is said.
    processes: Option<usize>,
    initializer: Option<Result<Initializer, NotSendable>>,
    /// Zero is refused when the pool starts.
    maxtasksperchild: Option<u32>,
    start_method: StartMethod,
}

/// Why an initializer cannot be sent to the workers.
#[derive(Debug)]
enum NotSendable {
    Argument(EncodeError),
    Foreign,
}

impl PoolBuilder {
    pub(super) fn new() -> Self {
        Self {
            processes: None,
            initializer: None,
            maxtasksperchild: None,
            start_method: StartMethod::Fork,
        }
    }

    /// How many workers there are: as many as [`cpu_count`] says where nothing is said.
    pub fn processes(mut self, processes: usize) -> Self {
        self.processes = Some(processes);
        self
    }

    /// What every worker runs when it starts, with its arguments as a tuple.
    ///
    /// If it fails, every task ends with
    /// [`TaskError::Initializer`](super::TaskError::Initializer), and no more workers
    /// are started. Python starts one after the other for ever.
    pub fn initializer<F, A>(mut self, function: F, args: A) -> Self
    where
        F: Task<A, Output = ()>,
        A: Serialize + DeserializeOwned,
    {
        let routine = Routine::of::<F, Once<A>>(&function);
        let routine = routine.ok_or(NotSendable::Foreign);
        let args = codec::encode(&args, Vec::new()).map_err(NotSendable::Argument);
        self.initializer =
            Some(routine.and_then(|routine| Ok(Initializer::new(routine, args?))));
        self
    }

    /// After so many tasks (a chunk of `map` counts as one) a worker ends, and a fresh
    /// one takes its place.
    pub fn maxtasksperchild(mut self, tasks: u32) -> Self {
        self.maxtasksperchild = Some(tasks);
        self
    }

    /// How the pool is started: by fork where nothing is said.
    pub fn start_method(mut self, method: StartMethod) -> Self {
        self.start_method = method;
        self
    }

    /// Starts the pool.
    ///
    /// # Errors
    ///
    /// [`PoolError::TooFew`] for no processes or no tasks; [`PoolError::Process`] where
    /// no process could be started, as by fork beside other threads; or the system's
    /// refusal of shared memory.
    pub fn start(self) -> Result<Pool, PoolError> {
        let processes = self.processes.unwrap_or_else(cpu_count);
        if processes == 0 || self.maxtasksperchild == Some(0) {
            return Err(PoolError::TooFew);
        }
        let initializer = self.initializer.transpose();
        let initializer = initializer.map_err(|error| match error {
            NotSendable::Argument(error) => ProcessError::Argument(error),
            NotSendable::Foreign => ProcessError::ForeignFunction,
        })?;
        let name = match self.start_method {
            StartMethod::Fork => "ForkPoolWorker",
            StartMethod::Spawn => "SpawnPoolWorker",
        };
        let plan = Plan {
            initializer,
            maxtasksperchild: self.maxtasksperchild.and_then(NonZero::new),
            name: name.into(),
        };
        let common = Common::new(processes)?;
        // A daemon: if nobody ends the pool, it ends with this process.
        let process = Process::builder().name("PoolSupervisor").daemon(true);
        let supervisor = match self.start_method {
            StartMethod::Fork => {
                started(process.target(|| supervise(&common, &plan)))
            }
            StartMethod::Spawn => {
                let luggage = SpawnedPool::from(&common);
                started(process.spawn_target(supervise_spawned, (luggage, plan)))
            }
        }?;
        Ok(Pool::of(Desk::new(common, supervisor)))
    }
}

fn started(
    mut process: Process<'_>,
) -> Result<crate::process::ProcessHandle, ProcessError> {
    process.start()?;
    process.handle().cloned()
}
