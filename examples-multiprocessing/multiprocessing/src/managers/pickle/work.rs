//! How much one request may compute.
//!
//! An object is locked while values in it are compared, so that every other client of it
//! waits. The steps of a request are counted, and one that has taken too many ends with
//! an exception. A step is about as much as the comparison of two small values.

use std::cell::Cell;

use super::value::Exception;

/// The most steps of one request: some seconds of a processor's time without
/// optimisation, a fraction of one with it.
pub(in crate::managers) const MAX_STEPS: u64 = 20_000_000;

thread_local! {
    static STEPS_LEFT: Cell<u64> = const { Cell::new(u64::MAX) };
}

/// Gives the request that this thread is about to carry out its steps.
pub(in crate::managers) fn begin_request() {
    STEPS_LEFT.set(MAX_STEPS);
}

/// Takes a step, and more if this many bytes are looked at.
///
/// # Errors
///
/// `TimeoutError` if the request has used up its steps.
pub(super) fn step(bytes: usize) -> Result<(), Exception> {
    let steps = 1 + (bytes / 64) as u64;
    match STEPS_LEFT.get().checked_sub(steps) {
        Some(left) => {
            STEPS_LEFT.set(left);
            Ok(())
        }
        None => Err(Exception::new(
            "builtins",
            "TimeoutError",
            vec![
                "the request compares more than a manager's server allows: compare \
                 fewer or smaller values"
                    .into(),
            ],
        )),
    }
}
