#![doc = include_str!("story.md")]
//!
//! | Python | here |
//! | --- | --- |
//! | `threading.Thread`, `join` | [`std::thread::scope`], [`std::thread::spawn`] |
//! | `threading.Lock` | [`std::sync::Mutex`], which owns what it protects |
//! | `threading.RLock` | [`RLock`] |
//! | `threading.Condition`, `Barrier` | [`std::sync::Condvar`], [`std::sync::Barrier`] |
//! | `threading.Semaphore`, `BoundedSemaphore` | [`Semaphore`], [`BoundedSemaphore`] |
//! | `threading.Event`, `Timer` | [`Event`], [`Timer`] |
//! | `threading.local` | [`std::thread_local!`] |
//! | `queue.Queue`, `LifoQueue`, `PriorityQueue` | [`queue::Queue`], [`queue::LifoQueue`], [`queue::PriorityQueue`] |
//! | a queue that only hands values over | a channel of crossbeam, which several threads can receive from |
//! | `concurrent.futures.ThreadPoolExecutor` | [`ThreadPool`] |
//! | `time.sleep` | [`tutorial::sleep`], which `TEMPO` can speed up |
//!
//! # Layout
//!
//! `src/` has one concept a file, `src/bin/` one listing a file. `tests/listings` runs
//! the listings as a reader would, `tests/exercises` has the properties of those that
//! are one function, and `tests/library.rs` tests this library. `tests/model.rs`
//! compiles the waiting code a second time against [loom](https://docs.rs/loom), which
//! tries its interleavings.
//!
//! # Limitations
//!
//! These primitives are for the threads of one process. `multiprocessing` has those of
//! the same names for processes.
#![forbid(unsafe_code)]

mod event;
mod rlock;
mod semaphore;
mod thread_pool;
mod timer;

pub use event::Event;
pub use rlock::{RLock, RLockGuard};
pub use semaphore::{BoundedSemaphore, Permit, ReleasedTooOften, Semaphore};
pub use thread_pool::{Task, TaskPanicked, ThreadPool};
pub use timer::Timer;

/// What the waiting code waits with. `tests/model.rs` has a module of the same name
/// that holds loom's counterparts.
mod sync {
    pub(crate) use std::sync::{Condvar, Mutex};
}

/// The listings, a page each: its link *Source* leads to the listing itself.
///
/// They are programs, and not part of the library that other code uses.
#[cfg(doc)]
#[path = "bin"]
pub mod listings {
    pub mod balance_lock;
    pub mod balance_race;
    pub mod banker;
    pub mod booth;
    pub mod booth_thread;
    pub mod bounded_semaphore;
    pub mod busy_cores;
    pub mod condition;
    pub mod condition_notify;
    pub mod condition_oop;
    pub mod coroutine;
    pub mod counter_no_lock;
    pub mod counter_rlock;
    pub mod deadlock;
    pub mod deadlock_avoided;
    pub mod dialogue;
    pub mod divide_by_first;
    pub mod door;
    pub mod join_daemon;
    pub mod local_variable;
    pub mod loop_thread;
    pub mod my_thread;
    pub mod no_rlock;
    pub mod poisoned_bottle;
    pub mod producer_consumer;
    pub mod producer_join;
    pub mod queue_kinds;
    pub mod rlock;
    pub mod rlock_nested;
    pub mod scheduler;
    pub mod shared_global;
    pub mod show;
    pub mod squares;
    pub mod squares_class;
    pub mod squares_daemon;
    pub mod squares_join;
    pub mod student_argument;
    pub mod student_registry;
    pub mod thread_attributes;
    pub mod thread_clock;
    pub mod thread_clock_class;
    pub mod thread_local;
    pub mod thread_pool;
    pub mod thread_queue;
    pub mod timer;
    pub mod traffic_light;
}

// In a listing the library has its own name.
#[cfg(doc)]
extern crate self as threading;
