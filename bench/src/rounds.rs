//! The interleaved rounds.

use std::time::{Duration, Instant};

use crate::python::{NotRun, Pythons};
use crate::results::{Cell, Role};
use crate::scenario::{PythonPiece, Repetitions, Row, Scenario, check};
use crate::statistics::percentile_99;
use crate::sys;

/// Enough for a median, and odd, so that the median is one of the samples.
pub(crate) const ROUNDS: usize = 15;

/// The most repetitions in one sample.
const MOST_TIMES: u64 = 1 << 40;

/// A row of the scenario, or its counterpart in one Python.
struct Entrant<'r, 'a> {
    runner: Runner<'r, 'a>,
    answer: u64,
    /// In how many rounds it takes part.
    rounds: usize,
    repetitions: Repetitions,
    /// How many repetitions of the work make up a sample.
    times: u64,
    /// Nanoseconds for the work once, one sample a round.
    samples: Vec<f64>,
    /// Why it takes no further part.
    out: Option<NotRun>,
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
    ) -> Result<Duration, NotRun> {
        match &mut self.runner {
            Runner::Rust(row) => Ok(row.run(times, self.answer)?),
            Runner::Python(which, piece) => {
                let (took, sum) = pythons.run(*which, &piece.call, times)?;
                check(sum, self.answer, times)?;
                Ok(Duration::from_nanos(took))
            }
        }
    }

    /// As [`run`](Self::run), but an entrant that fails takes no further part.
    fn attempt(&mut self, times: u64, pythons: &mut Pythons) -> Option<Duration> {
        if self.out.is_some() {
            return None;
        }
        match self.run(times, pythons) {
            Ok(took) => Some(took),
            Err(why) => {
                self.out = Some(why);
                None
            }
        }
    }

    /// Does the work once for its answer, then finds out how many repetitions a sample
    /// needs. A time says so only once it has grown with the work: workers that start
    /// one after the other take milliseconds before any work is done.
    fn prepare(&mut self, sample: Duration, pythons: &mut Pythons) {
        match self.repetitions {
            // It takes seconds, and its one sample is checked as well.
            _ if self.rounds == 1 => return,
            Repetitions::Exactly(_) => {
                self.attempt(self.times, pythons);
                return;
            }
            Repetitions::ByTime(_) => {}
        }
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
            // A first, short run says little, so a step is at most a hundredfold.
            let missing = sample.as_nanos() / took.as_nanos().max(1);
            self.times *= missing.clamp(2, 100) as u64;
        }
    }

    fn sample(&mut self, pythons: &mut Pythons) {
        if let Some(took) = self.attempt(self.times, pythons) {
            let once = took.as_nanos() as f64 / self.times as f64;
            self.samples.push(once);
        }
    }

    /// Whether it takes part in a round: in its share of them, spread evenly.
    fn takes_part(&self, round: usize, rounds: usize) -> bool {
        let before = |round| round * self.rounds / rounds;
        before(round + 1) > before(round)
    }

    /// How often its lock changes hands while it is taken 1000 times, if it can count
    /// that.
    fn count_changes(&mut self, pythons: &mut Pythons) -> Option<f64> {
        self.out.is_none().then_some(())?;
        let (changes, taken) = match &mut self.runner {
            Runner::Rust(row) => row.changes.as_mut()?(self.times).ok()?,
            Runner::Python(which, piece) => {
                let call = piece.changes.as_ref()?;
                pythons.run(*which, call, self.times).ok()?
            }
        };
        Some(changes as f64 * 1000.0 / taken as f64)
    }
}

/// Over how many calls a 99th percentile is taken, on every side.
const TAIL_CALLS: u64 = 10_000;

/// How many times it is taken, unless that takes longer than [`TAIL_TIME`].
const TAIL_PASSES: usize = 3;

/// After so much time no further pass begins.
const TAIL_TIME: Duration = Duration::from_secs(5);

/// How many rounds are enough for a middle half, where there is no time for more.
const LEAST_ROUNDS: usize = 5;

/// How much of a scenario is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of its rounds.
    Whole,
    /// As few rounds and tails as give a result, since its question has used its time
    /// up.
    Least,
    /// Each entrant only runs for its answer, and its cell holds a single sample.
    Once,
}

