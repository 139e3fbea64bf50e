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
//! The answer is printed at the end, and written to `target/criterion/summary.md` and,
//! with charts, to `target/criterion/summary.html`.
//!
//! # How it is measured
//!
//! A [`Scenario`] is one piece of work and the [`Row`]s that compete at it. Every row
//! says what came out of the work. Before anything is timed, and again with every
//! sample, that is compared with the known answer.
//!
//! The samples of a scenario are interleaved: each round runs every row once, those of
//! Python included, every other round in the opposite order, so that a machine that
//! slows down does so for all of them. What is quoted is the median, and a ratio is
//! always one of two medians of the same rounds.
//!
//! Sides that wait for each other have a core each, in every contender, Python's
//! included, as long as there are enough cores. Each side tells when it began and
//! when it was done, by a clock that all processes share.
//!
//! Criterion asks for the rows one by one. When it asks for the first row of a
//! scenario, the whole scenario is measured; each row's samples are then handed to
//! criterion, which does its statistics on them, compares them with those of the run
//! before, and sees to the command line. So criterion and the summary speak of the
//! same samples, and a filter picks whole scenarios.
//!
//! # Layout
//!
//! | file | what |
//! | --- | --- |
//! | `src/scenario.rs` | what is measured: scenarios and their rows |
//! | `src/rounds.rs` | the interleaved rounds |
//! | `src/harness.rs` | the meeting with criterion, and the end of the run |
//! | `src/python.rs`, `python/` | the interpreters, and what they run |
//! | `src/results.rs`, `src/summary.rs`, `src/chart.rs`, `src/machine.rs` | the answer |
//! | `src/parallel.rs` | work split over threads and processes |
//! | `src/sys.rs` | what the machine itself takes |
//! | `benches/questions/` | the questions, one a file |
#![cfg(target_os = "linux")]

mod chart;
mod harness;
mod machine;
mod parallel;
mod python;
mod results;
mod rounds;
mod scenario;
mod summary;
pub mod sys;

pub use harness::Bench;
pub use parallel::{
    Part, on_core, pin, processes, race_processes, race_threads, share,
    worker_counts,
};
pub use results::{Cell, Line, Results};
pub use scenario::{Row, Scenario};
