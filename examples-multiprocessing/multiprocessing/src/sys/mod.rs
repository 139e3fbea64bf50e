//! What only the operating system can do, wrapped so that everything above is safe:
//! the one folder of the library with `unsafe` in it.
//!
//! Nothing is decided here: how long to spin, whom to wake, which process to take for
//! dead and what to remove is decided by the modules above. Two constants that all of
//! them share stand here, the longest sleep ([`futex::SLICE`]) and the pieces of a
//! channel's memory ([`chunk`]).

pub(crate) mod atomic;
pub(crate) mod child;
pub(crate) mod chunk;
pub(crate) mod descriptor;
pub(crate) mod exit;
pub(crate) mod fork;
pub(crate) mod futex;
#[cfg(feature = "managers")]
pub(crate) mod heap;
mod large_pages;
pub(crate) mod lifetime;
pub(crate) mod memory;
pub(crate) mod named;
pub(crate) mod numbers;
pub(crate) mod packet;
pub(crate) mod plain;
pub(crate) mod process_limit;
pub(crate) mod random;
pub(crate) mod routine;
pub(crate) mod segment;
pub(crate) mod signals;
pub(crate) mod spawn;
pub(crate) mod watcher;
pub(crate) mod words;
