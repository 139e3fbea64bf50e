//! What the library promises beyond its doc tests: time-outs, panics, order. The
//! interleavings of its waits are tried in `model.rs`.

use std::fs;
use std::panic::panic_any;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::gettid;
use threading::{BoundedSemaphore, Event, RLock, Semaphore, ThreadPool, Timer};
use tutorial::harness::Watchdog;

const SOON: Duration = Duration::from_millis(20);
/// Far beyond what anything here takes, so that only a hang meets it.
const DEADLINE: Duration = Duration::from_mins(1);

/// Returns once the kernel says that this thread sleeps.
fn until_asleep(tid: i32) {
    let state = format!("/proc/self/task/{tid}/stat");
    let start = Instant::now();
    while !fs::read_to_string(&state).unwrap().contains(") S ") {
        assert!(start.elapsed() < DEADLINE, "the thread never waits");
        thread::yield_now();
    }
}

fn wakes_a_waiter_though_it_is_cleared_at_once(wait: fn(&Event)) {
    let event = Arc::new(Event::new());
    let (tid, tids) = mpsc::channel();
    let (woken, wakes) = mpsc::channel();
    let waiting = Arc::clone(&event);
    thread::spawn(move || {
        tid.send(gettid().as_raw()).unwrap();
        wait(&waiting);
        woken.send(()).unwrap();
    });
    until_asleep(tids.recv_timeout(DEADLINE).unwrap());
    event.set();
    event.clear();
    assert_eq!(wakes.recv_timeout(Duration::from_secs(10)), Ok(()));
    assert!(!event.is_set());
}

#[test]
fn a_set_that_is_cleared_at_once_still_wakes_the_waiter() {
    let _watchdog = Watchdog::start();
    // The waiter may be quick enough to see the flag before it is cleared.
    for _ in 0..20 {
        wakes_a_waiter_though_it_is_cleared_at_once(Event::wait);
        wakes_a_waiter_though_it_is_cleared_at_once(|event| {
            assert!(event.wait_timeout(DEADLINE));
        });
    }
}

#[test]
fn waits_with_a_time_out_end_and_take_nothing() {
    let _watchdog = Watchdog::start();
    let start = Instant::now();
    assert!(!Event::new().wait_timeout(SOON));
    assert!(!Semaphore::new(0).acquire_timeout(SOON));
    assert!(start.elapsed() >= SOON * 2);
}

#[test]
fn a_bounded_semaphore_takes_back_no_more_than_it_gave() {
    let _watchdog = Watchdog::start();
    let permits = BoundedSemaphore::new(2);
    assert!(permits.release().is_err());
    permits.acquire();
    assert!(permits.try_acquire() && !permits.try_acquire());
    assert!(permits.release().is_ok() && permits.release().is_ok());
    assert!(permits.release().is_err());
}

#[test]
fn a_permit_that_is_dropped_can_be_taken_again() {
    let _watchdog = Watchdog::start();
    let permits = Semaphore::new(1);
    let permit = permits.permit();
    assert!(!permits.try_acquire());
    drop(permit);
    assert!(permits.try_acquire());
}

#[test]
fn a_release_at_the_largest_number_is_harmless() {
    let _watchdog = Watchdog::start();
    let permits = Semaphore::new(usize::MAX);
    permits.release();
    assert!(permits.try_acquire());
}

#[test]
fn an_rlock_is_free_only_after_its_last_guard() {
    let _watchdog = Watchdog::start();
    let lock = &RLock::new(());
    let free_elsewhere =
        || thread::scope(|s| s.spawn(|| lock.try_lock().is_some()).join().unwrap());
    let outer = lock.lock();
    let inner = lock.try_lock().unwrap();
    assert_eq!((outer.level(), inner.level()), (2, 2));
    drop(outer);
    assert_eq!(inner.level(), 1);
    assert!(!free_elsewhere());
    drop(inner);
    assert!(free_elsewhere());
    assert_eq!(lock.lock().level(), 1);
}

