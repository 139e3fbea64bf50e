//! The waiting code under [loom](https://docs.rs/loom): the library's own source files,
//! compiled here a second time against loom's locks and threads, which tries every
//! interleaving with up to three preemptions. A wake-up that can be lost shows up as
//! a deadlock.
//!
//! Time-outs have no place in loom: a wait that is not over at once waits for ever.
#![allow(dead_code, reason = "the models use the waiting parts, not all of it")]
#![allow(unreachable_pub, reason = "the files are public in the library")]
#![allow(missing_docs, reason = "the library documents them")]

#[path = "../src/event.rs"]
mod event;
#[path = "../src/queue.rs"]
mod queue;
#[path = "../src/semaphore.rs"]
mod semaphore;
#[path = "../src/thread_pool.rs"]
mod thread_pool;

use std::sync::atomic::Ordering::SeqCst;

use loom::sync::Arc;
use loom::sync::atomic::AtomicUsize;
use loom::thread;

use event::Event;
use queue::{GetError, PutError, Queue};
use semaphore::{BoundedSemaphore, Semaphore};
use thread_pool::ThreadPool;

/// Loom's counterparts of what the library waits with.
mod sync {
    use std::sync::LockResult;
    use std::time::Duration;

    pub(crate) use loom::sync::atomic::AtomicUsize;
    pub(crate) use loom::sync::{Arc, Mutex, MutexGuard};
    pub(crate) use loom::thread;

    #[derive(Debug)]
    pub(crate) struct Condvar(loom::sync::Condvar);

    pub(crate) struct WaitTimeoutResult(bool);

    impl WaitTimeoutResult {
        pub(crate) fn timed_out(&self) -> bool {
            self.0
        }
    }

    impl Condvar {
        pub(crate) fn new() -> Self {
            Self(loom::sync::Condvar::new())
        }

        pub(crate) fn wait<'a, T>(
            &self,
            guard: MutexGuard<'a, T>,
        ) -> LockResult<MutexGuard<'a, T>> {
            self.0.wait(guard)
        }

        pub(crate) fn wait_while<'a, T>(
            &self,
            mut guard: MutexGuard<'a, T>,
            mut condition: impl FnMut(&mut T) -> bool,
        ) -> LockResult<MutexGuard<'a, T>> {
            while condition(&mut guard) {
                guard = self.0.wait(guard)?;
            }
            Ok(guard)
        }

        #[expect(clippy::unnecessary_wraps, reason = "the standard library's shape")]
        pub(crate) fn wait_timeout_while<'a, T>(
            &self,
            mut guard: MutexGuard<'a, T>,
            timeout: Duration,
            mut condition: impl FnMut(&mut T) -> bool,
        ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
            if timeout.is_zero() {
                let over = condition(&mut guard);
                return Ok((guard, WaitTimeoutResult(over)));
            }
            let guard = self.wait_while(guard, condition).unwrap();
            Ok((guard, WaitTimeoutResult(false)))
        }

        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }
    }
}

/// Tries the interleavings of a scenario.
fn model(scenario: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(scenario);
}

#[test]
fn one_permit_admits_one_thread_at_a_time() {
    model(|| {
        let room = Arc::new((Semaphore::new(1), AtomicUsize::new(0)));
        let visit = |room: &(Semaphore, AtomicUsize)| {
            room.0.acquire();
            assert_eq!(room.1.fetch_add(1, SeqCst), 0);
            room.1.fetch_sub(1, SeqCst);
            room.0.release();
        };
        let other = {
            let room = Arc::clone(&room);
            thread::spawn(move || visit(&room))
        };
        visit(&room);
        other.join().unwrap();
    });
}

#[test]
fn every_release_wakes_one_who_waits() {
    model(|| {
        let permits = Arc::new(Semaphore::new(0));
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let permits = Arc::clone(&permits);
                thread::spawn(move || permits.acquire())
            })
            .collect();
        permits.release();
        permits.release();
        for waiter in waiters {
            waiter.join().unwrap();
        }
        assert!(!permits.try_acquire());
    });
}

#[test]
fn a_bounded_release_wakes_who_waits() {
    model(|| {
        let permits = Arc::new(BoundedSemaphore::new(1));
        permits.acquire();
        let waiter = {
            let permits = Arc::clone(&permits);
            thread::spawn(move || permits.acquire())
        };
        permits.release().unwrap();
        waiter.join().unwrap();
        assert!(permits.release().is_ok() && permits.release().is_err());
    });
}

#[test]
fn set_wakes_everybody() {
    model(|| {
        let event = Arc::new(Event::new());
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let event = Arc::clone(&event);
                thread::spawn(move || event.wait())
            })
            .collect();
        event.set();
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

#[test]
fn what_is_put_is_got_once() {
    model(|| {
        let queue = Arc::new(Queue::new(1));
        let producer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || (0..3).for_each(|i| queue.put(i).unwrap()))
        };
        let got = [queue.get(), queue.get(), queue.get()];
        producer.join().unwrap();
        assert_eq!(got, [Ok(0), Ok(1), Ok(2)]);
        assert_eq!(queue.get_nowait(), Err(GetError::Empty));
    });
}

#[test]
fn two_producers_reach_two_consumers() {
    model(|| {
        let queue = Arc::new(Queue::new(1));
        let producer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.put(1).unwrap())
        };
        let consumer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.get().unwrap())
        };
        queue.put(2).unwrap();
        let here = queue.get().unwrap();
        producer.join().unwrap();
        let there = consumer.join().unwrap();
        assert_eq!(here + there, 3);
    });
}

#[test]
fn shutdown_wakes_who_gets_and_who_puts() {
    model(|| {
        let empty = Arc::new(Queue::<i32>::new(1));
        let full = Arc::new(Queue::new(1));
        full.put(1).unwrap();
        let getter = {
            let empty = Arc::clone(&empty);
            thread::spawn(move || empty.get())
        };
        let putter = {
            let full = Arc::clone(&full);
            thread::spawn(move || full.put(2))
        };
        empty.shutdown();
        assert_eq!(full.shutdown_immediate(), [1]);
        assert_eq!(getter.join().unwrap(), Err(GetError::ShutDown));
        assert_eq!(putter.join().unwrap(), Err(PutError::ShutDown(2)));
    });
}

#[test]
fn join_returns_when_the_last_task_is_done() {
    model(|| {
        let queue = Arc::new(Queue::new(0));
        queue.put(1).unwrap();
        let worker = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                queue.get().unwrap();
                queue.task_done().unwrap();
            })
        };
        queue.join();
        assert!(queue.empty());
        worker.join().unwrap();
    });
}

#[test]
fn the_pool_runs_every_task_and_ends() {
    model(|| {
        let pool = ThreadPool::new(2).unwrap();
        let first = pool.submit(|| 1);
        let forgotten = pool.submit(|| 2);
        assert_eq!(first.result(), Ok(1));
        drop(forgotten);
        drop(pool);
    });
}
