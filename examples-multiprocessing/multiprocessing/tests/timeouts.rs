//! A wait with a time-out ends in time, beside busy neighbours and with the least priority:
//! as late as the scheduler lets any sleep end, and no later.

use std::time::{Duration, Instant};

use multiprocessing::{
    Array, Barrier, Condition, Event, Lock, Pool, Process, Queue, RLock, Semaphore,
    pipe,
};
use nix::sys::signal::{self, Signal};
use nix::unistd::{Pid, alarm};
use rustix::process::nice;

/// What each wait is asked to take.
const TIMEOUT: Duration = Duration::from_millis(10);
/// How often each is measured.
const ROUNDS: usize = 15;

fn spin_for_ever() {
    // Ended as a daemon; this is for a test that is killed.
    let end = Instant::now() + Duration::from_mins(2);
    while Instant::now() < end {}
}

fn sleep(seconds: u64) {
    std::thread::sleep(Duration::from_secs(seconds));
}

/// The longest of some rounds of a wait, and of std's sleep between them: the machine may
/// become busier at any time.
fn longest(mut wait: impl FnMut()) -> (Duration, Duration) {
    let time = |wait: &mut dyn FnMut()| {
        let start = Instant::now();
        wait();
        start.elapsed()
    };
    let rounds = (0..ROUNDS).map(|_| {
        let slept = time(&mut || std::thread::sleep(TIMEOUT));
        (time(&mut wait), slept)
    });
    rounds.fold((Duration::ZERO, Duration::ZERO), |most, round| {
        (most.0.max(round.0), most.1.max(round.1))
    })
}

/// Stops a process at many moments, in some of which it is within a call of a semaphore.
fn a_process_that_is_stopped_in_a_semaphore_delays_nobody() {
    let semaphore = Semaphore::new(1).unwrap();
    let mut user = Process::builder().daemon(true).target(|| {
        loop {
            semaphore.acquire();
            semaphore.release();
        }
    });
    user.start().unwrap();
    let id = Pid::from_raw(user.pid().unwrap());
    for _ in 0..ROUNDS {
        std::thread::sleep(Duration::from_millis(1));
        signal::kill(id, Signal::SIGSTOP).unwrap();
        // The alarm ends a wait that does not end.
        let got = [semaphore.acquire_timeout(TIMEOUT), semaphore.try_acquire()];
        signal::kill(id, Signal::SIGCONT).unwrap();
        // A release has no time-out: it waits for one that was stopped half-way.
        (got.iter().filter(|got| **got)).for_each(|_| semaphore.release());
    }
    user.kill().unwrap();
    user.join().unwrap();
}

fn main() {
    alarm::set(110);
    a_process_that_is_stopped_in_a_semaphore_delays_nobody();
    let pool = Pool::new(1).unwrap();
    let empty: Queue<u32> = Queue::new(0).unwrap();
    let full: Queue<u32> = Queue::new(1).unwrap();
    full.put(1).unwrap();
    let (end, _other_end) = pipe(true).unwrap();
    let event = Event::new().unwrap();
    let (lock, rlock) = (Lock::new().unwrap(), RLock::new().unwrap());
    let none_left = Semaphore::new(0).unwrap();
    let condition = Condition::new().unwrap();
    let barrier = Barrier::new(2).unwrap();
    let numbers = Array::new([0]).unwrap();

    let holding = Event::new().unwrap();
    let mut holder = Process::builder().daemon(true).target(|| {
        lock.acquire();
        rlock.acquire();
        let _numbers = numbers.lock();
        holding.set();
        sleep(120);
    });
    holder.start().unwrap();
    holding.wait();
    let busy: Vec<_> = (0..4)
        .map(|_| {
            let mut p = Process::builder().daemon(true).target(spin_for_ever);
            p.start().unwrap();
            p
        })
        .collect();
    let task = pool.apply_async(sleep, (120,));
    // A holder that is stopped lives: nobody gets its locks, and nobody waits longer.
    let holder_id = Pid::from_raw(holder.pid().unwrap());
    signal::kill(holder_id, Signal::SIGSTOP).unwrap();
    nice(10).unwrap();

    let mut times = Vec::new();
    let mut hold = |name: &'static str, wait: &mut dyn FnMut()| {
        let (waited, slept) = longest(wait);
        println!("{name:30} {waited:>10.1?}, std's sleep {slept:>10.1?}");
        times.push((name, waited, slept));
    };
    hold("Queue::get_timeout", &mut || {
        empty.get_timeout(TIMEOUT).unwrap_err();
    });
    hold("Queue::put_timeout", &mut || {
        full.put_timeout(2, TIMEOUT).unwrap_err();
    });
    hold("Connection::poll", &mut || {
        assert!(!end.poll(TIMEOUT).unwrap());
    });
    hold("Event::wait_timeout", &mut || {
        assert!(!event.wait_timeout(TIMEOUT));
    });
    hold("Lock::acquire_timeout", &mut || {
        assert_eq!(lock.acquire_timeout(TIMEOUT), None);
    });
    hold("RLock::acquire_timeout", &mut || {
        assert_eq!(rlock.acquire_timeout(TIMEOUT), None);
    });
    hold("Semaphore::acquire_timeout", &mut || {
        assert!(!none_left.acquire_timeout(TIMEOUT));
    });
    hold("Condition::wait_timeout", &mut || {
        let _held = condition.lock();
        assert!(!condition.wait_timeout(TIMEOUT).unwrap());
    });
    hold("Barrier::wait_timeout", &mut || {
        barrier.wait_timeout(TIMEOUT).unwrap_err();
        barrier.reset();
    });
    hold("Process::join_timeout", &mut || {
        assert!(!holder.join_timeout(TIMEOUT).unwrap());
    });
    hold("AsyncResult::wait_timeout", &mut || {
        assert!(!task.wait_timeout(TIMEOUT));
    });
    let slept = times.iter().map(|&(_, _, slept)| slept).max().unwrap();
    let limit = 3 * slept + Duration::from_millis(100);
    times.retain(|&(_, waited, _)| waited > limit);
    assert!(times.is_empty(), "later than {limit:.0?}: {times:?}");
    assert!(holder.is_alive(), "a stopped process is alive");
    pool.terminate();
    for process in busy.iter().chain([&holder]) {
        process.kill().unwrap();
        process.join().unwrap();
    }
}
