//! Processes that put and get are killed at random moments, again and again, and the
//! others must continue: nobody hangs, no message is torn, doubled or lost, except the one
//! that a killed consumer was taking; and nothing is left behind.
//!
//! A program of its own, without the test harness, whose threads would forbid to fork.
//! `KILLS=5000` and `SEED=…` in the environment say how often, and repeat a run.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::fd::AsFd;
use std::process::{self, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use multiprocessing::{
    Connection, GetError, JoinableQueue, Process, Queue, RecvError, TasksLost,
    active_children, freeze_support, pipe, wait,
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::alarm;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

/// Longer than a second, which is what is promised, as the machine may be busy.
const HANG: Duration = Duration::from_secs(8);

/// Several of the slices after which `join` counts the dead.
const SLICES: Duration = Duration::from_millis(500);

#[derive(Serialize, Deserialize)]
struct Message {
    producer: usize,
    number: u32,
    /// The number, as often as the producer chose.
    filling: Vec<u32>,
}

impl Message {
    fn is_whole(&self) -> bool {
        self.filling.iter().all(|number| *number == self.number)
    }
}

/// How messages go from the producers to the consumers.
enum Way {
    Queue(Queue<Message>),
    Pipe {
        receiver: Connection,
        /// Taken out by processes that must not keep it open.
        sender: Option<Connection>,
    },
}

impl Way {
    fn put(&self, message: Message) {
        match self {
            Self::Queue(queue) => queue.put(message).unwrap(),
            Self::Pipe { sender, .. } => {
                sender.as_ref().unwrap().send(&message).unwrap();
            }
        }
    }

    fn get(&self) -> Option<Message> {
        match self {
            Self::Queue(queue) => match queue.get() {
                Ok(message) => Some(message),
                Err(GetError::Closed) => None,
                Err(error) => panic!("{error}"),
            },
            Self::Pipe { receiver, .. } => match receiver.recv() {
                Ok(message) => Some(message),
                Err(RecvError::EndOfFile) => None,
                Err(error) => panic!("{error}"),
            },
        }
    }

    fn put_no_more(&mut self) {
        match self {
            Self::Queue(queue) => queue.close(),
            Self::Pipe { sender, .. } => *sender = None,
        }
    }
}

const PRODUCERS: usize = 2;
const CONSUMERS: usize = 2;
const MESSAGES: u32 = 12;

fn produce(way: &Way, producer: usize, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    for number in 0..MESSAGES {
        let length = [0, 1, 10, 1_000, 20_000][random.random_range(0..5)];
        way.put(Message {
            producer,
            number,
            filling: vec![number; length],
        });
    }
}

fn consume(way: &mut Way, report: &Connection) {
    way.put_no_more();
    while let Some(message) = way.get() {
        assert!(message.is_whole(), "a message was torn");
        report.send(&(message.producer, message.number)).unwrap();
    }
}

/// Everything that would be noticed if it stayed: descriptors and children. There are
/// no files: a queue's memory has no name.
fn belongings() -> (usize, usize) {
    let descriptors = fs::read_dir("/proc/self/fd").unwrap().count();
    (descriptors, active_children().len())
}

fn round(mut way: Way, random: &mut StdRng) {
    let mut processes = Vec::new();
    let mut reports = Vec::new();
    for _ in 0..CONSUMERS {
        let (receiver, sender) = pipe(false).unwrap();
        let mut p = Process::new(|| consume(&mut way, &sender));
        p.start().unwrap();
        let p = p.handle().unwrap().clone();
        processes.push(p);
        reports.push(receiver);
    }
    for producer in 0..PRODUCERS {
        let seed = random.random();
        let mut p = Process::new(|| produce(&way, producer, seed));
        p.start().unwrap();
        let p = p.handle().unwrap().clone();
        processes.push(p);
    }
    way.put_no_more();

    let victim = random.random_range(0..processes.len());
    thread::sleep(Duration::from_micros(random.random_range(0..10_000)));
    let killed = Instant::now();
    processes[victim].kill().unwrap();

    let mut got: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    let mut open: Vec<_> = (0..CONSUMERS).collect();
    while !open.is_empty() {
        let waiting: Vec<_> = open.iter().map(|i| reports[*i].as_fd()).collect();
        let ready = wait(&waiting, Some(HANG)).unwrap();
        assert!(!ready.is_empty(), "somebody hangs");
        let ready: Vec<_> = ready.into_iter().map(|i| open[i]).collect();
        for i in ready {
            match reports[i].recv::<(usize, u32)>() {
                Ok((producer, number)) => {
                    got.entry(producer).or_default().push(number);
                }
                Err(RecvError::EndOfFile) => open.retain(|other| *other != i),
                Err(error) => panic!("{error}"),
            }
        }
    }
    for (i, p) in processes.iter().enumerate() {
        assert!(p.join_timeout(HANG).unwrap(), "process {i} hangs");
        if i != victim {
            assert_eq!(p.exitcode(), Some(0), "process {i}");
        }
    }
    let waited = killed.elapsed();
    assert!(waited < HANG, "it took {waited:?}");

    let mut missing = 0;
    for producer in 0..PRODUCERS {
        let mut numbers = got.remove(&producer).unwrap_or_default();
        numbers.sort_unstable();
        let all = numbers.len();
        numbers.dedup();
        assert_eq!(all, numbers.len(), "a message was doubled");
        // Those that a killed producer did not come to put are not lost.
        let put = if victim == CONSUMERS + producer {
            numbers.last().map_or(0, |last| last + 1)
        } else {
            MESSAGES
        };
        missing += put as usize - numbers.len();
    }
    let may_miss = usize::from(victim < CONSUMERS);
    assert!(missing <= may_miss, "{missing} messages were lost");
}

/// A worker is killed with or without a task in its hands; `join` must come back.
fn joining_round(random: &mut StdRng) {
    let queue = JoinableQueue::new(0).unwrap();
    let mut workers = Vec::new();
    for _ in 0..2 {
        let mut p = Process::new(|| {
            queue.close();
            while let Ok(number) = queue.get() {
                thread::sleep(Duration::from_micros(number));
                queue.task_done().unwrap();
            }
        });
        p.start().unwrap();
        workers.push(p.handle().unwrap().clone());
    }
    for _ in 0..10 {
        queue.put(random.random_range(0..300)).unwrap();
    }
    thread::sleep(Duration::from_micros(random.random_range(0..2_000)));
    workers[0].kill().unwrap();
    let start = Instant::now();
    let lost = queue.join();
    assert!(start.elapsed() < HANG);
    if let Err(lost) = lost {
        assert_eq!(lost.0, 1);
        queue.join().unwrap();
    }
    queue.close();
    for worker in &workers {
        assert!(worker.join_timeout(HANG).unwrap());
    }
    assert_eq!(workers[1].exitcode(), Some(0));
}

/// Two have a task each: one is killed over it, the other takes its time.
fn join_waits_for_live_consumers_and_counts_lost_tasks() {
    const WORK: Duration = Duration::from_millis(500);
    let queue = JoinableQueue::new(0).unwrap();
    let (report, reporter) = pipe(false).unwrap();
    let start = Instant::now();
    let take = |time: Duration| {
        let mut p = Process::new(|| {
            queue.get().unwrap();
            reporter.send(&()).unwrap();
            thread::sleep(time);
            queue.task_done().unwrap();
        });
        p.start().unwrap();
        queue.put(()).unwrap();
        report.recv::<()>().unwrap();
        p.handle().unwrap().clone()
    };
    let victim = take(HANG);
    let other = take(WORK);
    victim.kill().unwrap();
    assert_eq!(queue.join(), Err(TasksLost(1)));
    assert!(start.elapsed() >= WORK, "it did not wait for the living");
    queue.join().unwrap();
    for p in [victim, other] {
        p.join().unwrap();
    }
    // A loss is told once: this task is not lost.
    queue.put(()).unwrap();
    let mut passes_on = Process::new(|| queue.get().unwrap());
    passes_on.start().unwrap();
    passes_on.join().unwrap();
    thread::scope(|s| {
        let join = s.spawn(|| queue.join());
        thread::sleep(SLICES);
        queue.task_done().unwrap();
        assert_eq!(join.join().unwrap(), Ok(()));
    });
}

/// Consumers pass their items on and end in good order: another process reports them.
fn tasks_that_were_passed_on_are_reported_by_another() {
    let (queue, collected) =
        (JoinableQueue::new(0).unwrap(), Queue::new(0).unwrap());
    for number in 0..4 {
        queue.put(number).unwrap();
    }
    for _ in 0..4 {
        let mut p = Process::new(|| collected.put(queue.get().unwrap()).unwrap());
        p.start().unwrap();
        p.join().unwrap();
    }
    // One that reports its own task before it fails does not lose one of these.
    queue.put(4).unwrap();
    let mut p = Process::new(|| {
        queue.get().unwrap();
        queue.task_done().unwrap();
        ExitCode::FAILURE
    });
    p.start().unwrap();
    p.join().unwrap();
    thread::scope(|s| {
        let join = s.spawn(|| queue.join());
        thread::sleep(SLICES);
        assert!(!join.is_finished(), "the tasks are not done");
        for _ in 0..4 {
            let _: i32 = collected.get().unwrap();
            queue.task_done().unwrap();
        }
        assert_eq!(join.join().unwrap(), Ok(()));
    });
    assert!(queue.task_done().is_err(), "there were five");
}

/// A report by a process that took none counts for one that has ended, not for one that is
/// still at work.
fn a_task_that_was_passed_on_is_reported_before_one_that_is_at_work() {
    let queue = JoinableQueue::new(0).unwrap();
    queue.put(0).unwrap();
    let mut passes_on = Process::new(|| {
        let _: i32 = queue.get().unwrap();
    });
    passes_on.start().unwrap();
    passes_on.join().unwrap();
    let (reader, writer) = pipe(false).unwrap();
    let mut at_work = Process::new(|| {
        queue.get().unwrap();
        writer.send(&()).unwrap();
        thread::sleep(HANG);
    });
    at_work.start().unwrap();
    queue.put(1).unwrap();
    reader.recv::<()>().unwrap();
    queue.task_done().unwrap();
    at_work.kill().unwrap();
    at_work.join().unwrap();
    assert_eq!(queue.join(), Err(TasksLost(1)), "the one at work");
}

/// A consumer ends while it has a task, in each way that is a failure.
fn tasks_of_consumers_that_failed_are_lost() {
    let ways: [fn() -> ExitCode; 4] = [
        || ExitCode::from(3),
        || process::exit(4),
        || panic!("over a task (this is part of the test)"),
        || process::abort(),
    ];
    for fail in ways {
        let queue = JoinableQueue::new(0).unwrap();
        queue.put(1).unwrap();
        let mut p = Process::new(|| {
            queue.get().unwrap();
            fail()
        });
        p.start().unwrap();
        p.join().unwrap();
        let start = Instant::now();
        assert_eq!(queue.join(), Err(TasksLost(1)), "{:?}", p.exitcode());
        assert!(start.elapsed() < HANG);
        assert_eq!(queue.join(), Ok(()));
    }
}

/// Only a process that could take them makes `join` wait for tasks in the queue.
fn tasks_in_the_queue_are_lost_with_the_last_consumer() {
    let queue = JoinableQueue::new(0).unwrap();
    for number in 0..4 {
        queue.put(number).unwrap();
    }
    let mut relative = Process::builder().daemon(true).target(|| {
        thread::sleep(Duration::from_millis(700));
    });
    relative.start().unwrap();
    let mut p = Process::new(|| {
        queue.get().unwrap();
        ExitCode::FAILURE
    });
    p.start().unwrap();
    let start = Instant::now();
    assert_eq!(queue.join(), Err(TasksLost(4)));
    assert!(
        start.elapsed() > Duration::from_millis(500),
        "another process could have taken them"
    );
    assert!(start.elapsed() < HANG);
    assert_eq!(queue.join(), Ok(()));
    assert_eq!(queue.qsize(), 3);
}

/// The process that joins can take them itself, as it has taken one before.
fn tasks_in_the_queue_are_not_lost_on_a_consumer_that_joins() {
    let queue = JoinableQueue::new(0).unwrap();
    for number in 0..3 {
        queue.put(number).unwrap();
    }
    queue.get().unwrap();
    queue.task_done().unwrap();
    let mut p = Process::new(|| {
        queue.get().unwrap();
        ExitCode::FAILURE
    });
    p.start().unwrap();
    p.join().unwrap();
    thread::scope(|s| {
        let join = s.spawn(|| queue.join());
        thread::sleep(SLICES);
        assert!(!join.is_finished(), "the last task can still be taken");
        assert_eq!(queue.get(), Ok(2));
        queue.task_done().unwrap();
        assert_eq!(join.join().unwrap(), Err(TasksLost(1)));
    });
}

/// An item for which a process has no memory stays for one that has.
fn too_large_an_item_stays_in_the_queue() {
    const LENGTH: usize = 64 << 20;
    let queue = Queue::new(0).unwrap();
    queue.put("7".repeat(LENGTH)).unwrap();
    let mut p = Process::new(|| {
        let (_, hard) = getrlimit(Resource::RLIMIT_AS).unwrap();
        let sizes = fs::read_to_string("/proc/self/statm").unwrap();
        let pages: u64 = sizes.split(' ').next().unwrap().parse().unwrap();
        let little_more = pages * 4096 + LENGTH as u64 / 4;
        setrlimit(Resource::RLIMIT_AS, little_more, hard).unwrap();
        assert_eq!(queue.get(), Err(GetError::TooLarge));
        // One error and the end: the item would be refused again and again.
        let items: Vec<_> = queue.iter().take(2).collect();
        assert_eq!(items, [Err(GetError::TooLarge)]);
        assert_eq!(queue.qsize(), 1);
        setrlimit(Resource::RLIMIT_AS, hard, hard).unwrap();
        assert_eq!(queue.get().map(|item| item.len()), Ok(LENGTH));
    });
    p.start().unwrap();
    p.join().unwrap();
    assert_eq!(p.exitcode(), Some(0));
}

/// What a spawned process is handed stays connected.
fn spawned_round() {
    type Handles = (Queue<u32>, JoinableQueue<u32>, Connection);
    fn work((results, tasks, connection): Handles) {
        let first: u32 = connection.recv().unwrap();
        results.put(first).unwrap();
        tasks.close();
        while let Ok(task) = tasks.get() {
            results.put(task).unwrap();
            tasks.task_done().unwrap();
        }
    }
    let (results, tasks) = (Queue::new(0).unwrap(), JoinableQueue::new(2).unwrap());
    let (here, there) = pipe(true).unwrap();
    let handles = (results.clone(), tasks.clone(), there);
    let mut p = Process::spawned(work, handles);
    p.start().unwrap();
    here.send(&0).unwrap();
    for task in 1..5 {
        tasks.put(task).unwrap();
    }
    tasks.join().unwrap();
    tasks.close();
    results.close();
    for number in 0..5 {
        assert_eq!(results.get(), Ok(number));
    }
    assert_eq!(results.get(), Err(GetError::Closed));
    p.join().unwrap();
    assert_eq!(p.exitcode(), Some(0));
    assert!(matches!(here.recv::<u32>(), Err(RecvError::EndOfFile)));
}

/// A hang ends the whole by SIGALRM.
fn set_deadline() {
    alarm::set(60);
}

fn main() {
    freeze_support();
    let from_env = |name| env::var(name).ok().and_then(|text| text.parse().ok());
    let kills = from_env("KILLS").unwrap_or(80);
    let seed = from_env("SEED").unwrap_or_else(rand::random);
    println!("{kills} kills, SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);

    set_deadline();
    spawned_round();
    join_waits_for_live_consumers_and_counts_lost_tasks();
    tasks_of_consumers_that_failed_are_lost();
    tasks_in_the_queue_are_lost_with_the_last_consumer();
    tasks_in_the_queue_are_not_lost_on_a_consumer_that_joins();
    tasks_that_were_passed_on_are_reported_by_another();
    a_task_that_was_passed_on_is_reported_before_one_that_is_at_work();
    too_large_an_item_stays_in_the_queue();
    // What the library opens once and keeps is open after this.
    joining_round(&mut random);
    let before = belongings();
    let start = Instant::now();
    let mut slowest = Duration::ZERO;
    for kill in 0..kills {
        let start = Instant::now();
        set_deadline();
        match kill % 6 {
            0 | 1 => round(Way::Queue(Queue::new(0).unwrap()), &mut random),
            2 | 3 => {
                let maxsize = random.random_range(1..4);
                round(Way::Queue(Queue::new(maxsize).unwrap()), &mut random);
            }
            4 => {
                let (receiver, sender) = pipe(false).unwrap();
                let sender = Some(sender);
                round(Way::Pipe { receiver, sender }, &mut random);
            }
            _ => joining_round(&mut random),
        }
        slowest = slowest.max(start.elapsed());
        assert_eq!(belongings(), before, "something is left (kill {kill})");
    }
    println!("{:?}, the slowest round {slowest:?}", start.elapsed());
}