#[test]
fn a_timer_fires_once_and_a_cancelled_one_never() {
    let _watchdog = Watchdog::start();
    let fired = Arc::new(AtomicI32::new(0));
    let count = |fired: &Arc<AtomicI32>| {
        let fired = Arc::clone(fired);
        move || {
            fired.fetch_add(1, Ordering::SeqCst);
        }
    };
    let start = Instant::now();
    Timer::start(SOON, count(&fired)).unwrap().join().unwrap();
    assert!(start.elapsed() >= SOON);
    assert_eq!(fired.load(Ordering::SeqCst), 1);

    let cancelled = Timer::start(DEADLINE, count(&fired)).unwrap();
    cancelled.cancel();
    cancelled.join().unwrap();
    assert_eq!(fired.load(Ordering::SeqCst), 1);
}

struct PanicsWhenDropped;
impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

#[test]
fn a_panicking_task_does_not_end_its_worker() {
    let _watchdog = Watchdog::start();
    let pool = ThreadPool::new(1).unwrap();
    for n in 0..3 {
        let failed = pool.submit(move || panic!("task {n} failed")).result();
        assert_eq!(failed.unwrap_err().message(), format!("task {n} failed"));
    }
    // Nobody wants this result, so the worker itself drops it, and panics.
    drop(pool.submit(|| {
        thread::sleep(SOON);
        PanicsWhenDropped
    }));
    assert_eq!(pool.submit(|| "still here").result(), Ok("still here"));
}

#[test]
fn dropping_the_pool_finishes_what_was_submitted() {
    let _watchdog = Watchdog::start();
    let finished = Arc::new(AtomicI32::new(0));
    let pool = ThreadPool::new(2).unwrap();
    for _ in 0..20 {
        let finished = Arc::clone(&finished);
        drop(pool.submit(move || {
            thread::sleep(Duration::from_millis(1));
            finished.fetch_add(1, Ordering::SeqCst);
        }));
    }
    drop(pool);
    assert_eq!(finished.load(Ordering::SeqCst), 20);
}

#[test]
fn a_panic_whose_value_panics_when_dropped_is_still_an_outcome() {
    let _watchdog = Watchdog::start();
    let pool = ThreadPool::new(1).unwrap();
    let task = pool.submit(|| -> i32 { panic_any(PanicsWhenDropped) });
    let panicked = task.result().unwrap_err();
    assert_eq!(panicked.message(), "a value that is not a text");
    assert_eq!(pool.submit(|| "still here").result(), Ok("still here"));
}

#[test]
fn a_task_may_drop_the_last_handle_of_its_own_pool() {
    let _watchdog = Watchdog::start();
    let pool = Arc::new(ThreadPool::new(2).unwrap());
    let (go, gone) = mpsc::channel();
    let task = pool.submit({
        let pool = Arc::clone(&pool);
        move || {
            gone.recv_timeout(DEADLINE).unwrap();
            drop(Arc::into_inner(pool).expect("the last handle"));
            7
        }
    });
    drop(pool);
    go.send(()).unwrap();
    assert_eq!(task.result(), Ok(7));
}

#[test]
fn a_pool_of_no_threads_has_one() {
    let _watchdog = Watchdog::start();
    let pool = ThreadPool::new(0).unwrap();
    assert_eq!(pool.submit(|| 7).result(), Ok(7));
}

#[test]
fn a_task_knows_whether_it_is_done() {
    let _watchdog = Watchdog::start();
    let pool = ThreadPool::new(1).unwrap();
    let (go, gone) = mpsc::channel();
    let task = pool.submit(move || gone.recv_timeout(DEADLINE).unwrap());
    assert!(!task.is_done());
    go.send(()).unwrap();
    while !task.is_done() {
        thread::yield_now();
    }
    assert_eq!(task.result(), Ok(()));
}
