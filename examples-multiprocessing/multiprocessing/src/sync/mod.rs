//! Primitives that synchronise related processes.
//!
//! Their state lies in shared memory and consists of numbers only. `tests/model.rs`
//! compiles these files a second time against [loom](https://docs.rs/loom).

mod barrier;
mod bounded_semaphore;
mod condition;
mod event;
mod lock;
mod rlock;
mod semaphore;

pub use barrier::{Barrier, BarrierBroken};
pub use bounded_semaphore::{BoundedSemaphore, ReleasedTooOften};
pub use condition::Condition;
pub use event::Event;
pub use lock::{Lock, LockGuard, NotLocked};
pub use rlock::{NotOwner, RLock, RLockGuard};
pub use semaphore::{Permit, Semaphore};
