//! The interleaved rounds.

use std::time::Duration;

use anyhow::ensure;

use crate::python::Pythons;
use crate::results::Cell;
use crate::scenario::{PythonPiece, Row, Scenario};

/// Enough for a median, and an odd number, so that it is one of them.
pub(crate) const ROUNDS: usize = 15;

/// No sample repeats the work more often than this.
const MOST_TIMES: u64 = 1 << 40;

/// One who takes part in the rounds: a row itself, or its counterpart in one Python.
struct Entrant<'r, 'a> {
    runner: Runner<'r, 'a>,
    answer: u64,
    scale: f64,
    /// How often a sample does the work.
    times: u64,
    /// Nanoseconds for the work once, one a round.
    samples: Vec<f64>,
    /// Why it has no part in the rounds any more.
    failed: Option<String>,
}

enum Runner<'r, 'a> {
    Rust(&'r mut Row<'a>),
    Python(usize, PythonPiece),
}

impl Entrant<'_, '_> {
    /// Does the work so many times. Checks what came out.
    fn run(
        &mut self,
        times: u64,
        pythons: &mut Pythons,
    ) -> anyhow::Result<Duration> {
        let (took, sum) = match &mut self.runner {
            Runner::Rust(row) => {
                let piece = row.rust.as_mut().expect("only such rows take part");
                piece(times)?
            }
            Runner::Python(which, piece) => {
                pythons.run(*which, &piece.call, times)?
            }
        };
        let expected = self.answer.wrapping_mul(times);
        ensure!(sum == expected, "wrong answer: {sum} instead of {expected}");
        Ok(took)
    }

    /// As [`run`](Self::run), but who fails takes no further part.
    fn attempt(&mut self, times: u64, pythons: &mut Pythons) -> Option<Duration> {
        if self.failed.is_some() {
            return None;
        }
        match self.run(times, pythons) {
            Ok(took) => Some(took),
            Err(error) => {
                self.failed = Some(error.to_string());
                None
            }
        }
    }

    /// Does the work once for its answer, then finds out how often a sample is to do
    /// it.
    fn prepare(&mut self, sample: Duration, pythons: &mut Pythons) {
        while let Some(took) = self.attempt(self.times, pythons) {
            if took >= sample / 2 || self.times >= MOST_TIMES {
                return;
            }
            // A first, short run says little: never a step of more than a hundred.
            let missing = sample.as_nanos() / took.as_nanos().max(1);
            self.times *= missing.clamp(2, 100) as u64;
        }
    }

    fn sample(&mut self, pythons: &mut Pythons) {
        if let Some(took) = self.attempt(self.times, pythons) {
            let once = took.as_nanos() as f64 / self.times as f64;
            self.samples.push(once * self.scale);
        }
    }
}

/// Measures a scenario: for each row its own cell, then one for each Python. `once`
/// only runs each of them, and the cells hold a single sample.
pub(crate) fn measure(
    scenario: &mut Scenario<'_>,
    pythons: &mut Pythons,
    once: bool,
) -> Vec<Vec<Cell>> {
    let columns = 1 + pythons.count();
    let mut cells: Vec<Vec<Cell>> = Vec::new();
    // In Rust all first, then in each Python: neighbours are of one kind then.
    let mut entrants: Vec<((usize, usize), Entrant<'_, '_>)> = Vec::new();
    for (line, row) in scenario.rows.iter_mut().enumerate() {
        let mut own = vec![Cell::Empty; columns];
        if let Some(why) = &row.absent {
            own[0] = Cell::Absent(why.clone());
        }
        let python = row.python.clone();
        let entrant = |runner, answer, scale| Entrant {
            runner,
            answer,
            scale,
            times: 1,
            samples: Vec::new(),
            failed: None,
        };
        if row.rust.is_some() {
            let answer = row.answer.unwrap_or(scenario.answer);
            let runner = Runner::Rust(row);
            entrants.push(((line, 0), entrant(runner, answer, 1.0)));
        }
        for which in 0..pythons.count() {
            let Some(piece) = python.clone() else { break };
            if let Some(why) = pythons.missing(which) {
                own[1 + which] = Cell::Absent(why.to_owned());
                continue;
            }
            let (answer, scale) = (piece.part)
                .map_or((scenario.answer, 1.0), |part| (part.answer, part.scale));
            let runner = Runner::Python(which, piece);
            entrants.push(((line, 1 + which), entrant(runner, answer, scale)));
        }
        cells.push(own);
    }
    entrants.sort_by_key(|((line, column), _)| (*column, *line));

    if once {
        for (_, entrant) in &mut entrants {
            entrant.sample(pythons);
        }
    } else {
        let sample = scenario.budget / (ROUNDS * entrants.len().max(1)) as u32;
        for (_, entrant) in &mut entrants {
            entrant.prepare(sample, pythons);
        }
        for _ in 0..ROUNDS {
            for (_, entrant) in &mut entrants {
                entrant.sample(pythons);
            }
            entrants.reverse();
        }
    }
    for ((line, column), entrant) in entrants {
        cells[line][column] = match entrant.failed {
            Some(why) => Cell::Failed(why),
            None => Cell::Samples(entrant.samples),
        };
    }
    cells
}
