//! What is measured.

use std::panic::Location;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::parallel::{By, Part, Placement, Race};
use crate::results::{Place, Quote, Quoted, Results, Role, label};
use crate::rounds::ROUNDS;
use crate::work::{cal, cal_known};

/// Does the work this many times. Returns how long that took, not counting what it
/// needs before and after, and the sum of the answers.
pub(crate) type Piece<'a> =
    Box<dyn FnMut(u64) -> anyhow::Result<(Duration, u64)> + 'a>;

/// Does the work this many times. Returns how often its lock changed hands, and how
/// often it was taken.
type Count<'a> = Box<dyn FnMut(u64) -> anyhow::Result<(u64, u64)> + 'a>;

/// Does the work this many times, after a warm-up, and returns how long each took.
type Tail<'a> = Box<dyn FnMut(u64) -> anyhow::Result<Vec<Duration>> + 'a>;

/// One piece of work and the rows that compete at it.
pub struct Scenario<'a> {
    pub(crate) question: &'static str,
    pub(crate) family: String,
    pub(crate) placement: Placement,
    pub(crate) placed: bool,
    pub(crate) work: String,
    pub(crate) answer: u64,
    pub(crate) rows: Vec<Row<'a>>,
    pub(crate) budget: Duration,
    pub(crate) rounds: usize,
    pub(crate) repetitions: Repetitions,
    pub(crate) at: Option<(String, f64)>,
    pub(crate) quotes: Vec<Quote>,
    pub(crate) says: Vec<Sentence<'a>>,
}

/// How many repetitions of the work make up a sample.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Repetitions {
    /// As many as take the sample's share of the budget, and at least this many.
    ByTime(u64),
    /// This many on every side.
    Exactly(u64),
}

/// Puts the result of a scenario into words; `None` if what it needs was not measured.
pub(crate) type Sentence<'a> = Box<dyn Fn(&Results) -> Option<String> + 'a>;

impl<'a> Scenario<'a> {
    /// A scenario of a question. `work` says in a few words what is done once, and
    /// `answer` is what must come out of it.
    pub fn new(
        question: &'static str,
        name: impl Into<String>,
        work: impl Into<String>,
        answer: u64,
    ) -> Self {
        Self {
            question,
            family: name.into(),
            placement: Placement::Free,
            placed: false,
            work: work.into(),
            answer,
            rows: Vec::new(),
            budget: Duration::from_secs(2),
            rounds: ROUNDS,
            repetitions: Repetitions::ByTime(1),
            at: None,
            quotes: Vec::new(),
            says: Vec::new(),
        }
    }

    /// The name of the scenario.
    pub(crate) fn name(&self) -> String {
        if self.placed {
            format!("{}, {}", self.family, self.placement)
        } else {
            self.family.clone()
        }
    }

    /// Adds a row. The first is the one that the others are compared with.
    #[must_use]
    pub fn row(mut self, row: Row<'a>) -> Self {
        self.rows.push(row);
        self
    }

    /// Says that its sides wait for each other, and where they run. Such a scenario is
    /// measured in every placement, under one name.
    #[must_use]
    pub fn placed(mut self, placement: Placement) -> Self {
        self.placement = placement;
        self.placed = true;
        self
    }

