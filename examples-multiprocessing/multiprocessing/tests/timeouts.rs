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
const ROUNDS: usize = 20;

fn spin_for_ever() {
    // Ended as a daemon; this is for a test that is killed.
    let end = Instant::now() + Duration::from_secs(120);
    while Instant::now() < end {}
}

fn sleep(seconds: u64) {
    std::thread::sleep(Duration::from_secs(seconds));
}

/// The longest of some rounds.
fn longest(mut wait: impl FnMut()) -> Duration {
    let rounds = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        wait();
        start.elapsed()
    });
    rounds.max().unwrap()
}

fn main() {
    alarm::set(110);
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

    let sleep = longest(|| std::thread::sleep(TIMEOUT));
    let limit = 3 * sleep + Duration::from_millis(100);
    println!(
        "a sleep of {TIMEOUT:?} took up to {sleep:.1?}: no wait may take {limit:.1?}"
    );
    let mut late = 0;
    let mut hold = |name: &str, wait: &mut dyn FnMut()| {
        let time = longest(wait);
        println!("{name:30} {time:>10.1?}");
        late += usize::from(time > limit);
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
    assert_eq!(late, 0, "so many waits ended too late");
    assert!(holder.is_alive(), "a stopped process is alive");
    pool.terminate();
    for process in busy.iter().chain([&holder]) {
        process.kill().unwrap();
        process.join().unwrap();
    }
}
