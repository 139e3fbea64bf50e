//! Python's `multiprocessing` for Rust.
//!
//! It is not on a registry: depend on it by a path, or by the repository's address.
//!
//! ```toml
//! [dependencies]
//! multiprocessing = { path = "…/examples-multiprocessing/multiprocessing" }
//! # With the managers, which are a feature:
//! # multiprocessing = { path = "…", features = ["managers"] }
//! ```
//!
//! ```
//! use multiprocessing::{Lock, Pool, Process, Queue};
//!
//! fn square(n: u64) -> u64 {
//!     n * n
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//! #   // A test has threads, and a process that has threads must not fork.
//! #   if std::env::var_os("RUN_ME").is_none() {
//! #       let me = std::env::current_exe()?;
//! #       let status = std::process::Command::new(me).env("RUN_ME", "").status()?;
//! #       assert!(status.success());
//! #       return Ok(());
//! #   }
//!     let (lock, results) = (Lock::new()?, Queue::new(0)?);
//!     let mut child = Process::new(|| {
//!         let _held = lock.lock();
//!         results.put(square(6)).unwrap();
//!     });
//!     child.start()?;
//!     child.join()?;
//!     assert_eq!(results.get()?, 36);
//!
//!     let pool = Pool::new(2)?;
//!     assert_eq!(pool.map(square, 1..4)?, [1, 4, 9]);
//!     Ok(())
//! }
//! ```
//!
//! # Names
//!
//! | Python | here |
//! | --- | --- |
//! | `Process(target=f, args=…)` | [`Process::new`] with any closure |
//! | a subclass of `Process` with a `run` of its own | [`Process::new`] with a closure that calls it |
//! | `Process(name=…, daemon=…)` | [`Process::builder`] |
//! | `name`, `ident`, `daemon = True` | [`Process::name`], [`Process::ident`], [`Process::set_daemon`] |
//! | `start`, `join`, `is_alive`, `terminate`, `kill`, `close` | the same names |
//! | `exitcode`, `pid`, `sentinel`, `authkey` | the same names |
//! | `join(5)`, `acquire(timeout=5)`, `get(timeout=5)` | [`join_timeout`](Process::join_timeout), [`acquire_timeout`](Lock::acquire_timeout), [`get_timeout`](Queue::get_timeout) and so on; [`poll`](Connection::poll) and [`wait`](wait()) take theirs as an argument |
//! | `current_process`, `active_children`, `parent_process`, `cpu_count` | [`current_process`], [`active_children`], [`parent_process`], [`cpu_count`] |
//! | `set_start_method("spawn")`, `freeze_support` | [`Process::spawned`], [`freeze_support`] |
//! | `Lock`, `RLock`, `Semaphore`, `BoundedSemaphore` | [`Lock`], [`RLock`], [`Semaphore`], [`BoundedSemaphore`] |
//! | `Condition`, `Event`, `Barrier` | [`Condition`], [`Event`], [`Barrier`] |
//! | `acquire(False)`, `get(False)`, `put(x, False)` | [`try_acquire`](Lock::try_acquire), [`get_nowait`](Queue::get_nowait), [`put_nowait`](Queue::put_nowait) |
//! | `with lock:`, `with semaphore:` | [`Lock::lock`], [`Semaphore::permit`] |
//! | `Value("d", 0.0)`, `Array("i", 10)` | [`Value`], [`Array`] |
//! | `num.value`, `arr[i]` | [`Value::get`] and [`Value::set`], [`arr.lock()[i]`](Array::lock) |
//! | `with num.get_lock():` | [`Value::lock`] and [`Array::lock`], or [`with_lock`](Value::with_lock) |
//! | `get_obj()` | what the guard of [`lock`](Array::lock) holds |
//! | `RawValue`, `RawArray`, `lock=False` | [`RawValue`], [`RawArray`] |
//! | `shared_memory.SharedMemory` | [`SharedMemory`] |
//! | `Pipe`, `connection.wait` | [`pipe()`], [`wait()`] |
//! | `send`, `recv`, `poll` | [the same names](Connection) |
//! | `os.mkfifo` | [`NamedPipe`] |
//! | `Queue`, `JoinableQueue`, `SimpleQueue` | [`Queue`], [`JoinableQueue`], [`SimpleQueue`] |
//! | `qsize`, `empty`, `full`, `task_done`, `join_thread` | [the same](Queue) [names](JoinableQueue) |
//! | `Manager`, `BaseManager` | `managers`, a feature |
//! | `Pool(4)`, `Pool(initializer=…, maxtasksperchild=…)` | [`Pool::new`], [`Pool::builder`] |
//! | `apply`, `apply_async`, `map`, `map_async`, `starmap`, `starmap_async`, `imap`, `imap_unordered` | [the same names](Pool) |
//! | `AsyncResult`, `callback=…`, `error_callback=…` | [`AsyncResult`], [`AsyncResult::callback`], [`AsyncResult::error_callback`] |
//! | pickle | serde, by [postcard](https://docs.rs/postcard) |
//!
//! # What it promises
//!
//! Each promise is tested by doing the harm.
//!
//! 1. *Safe code stays safe.* A process that has other threads is not forked:
//!    [`Process::start`] refuses and says what to do instead.
//! 2. *A killed process never hangs the others.* A process that waits for its lock, its
//!    message or its end continues, or gets an error that names what happened, within a
//!    second (but see [Limitations](#limitations)).
//! 3. *Nothing is left behind*: no zombie, no orphan, no file in the shared-memory
//!    directory. Children are bound to their parent's life, even if it is killed.
//! 4. *A message arrives whole or not at all*, once, in order for one producer,
//!    whatever its size.
//! 5. *A failure in a child is reported*: a panic's message and place, a signal's number.
//! 6. *Ctrl+C works*: one press ends parent and children, without a word.
//! 7. *What comes over a socket is data*: no input can do more than close its own
//!    connection.
//!
//! # Fork or spawn
//!
//! A forked process is a copy of this one: it takes any closure and starts in a fraction
//! of a millisecond, but only a program that has a single thread at that moment may
//! fork. A spawned process is a fresh start of this program: it takes a function and an
//! argument that serde can carry (locks, queues, pipes and arrays included), and may be
//! started while threads run. It needs one call of [`freeze_support`] at the top of
//! `main`.
//!
//! # Ctrl+C and SIGTERM
//!
//! How a program finishes its work before it ends is said in [`graceful_end`].
//!
//! # Layout
//!
//! Each row uses only the rows above it, with three exceptions: `error` names the errors of
//! all rows, which convert into [`Error`]; `error`, `codec` and `handover` use `sys/plain`
//! and `sys/descriptor`, which use no other row; and a slice of shared numbers is sound only
//! under its lock, so `sys/numbers` uses `wait/` and `registry`.
//!
//! | | |
//! | --- | --- |
//! | `graceful_end` | a page of documentation |
//! | `error`, `codec`, `handover`, `poison`, `visible` | what can go wrong; values as bytes; handles for a spawned child; mutexes of this process; texts of others as they may be shown |
//! | `sys/` | shared segments, futex, fork, spawn, signals, pidfds: the only `unsafe`, and no policy |
//! | `registry` | which of the related processes are alive |
//! | `wait/` | how a process waits: spinning, the eventcount, the lock under all others |
//! | `sync/` | what processes synchronise by |
//! | `resource_tracker`, `shared/` | numbers, arrays, named blocks and their removal |
//! | `channel/` | the ring that messages travel in |
//! | `process/` | processes: starting, waiting, ending |
//! | `queue/`, `pipe/` | queues over that ring, connections over sockets |
//! | `pool/` | a supervisor, its workers, and the tasks they are given |
//! | `managers/` | objects in a server process, on Python's own wire |
//! | `broker/` | the same pool over Redis streams: tasks by name, workers elsewhere |
//!
//! `tests/model*.rs` compile the waiting code a second time against
//! [loom](https://docs.rs/loom), which tries its interleavings.
//!
//! # Limitations
//!
//! - Linux, 5.14 or newer, only.
//! - Locks, queues and shared numbers are for related processes: those that descend from
//!   one process and were started by this library. Unrelated processes can share a
//!   [`SharedMemory`], a [`NamedPipe`] or the objects of a manager.
//! - The death of a process is noticed a tenth of a second later by those that wait for
//!   it, or two tenths if it died in the middle of an operation.
//! - The death of a process that holds a lock, or puts or gets at that moment, goes
//!   unnoticed in two cases: if more than four thousand related processes lived when it
//!   first took a lock or used a queue; and if both it and its parent had closed the
//!   library's descriptors by then, or the system kept it from those of its parent.
//! - A `get` or `recv` learns that the sender died only if no other process, the waiting
//!   one included, has the sending side open: close what you do not use.
//! - A `put` into a full queue does not learn of its consumer's death: use
//!   [`put_timeout`](Queue::put_timeout).
//! - A semaphore's permit that was taken by [`acquire`](Semaphore::acquire) is lost with
//!   its process: use [`permit`](Semaphore::permit).
#[cfg(not(target_os = "linux"))]
compile_error!(
    "multiprocessing works on Linux only: it is made of futexes, memfds and pidfds."
);

