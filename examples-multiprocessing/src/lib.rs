//! The multiprocessing section of the tutorials: one listing a file in `src/bin/`, whose
//! `tests/` run it as a reader would.
//!
//! The listings stand on the process library [`multiprocessing`], a package of its own
//! in this folder.
#![forbid(unsafe_code)]
