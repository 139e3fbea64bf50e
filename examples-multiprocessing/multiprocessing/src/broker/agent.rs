//! The worker: one process a host, which takes tasks from the broker and gives them to
//! a pool of its own.
//!
//! Three threads speak to the broker, each over its own link. The *taker* waits for
//! tasks, the *ticker* says that this worker lives and renews the leases of what it
//! has, and the *collector* reports what has ended. The main thread waits for SIGTERM.
//!
//! # Whose a task is
//!
//! The broker knows with which worker a task is pending, and for how long nothing was
//! heard of it. Everything that changes a task is a script that first asks whether it
//! is still this worker's: a worker that was stopped for longer than its lease finds
//! that its tasks are another's, and what it has made of them is dropped. By its own
//! clock it ends them before that, if it cannot reach the broker.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use redis::Value;

use super::link::{self, Link, Place};
use super::tasks::Tasks;
use super::wire::{self, Order};
use super::{BrokerError, DEFAULT_QUEUE, LARGEST};
use crate::pool::{Feed, Ticket};
use crate::process::cpu_count;
use crate::sys::random;
use crate::sys::signals::Signals;
use crate::{Pool, TaskError};

/// A worker that is not started yet. Made by [`Tasks::worker`].
///
/// ```no_run
/// // Not run: it needs a broker, and serves until it is told to end.
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
    /// As many as there are processors where nothing is said.
    processes: Option<usize>,
    /// What the others of the queue have where nothing is said, or [`LEASE`].
    lease: Option<Duration>,
    grace: Duration,
    may_forget: bool,
}

/// How long a host may be silent before its tasks are given to others: long enough for
/// one that swaps, short enough for someone who waits.
const LEASE: Duration = Duration::from_secs(10);
/// A lease is renewed about four times, and a process may be kept from running for some
/// tenths of a second.
const SHORTEST_LEASE: Duration = Duration::from_millis(500);
/// A worker that has nothing to do asks the broker less than once a second.
const LONGEST_TICK: Duration = Duration::from_millis(1250);
/// How long the taker waits for a task before it asks again.
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

    /// Which queue it serves: `default` where nothing is said.
    pub fn queue(mut self, name: &str) -> Self {
        name.clone_into(&mut self.queue);
        self
    }

    /// How many processes run tasks: as many as there are processors where nothing is
    /// said.
    pub fn processes(mut self, processes: usize) -> Self {
        self.processes = Some(processes);
        self
    }

    /// After how long a silence its tasks are given to another worker: ten seconds
    /// where nothing is said, half a second at least. All workers of a queue have the
    /// same. It does not limit how long a task may run, since it is renewed meanwhile.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = Some(lease.max(SHORTEST_LEASE));
        self
    }

    /// How long what runs may go on after SIGTERM before it is given back: five seconds
    /// where nothing is said.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Serves also from a broker that would lose its tasks: for trying things out.
    pub fn may_forget(mut self) -> Self {
        self.may_forget = true;
        self
    }

    /// Works until SIGTERM or SIGINT. What runs then has its [`grace`](Self::grace),
    /// and is given back after it, for another worker to take at once; a second signal
    /// ends the grace. A broker that goes away is waited for, for ever.
    ///
    /// Call it while this process has one thread: the processes that run tasks are
    /// forked from it. They end with it, also when it is killed.
    ///
    /// # Errors
    ///
    /// Why it cannot begin; or [`BrokerError::PoolBroken`], after which it can be
    /// started again.
    pub fn serve(self) -> Result<(), BrokerError> {
        let processes = self.processes.unwrap_or_else(cpu_count);
        let place = Place::new(&self.url, &self.queue)?;
        let mut link = place.checked(self.may_forget)?;
        let asked = self.lease.unwrap_or(LEASE);
        let lease = hello(&mut link, asked)?;
        if self.lease.is_some_and(|ours| ours != lease) {
            return Err(BrokerError::OtherLease {
                theirs: lease,
                ours: asked,
            });
        }

        let names: Vec<String> = self.tasks.names().map(str::to_owned).collect();
        // Before the fork: the processes of the pool have what is here now.
        *SERVED.write().unwrap_or_else(PoisonError::into_inner) = Some(self.tasks);
        let local = Pool::new(processes)?;
        // In this thread before there are others, which do as this one: a signal then
        // waits for whoever takes it. Not before the pool, whose processes heed them.
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
            changed: Condvar::new(),
            over: AtomicBool::new(false),
            taker: AtomicU64::new(0),
        };
        let served = thread::scope(|scope| {
            scope.spawn(|| agent.take());
            scope.spawn(|| agent.tick());
            scope.spawn(|| agent.collect());
            agent.wait_for_the_end(&signals, self.grace)
        });
        // Behind the ticker's last word.
        let id = std::slice::from_ref(&agent.id);
        // If it fails, others notice by themselves.
        let _told = agent
            .place
            .link()
            .run(|s| &s.farewell, &agent.tasks_key(), id);
        // Its end is this process's own business again.
        let _restored = signals.let_go();
        served
    }
}

