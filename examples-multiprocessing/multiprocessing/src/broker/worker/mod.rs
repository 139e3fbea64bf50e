//! The worker: a process that takes tasks from the broker and gives them to a local pool.
//! There is usually one on each host.
//!
//! Three threads use the broker, each over its own link. The *fetcher* waits for tasks.
//! The *heartbeat* reports that this worker lives, renews the leases of its tasks, and
//! claims tasks of workers that have died. The *collector* reports the tasks that have
//! ended. A fourth thread watches the lease, and the main thread waits for SIGTERM.
//!
//! # Ownership of a task
//!
//! The broker records which worker owns a task, and when that worker last renewed it.
//! Every change of a task is a script that first checks whether this worker still owns
//! the task. A worker that was stopped for longer than its lease therefore finds that
//! another worker owns its tasks, and its outcomes are dropped. A worker that cannot
//! reach the broker ends its tasks, by its own clock, when most of their lease is over.

mod builder;
mod collector;
mod fetcher;
mod functions;
mod heartbeat;
mod prefetch;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::Value;

use super::BrokerError;
use super::address::QueueAddress;
use super::answer;
use super::link::Link;
use super::wire::{self, Task};
use crate::TaskError;
use crate::poison::lock_unpoisoned;
use crate::pool::{Feed, Ticket};
use crate::sys::signals::Signals;
use builder::SHORTEST_LEASE;
pub use builder::WorkerBuilder;
use prefetch::Prefetch;

/// How long the end of a worker waits for the collector, which waits for the broker.
const LAST_WAIT: Duration = Duration::from_secs(3);

/// Joins the queue: makes the group of its workers if there is none. Returns the lease
/// that the workers have agreed on.
fn join(link: &mut Link, lease: Duration) -> Result<Duration, BrokerError> {
    let key = link.address.key("tasks");
    let lease = lease.as_millis().to_string();
    let theirs = link
        .run(|s| &s.join, &[key], &[lease])
        .map_err(|error| link.explain(&error))?;
    let theirs = answer::string(theirs).parse().unwrap_or(0);
    Ok(Duration::from_millis(theirs).max(SHORTEST_LEASE))
}

/// A worker that serves: what its threads have in common.
struct Worker {
    /// The worker's name at the broker.
    id: String,
    address: QueueAddress,
    lease: Duration,
    processes: usize,
    /// The names of the functions that it can run.
    names: Vec<String>,
    local: Feed,
    state: Mutex<State>,
    /// Notified when a task was removed, which makes room for another, and when the phase
    /// changes.
    has_room: Condvar,
    /// Notified when a heartbeat is due before its time: when the phase changes, and when
    /// there is room for a task that was left. Also when tasks may run again, since a
    /// heartbeat was answered after most of the lease.
    beats: Condvar,
    /// Set once no more tasks will end, so that the collector ends. It is no phase, since
    /// the collector looks at it while it holds the pool's lock, which is taken after
    /// `state`.
    finished: AtomicBool,
    /// The broker's id of the fetcher's connection, by which it is unblocked; 0 for none.
    fetcher: AtomicU64,
}

/// The state of a worker, under its lock.
struct State {
    /// The tasks that this worker has, by entry.
    running: HashMap<String, Running>,
    /// The entries of the tasks that the local pool has.
    tickets: HashMap<Ticket, String>,
    /// The number of tasks that the last heartbeat would have claimed if there had been
    /// room.
    left: usize,
    /// When the last heartbeat was sent that has renewed the leases.
    renewed: Instant,
    phase: Phase,
    /// Whether the local pool has broken.
    broken: bool,
    prefetch: Prefetch,
}

