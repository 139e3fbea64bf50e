//! Memory that processes share.

mod array;
mod block;
mod shared_memory;
mod value;

pub use crate::sys::numbers::{Number, Scalar, Slot};
pub use array::{Array, ArrayGuard, RawArray};
pub use shared_memory::SharedMemory;
pub use value::{RawValue, Value, ValueGuard};
