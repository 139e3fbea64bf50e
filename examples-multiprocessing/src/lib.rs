//! The multiprocessing section: processes, locks, queues, shared memory, pools and
//! managers. Of the process library under its listings, there are processes so far.
#![cfg(target_os = "linux")]

mod channel;
mod codec;
mod ctime;
mod error;
#[allow(dead_code, reason = "its users are still to come")]
mod handover;
pub mod managers;
mod pipe;
mod process;
mod queue;
mod shared;
mod spin;
mod sync;
#[allow(dead_code, unused_imports, reason = "its users are still to come")]
mod sys;

pub use codec::{DecodeError, EncodeError};
pub use ctime::ctime;
pub use error::Error;
pub use pipe::{Connection, NamedPipe, RecvError, SendError, pipe, wait};
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
