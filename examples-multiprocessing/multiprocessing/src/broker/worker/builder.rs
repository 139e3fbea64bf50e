//! The options of a worker, and its start.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::functions::SERVED;
use super::{State, Worker, join};
use crate::Pool;
use crate::broker::address::QueueAddress;
use crate::broker::id::new_id;
use crate::broker::tasks::Tasks;
use crate::broker::{BrokerError, DEFAULT_QUEUE};
use crate::pool::Feed;
use crate::process::cpu_count;
use crate::sys::signals::Signals;

/// A worker that is not started yet. Made by [`Tasks::worker`].
///
/// ```no_run
/// // Not run: it needs a broker, and serves until it gets a signal.
/// use multiprocessing::broker::Tasks;
///
/// fn square(x: u64) -> u64 {
///     x * x
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let tasks = Tasks::new().add("square", square);
///     tasks.worker("redis://127.0.0.1:6379/0")?.processes(4).serve()?;
///     Ok(())
/// }
/// ```
#[derive(Debug)]
#[must_use = "it becomes a worker by `serve`"]
pub struct WorkerBuilder {
    tasks: Tasks,
    url: String,
    queue: String,
    /// `None` stands for the number of processors.
    processes: Option<usize>,
    /// `None` stands for the lease of the queue's other workers, or for [`LEASE`].
    lease: Option<Duration>,
    grace: Duration,
    may_forget: bool,
}

/// The default lease: long enough for a host that swaps, short enough for a sender that
/// waits.
const LEASE: Duration = Duration::from_secs(10);
/// The shortest lease: it is renewed about four times before it is over, and a busy host
/// may keep a process from running for some tenths of a second.
pub(super) const SHORTEST_LEASE: Duration = Duration::from_millis(500);

impl WorkerBuilder {
    pub(in crate::broker) fn new(
        tasks: Tasks,
        url: &str,
    ) -> Result<Self, BrokerError> {
        QueueAddress::new(url, DEFAULT_QUEUE)?;
        Ok(Self {
            tasks,
            url: url.to_owned(),
            queue: DEFAULT_QUEUE.to_owned(),
            processes: None,
            lease: None,
            grace: Duration::from_secs(5),
            may_forget: false,
        })
    }

    /// The queue that it serves. It is `default` unless this is called.
    pub fn queue(mut self, name: &str) -> Self {
        name.clone_into(&mut self.queue);
        self
    }

    /// The number of processes that run tasks. By default, it is the number of processors.
    pub fn processes(mut self, processes: usize) -> Self {
        self.processes = Some(processes);
        self
    }

    /// How long this worker may be silent before its tasks are given to another worker:
    /// ten seconds by default, at least half a second. All workers of a queue have the
    /// same lease: one that asks for another is refused, and one that asks for none takes
    /// theirs. It does not limit how long a task may run, since the worker renews it
    /// meanwhile. A worker that cannot renew it ends its tasks at four fifths of it,
    /// before another worker begins them.
    pub fn lease(mut self, lease: Duration) -> Self {
        // The broker counts whole milliseconds.
        let millis = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX);
        self.lease = Some(Duration::from_millis(millis).max(SHORTEST_LEASE));
        self
    }

    /// How long running tasks may go on after SIGTERM before they are given back to the
    /// queue: five seconds by default.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Accepts a broker that would lose its tasks when it ends: for experiments.
    pub fn may_forget(mut self) -> Self {
        self.may_forget = true;
        self
    }

    /// Runs tasks until SIGTERM or SIGINT. Tasks that run at the signal have the time of
    /// [`grace`](Self::grace) to end; after it they are given back, and another worker
    /// can take them at once. A second signal ends the grace. If the broker goes away,
    /// the worker waits for it without a limit, and says so on its standard error.
    ///
    /// Call this while the process has one thread: the processes that run tasks are
    /// forked from it. They end when this process ends, also when it is killed.
    ///
    /// # Errors
    ///
    /// [`BrokerError::PoolBroken`] if the supervisor of the local pool is killed, after
    /// which the worker can be started again. The other variants say why it cannot start.
    pub fn serve(self) -> Result<(), BrokerError> {
        let processes = self.processes.unwrap_or_else(cpu_count);
        let address = QueueAddress::new(&self.url, &self.queue)?;
        let mut link = address.checked(self.may_forget)?;
        let asked = self.lease.unwrap_or(LEASE);
        let lease = join(&mut link, asked)?;
        if self.lease.is_some_and(|ours| ours != lease) {
            return Err(BrokerError::OtherLease {
                theirs: lease,
                ours: asked,
            });
        }

        let names: Vec<String> = self.tasks.names().map(str::to_owned).collect();
        // The functions are set before the fork, so that the pool's processes inherit them.
        *SERVED.write().unwrap_or_else(PoisonError::into_inner) = Some(self.tasks);
        let local = Pool::new(processes)?;
        // This comes before the threads, which inherit the blocked signals, so that a
        // signal stays pending until the main thread takes it. It comes after the pool,
        // whose processes must not inherit them.
        let signals = Signals::hold(&[Signal::SIGTERM, Signal::SIGINT]);
        let signals = signals.map_err(|error| {
            let doing = "hold back SIGTERM";
            crate::PoolError::from(crate::Error::system(doing)(error))
        })?;

        let worker = Worker {
            id: new_id(),
            address,
            lease,
            processes,
            names,
            local: Feed::of(&local),
            state: Mutex::new(State::new()),
            has_room: Condvar::new(),
            beats: Condvar::new(),
            finished: AtomicBool::new(false),
            fetcher: AtomicU64::new(0),
        };
        let served = thread::scope(|scope| {
            scope.spawn(|| worker.fetch());
            scope.spawn(|| worker.beat());
            scope.spawn(|| worker.watch_the_lease());
            scope.spawn(|| worker.collect());
            worker.wait_for_the_end(&signals, self.grace)
        });
        // The heartbeat has ended, so that its record cannot come back after this.
        let id = std::slice::from_ref(&worker.id);
        let mut link = worker.address.link();
        // If this fails, the other workers remove the record after a minute or so.
        link.run(|s| &s.leave, &worker.tasks_key(), id).ok();
        // The signals act on this process again. Unblocking a valid set does not fail.
        signals.let_go().ok();
        served
    }
}
