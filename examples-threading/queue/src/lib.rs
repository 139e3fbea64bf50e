//! Python's [`queue`](https://docs.python.org/3/library/queue.html) for the threads of
//! one process.
//!
//! | Python | here |
//! | --- | --- |
//! | `queue.Queue(maxsize)` | [`Queue::new`](BlockingQueue::new) |
//! | `queue.LifoQueue`, `queue.PriorityQueue` | [`LifoQueue`], [`PriorityQueue`] |
//! | `put`, `get`, `task_done`, `join`, `qsize`, `empty`, `full` | [the same names](BlockingQueue) |
//! | `queue.Empty`, `queue.Full`, `queue.ShutDown` | [`GetError`], [`PutError`] |
//!
//! # Limitations
//!
//! These queues are for threads. `multiprocessing` has queues for processes.
#![forbid(unsafe_code)]

mod order;
mod queue;
mod spin;
mod waiters;

pub use order::{Fifo, Lifo, Order, SmallestFirst};
pub use queue::{
    BlockingQueue, GetError, LifoQueue, PriorityQueue, PutError, Queue,
    TaskDoneTooOften,
};

/// What the waiting code waits with. `tests/model.rs` has a module of the same name
/// that holds loom's counterparts.
mod sync {
    pub(crate) use crate::spin::Spin;
    pub(crate) use crossbeam_queue::SegQueue;
    pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize, fence};
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use std::thread;
}
