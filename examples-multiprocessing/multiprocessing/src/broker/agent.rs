//! The worker: a process that takes tasks from the broker and gives them to a local pool.
//! There is usually one on each host.
//!
//! Three threads use the broker, each over its own link. The *fetcher* waits for tasks.
//! The *heartbeat* reports that this worker lives, renews the leases of its tasks, and
//! claims tasks of workers that have died. The *collector* reports the tasks that have
//! ended. The main thread waits for SIGTERM.
//!
//! # Ownership of a task
//!
//! The broker records which worker owns a task, and when that worker last renewed it.
//! Every change of a task is a script that first checks whether this worker still owns
//! the task. A worker that was stopped for longer than its lease therefore finds that
//! another worker owns its tasks, and its outcomes are dropped. A worker that cannot
//! reach the broker ends its tasks, by its own clock, before their lease is over.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use redis::Value;

use super::link::{self, Link, Place};
use super::stats::Run;
use super::tasks::Tasks;
use super::wire::{self, Task};
use super::{BrokerError, DEFAULT_QUEUE};
use crate::poison::lock_unpoisoned;
use crate::pool::{Feed, Ticket};
use crate::process::cpu_count;
use crate::sys::random;
use crate::sys::signals::Signals;
use crate::{Pool, TaskError};

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
const SHORTEST_LEASE: Duration = Duration::from_millis(500);
/// The longest time between two heartbeats. With the fetcher's command each [`BLOCK`], an
/// idle worker sends fewer than one command a second.
const LONGEST_PERIOD: Duration = Duration::from_millis(1400);
/// How long the fetcher waits at the broker for a task before it asks again. A connection
/// that has died silently is noticed some seconds after this.
const BLOCK: Duration = Duration::from_secs(5);

impl WorkerBuilder {
    pub(super) fn new(tasks: Tasks, url: &str) -> Result<Self, BrokerError> {
        Place::new(url, DEFAULT_QUEUE)?;
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
    /// same lease. It does not limit how long a task may run, since the worker renews it
    /// meanwhile.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = Some(lease.max(SHORTEST_LEASE));
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
    /// the worker waits for it without a limit.
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
        let place = Place::new(&self.url, &self.queue)?;
        let mut link = place.checked(self.may_forget)?;
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

        let agent = Agent {
            id: new_id(),
            place,
            lease,
            processes,
            names,
            local: Feed::of(&local),
            state: Mutex::new(State::default()),
            has_room: Condvar::new(),
            phase_changed: Condvar::new(),
            finished: AtomicBool::new(false),
            fetcher: AtomicU64::new(0),
        };
        let served = thread::scope(|scope| {
            scope.spawn(|| agent.fetch());
            scope.spawn(|| agent.beat());
            scope.spawn(|| agent.collect());
            agent.wait_for_the_end(&signals, self.grace)
        });
        // The heartbeat has ended, so that its record cannot come back after this.
        let id = std::slice::from_ref(&agent.id);
        let mut link = agent.place.link();
        // If this fails, the other workers remove the record after a minute or so.
        link.run(|s| &s.leave, &agent.tasks_key(), id).ok();
        // The signals act on this process again. Unblocking a valid set does not fail.
        signals.let_go().ok();
        served
    }
}

/// The two numbers of an entry's id, by which the entries of a stream are ordered.
fn place_of(entry: &str) -> (u64, u64) {
    let (millis, number) = entry.split_once('-').unwrap_or((entry, ""));
    (millis.parse().unwrap_or(0), number.parse().unwrap_or(0))
}

/// Joins the queue: makes the group of its workers if there is none. Returns the lease
/// that the workers have agreed on.
fn join(link: &mut Link, lease: Duration) -> Result<Duration, BrokerError> {
    let key = link.place.key("tasks");
    let lease = lease.as_millis().to_string();
    let theirs = link
        .run(|s| &s.join, &[key], &[lease])
        .map_err(|error| link.explain(&error))?;
    let theirs = link::string(theirs).parse().unwrap_or(0);
    Ok(Duration::from_millis(theirs).max(SHORTEST_LEASE))
}

/// A unique name of a worker or a sender: host, process id, and a number that cannot be
/// guessed.
pub(super) fn new_id() -> String {
    let host = host();
    let mut id = format!("{host}-{}-", std::process::id());
    for byte in &random::bytes()[..6] {
        // Writing to a string does not fail.
        write!(id, "{byte:02x}").ok();
    }
    id
}