impl Entrant<'_, '_> {
    /// The 99th percentile of single calls, in nanoseconds, if it can time them.
    fn tail(&mut self, calls: u64, pythons: &mut Pythons) -> Option<Cell> {
        self.out.is_none().then_some(())?;
        let tail = match &mut self.runner {
            Runner::Rust(row) => row.tail.as_mut()?(calls)
                .map(|took| percentile_99(took).as_nanos() as f64)
                .map_err(NotRun::from),
            Runner::Python(which, piece) => pythons
                .run(*which, piece.tail.as_ref()?, calls)
                .map(|(nanos, _)| nanos as f64),
        };
        Some(match tail {
            Ok(nanos) => Cell::Samples(vec![nanos]),
            Err(why) => why.into(),
        })
    }
}

/// Adds another pass to the tails of an entrant.
fn add(tails: &mut Cell, another: Option<Cell>) {
    match (tails, another) {
        (_, None) => {}
        (Cell::Samples(samples), Some(Cell::Samples(more))) => samples.extend(more),
        (tails, Some(first)) => *tails = first,
    }
}

/// What the rounds of a scenario gave.
pub(crate) struct Rounds {
    /// For each row its own cell, then one for each Python.
    pub(crate) cells: Vec<Vec<Cell>>,
    /// Likewise, how often its lock changed hands while it was taken 1000 times.
    pub(crate) changes: Vec<Vec<Option<f64>>>,
    /// Likewise, the 99th percentile of single calls.
    pub(crate) tails: Vec<Vec<Cell>>,
    /// For each row how many repetitions made up a sample in Rust.
    pub(crate) times: Vec<u64>,
}

