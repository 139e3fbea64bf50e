//! A wait with a time-out ends in time, beside busy neighbours and with the least priority:
//! as late as the scheduler lets any sleep end, and no later. It also ends while another
//! process is stopped in the middle of an operation, which does not count as dead.
//!
//! `SEED` repeats the moments at which processes are stopped.

use std::env;
use std::time::{Duration, Instant};

use multiprocessing::{
    Acquired, Array, Barrier, BoundedSemaphore, Condition, Event, Lock, Pool,
    Process, Queue, RLock, RawValue, Semaphore, pipe,
};
use nix::sys::signal::{self, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, alarm};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
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

/// How often a process is stopped over each primitive.
const STOPS: usize = 40;
/// Longer than the time after which the death of a holder is noticed.
const LONG: Duration = Duration::from_millis(250);

struct Stopper {
    random: StdRng,
}

impl Stopper {
    /// Stops a process, which does some work again and again, at many moments. While it is
    /// stopped, others get what they are to do done in time: an alarm ends this test if not.
    fn run(
        &mut self,
        name: &str,
        work: &dyn Fn(),
        mut others: impl FnMut(Duration),
    ) {
        println!("stopped over {name}");
        alarm::set(30);
        let forever = || {
            loop {
                work();
            }
        };
        let mut user = Process::builder().daemon(true).target(forever);
        user.start().unwrap();
        let id = Pid::from_raw(user.pid().unwrap());
        for stop in 0..STOPS {
            let moment = Duration::from_micros(self.random.random_range(0..1500));
            std::thread::sleep(moment);
            signal::kill(id, Signal::SIGSTOP).unwrap();
            let stopped = waitpid(id, Some(WaitPidFlag::WUNTRACED)).unwrap();
            assert!(matches!(stopped, WaitStatus::Stopped(..)), "{stopped:?}");
            others(if stop % 10 == 0 { LONG } else { TIMEOUT });
            assert!(user.is_alive(), "{name}: a stopped process is alive");
            signal::kill(id, Signal::SIGCONT).unwrap();
        }
        user.kill().unwrap();
        user.join().unwrap();
    }
}

/// Two numbers that differ only while their lock is held.
struct Pair(RawValue<u32>, RawValue<u32>);

impl Pair {
    fn new() -> Self {
        Self(RawValue::new(0).unwrap(), RawValue::new(0).unwrap())
    }

    fn change(&self) {
        self.assert_whole();
        self.0.set(self.0.get().wrapping_add(1));
        for _ in 0..1000 {
            std::hint::spin_loop();
        }
        self.1.set(self.0.get());
    }

    fn assert_whole(&self) {
        assert_eq!(self.0.get(), self.1.get(), "two are in at once");
    }
}

fn a_stopped_process_delays_nobody_and_keeps_what_it_holds() {
    let seed = env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(rand::random);
    println!("SEED={seed}");
    let mut stopper = Stopper {
        random: StdRng::seed_from_u64(seed),
    };

    let (lock, pair) = (Lock::new().unwrap(), Pair::new());
    let change = || {
        let _held = lock.lock();
        pair.change();
    };
    stopper.run("a lock", &change, |timeout| {
        if let Some(acquired) = lock.acquire_timeout(timeout) {
            assert_eq!(acquired, Acquired::Clean);
            pair.assert_whole();
            lock.release().unwrap();
        }
    });

    let (rlock, pair) = (RLock::new().unwrap(), Pair::new());
    let condition = Condition::with_lock(&rlock).unwrap();
    let notify_and_wait = || {
        let _held = condition.lock();
        condition.notify(1).unwrap();
        pair.change();
        condition.wait_timeout(Duration::from_micros(50)).unwrap();
    };
    stopper.run("a condition", &notify_and_wait, |timeout| {
        if let Some(acquired) = rlock.acquire_timeout(timeout) {
            assert_eq!(acquired, Acquired::Clean);
            pair.assert_whole();
            condition.wait_timeout(TIMEOUT).unwrap();
            condition.release().unwrap();
        }
    });

    let (semaphore, pair) = (Semaphore::new(1).unwrap(), Pair::new());
    let acquire_and_release = || {
        semaphore.acquire();
        pair.change();
        semaphore.release();
    };
    stopper.run("a semaphore", &acquire_and_release, |timeout| {
        if semaphore.acquire_timeout(timeout) {
            pair.assert_whole();
            semaphore.release();
        } else {
            semaphore.release();
            assert!(semaphore.acquire_timeout(timeout), "its own");
        }
    });

    let bounded = BoundedSemaphore::new(2).unwrap();
    let take_a_permit = || {
        let permit = bounded.permit();
        bounded.acquire();
        bounded.release().unwrap();
        drop(permit);
    };
    stopper.run("a bounded semaphore", &take_a_permit, |timeout| {
        if bounded.acquire_timeout(timeout) {
            bounded.release().unwrap();
        }
        if let Some(permit) = bounded.permit_timeout(timeout) {
            assert!(bounded.get_value() < 2);
            drop(permit);
        }
    });

    let event = Event::new().unwrap();
    let set_and_clear = || {
        event.set();
        event.clear();
        let _either = event.wait_timeout(Duration::from_micros(50));
    };
    stopper.run("an event", &set_and_clear, |timeout| {
        event.clear();
        assert!(!event.wait_timeout(timeout));
        event.set();
        event.wait();
        event.clear();
    });

    let queue = Queue::new(2).unwrap();
    let put_and_get = || {
        for _ in 0..2 {
            queue.put_timeout(vec![7; 3000], TIMEOUT).ok();
        }
        queue.get_timeout(TIMEOUT).ok();
    };
    stopper.run("a queue", &put_and_get, |timeout| {
        queue.put_timeout(vec![7; 20], timeout).ok();
        if let Ok(item) = queue.get_timeout(timeout) {
            assert!(item.iter().all(|number| *number == 7));
        }
    });

    stopped_over_a_barrier(&mut stopper);
}

/// Of three parties one is stopped, one waits without a time-out, and one gives up: that
/// frees the second one.
fn stopped_over_a_barrier(stopper: &mut Stopper) {
    let (barrier, returns) = (Barrier::new(3).unwrap(), RawValue::new(0).unwrap());
    let mut patient = Process::builder().daemon(true).target(|| {
        loop {
            if barrier.wait().is_err() {
                barrier.reset();
            }
            returns.set(returns.get() + 1);
        }
    });
    patient.start().unwrap();
    let wait_and_reset = || {
        if barrier.wait_timeout(Duration::ZERO).is_err() {
            barrier.reset();
        }
    };
    stopper.run("a barrier", &wait_and_reset, |timeout| {
        let before = returns.get();
        while returns.get() == before {
            if barrier.wait_timeout(timeout).is_err() {
                barrier.reset();
            }
        }
    });
    patient.kill().unwrap();
    patient.join().unwrap();
}

fn main() {
    a_stopped_process_delays_nobody_and_keeps_what_it_holds();
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