pub(super) fn host() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname");
    host.map_or_else(|_| "unknown".into(), |host| host.trim().to_owned())
}

/// The functions of this worker. The processes of its pool inherit them.
static SERVED: RwLock<Option<Tasks>> = RwLock::new(None);

/// Runs a task in a process of the pool, which inherited the functions by name.
fn run(name: String, args: String, many: bool) -> Result<String, TaskError> {
    let tasks = SERVED.read().unwrap_or_else(PoisonError::into_inner);
    let tasks = tasks.as_ref().ok_or(TaskError::Broken)?;
    let outcome = tasks.run(&name, &args, many)?;
    wire::check_size(&outcome).map_err(TaskError::Result)?;
    Ok(outcome)
}

/// How a task ended in the local pool. The inner result is the function's: the value's
/// JSON, or its error. The outer error says how the process or the pool failed.
type Ending = Result<Result<String, TaskError>, TaskError>;

struct Agent {
    /// The worker's name at the broker.
    id: String,
    place: Place,
    lease: Duration,
    processes: usize,
    /// The names of the functions that it can run.
    names: Vec<String>,
    local: Feed,
    state: Mutex<State>,
    /// Notified when there is room for a task, and when the phase changes.
    has_room: Condvar,
    /// Notified when the phase changes.
    phase_changed: Condvar,
    /// Set once no more tasks will end, so that the collector ends.
    finished: AtomicBool,
    /// The broker's id of the fetcher's connection, by which it is unblocked; 0 for none.
    fetcher: AtomicU64,
}

#[derive(Default)]
struct State {
    /// The tasks that this worker has, by entry.
    running: HashMap<String, Running>,
    /// The entries of the tasks that the local pool has.
    tickets: HashMap<Ticket, String>,
    phase: Phase,
    /// Whether the local pool has broken.
    broken: bool,
    prefetch: Prefetch,
}

#[derive(Default, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Phase {
    #[default]
    Serving,
    /// No more tasks are taken.
    Stopping,
    /// All tasks are done or given back.
    Ended,
}

struct Running {
    task: Task,
    since: Instant,
    /// Whether this worker no longer owns the task.
    lost: bool,
    /// The task's ticket in the local pool; none while it is between two runs.
    ticket: Option<Ticket>,
}

/// The number of tasks that are taken before a process is free for them. It is the number
/// of tasks that end during one round trip to the broker, so it is zero while tasks are
/// long.
struct Prefetch {
    since: Instant,
    done: u32,
    ahead: usize,
}

/// A round trip to a broker that is near, in seconds.
const ROUND_TRIP: f64 = 0.004;
/// The largest number of tasks that are taken ahead.
const MOST_AHEAD: usize = 128;
/// The largest number of tasks that one script reports: the broker does nothing else
/// meanwhile.
const REPORTED: usize = 64;
/// The largest number of running tasks that a worker names in its report about itself.
const REPORTED_RUNNING: usize = 100;
/// The largest number of leases that one script renews.
const RENEWED: usize = 200;

impl Default for Prefetch {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            done: 0,
            ahead: 0,
        }
    }
}

impl Prefetch {
    fn count(&mut self, done: u32) {
        self.done += done;
        let elapsed = self.since.elapsed();
        if elapsed >= Duration::from_millis(20) {
            let rate = f64::from(self.done) / elapsed.as_secs_f64();
            self.ahead = ((rate * ROUND_TRIP) as usize).min(MOST_AHEAD);
            self.since = Instant::now();
            self.done = 0;
        }
    }
}