/// Measures a scenario.
pub(crate) fn measure(
    scenario: &mut Scenario<'_>,
    pythons: &mut Pythons,
    extent: Extent,
) -> Rounds {
    sys::trim_memory();
    let repetitions = scenario.repetitions;
    let times = match repetitions {
        Repetitions::Exactly(_) if extent == Extent::Once => 1,
        Repetitions::Exactly(times) | Repetitions::ByTime(times) => times,
    };
    let rounds = match extent {
        Extent::Whole | Extent::Once => scenario.rounds,
        Extent::Least => scenario.rounds.min(LEAST_ROUNDS),
    };
    let columns = 1 + pythons.count();
    let mut cells: Vec<Vec<Cell>> = Vec::new();
    let mut entrants: Vec<((usize, usize), Entrant<'_, '_>)> = Vec::new();
    for (line, row) in scenario.rows.iter_mut().enumerate() {
        let mut own = vec![Cell::Empty; columns];
        if let Some(why) = &row.absent {
            own[0] = Cell::Absent(why.clone());
        }
        let python = row.python.clone();
        // The work of a ceiling row is not the scenario's.
        let (repetitions, times) = match row.role {
            Role::Ceiling => (Repetitions::ByTime(1), 1),
            Role::Contender | Role::Limit => (repetitions, times),
        };
        let entrant = |runner, answer, rounds| Entrant {
            runner,
            answer,
            rounds,
            repetitions,
            times,
            samples: Vec::new(),
            out: None,
        };
        if row.rust.is_some() {
            let answer = row.answer.unwrap_or(scenario.answer);
            let runner = Runner::Rust(row);
            entrants.push(((line, 0), entrant(runner, answer, rounds)));
        }
        for which in 0..pythons.count() {
            let Some(piece) = python.clone() else { break };
            let answer = piece.answer.unwrap_or(scenario.answer);
            let rounds = piece.rounds.map_or(rounds, |some| some.min(rounds));
            let runner = Runner::Python(which, piece);
            entrants.push(((line, 1 + which), entrant(runner, answer, rounds)));
        }
        cells.push(own);
    }
    // Those in Rust first, then those of each Python.
    entrants.sort_by_key(|((line, column), _)| (*column, *line));

    if extent == Extent::Once {
        for (_, entrant) in &mut entrants {
            entrant.sample(pythons);
        }
    } else {
        let sample = scenario.budget / (rounds * entrants.len().max(1)) as u32;
        for (_, entrant) in &mut entrants {
            entrant.prepare(sample, pythons);
        }
        for round in 0..rounds {
            for (_, entrant) in &mut entrants {
                if entrant.takes_part(round, rounds) {
                    entrant.sample(pythons);
                }
            }
            entrants.reverse();
        }
    }
    let mut tails = vec![vec![Cell::Empty; columns]; cells.len()];
    let (passes, tail_calls) = match extent {
        Extent::Once => (1, 1),
        Extent::Least => (1, TAIL_CALLS),
        Extent::Whole => (TAIL_PASSES, TAIL_CALLS),
    };
    let start = Instant::now();
    for pass in 0..passes {
        if pass > 0 && start.elapsed() > TAIL_TIME {
            break;
        }
        for ((line, column), entrant) in &mut entrants {
            add(
                &mut tails[*line][*column],
                entrant.tail(tail_calls, pythons),
            );
        }
    }
    let mut times = vec![times; cells.len()];
    let mut changes = vec![vec![None; columns]; cells.len()];
    for ((line, column), mut entrant) in entrants {
        changes[line][column] = entrant.count_changes(pythons);
        if column == 0 {
            times[line] = entrant.times;
        }
        cells[line][column] = match entrant.out {
            Some(why) => why.into(),
            None => Cell::Samples(entrant.samples),
        };
    }
    pythons.end_standing();
    Rounds {
        cells,
        changes,
        tails,
        times,
    }
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
        let cells =
            measure(&mut scenario, &mut Pythons::none(), Extent::Whole).cells;
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
        let cells =
            measure(&mut scenario, &mut Pythons::none(), Extent::Whole).cells;
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
        measure(&mut scenario, &mut Pythons::none(), Extent::Whole);
        drop(scenario);
        let runs = runs.into_inner();
        assert_eq!(runs.len(), 3 + 3 * ROUNDS);
        assert_eq!(runs[3..12], ["a", "b", "c", "c", "b", "a", "a", "b", "c"]);
    }

    #[test]
    fn a_row_of_few_rounds_has_them_spread_evenly() {
        let runs = RefCell::new(Vec::new());
        let row = |name: &'static str| {
            let runs = &runs;
            Row::new(name, move |times| {
                runs.borrow_mut().push(name);
                Ok((Duration::from_millis(1), 7 * times))
            })
        };
        let mut scenario = scenario().rounds(6).row(row("all"));
        let rounds = measure(&mut scenario, &mut Pythons::none(), Extent::Whole);
        assert_eq!(rounds.cells[0][0], Cell::Samples(vec![1e6; 6]));
        let entrant = Entrant {
            runner: Runner::Rust(&mut scenario.rows[0]),
            answer: 7,
            rounds: 2,
            repetitions: Repetitions::ByTime(1),
            times: 1,
            samples: Vec::new(),
            out: None,
        };
        let parts: Vec<bool> = (0..6).map(|r| entrant.takes_part(r, 6)).collect();
        assert_eq!(parts, [false, false, true, false, false, true]);
    }

    #[test]
    fn a_question_without_time_left_has_fewer_rounds() {
        let mut scenario = scenario().exactly(1).row(Row::new("row", |times| {
            Ok((Duration::from_millis(1), 7 * times))
        }));
        let mut samples =
            |extent| match &measure(&mut scenario, &mut Pythons::none(), extent)
                .cells[0][0]
            {
                Cell::Samples(samples) => samples.len(),
                other => panic!("{other:?}"),
            };
        assert_eq!(samples(Extent::Whole), ROUNDS);
        assert_eq!(samples(Extent::Least), LEAST_ROUNDS);
        assert_eq!(samples(Extent::Once), 1);
    }

    #[test]
    fn every_side_does_exactly_as_many_repetitions() {
        let runs = RefCell::new(Vec::new());
        let mut scenario = scenario()
            .exactly(20)
            .budget(Duration::from_millis(30))
            .rounds(3)
            .row(Row::new("row", |times| {
                runs.borrow_mut().push(times);
                Ok((Duration::from_nanos(1), 7 * times))
            }));
        measure(&mut scenario, &mut Pythons::none(), Extent::Whole);
        drop(scenario);
        // One to warm up, and one a round.
        assert_eq!(runs.into_inner(), [20; 4]);
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
        measure(&mut scenario, &mut Pythons::none(), Extent::Whole);
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
        measure(&mut scenario, &mut Pythons::none(), Extent::Whole);
        drop(scenario);
        assert!(most.into_inner() >= 100_000);
    }
}