impl State {
    fn new() -> Self {
        Self {
            running: HashMap::new(),
            tickets: HashMap::new(),
            left: 0,
            renewed: Instant::now(),
            phase: Phase::Serving,
            broken: false,
            prefetch: Prefetch::default(),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serving,
    /// No more tasks are taken.
    Stopping,
    /// All tasks are done or given back.
    Ended,
}

/// A task that this worker has.
struct Running {
    task: Task,
    /// When this worker last began it.
    since: Instant,
    /// Whether this worker no longer owns the task.
    lost: bool,
    /// The task's ticket in the local pool; none while it is between two runs.
    ticket: Option<Ticket>,
}

impl Worker {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock.
        lock_unpoisoned(&self.state)
    }

    fn has_ended(&self) -> bool {
        self.lock().phase == Phase::Ended
    }

    fn tasks_key(&self) -> [String; 1] {
        [self.address.key("tasks")]
    }

    fn lease_millis(&self) -> String {
        self.lease.as_millis().to_string()
    }

    /// The number of further tasks that this worker can take.
    fn room(&self, state: &State) -> usize {
        let most = self.processes + state.prefetch.ahead;
        most.saturating_sub(state.running.len())
    }

    /// Begins a task that this worker owns.
    fn begin(&self, link: &mut Link, entry: String, fields: Vec<Vec<u8>>) {
        let Some(task) = Task::read(fields) else {
            let why = TaskError::Argument("the entry is no task".into());
            let outcome = wire::write_outcome(&Err(why));
            let args = [self.id.clone(), entry, outcome];
            // If this fails, the next worker that claims the entry buries it.
            link.run(|s| &s.bury, &self.tasks_key(), &args).ok();
            return;
        };
        if !self.names.contains(&task.name) {
            self.give_back(link, vec![entry]);
            return;
        }
        if task.expires {
            let args = [self.id.clone(), entry.clone()];
            let may = link.run(|s| &s.may_begin, &self.tasks_key(), &args);
            match may {
                Ok(Value::Int(1)) => {}
                // The task has ended. After an error, it may still be this worker's: it
                // is not renewed, so another worker claims it.
                Ok(_) | Err(_) => return,
            }
        }
        let mut state = self.lock();
        if state.phase != Phase::Serving || !self.may_run(&state) {
            drop(state);
            self.give_back(link, vec![entry]);
            return;
        }
        if !state.running.contains_key(&entry) {
            self.run_here(&mut state, entry, task);
        }
    }

    /// Gives a task to the local pool. It replaces an earlier run of the same task.
    fn run_here(&self, state: &mut State, entry: String, task: Task) {
        let args = (task.name.clone(), task.args.clone(), task.many);
        // The state stays locked until the ticket is recorded, which the collector needs
        // as soon as the task ends.
        let ticket = self.local.submit(functions::run, &args, task.deadline);
        if ticket.is_err() {
            // The main thread sees this, gives all tasks back, and ends.
            state.broken = true;
        }
        let ticket = ticket.ok();
        if let Some(ticket) = ticket {
            state.tickets.insert(ticket, entry.clone());
        }
        let running = Running {
            task,
            since: Instant::now(),
            lost: false,
            ticket,
        };
        state.running.insert(entry, running);
    }

    /// Gives tasks back to the queue, without counting this delivery.
    fn give_back(&self, link: &mut Link, entries: Vec<String>) {
        let mut args = vec![self.id.clone(), self.lease_millis()];
        args.extend(entries);
        // If this fails, another worker claims the tasks once their lease is over.
        link.run(|s| &s.release, &self.tasks_key(), &args).ok();
    }

    /// Ends the runs of these tasks. The collector gets a cancelled outcome for each.
    fn cancel(&self, state: &State, entries: &[String]) {
        let running = entries.iter().filter_map(|entry| state.running.get(entry));
        let tickets: Vec<_> = running.filter_map(|running| running.ticket).collect();
        if !tickets.is_empty() {
            self.local.cancel(&tickets);
        }
    }

    fn log(&self, what: &str) {
        eprintln!("The broker at {} {what}.", self.address.at);
    }

    /// Removes tasks that have ended here, which makes room for others.
    fn forget<'a>(&self, entries: impl Iterator<Item = &'a String>, done: u32) {
        let mut state = self.lock();
        for entry in entries {
            state.running.remove(entry);
        }
        state.prefetch.count(done);
        self.notify_room(state);
    }

    /// Tells the others that a task was removed.
    fn notify_room(&self, state: MutexGuard<'_, State>) {
        let tasks_are_left = state.left > 0;
        drop(state);
        self.has_room.notify_all();
        if tasks_are_left {
            self.beats.notify_all();
        }
    }

    fn wait_for_the_end(
        &self,
        signals: &Signals,
        grace: Duration,
    ) -> Result<(), BrokerError> {
        // A broken pool sends no signal, so this looks at it now and then.
        let look = Duration::from_millis(250);
        while signals.wait(Some(look)).is_none() && !self.lock().broken {}
        let broken = self.lock().broken;
        self.set_phase(Phase::Stopping);
        self.wake_the_fetcher();

        let until = Instant::now() + if broken { Duration::ZERO } else { grace };
        // The end of a task sends no signal either.
        while Instant::now() < until && !self.lock().running.is_empty() {
            let short = Duration::from_millis(20);
            if signals.wait(Some(short)).is_some() {
                break;
            }
        }
        let state = self.lock();
        let all: Vec<_> = state.running.keys().cloned().collect();
        self.cancel(&state, &all);
        // The collector gives the cancelled tasks back. The wake-up that must not be lost
        // is the removal of the last one: it is made under the lock, before the notice,
        // and the lock is held from the check until the sleep.
        let waited = self
            .has_room
            .wait_timeout_while(state, LAST_WAIT, |state| !state.running.is_empty());
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let left: Vec<_> = state.running.keys().cloned().collect();
        drop(state);
        if !left.is_empty() {
            self.give_back(&mut self.address.link(), left);
        }
        self.set_phase(Phase::Ended);
        self.finished.store(true, Ordering::Release);
        self.local.wake();
        if broken {
            return Err(BrokerError::PoolBroken);
        }
        Ok(())
    }

    fn set_phase(&self, phase: Phase) {
        self.lock().phase = phase;
        self.has_room.notify_all();
        self.beats.notify_all();
    }
}
