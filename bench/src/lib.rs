//! What leaving the GIL buys, measured: threads against processes, queues, locks,
//! starting, sharing, and Python beside them.
//!
//! ```console
//! $ cargo bench -p bench                      # every question, in some minutes
//! $ cargo bench -p bench -- '^queues/'        # one of them
//! $ cargo bench -p bench -- --test            # each contender once, no timing
//! $ cargo bench -p bench -- --baseline FILE   # compared with another run's samples
//! $ PYTHONS=python3.8:python3.13t cargo bench -p bench    # other interpreters
//! $ BROKER_VENVS=FOLDER cargo bench -p bench -- '^broker/'    # task queues of PyPI, too
//! ```
//!
//! `FOLDER` has a virtual environment for each task queue: `celery`, `dramatiq`, `rq`. The
//! question `broker` is left out without a `redis-server`.
//!
//! The report is printed at the end, and written below `target/criterion/`:
//!
//! | file | what |
//! | --- | --- |
//! | `summary.md` | the report, with a link from each row to its lines of code |
//! | `summary.html` | the same with charts, in one file |
//! | `readme.md`, `pictures/` | what the project's page quotes |
//! | `samples.json` | each sample, and what it was measured on: a `--baseline` |
//! | `samples.csv` | each sample, one a line |
//!
//! # How it is measured
//!
//! A [`Scenario`] is one piece of work and the [`Row`]s that compete at it. Every row
//! returns the answer of the work, which is compared with the known one before anything
//! is timed, and again with every sample.
//!
//! *Interleaved.* Each round runs every row once, those of Python included, and every
//! other round in the opposite order, so that a machine that slows down does so for all
//! of them. The report quotes medians, and each of its ratios is one of two medians of
//! the same rounds. Rows that take Python seconds take part in some of the rounds only. A
//! question that has taken 85 seconds measures what is left of it in fewer
//! rounds, and says so.
//!
//! *As users run.* Nothing is pinned to a core. Two sides that wait for each other are
//! measured in each [`Placement`]: not pinned, on one core, apart, and not pinned beside
//! a busy process.
//!
//! *Warm.* The sides of a [`Race`] do some of the work before the clock starts, and the
//! pools and servers of all languages stand from one sample to the next, unless their
//! start is what is measured. Each side notes when it began and when it ended, by a clock
//! that all processes share.
//!
//! *Tails.* A 99th percentile is taken over 10 000 calls on every side, by the nearest
//! rank, apart from the timed samples: three times, or as often as begins within five
//! seconds.
//!
//! *Ceilings and limits.* Busy loops in the same rounds, pinned to a core each, show how
//! many cores there really were; if too few, nothing is concluded from the table. On a
//! busy machine nothing is concluded from any table. A limit is what the machine itself
//! takes. A row that beats it by more than the spread is reported as a broken limit.
//!
//! *Sentences* follow from the data: two rows differ only if the middle halves of their
//! samples do not overlap, see [`Ratio`].
//!
//! *Criterion.* After the rounds of a scenario, criterion measures each of its Rust rows
//! by calls of its own, prints its statistics of them, and compares them with those of
//! its last run. Its calls are not interleaved, so the report does not quote them.
//! Criterion also reads the command line. If its filter, a regular expression, lets any
//! row through, all rows of that scenario take part in the rounds, since a ratio needs
//! both.
//!
//! # Layout
//!
//! | file | what |
//! | --- | --- |
//! | `src/scenario.rs` | what is measured: scenarios and their rows |
//! | `src/rounds.rs` | the interleaved rounds |
//! | `src/harness.rs` | the run: the rounds, criterion, the report |
//! | `src/parallel.rs` | placements, and work split over threads and processes |
//! | `src/python.rs`, `python/` | the interpreters, and what they run |
//! | `src/statistics.rs`, `src/results.rs` | what came out, and what may be said of it |
//! | `src/record.rs` | a run as a file, and the comparison of two |
//! | `src/summary.rs`, `src/page.rs`, `src/words.rs` | the report as text and as a page |
//! | `src/charts.rs`, `src/chart.rs` | what its charts show, and how they are drawn |
//! | `src/readme.rs`, `src/comparison.rs` | what the project's page quotes |
//! | `src/machine.rs` | what it was measured on |
//! | `src/sys.rs` | what the machine itself takes |
//! | `benches/questions/` | the questions, one a file |
#![cfg(target_os = "linux")]

mod chart;
mod charts;
mod comparison;
mod harness;
mod machine;
mod page;
mod parallel;
mod python;
mod readme;
mod record;
mod results;
mod rounds;
mod scenario;
mod statistics;
mod summary;
pub mod sys;
mod words;
mod work;

pub use harness::Bench;
pub use page::page;
pub use parallel::{By, Part, Placement, Race, processes, share, worker_counts};
pub use readme::update;
pub use record::Record;
pub use results::{Of, Results};
pub use scenario::{Row, Scenario};
pub use statistics::{Ratio, Verdict, percentile_99};
pub use work::{cal, cal_known};
