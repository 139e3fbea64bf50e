//! Python's `multiprocessing` for Rust: the process library that the listings of this
//! section stand on, and that a program of your own can stand on.
//!
//! | Python | here |
//! | --- | --- |
//! | `Process(target=f, args=…)` | [`Process::new`] with any closure |
//! | `Process(name=…, daemon=…)` | [`Process::builder`] |
//! | `start`, `join`, `is_alive`, `terminate`, `kill`, `close` | the same names |
//! | `exitcode`, `pid`, `sentinel`, `authkey` | the same names |
//! | `current_process`, `active_children`, `parent_process`, `cpu_count` | [`current_process`], [`active_children`], [`parent_process`], [`cpu_count`] |
//! | `set_start_method("spawn")`, `freeze_support` | [`Process::spawned`], [`freeze_support`] |
//! | `Lock`, `RLock`, `Semaphore`, `BoundedSemaphore` | [`Lock`], [`RLock`], [`Semaphore`], [`BoundedSemaphore`] |
//! | `Condition`, `Event`, `Barrier` | [`Condition`], [`Event`], [`Barrier`] |
//! | `Value("d", 0.0)`, `Array("i", 10)` | [`Value`], [`Array`] |
//! | `RawValue`, `RawArray` | [`RawValue`], [`RawArray`] |
//! | `shared_memory.SharedMemory` | [`SharedMemory`] |
//! | `Pipe`, `connection.wait` | [`pipe()`], [`wait`] |
//! | `os.mkfifo` | [`NamedPipe`] |
//! | `Queue`, `JoinableQueue`, `SimpleQueue` | [`Queue`], [`JoinableQueue`], [`SimpleQueue`] |
//! | `Manager`, `BaseManager` | [`managers`] |
//! | `Pool(4)`, `Pool(initializer=…, maxtasksperchild=…)` | [`Pool::new`], [`Pool::builder`] |
//! | `apply`, `apply_async`, `map`, `map_async`, `starmap`, `imap`, `imap_unordered` | the same names |
//! | `AsyncResult`, `callback=…` | [`AsyncResult`], [`AsyncResult::callback`] |
//! | pickle | serde, by [postcard](https://docs.rs/postcard) |
//! | `time.ctime` | [`ctime()`] |
//!
//! # What it promises
//!
//! Each is tested by doing the harm.
//!
//! 1. *Safe code stays safe.* A process that has other threads is not forked:
//!    [`Process::start`] refuses and says what to do instead.
//! 2. *A killed process never hangs the others.* Whoever waits for its lock, its
//!    message or its end goes on, or gets an error that names what happened, within a
//!    second.
//! 3. *Nothing is left behind*: no zombie, no orphan, no file in the shared-memory
//!    directory. Children are bound to their parent's life, even where that is killed.
//! 4. *A message arrives whole or not at all*, once, in order for one producer,
//!    whatever its size.
//! 5. *A failure in a child is told*: a panic's message and place, a signal's number.
//! 6. *Ctrl+C works*: one press ends parent and children, without a word.
//! 7. *What comes over a socket is data*: no input can do more than close its own
//!    connection.
//!
//! # Fork or spawn
//!
//! A forked process is a copy of this one: it takes any closure and starts in a fraction
//! of a millisecond, but only a program that has a single thread at that moment may
//! fork. A spawned process is this program started anew: it takes a function and an
//! argument that serde can carry, locks, queues, pipes and arrays among it, and may be
//! started while threads run. It needs one call of [`freeze_support`] at the top of
//! `main`.
//!
//! # Layout
//!
//! Each layer uses only those above it in this list.
//!
//! | | |
//! | --- | --- |
//! | `sys/` | shared segments, futex, fork, spawn, pidfds, who is alive: the only `unsafe` |
//! | `error`, `codec`, `handover` | what can go wrong; values as bytes; descriptors for a spawned child |
//! | `sync/` | locks and all that waits |
//! | `shared/` | numbers, arrays, named blocks |
//! | `channel/` | the ring that messages travel in |
//! | `queue/`, `pipe/` | queues over that ring, connections over sockets |
//! | `process/` | processes: starting, waiting, ending |
//! | `pool/` | a supervisor, its workers, and the tasks they are given |
//! | `managers/` | objects in a server process, on Python's own wire |
//! | `bin/` | the listings, one a file |
//!
//! `tests/model*.rs` compile the waiting code a second time against
//! [loom](https://docs.rs/loom), which tries its interleavings.
//!
//! # Limitations
//!
//! - Linux, 5.9 or newer, only.
//! - Locks, queues and shared numbers are for one family: the processes that descend
//!   from one and were started by this library. Strangers meet by [`SharedMemory`],
//!   [`NamedPipe`] or [`managers`].
//! - The death of a process is noticed by who waits for it, a tenth of a second later
//!   at the most.
#![cfg(target_os = "linux")]

mod channel;
mod codec;
mod ctime;
mod error;
mod handover;
pub mod managers;
mod pipe;
mod pool;
mod process;
mod queue;
mod shared;
mod spin;
mod sync;
mod sys;
mod timeline;
mod tree;

pub use codec::{DecodeError, EncodeError};
pub use ctime::ctime;
pub use error::Error;
pub use pipe::{Connection, NamedPipe, RecvError, SendError, pipe, wait};
pub use pool::{
    AsyncResult, Call, Imap, Pool, PoolBuilder, PoolError, StartMethod, Task,
    TaskError,
};
pub use process::{
    AuthKey, Process, ProcessBuilder, ProcessError, ProcessHandle, active_children,
    cpu_count, current_process, freeze_support, parent_process, set_authkey,
};
pub use queue::{
    GetError, JoinableQueue, PutError, Queue, SimpleQueue, TaskDoneTooOften,
    TasksLost,
};
pub use shared::{
    Array, ArrayGuard, Number, RawArray, RawValue, SharedMemory, Slot, Value,
    ValueGuard,
};
pub use sync::{
    Acquired, Barrier, BarrierBroken, BoundedSemaphore, Condition, Event, Lock,
    LockGuard, NotLocked, NotOwner, Permit, RLock, RLockGuard, ReleasedTooOften,
    Semaphore,
};
pub use timeline::Timeline;
pub use tree::{Copied, Tree, copy_file};