/// Agrees on a lease, and makes the group if there is none.
fn hello(link: &mut Link, lease: Duration) -> Result<Duration, BrokerError> {
    let key = link.place.key("tasks");
    let lease = lease.as_millis().to_string();
    let theirs = link
        .run(|s| &s.hello, &[key], &[lease])
        .map_err(|error| link.place.explain(&error))?;
    let theirs = link::string(theirs).parse().unwrap_or(0);
    Ok(Duration::from_millis(theirs).max(SHORTEST_LEASE))
}

/// A name that nobody has had: host, process, and a number that nobody can guess.
pub(super) fn new_id() -> String {
    let host = host();
    let mut id = format!("{host}-{}-", std::process::id());
    for byte in &random::bytes()[..6] {
        // Writing to a string does not fail.
        let _never = write!(id, "{byte:02x}");
    }
    id
}

pub(super) fn host() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname");
    host.map_or_else(|_| "unknown".into(), |host| host.trim().to_owned())
}

/// What the pool of this process, and so each of its processes, can run.
static SERVED: RwLock<Option<Tasks>> = RwLock::new(None);

/// What a process of the pool does. Copies of this program know the same names.
fn run(name: String, args: String, many: bool) -> Result<String, TaskError> {
    let tasks = SERVED.read().unwrap_or_else(PoisonError::into_inner);
    let tasks = tasks.as_ref().ok_or(TaskError::Broken)?;
    let outcome = tasks.run(&name, &args, many)?;
    if outcome.len() > LARGEST {
        return Err(TaskError::Result(format!(
            "it has {} bytes as JSON, and {LARGEST} is the most a broker is given",
            outcome.len()
        )));
    }
    Ok(outcome)
}

/// What a process of the pool made of a task: the value's JSON or why there is none;
/// or how the process ended instead.
type Ending = Result<Result<String, TaskError>, TaskError>;

struct Agent {
    /// Its name at the broker.
    id: String,
    place: Place,
    lease: Duration,
    processes: usize,
    /// What it can run.
    names: Vec<String>,
    local: Feed,
    state: Mutex<State>,
    /// Notified when there is room for a task, and when the state of life changes.
    changed: Condvar,
    /// Whether nothing will end any more, and the collector is to.
    over: AtomicBool,
    /// The taker's connection as the broker knows it, to be woken; 0 for none.
    taker: AtomicU64,
}

#[derive(Default)]
struct State {
    /// What this worker has, by entry.
    running: HashMap<String, Running>,
    /// The entries of what the local pool has.
    tickets: HashMap<Ticket, String>,
    life: Life,
    /// Whether the local pool has broken.
    broken: bool,
    pace: Pace,
}

#[derive(Default, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Life {
    #[default]
    Serving,
    /// No more tasks are taken.
    Stopping,
    /// All are done or given back.
    Over,
}

struct Running {
    order: Order,
    since: Instant,
    /// Whether it is another's now, or nobody's.
    lost: bool,
    /// What the local pool knows it by; none while it is between two runs.
    ticket: Option<Ticket>,
}

/// How many tasks are taken before a process is free for them: as many as will be done
/// in the time that it takes to ask for more, so none while tasks are long.
struct Pace {
    since: Instant,
    done: u32,
    ahead: usize,
}

/// So long, with a broker not far away.
const ROUND_TRIP: f64 = 0.004;
/// No more are taken ahead.
const MOST_AHEAD: usize = 128;
/// So many tasks are reported by one script: the broker does nothing else meanwhile.
const REPORTED: usize = 64;
/// So many leases are renewed by one.
const RENEWED: usize = 200;

impl Default for Pace {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            done: 0,
            ahead: 0,
        }
    }
}

impl Pace {
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
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks_key(&self) -> [String; 1] {
        [self.place.key("tasks")]
    }

