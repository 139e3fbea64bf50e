//! Memory that processes share.

mod array;
mod value;

pub use crate::sys::numbers::{Number, Slot};
pub use array::{Array, ArrayGuard, RawArray};
pub use value::{RawValue, Value, ValueGuard};