    /// Adds rows of independent busy loops, by one thread and by each of these numbers:
    /// they show how many cores there really were. Two cores of a shared or
    /// hyper-threaded machine are rarely two. They are pinned, each to a core, even where
    /// nothing else is: threads that were just started may share a core for some
    /// milliseconds while another one is idle.
    #[must_use]
    pub fn ceiling(mut self, workers: impl IntoIterator<Item = usize>) -> Self {
        /// Some tenths of a millisecond, so that the start of a thread hardly counts.
        const STEPS: u64 = 1_000_000;
        let mut counts: Vec<usize> = workers.into_iter().chain([1]).collect();
        counts.sort_unstable();
        counts.dedup();
        for count in counts {
            let race = Race {
                by: By::Threads,
                placement: match self.placement {
                    Placement::Free => Placement::Apart,
                    other => other,
                },
                warm: 1,
            };
            let mut row = Row::new("busy loops", move |times| {
                let busy = || -> Part<'_> {
                    Box::new(|times| {
                        let steps = (0..times).map(|_| cal(STEPS));
                        Ok(steps.fold(0, u64::wrapping_add))
                    })
                };
                race.run(times, (0..count).map(|_| busy()).collect())
            });
            row.role = Role::Ceiling;
            row.answer = Some(cal_known(STEPS).wrapping_mul(count as u64));
            self = self.row(row.workers(count));
        }
        self
    }

    /// About how long all rounds may take together: the work is repeated within a
    /// sample until it does.
    #[must_use]
    pub fn budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    /// How many samples each row has.
    #[must_use]
    pub fn rounds(mut self, rounds: usize) -> Self {
        self.rounds = rounds;
        self
    }

    /// The least number of repetitions in a sample: for work that several workers
    /// share, of which the first step must not be over before the last worker starts.
    #[must_use]
    pub fn at_least(mut self, times: u64) -> Self {
        self.repetitions = Repetitions::ByTime(times);
        self
    }

    /// The number of repetitions in a sample of every row, Python's included.
    #[must_use]
    pub fn exactly(mut self, times: u64) -> Self {
        self.repetitions = Repetitions::Exactly(times);
        self
    }

    /// Its place on the axis of the question's chart, in which scenarios that differ in
    /// nothing else form one line a row.
    #[must_use]
    pub fn at(mut self, axis: impl Into<String>, x: f64) -> Self {
        self.at = Some((axis.into(), x));
        self
    }

    /// Has the project's page quote the row `ours` beside others. `what` names the
    /// comparison for a reader who does not know the scenario.
    #[must_use]
    pub fn quote<const N: usize>(
        mut self,
        what: impl Into<String>,
        ours: impl Into<String>,
        beside: [&str; N],
    ) -> Self {
        self.quotes.push(Quote {
            what: what.into(),
            ours: ours.into(),
            beside: beside.map(Into::into).into(),
            of: Quoted::Median,
        });
        self
    }

    /// The same for the 99th percentiles.
    #[must_use]
    pub fn quote_tail<const N: usize>(
        mut self,
        what: impl Into<String>,
        ours: impl Into<String>,
        beside: [&str; N],
    ) -> Self {
        self = self.quote(what, ours, beside);
        if let Some(quote) = self.quotes.last_mut() {
            quote.of = Quoted::Tail;
        }
        self
    }

    /// What the result means, in a sentence.
    #[must_use]
    pub fn says(
        mut self,
        sentence: impl Fn(&Results) -> Option<String> + 'a,
    ) -> Self {
        self.says.push(Box::new(sentence));
        self
    }
}

/// One contender.
pub struct Row<'a> {
    pub(crate) name: String,
    /// With how many workers, if the contender is there with several numbers of them.
    pub(crate) workers: Option<u64>,
    pub(crate) role: Role,
    /// Whether the scenario's limit is its limit too.
    pub(crate) limited: bool,
    pub(crate) rust: Option<Piece<'a>>,
    pub(crate) absent: Option<String>,
    /// What must come out of it, if that differs from the scenario's answer.
    pub(crate) answer: Option<u64>,
    pub(crate) python: Option<PythonPiece>,
    pub(crate) changes: Option<Count<'a>>,
    pub(crate) tail: Option<Tail<'a>>,
    pub(crate) note: Option<String>,
    /// Where its Rust code stands.
    pub(crate) place: Place,
}

/// The same work in Python.
#[derive(Debug, Clone)]
pub(crate) struct PythonPiece {
    /// The module in `python/` and the function in it, and its arguments.
    pub(crate) call: String,
    /// What must come out of it, if that differs from the scenario's answer.
    pub(crate) answer: Option<u64>,
    /// In how many rounds it takes part, if not in all.
    pub(crate) rounds: Option<usize>,
    /// The call that counts how often the lock changed hands.
    pub(crate) changes: Option<String>,
    /// The call that takes the 99th percentile.
    pub(crate) tail: Option<String>,
}

impl<'a> Row<'a> {
    #[track_caller]
    fn with(name: impl Into<String>, rust: Option<Piece<'a>>) -> Self {
        let here = Location::caller();
        Self {
            name: name.into(),
            workers: None,
            role: Role::Contender,
            limited: true,
            rust,
            absent: None,
            answer: None,
            python: None,
            changes: None,
            tail: None,
            note: None,
            place: Place {
                file: here.file().into(),
                line: here.line(),
            },
        }
    }

    /// A contender that times itself: it does the work the given number of times and
    /// returns how long that took and the sum of the answers.
    #[track_caller]
    pub fn new(
        name: impl Into<String>,
        piece: impl FnMut(u64) -> anyhow::Result<(Duration, u64)> + 'a,
    ) -> Self {
        Self::with(name, Some(Box::new(piece)))
    }

