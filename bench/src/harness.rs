//! Runs the scenarios: the interleaved rounds, then criterion's own measurements, and
//! at the end the report.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, SamplingMode};

use crate::machine;
use crate::python::Pythons;
use crate::results::{Cell, Line, Results, UNKNOWN};
use crate::rounds::{self, Rounds};
use crate::scenario::{Row, Scenario};
use crate::summary;

/// How long criterion measures a row, if the command line does not say otherwise.
const MEASUREMENT_TIME: Duration = Duration::from_millis(100);

/// Criterion takes no fewer samples.
const SAMPLES: usize = 10;

/// How many of criterion's iterations make up one sample of the rounds. Criterion
/// chooses how many iterations it asks for at a time by the time of the first.
const ITERATIONS_PER_SAMPLE: u64 = 8;

/// One run of the bench.
pub struct Bench {
    criterion: Criterion<Nanoseconds>,
    pythons: Pythons,
    /// `--test`: each contender runs without being timed, for its answer.
    once: bool,
    /// Where criterion and the report write.
    directory: PathBuf,
    start: Instant,
    results: Vec<Results>,
}

impl Bench {
    /// A run as the command line asks for it.
    ///
    /// # Errors
    ///
    /// If the program does not stand in a target directory.
    pub fn from_args() -> anyhow::Result<Self> {
        let directory = match env::var_os("CRITERION_HOME") {
            Some(home) => home.into(),
            // The program is target/release/deps/questions-….
            None => (env::current_exe()?.ancestors().nth(3))
                .ok_or_else(|| anyhow::anyhow!("run it by `cargo bench -p bench`"))?
                .join("criterion"),
        };
        let has_argument = |name: &str| env::args().any(|argument| argument == name);
        // Criterion decides likewise: cargo passes `--bench` only if it is to measure.
        let once = has_argument("--test") || !has_argument("--bench");
        Ok(Self {
            criterion: Criterion::default()
                .with_measurement(Nanoseconds)
                .without_plots()
                .output_directory(&directory)
                // The rounds have warmed the contender up, so one call is enough.
                .warm_up_time(Duration::from_nanos(1))
                .measurement_time(MEASUREMENT_TIME)
                .sample_size(SAMPLES)
                .nresamples(2000)
                .configure_from_args(),
            pythons: Pythons::start(),
            once,
            directory,
            start: Instant::now(),
            results: Vec::new(),
        })
    }

    /// Measures a scenario, unless the command line's filter leaves it out.
    ///
    /// A contender that fails or gives a wrong answer ends the run. A Python that does
    /// so is reported in place of its time.
    pub fn scenario(&mut self, mut scenario: Scenario<'_>) {
        let id = format!("{}/{}", scenario.question, scenario.name);
        let labels: Vec<(usize, String)> = (scenario.rows.iter().enumerate())
            .filter(|(_, row)| row.rust.is_some())
            .map(|(line, row)| (line, row.label()))
            .collect();
        let mut measured: Option<Rounds> = None;
        let mut group = self.criterion.benchmark_group(&id);
        group.sampling_mode(SamplingMode::Flat);
        for (line, label) in labels {
            group.bench_function(&label, |bencher| {
                // Only criterion knows which rows its filter lets through.
                let rounds = measured.get_or_insert_with(|| {
                    rounds::measure(&mut scenario, &mut self.pythons, self.once)
                });
                if let Cell::Failed(why) = &rounds.cells[line][0] {
                    stop(&format!("{id}/{label}: {why}"));
                }
                let unit = rounds.times[line].div_ceil(ITERATIONS_PER_SAMPLE);
                let answer = scenario.rows[line].answer.unwrap_or(scenario.answer);
                let row = &mut scenario.rows[line];
                bencher.iter_custom(|iterations| {
                    match live(row, answer, iterations, unit) {
                        Ok(nanoseconds) => nanoseconds,
                        Err(error) => stop(&format!("{id}/{label}: {error}")),
                    }
                });
            });
        }
        group.finish();
        if let Some(rounds) = measured {
            self.keep(scenario, rounds.cells);
        }
    }

