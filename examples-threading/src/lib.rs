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
//! | `queue.Queue`, `LifoQueue`, `PriorityQueue` | [`Queue`], [`LifoQueue`], [`PriorityQueue`] |
//! | `concurrent.futures.ThreadPoolExecutor` | [`ThreadPool`] |
//! | `time.sleep` | [`pause()`], which `TEMPO` can hurry |
//! | an uncaught exception | [`Failure`] |
//!
//! # Layout
//!
//! One concept a file in `src/`, one listing a file in `src/bin/`, and `tests/` run
//! the listings as a reader would. `tests/model.rs` compiles the waiting code a
//! second time against [loom](https://docs.rs/loom), which tries its interleavings.
//!
//! # Limitations
//!
//! These primitives are for the threads of one process. For processes there are
//! namesakes in `examples-multiprocessing`.
#![forbid(unsafe_code)]

mod event;
mod failure;
mod pause;
mod queue;
mod rlock;
mod semaphore;
mod thread_pool;
mod timer;

pub use event::Event;
pub use failure::Failure;
pub use pause::{interval, pause};
pub use queue::{
    BlockingQueue, GetError, LifoQueue, Order, PriorityQueue, PutError, Queue,
    TaskDoneTooOften,
};
pub use rlock::{RLock, RLockGuard};
pub use semaphore::{BoundedSemaphore, Permit, ReleasedTooOften, Semaphore};
pub use thread_pool::{Task, TaskPanicked, ThreadPool};
pub use timer::Timer;

/// What the waiting code waits with. `tests/model.rs` has a module of the same name
/// that holds loom's counterparts.
mod sync {
    pub(crate) use std::sync::atomic::AtomicUsize;
    pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard};
    pub(crate) use std::thread;
}
