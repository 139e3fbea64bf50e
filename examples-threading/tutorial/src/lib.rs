//! What the listings of all sections share.
//!
//! | Python | here |
//! | --- | --- |
//! | `time.sleep(0.5)` | [`sleep(0.5)`](sleep), which `TEMPO` can speed up |
//! | an uncaught exception | [`Result`], the one that a listing's `main` returns |
//! | `time.ctime()` | [`ctime()`] |
//! | a chart of what each worker did and when | [`Timeline`] |
//!
//! Three features serve some packages only: `tree` is the folder that listing D57
//! copies, `harness` runs listings from outside, and `browser` looks at pages, for their
//! tests.
// Not `forbid`: the macro that reads `TEMPO` before `main` allows itself unsafe code.
#![deny(unsafe_code)]

#[cfg(feature = "browser")]
pub mod browser;
mod ctime;
mod failure;
#[cfg(feature = "harness")]
pub mod harness;
mod tempo;
mod timeline;
#[cfg(feature = "tree")]
mod tree;

pub use ctime::ctime;
pub use failure::{Failure, Result};
pub use tempo::{seconds, sleep};
pub use timeline::Timeline;
#[cfg(feature = "tree")]
pub use tree::{Copied, SampleFolder, Tree, copy_file, with_path};
