//! The meeting with criterion, and the end of the run.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode};

use crate::machine;
use crate::python::Pythons;
use crate::results::{Cell, Line, Results, UNKNOWN};
use crate::rounds::{self, ROUNDS};
use crate::scenario::Scenario;
use crate::summary;

/// One run of the bench.
pub struct Bench {
    criterion: Criterion,
    pythons: Pythons,
    /// Each contender is to run once, for its answer.
    once: bool,
    /// Where criterion, too, writes.
    directory: PathBuf,
    start: Instant,
    results: Vec<Results>,
}

impl Bench {
    /// A run as the command line asks for it.
    ///
    /// # Errors
    ///
    /// Where the program does not stand in a target directory.
    pub fn from_args() -> anyhow::Result<Self> {
        let directory = match env::var_os("CRITERION_HOME") {
            Some(home) => home.into(),
            // From target/release/deps/questions-….
            None => (env::current_exe()?.ancestors().nth(3))
                .ok_or_else(|| anyhow::anyhow!("run it by `cargo bench -p bench`"))?
                .join("criterion"),
        };
        // As criterion has it: `cargo test` does not say `--bench`.
        let says = |what: &str| env::args().any(|argument| argument == what);
        let once = says("--test") || !says("--bench");
        Ok(Self {
            criterion: Criterion::default()
                .without_plots()
                .output_directory(&directory)
                // The samples are there already: it has nothing to wait for.
                .warm_up_time(Duration::from_nanos(1))
                .measurement_time(Duration::from_millis(1))
                .sample_size(ROUNDS)
                .nresamples(2000)
                .configure_from_args(),
            pythons: Pythons::start(),
            once,
            directory,
            start: Instant::now(),
            results: Vec::new(),
        })
    }

    /// Measures a scenario, if the command line does not leave it out.
    ///
    /// A contender that goes wrong or gives a wrong answer ends the run. A Python that
    /// does so is reported instead of its time.
    pub fn scenario(&mut self, mut scenario: Scenario<'_>) {
        let id = format!("{}/{}", scenario.question, scenario.name);
        let mut rows: Vec<(String, usize, usize)> = Vec::new();
        let names = self.pythons.names();
        for (line, row) in scenario.rows.iter().enumerate() {
            let label = row.label();
            if row.rust.is_some() {
                rows.push((label.clone(), line, 0));
            }
            for (which, python) in names.iter().enumerate() {
                if row.python.is_some() && self.pythons.missing(which).is_none() {
                    rows.push((format!("{label} in {python}"), line, 1 + which));
                }
            }
        }
        let mut measured: Option<Vec<Vec<Cell>>> = None;
        let mut group = self.criterion.benchmark_group(&id);
        group.sampling_mode(SamplingMode::Flat);
        for (label, line, column) in rows {
            if let Some(cells) = &measured
                && matches!(cells[line][column], Cell::Failed(_))
            {
                continue;
            }
            let mut next = 0;
            group.bench_function(&label, |bencher| {
                let cells = measured.get_or_insert_with(|| {
                    rounds::measure(&mut scenario, &mut self.pythons, self.once)
                });
                let samples = match &cells[line][column] {
                    Cell::Samples(samples) => samples,
                    other => stop(&format!("{id}/{label}: {other:?}")),
                };
                bencher.iter_custom(|iterations| {
                    next += 1;
                    let nanos = samples[next % samples.len()] * iterations as f64;
                    Duration::from_nanos(nanos as u64)
                });
            });
        }
        group.finish();
        if let Some(cells) = measured {
            self.keep(scenario, cells);
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
        for line in &results.lines {
            if let Cell::Failed(why) = &line.cells[0] {
                let (question, name) = (results.question, &results.name);
                stop(&format!("{question}/{name}/{}: {why}", line.label()));
            }
        }
        let sentences = scenario.says.iter().map(|says| says(&results));
        let sentences: Vec<String> = sentences
            .filter(|sentence| !sentence.contains(UNKNOWN))
            .collect();
        results.sentence = sentences.join(" ");
        self.results.push(results);
    }

    /// Tells the answer: prints the summary, and writes it and its page.
    ///
    /// # Errors
    ///
    /// Where they cannot be written.
    pub fn finish(self) -> anyhow::Result<ExitCode> {
        let Self {
            criterion,
            pythons,
            once,
            directory,
            start,
            results,
        } = self;
        // Before anything is told: it takes its processes along.
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
            summary::tell(&results, &facts, &directory)?;
        }
        Ok(code)
    }
}

/// Nothing that is measured after this could be trusted.
fn stop(why: &str) -> ! {
    eprintln!("{why}");
    std::process::exit(1);
}
