//! What only the operating system can do, wrapped so that everything above is safe:
//! the one folder of the library with `unsafe` in it. No policy lives here.

pub(crate) mod atomic;
pub(crate) mod child;
pub(crate) mod chunk;
pub(crate) mod exit;
pub(crate) mod fork;
pub(crate) mod futex;
pub(crate) mod named;
pub(crate) mod numbers;
pub(crate) mod packet;
pub(crate) mod random;
pub(crate) mod routine;
pub(crate) mod segment;
pub(crate) mod signals;
pub(crate) mod spawn;
pub(crate) mod watcher;
