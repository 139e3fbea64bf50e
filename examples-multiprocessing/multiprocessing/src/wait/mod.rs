//! How a process waits: how long it spins, how it sleeps and is woken, and who holds
//! the lock that lies under all the others.
//!
//! Everything that waits in shared memory is built on these three. `tests/model*.rs`
//! compile them a second time against [loom](https://docs.rs/loom).

mod event_count;
mod raw_lock;
mod spin;

pub(crate) use event_count::EventCount;
pub use raw_lock::Acquired;
pub(crate) use raw_lock::{RawGuard, RawLock};
pub use spin::set_spinning;
pub(crate) use spin::{Spin, SpinLimits, decide_whether_to_spin};
