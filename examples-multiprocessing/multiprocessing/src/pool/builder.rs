//! A pool's options.

use std::cell::Cell;
use std::num::NonZero;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Pool;
use super::dispatcher::{Dispatcher, Workers};
use super::error::PoolError;
use super::function::{Initialize, PoolFn};
use super::plan::{Initializer, Plan};
use super::shared::{PoolShared, SpawnedPool};
use super::supervisor::{Start, supervise, supervise_spawned};
use crate::codec::{self, EncodeError};
use crate::handover;
use crate::process::{
    Process, ProcessBuilder, ProcessError, ProcessHandle, cpu_count,
};
use crate::sys::process_limit::Lowered;
use crate::sys::routine::Routine;

impl Pool {
    /// Starts a pool of this many workers by fork.
    ///
    /// # Errors
    ///
    /// Those of [`PoolBuilder::start`].
    pub fn new(processes: usize) -> Result<Self, PoolError> {
        Self::builder().processes(processes).start()
    }

    /// For choosing more than the number of workers, or leaving that to the machine.
    pub fn builder() -> PoolBuilder {
        PoolBuilder {
            processes: None,
            initializer: None,
            maxtasksperchild: None,
            start_method: StartMethod::Fork,
        }
    }
}

/// How a pool's supervisor is started. The workers are forks of it in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StartMethod {
    /// As a fork of this process, which must have only one thread.
    #[default]
    Fork,
    /// As a fresh copy of this program, which works beside other threads. The program's
    /// `main` must begin with [`freeze_support`](crate::freeze_support).
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
    /// The number of processors if it is not given.
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
    /// The number of workers. If it is not given, it is what [`cpu_count`] returns.
    pub fn processes(mut self, processes: usize) -> Self {
        self.processes = Some(processes);
        self
    }

    /// A function that every worker runs when it starts, with its arguments as a tuple.
    ///
    /// Unlike those of a task, these arguments may be locks, queues, shared values and
    /// whatever else can be sent to a spawned process, and the workers share them with
    /// this process. That is how tasks get at them: a `static` keeps them, as a global
    /// variable does in Python.
    ///
    /// ```no_run
    /// // Not run: a test has threads, and a process that has threads must not fork.
    /// use multiprocessing::{Pool, Value};
    /// use std::sync::OnceLock;
    ///
    /// static COUNTER: OnceLock<Value<u64>> = OnceLock::new();
    ///
    /// fn keep(counter: Value<u64>) {
    ///     COUNTER.set(counter).expect("a worker is initialized once");
    /// }
    ///
    /// fn count(_: u64) {
    ///     *COUNTER.get().expect("the initializer has run").lock() += 1;
    /// }
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     let counter = Value::new(0)?;
    ///     let pool = Pool::builder().initializer(keep, (counter.clone(),)).start()?;
    ///     pool.map(count, 0..100)?;
    ///     assert_eq!(counter.get(), 100);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// The pool keeps what it needs to give them to workers that are started later. So a
    /// queue or pipe among them does not count as closed before the pool has ended.
    ///
    /// If the function fails, every task ends with
    /// [`TaskError::Initializer`](super::TaskError::Initializer), and no more workers
    /// are started. Python starts one after the other for ever.
    pub fn initializer<F, A>(mut self, function: F, args: A) -> Self
    where
        F: PoolFn<A, Output = ()>,
        A: Serialize + DeserializeOwned,
    {
        let routine = Routine::of::<F, Initialize<A>>(&function);
        let routine = routine.ok_or(NotSendable::Foreign);
        let (args, handles) = handover::collect(|| codec::encode(&args));
        let args = args.map_err(NotSendable::Argument);
        self.initializer = Some(
            routine
                .and_then(|routine| Ok(Initializer::new(routine, args?, handles))),
        );
        self
    }

    /// The number of tasks after which a worker ends, and a fresh one takes its place. A
    /// chunk of `map` counts as one task.
    pub fn maxtasksperchild(mut self, tasks: u32) -> Self {
        self.maxtasksperchild = Some(tasks);
        self
    }

    /// How the pool is started. If it is not given, the pool is started by fork.
    pub fn start_method(mut self, method: StartMethod) -> Self {
        self.start_method = method;
        self
    }

    /// A pool whose workers are elsewhere, over the broker of this address, such as
    /// `redis://host:6379/0`. How many workers there are, and what they do when they
    /// start, is theirs to say: the options above are of no effect.
    #[cfg(feature = "broker")]
    pub fn broker(self, url: &str) -> crate::broker::BrokerPoolBuilder {
        crate::broker::BrokerPoolBuilder::new(url)
    }

    /// Starts the pool. Its workers are started while the program goes on; it waits for
    /// them if they have an [`initializer`](Self::initializer), and if the pool is started
    /// by [`Spawn`](StartMethod::Spawn).
    ///
    /// # Errors
    ///
    /// [`PoolError::TooFew`] for no processes or no tasks; [`PoolError::Process`] if the
    /// supervisor could not be started, as by fork beside other threads;
    /// [`PoolError::Workers`] if not all workers could, or this user may not have so many
    /// processes, in which case those that were started are ended;
    /// [`PoolError::System`] if the system refuses the shared memory.
    ///
    /// If the workers are not waited for, and the system refuses one for another reason (a
    /// container's limit, no memory, or other processes that start meanwhile), every task
    /// that has not ended by then ends with
    /// [`TaskError::System`](super::TaskError::System).
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
        let shared = PoolShared::new(processes)?;
        // A daemon: if nobody ends the pool, it ends with this process.
        let process = Process::builder().name("PoolSupervisor").daemon(true);
        let (supervisor, start) = match self.start_method {
            StartMethod::Fork => fork(process, &shared, &plan)?,
            StartMethod::Spawn => {
                let argument = (SpawnedPool::from(&shared), plan);
                let mut process = process.spawn_target(supervise_spawned, argument);
                process.start()?;
                (process.handle()?.clone(), Start::Awaited)
            }
        };
        let pool = Pool::over(Dispatcher::new(Workers::Local {
            shared,
            supervisor: supervisor.clone(),
        }));
        if start == Start::Awaited
            && let Err(error) = pool.dispatcher.wait_until_ready()
        {
            if !supervisor.is_alive() {
                // If it never ran its function, its own reason says more.
                supervisor.join()?;
            }
            return Err(error);
        }
        Ok(pool)
    }
}

/// Starts the supervisor by fork. The start of the workers need not be awaited if the user
/// may have so many processes, and if no initializer is to have run in all of them.
fn fork(
    process: ProcessBuilder,
    shared: &PoolShared,
    plan: &Plan,
) -> Result<(ProcessHandle, Start), ProcessError> {
    let start = Cell::new(match plan.initializer {
        Some(_) => Start::Awaited,
        None => Start::Unawaited,
    });
    let limit = Lowered::by(shared.processes);
    let mut process = process.survives_interrupt().target(|| {
        limit.restore();
        supervise(shared, plan, start.get())
    });
    let started = process.start();
    limit.restore();
    if let Err(ProcessError::System { .. }) = started {
        // Without room for all, the supervisor finds out for how many there is.
        start.set(Start::Awaited);
        process.start()?;
    } else {
        started?;
    }
    Ok((process.handle()?.clone(), start.get()))
}