#[cfg(feature = "broker")]
pub mod broker;
mod channel;
mod codec;
mod error;
pub mod graceful_end;
mod handover;
#[cfg(feature = "managers")]
pub mod managers;
mod pipe;
mod poison;
mod pool;
mod process;
mod queue;
mod registry;
mod resource_tracker;
mod shared;
mod sync;
mod sys;
#[cfg(feature = "managers")]
mod visible;
mod wait;

pub use codec::{DecodeError, EncodeError};
pub use error::{Error, Result};
pub use pipe::{Connection, NamedPipe, RecvError, SendError, pipe, wait};
pub use pool::{
    AsyncResult, Imap, Pool, PoolBuilder, PoolCall, PoolError, PoolFn, StartMethod,
    TaskError,
};
pub use process::{
    AuthKey, Process, ProcessBuilder, ProcessError, ProcessHandle, active_children,
    cpu_count, current_process, freeze_support, parent_process, set_authkey,
};
pub use queue::{
    GetError, JoinableQueue, PutError, Queue, QueueIter, SimpleQueue,
    TaskDoneTooOften, TasksLost,
};
pub use shared::{
    Array, ArrayGuard, Number, RawArray, RawValue, Scalar, SharedMemory, Slot,
    Value, ValueGuard,
};
pub use sync::{
    Barrier, BarrierBroken, BoundedSemaphore, Condition, Event, Lock, LockGuard,
    NotLocked, NotOwner, Permit, RLock, RLockGuard, ReleasedTooOften, Semaphore,
};
pub use wait::{Acquired, set_spinning};
