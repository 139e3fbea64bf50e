//! The waiting code under [loom](https://docs.rs/loom): the library's own source files,
//! compiled here a second time against loom's locks and threads, which tries every
//! interleaving with up to three preemptions. A wake-up that can be lost shows up as
//! a deadlock.
#![allow(dead_code, reason = "the models use the waiting parts, not all of it")]
#![allow(unreachable_pub, reason = "the files are public in the library")]
#![allow(missing_docs, reason = "the library documents them")]

#[path = "../src/event.rs"]
mod event;
#[path = "../queue/tests/loom_sync/mod.rs"]
mod loom_sync;
#[path = "../src/semaphore.rs"]
mod semaphore;

use std::sync::atomic::Ordering::SeqCst;

use loom::sync::Arc;
use loom::sync::atomic::AtomicUsize;
use loom::thread;

use event::Event;
use semaphore::{BoundedSemaphore, Semaphore};

/// What the waiting code waits with.
mod sync {
    pub(crate) use crate::loom_sync::*;
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
fn every_release_wakes_one_waiter() {
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
fn a_bounded_release_wakes_a_waiter() {
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
fn set_wakes_every_waiter() {
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