impl Agent {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock.
        lock_unpoisoned(&self.state)
    }

    fn tasks_key(&self) -> [String; 1] {
        [self.place.key("tasks")]
    }

    fn lease_millis(&self) -> String {
        self.lease.as_millis().to_string()
    }

    fn beat_period(&self) -> Duration {
        (self.lease / 4).min(LONGEST_PERIOD)
    }

    /// The number of further tasks that this worker can take.
    fn room(&self, state: &State) -> usize {
        let most = self.processes + state.prefetch.ahead;
        most.saturating_sub(state.running.len())
    }

    // The fetcher.

    fn fetch(&self) {
        let mut link = self.place.link();
        let mut recover = false;
        while let Some(room) = self.wait_for_room() {
            match self.fetch_some(&mut link, room, recover) {
                Ok(entries) => {
                    recover = false;
                    for (entry, fields) in entries {
                        self.begin(&mut link, entry, fields);
                    }
                }
                Err(error) if link::is_no_group(&error) => {
                    // The group was lost when the broker was emptied, and is made
                    // again. If that fails, the next turn tries it again.
                    join(&mut link, self.lease).ok();
                    link.pause();
                }
                Err(_) => {
                    // The broker may have delivered tasks in an answer that was lost.
                    recover = true;
                    link.pause();
                }
            }
        }
    }

    /// Waits until this worker can take a task. Returns `None` once it is stopping.
    fn wait_for_room(&self) -> Option<usize> {
        let mut state = self.lock();
        loop {
            if state.phase != Phase::Serving {
                return None;
            }
            let room = self.room(&state);
            if room > 0 {
                return Some(room);
            }
            // The wake-up must not be lost: tasks are removed and the phase is changed
            // under the lock, before the notice, and this thread holds the lock from
            // its check until it sleeps.
            state = self
                .has_room
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn fetch_some(
        &self,
        link: &mut Link,
        room: usize,
        recover: bool,
    ) -> redis::RedisResult<Vec<(String, Vec<Vec<u8>>)>> {
        self.fetcher.store(link.id()?, Ordering::Release);
        let mut read = redis::cmd("XREADGROUP");
        read.arg("GROUP").arg("workers").arg(&self.id);
        let wait = if recover {
            // The tasks that this worker owns already.
            read.arg("STREAMS").arg(self.place.key("tasks")).arg("0");
            Duration::ZERO
        } else {
            read.arg("COUNT").arg(room);
            read.arg("BLOCK").arg(BLOCK.as_millis() as u64);
            read.arg("STREAMS").arg(self.place.key("tasks")).arg(">");
            BLOCK
        };
        let mut entries = link::entries_read(link.call_blocking(&read, wait)?);
        // Entries that were deleted since have no fields; the next claim removes them.
        entries.retain(|(_, fields)| !fields.is_empty());
        Ok(entries)
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
        if state.phase != Phase::Serving {
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
        let ticket = self.local.submit(run, &args, task.deadline);
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

    // The heartbeat.

    fn beat(&self) {
        let mut link = self.place.link();
        let mut renewed = Instant::now();
        let mut silent = false;
        loop {
            let asked = Instant::now();
            match self.beat_once(&mut link) {
                Ok(()) => {
                    renewed = asked;
                    if std::mem::take(&mut silent) {
                        self.log("answers again");
                    }
                }
                Err(error) if link::is_no_group(&error) => {
                    // If this fails, the next turn tries it again.
                    join(&mut link, self.lease).ok();
                    link.pause();
                }
                Err(error) => {
                    if !std::mem::replace(&mut silent, true) {
                        match link.explain(&error) {
                            own @ BrokerError::OutOfDescriptors { .. } => {
                                eprintln!("{own}");
                            }
                            _ => self.log(&format!("does not answer ({error})")),
                        }
                    }
                    // Another worker may own the tasks soon.
                    if renewed.elapsed() > self.lease.mul_f32(0.8) {
                        self.lose_all();
                    }
                    link.pause();
                }
            }
            let state = self.lock();
            if state.phase == Phase::Ended {
                return;
            }
            if !silent {
                let left = self.beat_period().saturating_sub(asked.elapsed());
                // The wake-up that must not be lost is the change of the phase: it is
                // made under the lock, which is held from the check until the sleep.
                let wait =
                    self.phase_changed.wait_timeout_while(state, left, |state| {
                        state.phase == Phase::Serving
                    });
                drop(wait);
                if self.lock().phase == Phase::Stopping {
                    thread::sleep(left.min(Duration::from_millis(100)));
                }
            }
        }
    }

    fn beat_once(&self, link: &mut Link) -> redis::RedisResult<()> {
        let (entries, mut record, room) = {
            let state = self.lock();
            let running = state.running.iter().filter(|(_, r)| !r.lost);
            let entries: Vec<_> = running.map(|(entry, _)| entry.clone()).collect();
            let serving = state.phase == Phase::Serving;
            let room = serving.then(|| self.room(&state));
            (entries, self.record(&state), room)
        };
        // Less than the lease, since this is only checked at each heartbeat.
        let stale = self.lease.saturating_sub(self.beat_period() / 2);
        let stale = stale.as_millis().to_string();
        let mut left = entries.as_slice();
        loop {
            let (piece, rest) = left.split_at(left.len().min(RENEWED));
            left = rest;
            // Tasks are claimed once all of this worker's are renewed, so that none of
            // its own is claimed.
            let room = if rest.is_empty() { room } else { None };
            let mut args = vec![
                self.id.clone(),
                self.lease_millis(),
                std::mem::take(&mut record),
                room.map_or_else(String::new, |room| room.to_string()),
                stale.clone(),
                piece.len().to_string(),
            ];
            args.extend(piece.iter().cloned());
            args.extend(self.names.iter().cloned());
            let answer = link.run(|s| &s.heartbeat, &self.tasks_key(), &args)?;
            let (own, claimed) = link::two(answer);
            let own = link::numbers(own);
            let lost = piece.iter().zip(own).filter(|(_, own)| *own == 0);
            self.lose(&lost.map(|(entry, _)| entry.clone()).collect::<Vec<_>>());
            for (entry, fields) in link::entries(claimed) {
                self.begin(link, entry, fields);
            }
            if rest.is_empty() {
                return Ok(());
            }
        }
    }

    /// What this worker reports about itself.
    fn record(&self, state: &State) -> String {
        let running = state.running.iter().take(REPORTED_RUNNING);
        let running = running.map(|(entry, running)| Run {
            entry: entry.clone(),
            millis: running.since.elapsed().as_millis() as u64,
            pid: running.ticket.and_then(|t| self.local.process_of(t)),
        });
        super::stats::write_record(&host(), self.processes, running.collect())
    }

    /// Marks tasks that this worker no longer owns, and ends their runs here.
    fn lose(&self, entries: &[String]) {
        if entries.is_empty() {
            return;
        }
        let mut state = self.lock();
        for entry in entries {
            if let Some(running) = state.running.get_mut(entry) {
                running.lost = true;
            }
        }
        self.cancel(&state, entries);
    }

    fn lose_all(&self) {
        let all: Vec<_> = self.lock().running.keys().cloned().collect();
        self.lose(&all);
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
        eprintln!("The broker at {} {what}.", self.place.at);
    }

    // The collector.

    fn collect(&self) {
        let mut link = self.place.link();
        loop {
            let ended = self.local.ended(|| self.finished.load(Ordering::Acquire));
            if ended.is_empty() {
                return;
            }
            for tickets in ended.chunks(REPORTED) {
                // The entries are looked up before the outcomes are taken: after that, the
                // tickets may belong to other tasks.
                let entries: Vec<_> = {
                    let mut state = self.lock();
                    let entries = tickets.iter().map(|t| state.tickets.remove(t));
                    entries.collect()
                };
                let endings = tickets.iter().map(|ticket| self.local.take(*ticket));
                let batch = entries.into_iter().zip(endings);
                let batch =
                    batch.filter_map(|(entry, ending)| Some((entry?, ending)));
                let batch = batch.collect();
                self.handle_ended(&mut link, batch);
            }
        }
    }

    /// Reports the tasks that have ended, and decides what happens to those whose run
    /// failed.
    fn handle_ended(&self, link: &mut Link, batch: Vec<(String, Ending)>) {
        let mut done = Vec::new();
        let mut again = Vec::new();
        let mut back = Vec::new();
        for (entry, ending) in batch {
            let mut state = self.lock();
            let Some(running) = state.running.get_mut(&entry) else {
                continue;
            };
            running.ticket = None;
            if running.lost {
                state.running.remove(&entry);
                drop(state);
                self.has_room.notify_all();
                continue;
            }
            let task = &running.task;
            let kind = match ending {
                Err(TaskError::Killed { .. } | TaskError::Exited { .. }) => {
                    again.push((entry, task.clone(), ending.err()));
                    continue;
                }
                Err(TaskError::Cancelled) => {
                    back.push(entry);
                    continue;
                }
                Err(
                    TaskError::Broken | TaskError::Terminated | TaskError::Closed,
                ) => {
                    state.broken = true;
                    back.push(entry);
                    continue;
                }
                Ok(Ok(_)) => "done",
                _ => "failed",
            };
            let outcome = wire::write_outcome(&ending.flatten());
            let how = match kind {
                "done" if task.keep.is_empty() => String::new(),
                _ => format!("{kind} {}", task.keep),
            };
            done.push([entry, task.id.clone(), outcome, how]);
        }
        self.report(link, &mut done);
        for (entry, task, error) in again {
            self.run_again(link, entry, task, error);
        }
        if !back.is_empty() {
            self.give_back(link, back.clone());
            self.forget(back.iter(), 0);
        }
    }

    /// Sends outcomes to the broker, and repeats them until it has answered.
    fn report(&self, link: &mut Link, done: &mut [[String; 4]]) {
        if done.is_empty() {
            return;
        }
        done.sort_unstable_by_key(|[entry, ..]| place_of(entry));
        let mut args = vec![self.id.clone()];
        args.extend(done.iter().flatten().cloned());
        while let Err(error) = link.run(|s| &s.done, &self.tasks_key(), &args) {
            if link::is_no_group(&error) {
                // The broker was emptied and has lost these tasks. If the group cannot
                // be made again now, the heartbeat makes it.
                join(link, self.lease).ok();
                break;
            }
            if link::is_lasting(&error) {
                // The broker cannot accept one of the outcomes; each is sent alone.
                if let [[_, id, ..]] = done {
                    self.log(&format!("refuses the outcome of {id} ({error})"));
                    break;
                }
                for one in done {
                    self.report(link, std::slice::from_mut(one));
                }
                return;
            }
            if self.lock().phase == Phase::Ended {
                break;
            }
            link.pause();
        }
        self.forget(done.iter().map(|parts| &parts[0]), done.len() as u32);
    }

    /// Removes tasks that have ended here, which makes room for others.
    fn forget<'a>(&self, entries: impl Iterator<Item = &'a String>, done: u32) {
        let mut state = self.lock();
        for entry in entries {
            state.running.remove(entry);
        }
        state.prefetch.count(done);
        drop(state);
        self.has_room.notify_all();
    }

    /// Runs a task again whose process has died, unless it was delivered too often.
    fn run_again(
        &self,
        link: &mut Link,
        entry: String,
        task: Task,
        how: Option<TaskError>,
    ) {
        let how = how.map_or_else(String::new, |error| error.to_string());
        let args = [
            self.id.clone(),
            entry.clone(),
            format!("{}: {how}", self.id),
        ];
        // If the broker stays away, the lease ends, and another worker claims the task.
        let answer = loop {
            match link.run(|s| &s.retry, &self.tasks_key(), &args) {
                Ok(answer) => break link::string(answer),
                Err(error) if link::is_no_group(&error) => {
                    // If this fails, the heartbeat makes the group.
                    join(link, self.lease).ok();
                    break "lost".into();
                }
                Err(error) if link::is_lasting(&error) => break "lost".into(),
                Err(_) if self.lock().phase == Phase::Ended => break "lost".into(),
                Err(_) => link.pause(),
            }
        };
        let mut state = self.lock();
        let lost = state.running.get(&entry).is_none_or(|running| running.lost);
        if answer == "again" && !lost && state.phase == Phase::Serving {
            self.run_here(&mut state, entry, task);
            return;
        }
        drop(state);
        if answer == "again" {
            self.give_back(link, vec![entry.clone()]);
        }
        self.forget([&entry].into_iter(), 0);
    }

    // The main thread.

    fn wait_for_the_end(
        &self,
        signals: &Signals,
        grace: Duration,
    ) -> Result<(), BrokerError> {
        let look = Duration::from_millis(250);
        while signals.wait(Some(look)).is_none() && !self.lock().broken {}
        let broken = self.lock().broken;
        self.set_phase(Phase::Stopping);
        self.wake_the_fetcher();

        let until = Instant::now() + if broken { Duration::ZERO } else { grace };
        while Instant::now() < until && !self.lock().running.is_empty() {
            let short = Duration::from_millis(20);
            if signals.wait(Some(short)).is_some() {
                break;
            }
        }
        // The collector gives the cancelled tasks back.
        {
            let state = self.lock();
            let all: Vec<_> = state.running.keys().cloned().collect();
            self.cancel(&state, &all);
        }
        let until = Instant::now() + Duration::from_secs(3);
        while Instant::now() < until && !self.lock().running.is_empty() {
            thread::sleep(Duration::from_millis(5));
        }
        let mut link = self.place.link();
        let left: Vec<_> = self.lock().running.keys().cloned().collect();
        if !left.is_empty() {
            self.give_back(&mut link, left);
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
        self.phase_changed.notify_all();
    }

    fn wake_the_fetcher(&self) {
        let id = self.fetcher.load(Ordering::Acquire);
        if id != 0 {
            let mut unblock = redis::cmd("CLIENT");
            unblock.arg("UNBLOCK").arg(id);
            // If this fails, the fetcher sees the new phase after its wait.
            self.place.link().call(&unblock).ok();
        }
    }
}