    /// A contender that is timed from outside, once around all repetitions.
    #[track_caller]
    pub fn timed(
        name: impl Into<String>,
        mut work: impl FnMut() -> anyhow::Result<u64> + 'a,
    ) -> Self {
        Self::new(name, move |times| {
            let start = Instant::now();
            let mut sum = 0_u64;
            for _ in 0..times {
                sum = sum.wrapping_add(work()?);
            }
            Ok((start.elapsed(), sum))
        })
    }

    /// A contender that exists in Python only.
    #[track_caller]
    pub fn only_python(name: impl Into<String>) -> Self {
        Self::with(name, None)
    }

    /// A contender that should be here and is not, and why.
    #[track_caller]
    pub fn absent(name: impl Into<String>, why: impl Into<String>) -> Self {
        let mut row = Self::with(name, None);
        row.absent = Some(why.into());
        row
    }

    /// Does the work `times` times and checks the sum of the answers.
    pub(crate) fn run(
        &mut self,
        times: u64,
        answer: u64,
    ) -> anyhow::Result<Duration> {
        let piece = self.rust.as_mut().context("it exists in Python only")?;
        let (took, sum) = piece(times)?;
        check(sum, answer, times)?;
        Ok(took)
    }

    /// Its name and the number of its workers.
    pub(crate) fn label(&self) -> String {
        label(&self.name, self.workers)
    }

    /// What must come out of it, if that differs from the scenario's answer.
    #[must_use]
    pub fn answer(mut self, answer: u64) -> Self {
        self.answer = Some(answer);
        self
    }

    /// With how many workers it works.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers as u64);
        self
    }

    /// Says that it shows what the machine itself takes, and does not compete.
    #[must_use]
    pub fn limit(mut self) -> Self {
        self.role = Role::Limit;
        self
    }

    /// Says that it does something else than what the limit is the limit of.
    #[must_use]
    pub fn unlimited(mut self) -> Self {
        self.limited = false;
        self
    }

    /// Adds the same work in Python: `module.function argument…`, in `python/`.
    #[must_use]
    pub fn python(mut self, call: impl Into<String>) -> Self {
        self.python = Some(PythonPiece {
            call: call.into(),
            answer: None,
            rounds: None,
            changes: None,
            tail: None,
        });
        self
    }

    fn of_python(mut self, change: impl FnOnce(&mut PythonPiece)) -> Self {
        self.python.as_mut().map(change);
        self
    }

    /// What must come out of the work in Python, if that differs from the scenario's
    /// answer.
    #[must_use]
    pub fn python_answer(self, answer: u64) -> Self {
        self.of_python(|piece| piece.answer = Some(answer))
    }

    /// In how many rounds Python takes part, for work that takes it seconds.
    #[must_use]
    pub fn python_rounds(self, rounds: usize) -> Self {
        self.of_python(|piece| piece.rounds = Some(rounds))
    }

    /// Adds a count of how often its lock changes hands while the work is done the
    /// given number of times, and of how often it is taken. The count is made apart from
    /// the timed samples.
    #[must_use]
    pub fn changes(
        mut self,
        count: impl FnMut(u64) -> anyhow::Result<(u64, u64)> + 'a,
    ) -> Self {
        self.changes = Some(Box::new(count));
        self
    }

    /// The same count in Python: a function that returns these two.
    #[must_use]
    pub fn python_changes(self, call: impl Into<String>) -> Self {
        self.of_python(|piece| piece.changes = Some(call.into()))
    }

    /// Adds its 99th percentile: a function that does the work the given number of
    /// times, after a warm-up, and returns how long each took. It is called apart from
    /// the timed samples.
    #[must_use]
    pub fn tail(
        mut self,
        each: impl FnMut(u64) -> anyhow::Result<Vec<Duration>> + 'a,
    ) -> Self {
        self.tail = Some(Box::new(each));
        self
    }

    /// The same in Python: a function that returns the percentile, in nanoseconds, and
    /// of how many calls it is.
    #[must_use]
    pub fn python_tail(self, call: impl Into<String>) -> Self {
        self.of_python(|piece| piece.tail = Some(call.into()))
    }

    /// In what the comparison is one-sided.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }
}

/// Checks the sum of the answers of `times` repetitions.
pub(crate) fn check(sum: u64, answer: u64, times: u64) -> anyhow::Result<()> {
    let expected = answer.wrapping_mul(times);
    ensure!(sum == expected, "wrong answer: {sum} instead of {expected}");
    Ok(())
}
