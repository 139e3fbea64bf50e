//! What the library promises beyond its documentation examples.
//!
//! What measures the whole process (its memory, descriptors, children) is alone in a
//! test program of its own.

mod children;
mod communicate;
