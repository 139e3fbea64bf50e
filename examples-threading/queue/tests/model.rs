//! The waiting code under [loom](https://docs.rs/loom): the library's own source files,
//! compiled here a second time against loom's locks and threads, which tries every
//! interleaving with up to two preemptions. A wake-up that can be lost shows up as
//! a deadlock.
#![allow(dead_code, reason = "the models use the waiting parts, not all of it")]
#![allow(unreachable_pub, reason = "the files are public in the library")]
#![allow(missing_docs, reason = "the library documents them")]

#[path = "../src/order.rs"]
mod order;
#[path = "../src/queue.rs"]
mod queue;
#[path = "loom_sync/mod.rs"]
mod sync;
#[path = "../src/waiters.rs"]
mod waiters;

use std::time::Duration;

use loom::sync::Arc;
use loom::thread;

use queue::{GetError, PutError, Queue};

/// Tries the interleavings of a scenario.
fn model(scenario: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(scenario);
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
fn each_of_two_items_wakes_a_getter() {
    model(|| {
        let queue = Arc::new(Queue::new(0));
        let getters = [(); 2].map(|()| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.get().unwrap())
        });
        (1..=2).for_each(|i| queue.put(i).unwrap());
        let got = getters.map(|getter| getter.join().unwrap());
        assert_eq!(got.iter().sum::<i32>(), 3);
    });
}

#[test]
fn shutdown_wakes_getters_and_shutdown_immediate_putters() {
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
fn what_is_put_beside_a_shutdown_is_got() {
    model(|| {
        let queue = Arc::new(Queue::new(0));
        let producer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.put(1).is_ok())
        };
        queue.shutdown();
        let got = queue.get().is_ok();
        assert_eq!(producer.join().unwrap(), got);
    });
}

#[test]
fn the_last_put_beside_a_shutdown_wakes_every_getter() {
    model(|| {
        let queue = Arc::new(Queue::new(0));
        let getter = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.get().is_ok())
        };
        let producer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.put(1).is_ok())
        };
        queue.shutdown();
        let got = queue.get().is_ok();
        let got = got | getter.join().unwrap();
        assert_eq!(producer.join().unwrap(), got);
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
fn shutdown_wakes_putters() {
    model(|| {
        let full = Arc::new(Queue::new(1));
        full.put(1).unwrap();
        let putter = {
            let full = Arc::clone(&full);
            thread::spawn(move || full.put(2))
        };
        full.shutdown();
        assert_eq!(putter.join().unwrap(), Err(PutError::ShutDown(2)));
    });
}

fn joiner(queue: &Arc<Queue<i32>>) -> thread::JoinHandle<()> {
    let queue = Arc::clone(queue);
    thread::spawn(move || queue.join())
}

#[test]
fn the_last_task_done_wakes_every_joiner() {
    model(|| {
        let queue = Arc::new(Queue::new(0));
        queue.put(1).unwrap();
        let joiners = [joiner(&queue), joiner(&queue)];
        queue.get().unwrap();
        queue.task_done().unwrap();
        for joiner in joiners {
            joiner.join().unwrap();
        }
    });
}

#[test]
fn shutdown_immediate_wakes_a_joiner_if_nothing_is_unfinished() {
    model(|| {
        let queue = Arc::new(Queue::new(0));
        queue.put(1).unwrap();
        let joiner = joiner(&queue);
        assert_eq!(queue.shutdown_immediate(), [1]);
        joiner.join().unwrap();
    });
}

#[test]
fn a_getter_that_declines_an_item_wakes_the_next() {
    model(|| {
        let queue = Arc::new(Queue::new(0));
        let picky = {
            let queue = Arc::clone(&queue);
            // Loom has no clock: a time-out other than zero is for ever. So it ends by
            // the item, or by the shutdown if the other getter was first.
            thread::spawn(move || queue.get_timeout_if(Duration::MAX, || false))
        };
        let getter = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.get())
        };
        queue.put(1).unwrap();
        assert_eq!(getter.join().unwrap(), Ok(1));
        queue.shutdown();
        let outcome = picky.join().unwrap();
        assert!(matches!(outcome, Ok(None) | Err(GetError::ShutDown)));
    });
}
