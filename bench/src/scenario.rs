//! What is measured.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::results::{Results, Role};

/// Does the work so many times. Returns how long that took, what it needs before and
/// after not counted, and the sum of what came out.
pub(crate) type Piece<'a> =
    Box<dyn FnMut(u64) -> anyhow::Result<(Duration, u64)> + 'a>;

/// One piece of work and those who compete at it.
pub struct Scenario<'a> {
    pub(crate) question: &'static str,
    pub(crate) name: String,
    pub(crate) work: String,
    pub(crate) answer: u64,
    pub(crate) rows: Vec<Row<'a>>,
    pub(crate) budget: Duration,
    /// A sample repeats the work at least so often.
    pub(crate) least: u64,
    pub(crate) at: Option<(String, f64)>,
    pub(crate) says: Vec<Sentence<'a>>,
}

/// Puts the result of a scenario into words.
pub(crate) type Sentence<'a> = Box<dyn Fn(&Results) -> String + 'a>;

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
            name: name.into(),
            work: work.into(),
            answer,
            rows: Vec::new(),
            budget: Duration::from_secs(3),
            least: 1,
            at: None,
            says: Vec::new(),
        }
    }

    /// A contender more. The first is the one that the others are compared with.
    #[must_use]
    pub fn row(mut self, row: Row<'a>) -> Self {
        self.rows.push(row);
        self
    }

    /// About how long all rounds may take together: the work is repeated within a
    /// sample until it does.
    #[must_use]
    pub fn budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    /// How often a sample repeats the work at least: where several share it out, and take
    /// longer to begin than a step takes.
    #[must_use]
    pub fn at_least(mut self, times: u64) -> Self {
        self.least = times;
        self
    }

    /// Its place on the axis of the question's chart: scenarios that differ only in
    /// this are one line a row there.
    #[must_use]
    pub fn at(mut self, axis: impl Into<String>, x: f64) -> Self {
        self.at = Some((axis.into(), x));
        self
    }

    /// What the result means, in a sentence. One that needs a number that was not
    /// measured, as there is no Python, is left out.
    #[must_use]
    pub fn says(mut self, sentence: impl Fn(&Results) -> String + 'a) -> Self {
        self.says.push(Box::new(sentence));
        self
    }
}

/// One contender.
pub struct Row<'a> {
    pub(crate) name: String,
    /// With how many workers: the same contender is several rows then.
    pub(crate) workers: Option<u64>,
    pub(crate) role: Role,
    /// The scenario's limit is its own, too.
    pub(crate) limited: bool,
    pub(crate) rust: Option<Piece<'a>>,
    pub(crate) absent: Option<String>,
    /// What must come out, where it is not what the others do.
    pub(crate) answer: Option<u64>,
    pub(crate) python: Option<PythonPiece>,
    pub(crate) note: Option<String>,
}

/// The same work in Python.
#[derive(Debug, Clone)]
pub(crate) struct PythonPiece {
    /// The module in `python/` and the function in it, and what it is called with.
    pub(crate) call: String,
    /// Where it does less than the others, or something else.
    pub(crate) part: Option<Part>,
}

/// A part of the work, or other work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    /// What must come out of it.
    pub(crate) answer: u64,
    /// How many times as much the others do.
    pub(crate) scale: f64,
}

impl<'a> Row<'a> {
    fn with(name: impl Into<String>, rust: Option<Piece<'a>>) -> Self {
        Self {
            name: name.into(),
            workers: None,
            role: Role::Contender,
            limited: true,
            rust,
            absent: None,
            answer: None,
            python: None,
            note: None,
        }
    }

    /// A contender that times itself: it does the work so many times and returns how
    /// long that took and the sum of what came out.
    pub fn new(
        name: impl Into<String>,
        piece: impl FnMut(u64) -> anyhow::Result<(Duration, u64)> + 'a,
    ) -> Self {
        Self::with(name, Some(Box::new(piece)))
    }

    /// A contender that is timed from outside, once around all repetitions.
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

    /// A contender that only Python has.
    pub fn only_python(name: impl Into<String>) -> Self {
        Self::with(name, None)
    }

    /// A contender that ought to be here and is not, and why.
    pub fn absent(name: impl Into<String>, why: impl Into<String>) -> Self {
        let mut row = Self::with(name, None);
        row.absent = Some(why.into());
        row
    }

    /// Does the work `times` times and checks that each gave `answer`.
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
        match self.workers {
            Some(workers) => format!("{}/{workers}", self.name),
            None => self.name.clone(),
        }
    }

    /// What must come out of it, where it is not what the others do.
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

    /// It is not a contender but what the machine itself takes.
    #[must_use]
    pub fn limit(mut self) -> Self {
        self.role = Role::Limit;
        self
    }

    /// It does something else than what the limit is the limit of.
    #[must_use]
    pub fn unlimited(mut self) -> Self {
        self.limited = false;
        self
    }

    /// It is not a contender: each of its workers does one and the same work for
    /// itself, so its time shows how many cores there really are. What must come out.
    #[must_use]
    pub fn ceiling(mut self, answer: u64) -> Self {
        self.role = Role::Ceiling;
        self.answer = Some(answer);
        self
    }

    /// The same work in Python: `module.function argument…`, in `python/`.
    #[must_use]
    pub fn python(mut self, call: impl Into<String>) -> Self {
        self.python = Some(PythonPiece {
            call: call.into(),
            part: None,
        });
        self
    }

    /// A `scale`th of the work in Python, its answer, and its time multiplied. The
    /// summary marks it.
    #[must_use]
    pub fn python_part(
        mut self,
        call: impl Into<String>,
        answer: u64,
        scale: f64,
    ) -> Self {
        self.python = Some(PythonPiece {
            call: call.into(),
            part: Some(Part { answer, scale }),
        });
        self
    }

    /// Work in Python of which something else must come out.
    #[must_use]
    pub fn python_answer(self, call: impl Into<String>, answer: u64) -> Self {
        self.python_part(call, answer, 1.0)
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
