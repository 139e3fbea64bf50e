//! The threading section of the tutorials: what its listings need and neither the
//! standard library nor crossbeam has.
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
    pub(crate) use queue::Queue;
    pub(crate) use std::sync::{Arc, Condvar, Mutex};
    pub(crate) use std::thread;
}