    fn lease_millis(&self) -> String {
        self.lease.as_millis().to_string()
    }

    fn tick_length(&self) -> Duration {
        (self.lease / 4).min(LONGEST_TICK)
    }

    /// How many tasks more this worker can do with.
    fn room(&self, state: &State) -> usize {
        let most = self.processes + state.pace.ahead;
        most.saturating_sub(state.running.len())
    }

    // The taker.

    fn take(&self) {
        let mut link = self.place.link();
        let mut recover = false;
        while let Some(room) = self.wait_for_room() {
            match self.take_some(&mut link, room, recover) {
                Ok(entries) => {
                    recover = false;
                    for (entry, fields) in entries {
                        self.begin(&mut link, entry, fields);
                    }
                }
                Err(error) if link::is_no_group(&error) => {
                    // Whoever emptied the broker took it along. It is made anew.
                    let _again = hello(&mut link, self.lease);
                    link.pause();
                }
                Err(_) => {
                    // What the broker gave may be pending here without this knowing.
                    recover = true;
                    link.pause();
                }
            }
        }
    }

    /// None once this worker is to end.
    fn wait_for_room(&self) -> Option<usize> {
        let mut state = self.lock();
        loop {
            if state.life != Life::Serving {
                return None;
            }
            let room = self.room(&state);
            if room > 0 {
                return Some(room);
            }
            // Whoever makes room has the lock, which is not free before this sleeps.
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn take_some(
        &self,
        link: &mut Link,
        room: usize,
        recover: bool,
    ) -> redis::RedisResult<Vec<(String, Vec<Vec<u8>>)>> {
        if !link.is_connected() {
            let id = link.call(redis::cmd("CLIENT").arg("ID"))?;
            if let Value::Int(id) = id {
                self.taker.store(id.cast_unsigned(), Ordering::Release);
            }
        }
        let mut read = redis::cmd("XREADGROUP");
        read.arg("GROUP").arg("workers").arg(&self.id);
        let wait = if recover {
            // What is pending with this worker already.
            read.arg("STREAMS").arg(self.place.key("tasks")).arg("0");
            Duration::ZERO
        } else {
            read.arg("COUNT").arg(room);
            read.arg("BLOCK").arg(BLOCK.as_millis() as u64);
            read.arg("STREAMS").arg(self.place.key("tasks")).arg(">");
            BLOCK
        };
        let mut entries = link::entries_read(link.call_blocking(&read, wait)?);
        // Those that are gone since have no fields; the next claim tidies up.
        entries.retain(|(_, fields)| !fields.is_empty());
        Ok(entries)
    }

    /// Begins a task that is pending with this worker.
    fn begin(&self, link: &mut Link, entry: String, fields: Vec<Vec<u8>>) {
        let Some(order) = Order::read(fields) else {
            let why = TaskError::Argument("the entry is no task".into());
            let outcome = wire::write_outcome(&Err(why));
            let args = [self.id.clone(), entry, outcome];
            // If it fails, whoever claims the entry will bury it.
            let _later = link.run(|s| &s.bury, &self.tasks_key(), &args);
            return;
        };
        if !self.names.contains(&order.task) {
            self.give_back(link, vec![entry]);
            return;
        }
        if order.expires {
            let args = [self.id.clone(), entry.clone()];
            let may = link.run(|s| &s.may_begin, &self.tasks_key(), &args);
            match may {
                Ok(Value::Int(1)) => {}
                // It is over; or it is pending, not renewed, and so will be claimed.
                Ok(_) | Err(_) => return,
            }
        }
        let mut state = self.lock();
        if state.life != Life::Serving {
            drop(state);
            self.give_back(link, vec![entry]);
            return;
        }
        if !state.running.contains_key(&entry) {
            self.run_here(&mut state, entry, order);
        }
    }

    /// Gives a task to the local pool, in the place of an earlier run.
    fn run_here(&self, state: &mut State, entry: String, order: Order) {
        let args = (order.task.clone(), order.args.clone(), order.many);
        // With the state locked, or its ending might come before its ticket is known.
        let ticket = self.local.submit(run, &args, order.deadline);
        if ticket.is_err() {
            // The main thread gives everything back, and ends.
            state.broken = true;
        }
        let ticket = ticket.ok();
        if let Some(ticket) = ticket {
            state.tickets.insert(ticket, entry.clone());
        }
        let running = Running {
            order,
            since: Instant::now(),
            lost: false,
            ticket,
        };
        state.running.insert(entry, running);
    }

    fn give_back(&self, link: &mut Link, entries: Vec<String>) {
        let mut args = vec![self.id.clone(), self.lease_millis()];
        args.extend(entries);
        // If it fails, it comes to the same once the lease is over.
        let _later = link.run(|s| &s.release, &self.tasks_key(), &args);
    }

    // The ticker.

    fn tick(&self) {
        let mut link = self.place.link();
        let mut renewed = Instant::now();
        let mut silent = false;
        loop {
            let asked = Instant::now();
            match self.tick_once(&mut link) {
                Ok(()) => {
                    renewed = asked;
                    if std::mem::take(&mut silent) {
                        self.say("answers again");
                    }
                }
                Err(error) if link::is_no_group(&error) => {
                    let _again = hello(&mut link, self.lease);
                    link.pause();
                }
                Err(error) => {
                    if !std::mem::replace(&mut silent, true) {
                        self.say(&format!("does not answer ({error})"));
                    }
                    // Another may have its tasks soon.
                    if renewed.elapsed() > self.lease.mul_f32(0.8) {
                        self.lose_all();
                    }
                    link.pause();
                }
            }
            let state = self.lock();
            if state.life == Life::Over {
                return;
            }
            if !silent {
                let left = self.tick_length().saturating_sub(asked.elapsed());
                // Woken for any change; it asks too soon then, never too late.
                let wait = self.changed.wait_timeout_while(state, left, |state| {
                    state.life == Life::Serving
                });
                drop(wait);
                if self.lock().life == Life::Stopping {
                    thread::sleep(left.min(Duration::from_millis(100)));
                }
            }
        }
    }

    fn tick_once(&self, link: &mut Link) -> redis::RedisResult<()> {
        let (entries, record) = {
            let state = self.lock();
            let running = state.running.iter().filter(|(_, r)| !r.lost);
            let entries: Vec<_> = running.map(|(entry, _)| entry.clone()).collect();
            (entries, self.record(&state))
        };
        let mut pieces = entries.chunks(RENEWED);
        let mut record = Some(record);
        loop {
            let piece = pieces.next();
            if piece.is_none() && record.is_none() {
                break;
            }
            let piece = piece.unwrap_or_default();
            let mut args = vec![self.id.clone(), self.lease_millis()];
            args.push(record.take().unwrap_or_default());
            args.extend(piece.iter().cloned());
            let own = link.run(|s| &s.beat, &self.tasks_key(), &args)?;
            let own = link::numbers(own);
            let lost = piece.iter().zip(own).filter(|(_, own)| *own == 0);
            self.lose(&lost.map(|(entry, _)| entry.clone()).collect::<Vec<_>>());
        }
        let room = {
            let state = self.lock();
            if state.life != Life::Serving {
                return Ok(());
            }
            self.room(&state)
        };
        // A little early: this is looked at once in a tick.
        let stale = self.lease.saturating_sub(self.tick_length() / 4);
        let mut args = vec![
            self.id.clone(),
            stale.as_millis().to_string(),
            room.to_string(),
        ];
        args.extend(self.names.iter().cloned());
        let taken = link.run(|s| &s.claim, &self.tasks_key(), &args)?;
        for (entry, fields) in link::entries(taken) {
            self.begin(link, entry, fields);
        }
        Ok(())
    }

    /// What others are told of this worker.
    fn record(&self, state: &State) -> String {
        let running: Vec<_> = state
            .running
            .iter()
            .take(100)
            .map(|(entry, running)| {
                (entry.as_str(), running.since.elapsed().as_millis() as u64)
            })
            .collect();
        super::stats::write_record(&host(), self.processes, &running)
    }

    /// These are not this worker's any more: ends what it makes of them.
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

    /// Ends what runs of these; what comes of that is an ending as any other.
    fn cancel(&self, state: &State, entries: &[String]) {
        let running = entries.iter().filter_map(|entry| state.running.get(entry));
        let tickets: Vec<_> = running.filter_map(|running| running.ticket).collect();
        if !tickets.is_empty() {
            self.local.cancel(&tickets);
        }
    }

    fn say(&self, what: &str) {
        eprintln!("The broker at {} {what}.", self.place.at);
    }

    // The collector.

    fn collect(&self) {
        let mut link = self.place.link();
        loop {
            let ended = self.local.ended(|| self.over.load(Ordering::Acquire));
            if ended.is_empty() {
                return;
            }
            for tickets in ended.chunks(REPORTED) {
                // Before they are taken: after it, they may be another task's.
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
                self.settle(&mut link, batch);
            }
        }
    }

    /// Reports what has ended, again and again until the broker knows.
    fn settle(&self, link: &mut Link, batch: Vec<(String, Ending)>) {
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
                self.changed.notify_all();
                continue;
            }
            let order = &running.order;
            let kind = match ending {
                Err(TaskError::Killed { .. } | TaskError::Exited { .. }) => {
                    again.push((entry, order.clone(), ending.err()));
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
            let parts = [
                entry,
                order.id.clone(),
                order.client().to_owned(),
                outcome,
                kind.to_owned(),
                order.keep.clone(),
            ];
            done.push(parts);
        }
        self.report(link, &done);
        for (entry, order, error) in again {
            self.run_again(link, entry, order, error);
        }
        if !back.is_empty() {
            self.give_back(link, back.clone());
            self.forget(back.iter(), 0);
        }
    }

    fn report(&self, link: &mut Link, done: &[[String; 6]]) {
        if done.is_empty() {
            return;
        }
        let mut args = vec![self.id.clone()];
        args.extend(done.iter().flatten().cloned());
        while let Err(error) = link.run(|s| &s.done, &self.tasks_key(), &args) {
            if link::is_no_group(&error) {
                // The broker was emptied, and these tasks are gone with the rest.
                let _again = hello(link, self.lease);
                break;
            }
            if link::is_lasting(&error) {
                // One of them is what the broker cannot take.
                if let [[_, id, ..]] = done {
                    self.say(&format!("refuses the outcome of {id} ({error})"));
                    break;
                }
                for one in done {
                    self.report(link, std::slice::from_ref(one));
                }
                return;
            }
            if self.lock().life == Life::Over {
                break;
            }
            link.pause();
        }
        self.forget(done.iter().map(|parts| &parts[0]), done.len() as u32);
    }

    fn forget<'a>(&self, entries: impl Iterator<Item = &'a String>, done: u32) {
        let mut state = self.lock();
        for entry in entries {
            state.running.remove(entry);
        }
        state.pace.count(done);
        drop(state);
        self.changed.notify_all();
    }

    /// The process that ran it has ended.
    fn run_again(
        &self,
        link: &mut Link,
        entry: String,
        order: Order,
        how: Option<TaskError>,
    ) {
        let how = how.map_or_else(String::new, |error| error.to_string());
        let args = [
            self.id.clone(),
            entry.clone(),
            format!("{}: {how}", self.id),
        ];
        // While it cannot be asked for, the lease runs on, and the task with it.
        let answer = loop {
            match link.run(|s| &s.again, &self.tasks_key(), &args) {
                Ok(answer) => break link::string(answer),
                Err(error) if link::is_no_group(&error) => {
                    let _again = hello(link, self.lease);
                    break "lost".into();
                }
                Err(error) if link::is_lasting(&error) => break "lost".into(),
                Err(_) if self.lock().life == Life::Over => break "lost".into(),
                Err(_) => link.pause(),
            }
        };
        let mut state = self.lock();
        let lost = state.running.get(&entry).is_none_or(|running| running.lost);
        if answer == "again" && !lost && state.life == Life::Serving {
            self.run_here(&mut state, entry, order);
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
        self.lock().life = Life::Stopping;
        self.changed.notify_all();
        self.wake_the_taker();

        let until = Instant::now() + if broken { Duration::ZERO } else { grace };
        while Instant::now() < until && !self.lock().running.is_empty() {
            let short = Duration::from_millis(20);
            if signals.wait(Some(short)).is_some() {
                break;
            }
        }
        // What comes of it is given back by the collector.
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
        self.lock().life = Life::Over;
        self.changed.notify_all();
        self.over.store(true, Ordering::Release);
        self.local.wake();
        if broken {
            return Err(BrokerError::PoolBroken);
        }
        Ok(())
    }

    fn wake_the_taker(&self) {
        let id = self.taker.load(Ordering::Acquire);
        if id != 0 {
            let mut unblock = redis::cmd("CLIENT");
            unblock.arg("UNBLOCK").arg(id);
            // If it fails, the taker looks after its wait.
            let _later = self.place.link().call(&unblock);
        }
    }
}
