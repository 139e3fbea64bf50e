//! What a pool over a broker promises, also when its workers, its sender, its broker or
//! the connections between them fail.
//!
//! Each test starts a `redis-server` of its own. The workers and senders are further
//! processes of this program, since a worker forks and a test has threads. If no server
//! is installed, the tests are ignored and say so; with `BROKER_TESTS=required` they fail.

mod faults;
mod promises;
mod relay;
mod server;
mod storm;

use std::env;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process;
use std::thread::{self, sleep};
use std::time::Duration;

use libtest_mimic::{Arguments, Trial};
use multiprocessing::Pool;
use multiprocessing::broker::{BrokerPoolBuilder, Queue, Tasks};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, raise};

use server::Server;

/// How to install what the tests need.
const INSTALL: &str = "apt-get install redis-server";

fn main() {
    match env::var("SUBJECT").as_deref() {
        Ok("worker") => return worker(),
        Ok("sender") => return sender(),
        Ok("starved") => return starved(),
        _ => {}
    }
    let mut arguments = Arguments::from_args();
    // They mostly wait, for leases to end and for servers to start.
    arguments.test_threads.get_or_insert(8);
    let there = server::program().is_some();
    let required = env::var("BROKER_TESTS").is_ok_and(|value| value == "required");
    let tests = [promises::CLAIMS, faults::CLAIMS, storm::CLAIMS].concat();
    let trials = tests.into_iter().map(|(name, test)| {
        if there {
            Trial::test(name, move || {
                watched(name, test);
                Ok(())
            })
        } else if required {
            Trial::test(name, || Err("redis-server is not installed".into()))
        } else {
            let why = format!("{name} (redis-server is not installed: {INSTALL})");
            Trial::test(why, || Ok(())).with_ignored_flag(true)
        }
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

type Claim = (&'static str, fn());

/// Runs a test with a deadline. After it, this process ends, and with it every process
/// that the test started.
fn watched(name: &'static str, test: fn()) {
    const LONGEST: Duration = Duration::from_secs(170);
    let (finished, ended) = std::sync::mpsc::channel::<()>();
    thread::spawn(move || {
        if ended.recv_timeout(LONGEST)
            == Err(std::sync::mpsc::RecvTimeoutError::Timeout)
        {
            eprintln!("{name} hangs");
            process::exit(1);
        }
    });
    test();
    drop(finished);
}

fn square(x: u64) -> u64 {
    x * x
}

fn divide(x: u64, y: u64) -> u64 {
    x / y
}

/// Appends a line to the file: the number, and the process that ran this.
fn effect(file: PathBuf, number: u64) -> u64 {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(file)
        .unwrap();
    let line = format!("{number} {}\n", process::id());
    file.write_all(line.as_bytes()).unwrap();
    number
}

fn nap(millis: u64) -> u64 {
    sleep(Duration::from_millis(millis));
    millis
}

/// Has its effect, and then takes some time.
fn slow_effect(file: PathBuf, number: u64, millis: u64) -> u64 {
    effect(file, number);
    nap(millis)
}

/// Kills its own process if the number is the deadly one.
fn poison(number: u64, deadly: u64) -> u64 {
    if number == deadly {
        raise(Signal::SIGKILL).unwrap();
    }
    number
}

fn letters(count: usize) -> String {
    "x".repeat(count)
}

fn length(text: String) -> usize {
    text.len()
}

fn nothing() {}

/// Is registered by senders, but not by workers unless `KNOWS_ALL` is set.
fn stranger(x: u64) -> u64 {
    x
}

fn tasks() -> Tasks {
    Tasks::new()
        .add("square", square)
        .add("divide", divide)
        .add("effect", effect)
        .add("slow_effect", slow_effect)
        .add("nap", nap)
        .add("poison", poison)
        .add("letters", letters)
        .add("length", length)
        .add("nothing", nothing)
}

fn builder(url: &str) -> BrokerPoolBuilder {
    Pool::builder()
        .broker(url)
        .tasks(tasks().add("stranger", stranger))
}

fn pool(server: &Server) -> Pool {
    builder(&server.url()).start().unwrap()
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().and_then(|number| number.parse().ok())
}

/// A worker whose options are in its environment.
fn worker() {
    // The worker must end with the test, however the test ends.
    prctl::set_pdeathsig(Signal::SIGKILL).unwrap();
    let known = if env::var("KNOWS_ALL").is_ok() {
        tasks().add("stranger", stranger)
    } else {
        tasks()
    };
    let mut worker = known.worker(&env::var("URL").unwrap()).unwrap();
    worker = worker.processes(number("PROCESSES").unwrap_or(2) as usize);
    if let Ok(queue) = env::var("QUEUE") {
        worker = worker.queue(&queue);
    }
    if let Some(lease) = number("LEASE") {
        worker = worker.lease(Duration::from_millis(lease));
    }
    if let Some(grace) = number("GRACE") {
        worker = worker.grace(Duration::from_millis(grace));
    }
    match worker.serve() {
        Ok(()) => println!("over"),
        Err(error) => println!("{error}"),
    }
}

/// A program that asks for a queue's state when it may open no further file.
fn starved() {
    prctl::set_pdeathsig(Signal::SIGKILL).unwrap();
    let next = File::open("/dev/null").unwrap().as_raw_fd() as u64;
    setrlimit(Resource::RLIMIT_NOFILE, next, next).unwrap();
    let queue = Queue::open(&env::var("URL").unwrap(), "default").unwrap();
    println!("{}", queue.stats().unwrap_err());
}

/// A program that submits ten tasks, prints their ids, and waits for the outcomes.
fn sender() {
    prctl::set_pdeathsig(Signal::SIGKILL).unwrap();
    let file = PathBuf::from(env::var("FILE").unwrap());
    let pool = builder(&env::var("URL").unwrap())
        .result_ttl(Duration::from_mins(10))
        .start()
        .unwrap();
    let results: Vec<_> = (0..10)
        .map(|number| pool.apply_async(slow_effect, (file.clone(), number, 200)))
        .collect();
    for result in &results {
        println!("{}", result.id().unwrap());
    }
    for result in results {
        result.wait();
    }
    println!("over");
}