    fn keep(&mut self, scenario: Scenario<'_>, cells: Vec<Vec<Cell>>) {
        let lines = (scenario.rows.into_iter().zip(cells))
            .map(|(row, cells)| Line {
                name: row.name,
                workers: row.workers,
                role: row.role,
                limited: row.limited,
                note: row.note,
                python_part: (row.python.and_then(|piece| piece.part))
                    .map(|part| part.scale)
                    .filter(|scale| *scale > 1.0),
                cells,
            })
            .collect();
        let mut results = Results {
            question: scenario.question,
            name: scenario.name,
            work: scenario.work,
            at: scenario.at,
            lines,
            pythons: self.pythons.names(),
            sentence: String::new(),
        };
        let sentences = scenario.says.iter().map(|says| says(&results));
        let sentences: Vec<String> = sentences
            .filter(|sentence| !sentence.contains(UNKNOWN))
            .collect();
        results.sentence = sentences.join(" ");
        self.results.push(results);
    }

    /// Ends the run: prints the report, and writes it and its page.
    ///
    /// # Errors
    ///
    /// If they cannot be written.
    pub fn finish(self) -> anyhow::Result<ExitCode> {
        let Self {
            criterion,
            pythons,
            once,
            directory,
            start,
            results,
        } = self;
        // The interpreters end before anything is reported, and their children with
        // them.
        drop(pythons);
        criterion.final_summary();
        let mut code = ExitCode::SUCCESS;
        for result in &results {
            for line in &result.lines {
                for (cell, python) in line.cells[1..].iter().zip(&result.pythons) {
                    if let Cell::Failed(why) = cell {
                        let (question, name) = (result.question, &result.name);
                        let label = line.label();
                        eprintln!("{question}/{name}/{label} in {python}: {why}");
                        code = ExitCode::FAILURE;
                    }
                }
            }
        }
        if !once && !results.is_empty() {
            let facts = machine::facts(start.elapsed());
            summary::report(&results, &facts, &directory)?;
        }
        Ok(code)
    }
}

/// Runs a row for criterion, `iterations` times `unit` repetitions of its work. Returns
/// what it took, in nanoseconds, scaled to `iterations` repetitions.
fn live(
    row: &mut Row<'_>,
    answer: u64,
    iterations: u64,
    unit: u64,
) -> anyhow::Result<f64> {
    let times = iterations.saturating_mul(unit);
    let took = row.run(times, answer)?;
    Ok(took.as_nanos() as f64 / unit as f64)
}

/// Criterion's wall time as a fraction. Its own is in whole nanoseconds, too coarse for
/// the mean of work that takes less than ten.
struct Nanoseconds;

impl Measurement for Nanoseconds {
    type Intermediate = Instant;
    type Value = f64;

    fn start(&self) -> Instant {
        Instant::now()
    }

    fn end(&self, start: Instant) -> f64 {
        start.elapsed().as_nanos() as f64
    }

    fn add(&self, first: &f64, second: &f64) -> f64 {
        first + second
    }

    fn zero(&self) -> f64 {
        0.0
    }

    fn to_f64(&self, value: &f64) -> f64 {
        *value
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

/// Ends the run, as nothing that is measured after this could be trusted.
fn stop(why: &str) -> ! {
    eprintln!("{why}");
    std::process::exit(1);
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn criterion_gets_what_its_own_call_took() {
        let calls = RefCell::new(Vec::new());
        let mut row = Row::new("row", |times| {
            calls.borrow_mut().push(times);
            // Each call is slower than the one before.
            let nanos = 10 * times * calls.borrow().len() as u64;
            Ok((Duration::from_nanos(nanos), 7 * times))
        });
        let mut three = || live(&mut row, 7, 3, 100).unwrap() as u64;
        assert_eq!([three(), three()], [30, 60]);
        drop(row);
        assert_eq!(calls.into_inner(), [300, 300]);
    }

    #[test]
    fn criterion_gets_no_time_for_a_wrong_answer() {
        let mut row = Row::timed("row", || Ok(8));
        assert!(live(&mut row, 7, 3, 100).is_err());
    }
}
