//! The atomics that lie in shared memory. `tests/model.rs` has a module of the same
//! name that holds loom's.

pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// Runs a unit test that uses them. Loom's can be used in a model only.
#[cfg(test)]
pub(crate) fn in_a_model(test: impl Fn()) {
    test();
}
