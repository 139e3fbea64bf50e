//! What leaving the GIL buys, measured: threads against processes, queues, locks,
//! starting, sharing, and Python beside them.
//!
//! ```console
//! $ cargo bench -p bench                      # every question, a few minutes
//! $ cargo bench -p bench -- queues            # one of them
//! $ cargo bench -p bench -- --test            # each contender once, no timing
//! $ PYTHONS=python3.8:python3.13t cargo bench -p bench    # other interpreters
//! ```
//!
//! The report is printed at the end, and written to `target/criterion/summary.md` and,
//! with charts, to `target/criterion/summary.html`.
//!
//! # How it is measured
//!
//! A [`Scenario`] is one piece of work and the [`Row`]s that compete at it. Every row
//! returns the answer of the work, which is compared with the known one before anything
//! is timed, and again with every sample.
//!
//! The samples of a scenario are interleaved: each round runs every row once, those of
//! Python included, and every other round in the opposite order, so that a machine that
//! slows down does so for all of them. The report quotes medians, and each of its ratios
//! is one of two medians of the same rounds.
//!
//! Sides that wait for each other have a core each, in every contender, Python's
//! included, as long as there are enough cores. Each side notes when it began and when
//! it ended, by a clock that all processes share.
//!
//! After its rounds, criterion measures each Rust row of the scenario by calls of its
//! own, prints its statistics of them, and compares them with those of its last run. Its
//! calls are not interleaved, so the report does not quote them. Criterion also reads the
//! command line. If its filter lets any row through, all rows of that scenario take part
//! in the rounds, since a ratio needs both.
//!
//! # Layout
//!
//! | file | what |
//! | --- | --- |
//! | `src/scenario.rs` | what is measured: scenarios and their rows |
//! | `src/rounds.rs` | the interleaved rounds |
//! | `src/harness.rs` | the run: the rounds, criterion, the report |
//! | `src/python.rs`, `python/` | the interpreters, and what they run |
//! | `src/results.rs`, `src/summary.rs`, `src/chart.rs`, `src/machine.rs` | the report |
//! | `src/parallel.rs` | work split over threads and processes |
//! | `src/sys.rs` | what the machine itself takes |
//! | `benches/questions/` | the questions, one a file |
#![cfg(target_os = "linux")]

mod chart;
mod charts;
mod harness;
mod machine;
mod parallel;
mod python;
mod record;
mod results;
mod rounds;
mod scenario;
mod statistics;
mod summary;
pub mod sys;
mod work;

pub use harness::Bench;
pub use parallel::{By, Part, Placement, Race, processes, share, worker_counts};
pub use results::{Of, Results};
pub use scenario::{Row, Scenario};
pub use statistics::{Ratio, Verdict, percentile_99};
pub use work::{cal, cal_known};
