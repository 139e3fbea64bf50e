//! The interleaved rounds.

use std::time::Duration;

use crate::python::Pythons;
use crate::results::Cell;
use crate::scenario::{PythonPiece, Row, Scenario, check};
use crate::sys;

/// Enough for a median, and odd, so that the median is one of the samples.
pub(crate) const ROUNDS: usize = 15;

/// The most repetitions in one sample.
const MOST_TIMES: u64 = 1 << 40;

/// A row of the scenario, or its counterpart in one Python.
struct Entrant<'r, 'a> {
    runner: Runner<'r, 'a>,
    answer: u64,
    scale: f64,
    /// How many repetitions of the work make up a sample.
    times: u64,
    /// Nanoseconds for the work once, one sample a round.
    samples: Vec<f64>,
    /// Why it takes no further part in the rounds.
    failed: Option<String>,
}

enum Runner<'r, 'a> {
    Rust(&'r mut Row<'a>),
    Python(usize, PythonPiece),
}

impl Entrant<'_, '_> {
    /// Does the work `times` times and checks the answer.
    fn run(
        &mut self,
        times: u64,
        pythons: &mut Pythons,
    ) -> anyhow::Result<Duration> {
        match &mut self.runner {
            Runner::Rust(row) => row.run(times, self.answer),
            Runner::Python(which, piece) => {
                let (took, sum) = pythons.run(*which, &piece.call, times)?;
                check(sum, self.answer, times)?;
                Ok(took)
            }
        }
    }

    /// As [`run`](Self::run), but an entrant that fails takes no further part.
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

    /// Does the work once for its answer, then finds out how many repetitions a sample
    /// needs. A time says so only once it has grown with the work: workers that start
    /// one after the other take milliseconds before any work is done.
    fn prepare(&mut self, sample: Duration, pythons: &mut Pythons) {
        let enough = sample / 2;
        let mut before = Duration::MAX;
        while let Some(took) = self.attempt(self.times, pythons) {
            let grown = took >= before.saturating_mul(3) / 2;
            if took >= enough && (grown || took >= 4 * sample)
                || self.times >= MOST_TIMES
            {
                return;
            }
            before = took;
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

/// What the rounds of a scenario gave.
pub(crate) struct Rounds {
    /// For each row its own cell, then one for each Python.
    pub(crate) cells: Vec<Vec<Cell>>,
    /// For each row how many repetitions made up a sample in Rust.
    pub(crate) times: Vec<u64>,
}

/// Measures a scenario. With `once` each entrant only runs for its answer, and its cell
/// holds a single sample.
pub(crate) fn measure(
    scenario: &mut Scenario<'_>,
    pythons: &mut Pythons,
    once: bool,
) -> Rounds {
    sys::trim_memory();
    let least = scenario.least;
    let columns = 1 + pythons.count();
    let mut cells: Vec<Vec<Cell>> = Vec::new();
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
            times: least,
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
    // Those in Rust first, then those of each Python.
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
    let mut times = vec![least; cells.len()];
    for ((line, column), entrant) in entrants {
        if column == 0 {
            times[line] = entrant.times;
        }
        cells[line][column] = match entrant.failed {
            Some(why) => Cell::Failed(why),
            None => Cell::Samples(entrant.samples),
        };
    }
    Rounds { cells, times }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn scenario<'a>() -> Scenario<'a> {
        let budget = Duration::from_nanos(1);
        Scenario::new("question", "scenario", "work", 7).budget(budget)
    }

    #[test]
    fn a_wrong_answer_is_never_quoted() {
        let mut scenario = scenario()
            .row(Row::timed("right", || Ok(7)))
            .row(Row::timed("wrong", || Ok(8)))
            .row(Row::timed("its own", || Ok(9)).answer(9));
        let cells = measure(&mut scenario, &mut Pythons::none(), false).cells;
        assert!(matches!(cells[0][0], Cell::Samples(_)));
        assert!(matches!(cells[1][0], Cell::Failed(_)));
        assert!(matches!(cells[2][0], Cell::Samples(_)));
    }

    #[test]
    fn an_answer_that_turns_wrong_in_the_rounds_is_noticed() {
        let mut runs = 0;
        let mut scenario = scenario().row(Row::new("late", |times| {
            runs += 1;
            Ok((
                Duration::from_millis(1),
                if runs < 5 { 7 * times } else { 0 },
            ))
        }));
        let cells = measure(&mut scenario, &mut Pythons::none(), false).cells;
        assert!(matches!(cells[0][0], Cell::Failed(_)));
    }

    #[test]
    fn every_other_round_runs_in_the_opposite_order() {
        let runs = RefCell::new(Vec::new());
        let row = |name| {
            let runs = &runs;
            Row::new(name, move |times| {
                runs.borrow_mut().push(name);
                Ok((Duration::from_millis(1), 7 * times))
            })
        };
        let mut scenario = scenario().row(row("a")).row(row("b")).row(row("c"));
        measure(&mut scenario, &mut Pythons::none(), false);
        drop(scenario);
        let runs = runs.into_inner();
        assert_eq!(runs.len(), 3 + 3 * ROUNDS);
        assert_eq!(runs[3..12], ["a", "b", "c", "c", "b", "a", "a", "b", "c"]);
    }

    #[test]
    fn a_short_piece_is_repeated_until_it_can_be_timed() {
        let most = RefCell::new(0);
        let mut scenario = scenario()
            .budget(Duration::from_millis(ROUNDS as u64))
            .row(Row::new("short", |times| {
                most.replace_with(|most| times.max(*most));
                Ok((Duration::from_nanos(10 * times), 7 * times))
            }));
        measure(&mut scenario, &mut Pythons::none(), false);
        drop(scenario);
        // A millisecond a sample, or not much less than half of it.
        assert!((50_000..=200_000).contains(&most.into_inner()));
    }

    #[test]
    fn what_takes_its_time_without_any_work_is_not_taken_for_work() {
        let most = RefCell::new(0);
        let mut scenario = scenario()
            .budget(Duration::from_millis(ROUNDS as u64))
            .row(Row::new("late", |times| {
                most.replace_with(|most| times.max(*most));
                let late = Duration::from_millis(2);
                Ok((late + Duration::from_nanos(10 * times), 7 * times))
            }));
        measure(&mut scenario, &mut Pythons::none(), false);
        drop(scenario);
        assert!(most.into_inner() >= 100_000);
    }
}
