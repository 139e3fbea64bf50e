//! Runs the scenarios: the interleaved rounds, then criterion's own measurements, and
//! at the end the report.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, SamplingMode};

use crate::machine::{self, Facts};
use crate::parallel::Neighbours;
use crate::python::{self, Pythons};
use crate::record::Record;
use crate::results::{Cell, Line, Results};
use crate::rounds::{self, Extent, Rounds};
use crate::scenario::{Row, Scenario};
use crate::summary;

/// How long criterion measures a row, if the command line does not say otherwise.
const MEASUREMENT_TIME: Duration = Duration::from_millis(50);

/// Criterion takes no fewer samples.
const SAMPLES: usize = 10;

/// How many of criterion's iterations make up one sample of the rounds. Criterion
/// chooses how many iterations it asks for at a time by the time of the first.
const ITERATIONS_PER_SAMPLE: u64 = 8;

/// After so much time the further scenarios of a question have as few rounds as will do,
/// so that a question ends within two minutes.
const QUESTION_TIME: Duration = Duration::from_secs(85);

/// One run of the bench.
pub struct Bench {
    criterion: Criterion<Nanoseconds>,
    pythons: Pythons,
    /// `--test`: each contender runs without being timed, for its answer.
    once: bool,
    /// Where criterion and the report write.
    directory: PathBuf,
    /// The run that this one is to be compared with.
    baseline: Option<Record>,
    start: Instant,
    /// How long each question has taken so far.
    took: Vec<(&'static str, Duration)>,
    warnings: Vec<String>,
    facts: Facts,
    results: Vec<Results>,
}

/// The option that names a record of another run, and the variable that hands it to
/// this program once more: criterion has an option of the same name, for another thing.
const BASELINE: (&str, &str) = ("--baseline", "BENCH_BASELINE");

impl Bench {
    /// A run as the command line asks for it.
    ///
    /// # Errors
    ///
    /// If the program does not stand in a target directory, or the baseline cannot be
    /// read.
    pub fn from_args() -> anyhow::Result<Self> {
        let arguments: Vec<OsString> = env::args_os().skip(1).collect();
        if let Some((file, others)) = baseline_of(&arguments) {
            let again = Command::new(env::current_exe()?)
                .args(others)
                .env(BASELINE.1, file)
                .exec();
            return Err(again.into());
        }
        let baseline = env::var_os(BASELINE.1)
            .map(|file| Record::read(file.as_ref()))
            .transpose()?;
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
        let busy = if once { None } else { machine::busy_cores() };
        let warnings: Vec<String> =
            machine::warning(busy, "before").into_iter().collect();
        for warning in &warnings {
            eprintln!("{warning}\n");
        }
        let mut facts = machine::facts();
        let pythons = Pythons::start();
        facts.extend(pythons.facts());
        facts.push(("command".into(), command(&arguments)));
        facts.push(("in use by others before the run".into(), cores(busy)));
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
            pythons,
            once,
            directory,
            baseline,
            start: Instant::now(),
            took: Vec::new(),
            warnings,
            facts,
            results: Vec::new(),
        })
    }

    /// Measures a scenario, unless the command line's filter leaves it out.
    ///
    /// A contender that fails or gives a wrong answer ends the run. A Python that does
    /// so is reported in place of its time.
    pub fn scenario(&mut self, mut scenario: Scenario<'_>) {
        let start = Instant::now();
        let extent = if self.once {
            Extent::Once
        } else if *self.took(scenario.question) > QUESTION_TIME {
            Extent::Least
        } else {
            Extent::Whole
        };
        let question = scenario.question;
        let id = format!("{question}/{}", scenario.name());
        let labels: Vec<(usize, String)> = scenario
            .rows
            .iter()
            .enumerate()
            .filter(|(_, row)| row.rust.is_some())
            .map(|(line, row)| (line, row.label()))
            .collect();
        let mut measured: Option<(Rounds, Neighbours)> = None;
        let mut group = self.criterion.benchmark_group(&id);
        group.sampling_mode(SamplingMode::Flat);
        for (line, label) in labels {
            group.bench_function(&label, |bencher| {
                // Only criterion knows which rows its filter lets through.
                let (rounds, _) = measured.get_or_insert_with(|| {
                    let neighbours = scenario.placement.neighbours();
                    let neighbours = neighbours
                        .unwrap_or_else(|why| stop(&format!("{id}: {why}")));
                    let rounds =
                        rounds::measure(&mut scenario, &mut self.pythons, extent);
                    (rounds, neighbours)
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
        if let Some((rounds, neighbours)) = measured {
            drop(neighbours);
            self.keep(scenario, rounds, extent);
            *self.took(question) += start.elapsed();
        }
    }

    /// How long a question has taken so far.
    fn took(&mut self, question: &'static str) -> &mut Duration {
        let known = self.took.iter().position(|(other, _)| *other == question);
        let index = known.unwrap_or_else(|| {
            self.took.push((question, Duration::ZERO));
            self.took.len() - 1
        });
        &mut self.took[index].1
    }

    fn keep(&mut self, scenario: Scenario<'_>, rounds: Rounds, extent: Extent) {
        let lines = scenario
            .rows
            .into_iter()
            .zip(rounds.cells)
            .zip(rounds.changes.into_iter().zip(rounds.tails))
            .map(|((row, cells), (changes, tails))| {
                let theirs = row.python.and_then(|piece| python::place(&piece.call));
                Line {
                    name: row.name,
                    workers: row.workers,
                    role: row.role,
                    limited: row.limited,
                    note: row.note,
                    code: [row.place].into_iter().chain(theirs).collect(),
                    cells,
                    changes,
                    tails,
                }
            })
            .collect();
        let mut results = Results {
            question: scenario.question.into(),
            family: scenario.family,
            placement: scenario.placement,
            placed: scenario.placed,
            work: scenario.work,
            at: scenario.at,
            lines,
            pythons: self.pythons.names(),
            quotes: scenario.quotes,
            shortened: extent == Extent::Least,
            sentences: Vec::new(),
        };
        let sentences = scenario.says.iter().filter_map(|says| says(&results));
        results.sentences = sentences.collect();
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
            baseline,
            start,
            took: questions,
            mut warnings,
            mut facts,
            results,
        } = self;
        // The interpreters end before anything is reported, and their children with
        // them.
        drop(pythons);
        criterion.final_summary();
        let code = report_failures(&results);
        if once || results.is_empty() {
            return Ok(code);
        }
        let took = start.elapsed().as_secs();
        let busy = machine::busy_cores();
        warnings.extend(machine::warning(busy, "after"));
        facts.push(("in use by others after the run".into(), cores(busy)));
        let questions: Vec<String> = questions
            .iter()
            .filter(|(_, took)| !took.is_zero())
            .map(|(question, took)| format!("{question} {} s", took.as_secs()))
            .collect();
        let took = format!("{took} s: {}", questions.join(", "));
        facts.push(("the run took".into(), took));
        let record = Record {
            warnings,
            facts,
            results,
        };
        let comparison = baseline
            .map(|baseline| record.compared_with(&baseline))
            .transpose()?;
        summary::report(&record, comparison, &directory)?;
        Ok(code)
    }
}

/// The command of a run of all questions.
pub(crate) const WHOLE: &str = "cargo bench -p bench";

/// The command of this run. Cargo adds `--bench` by itself.
fn command(arguments: &[OsString]) -> String {
    let quoted = arguments
        .iter()
        .filter(|argument| *argument != "--bench")
        .map(|argument| format!(" '{}'", argument.to_string_lossy()));
    let arguments: String = quoted.collect();
    if arguments.is_empty() {
        WHOLE.into()
    } else {
        format!("{WHOLE} --{arguments}")
    }
}

/// The file that the option names, and the other arguments.
fn baseline_of(arguments: &[OsString]) -> Option<(OsString, Vec<OsString>)> {
    let option = arguments
        .iter()
        .position(|argument| argument == BASELINE.0)?;
    let file = arguments.get(option + 1)?;
    let others = [&arguments[..option], &arguments[option + 2..]].concat();
    Some((file.clone(), others))
}

/// A fact about how many cores were in use.
fn cores(busy: Option<f64>) -> String {
    busy.map_or(machine::UNKNOWN.into(), |busy| format!("{busy:.2} cores"))
}

/// Prints what did not run in the Pythons. A failure fails the run; what an
/// interpreter lacks is only skipped.
fn report_failures(results: &[Results]) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for result in results {
        for line in &result.lines {
            for (cell, python) in line.cells[1..].iter().zip(&result.pythons) {
                let (question, name) = (&result.question, result.name());
                let id = format!("{question}/{name}/{} in {python}", line.label());
                match cell {
                    Cell::Failed(why) => {
                        eprintln!("failed: {id}: {why}");
                        code = ExitCode::FAILURE;
                    }
                    Cell::Absent(why) => eprintln!("skipped: {id}: {why}"),
                    Cell::Empty | Cell::Samples(_) => {}
                }
            }
        }
    }
    code
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
    fn the_report_names_the_command_that_makes_it_again() {
        let command = |arguments: &[&str]| {
            let words: Vec<OsString> =
                arguments.iter().map(OsString::from).collect();
            super::command(&words)
        };
        assert_eq!(command(&["--bench"]), "cargo bench -p bench");
        let one = command(&["^pool/", "--bench"]);
        assert_eq!(one, "cargo bench -p bench -- '^pool/'");
    }

    #[test]
    fn the_baseline_is_kept_from_criterion() {
        let words = |text: &str| -> Vec<OsString> {
            text.split_whitespace().map(OsString::from).collect()
        };
        let found = baseline_of(&words("queues --baseline old.json --bench"));
        assert_eq!(found, Some(("old.json".into(), words("queues --bench"))));
        assert_eq!(baseline_of(&words("--save-baseline main --bench")), None);
    }

    #[test]
    fn criterion_gets_no_time_for_a_wrong_answer() {
        let mut row = Row::timed("row", || Ok(8));
        assert!(live(&mut row, 7, 3, 100).is_err());
    }
}
