//! What came out of the rounds.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::parallel::Placement;
use crate::statistics::{Middle, Ratio, Verdict, time};

/// What a row reached, in Rust or in one Python.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Cell {
    /// It does not compete there.
    Empty,
    /// Nanoseconds for the work once, one sample a round.
    Samples(Vec<f64>),
    /// It cannot compete there, and why.
    Absent(String),
    /// It failed there, and how.
    Failed(String),
}

impl Cell {
    pub(crate) fn middle(&self) -> Option<Middle> {
        match self {
            Self::Samples(samples) => Middle::of(samples),
            Self::Empty | Self::Absent(_) | Self::Failed(_) => None,
        }
    }

    /// In nanoseconds.
    pub(crate) fn median(&self) -> Option<f64> {
        Some(self.middle()?.median)
    }
}

/// What a row is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// It competes.
    Contender,
    /// It shows what the machine itself takes: no contender can be faster. If a
    /// scenario has several, the fastest counts.
    Limit,
    /// It shows how much several cores can do at all.
    Ceiling,
}

/// A row and what it reached.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) workers: Option<u64>,
    pub(crate) role: Role,
    /// Whether the scenario's limit is its limit too.
    pub(crate) limited: bool,
    pub(crate) note: Option<String>,
    /// Where its code stands, below the repository's root: in Rust, then in Python.
    pub(crate) code: Vec<Place>,
    /// In Rust, then in each Python.
    pub(crate) cells: Vec<Cell>,
    /// How often its lock changed hands while it was taken 1000 times, likewise.
    pub(crate) changes: Vec<Option<f64>>,
    /// The 99th percentile of single calls, likewise.
    pub(crate) tails: Vec<Cell>,
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) file: String,
    pub(crate) line: u32,
}

/// The name of its file and its number.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = self.file.rsplit('/').next().unwrap_or(&self.file);
        write!(f, "{short}:{}", self.line)
    }
}

impl Place {
    /// A link to it, from where the repository's root is `root`.
    pub(crate) fn link(&self, root: &str) -> String {
        format!("{root}{}#L{}", self.file, self.line)
    }
}

impl Line {
    /// Its name and the number of its workers.
    pub(crate) fn label(&self) -> String {
        label(&self.name, self.workers)
    }

    pub(crate) fn median(&self) -> Option<f64> {
        self.cells[0].median()
    }
}

pub(crate) fn label(name: &str, workers: Option<u64>) -> String {
    match workers {
        Some(workers) => format!("{name}/{workers}"),
        None => name.to_owned(),
    }
}

/// A row's cell, by its label.
#[derive(Debug, Clone, Copy)]
pub enum Of<'l> {
    /// In Rust.
    Rust(&'l str),
    /// In the first Python that was measured.
    Python(&'l str),
}

/// A comparison that the project's page quotes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Quote {
    /// What is compared, for a reader who does not know the scenario.
    pub(crate) what: String,
    /// The label of our row.
    pub(crate) ours: String,
    /// The labels of the rows beside it.
    pub(crate) beside: Vec<String>,
    pub(crate) of: Quoted,
}

/// What of a row is quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Quoted {
    /// The median of its samples.
    Median,
    /// The median of its 99th percentiles.
    Tail,
}

impl Quoted {
    /// In Rust, then in each Python.
    pub(crate) fn cells(self, line: &Line) -> &[Cell] {
        match self {
            Self::Median => &line.cells,
            Self::Tail => &line.tails,
        }
    }
}

/// What came out of a scenario.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Results {
    pub(crate) question: String,
    /// The same for each placement.
    pub(crate) family: String,
    pub(crate) placement: Placement,
    /// Whether the scenario is measured in each placement.
    pub(crate) placed: bool,
    pub(crate) work: String,
    pub(crate) at: Option<(String, f64)>,
    pub(crate) lines: Vec<Line>,
    pub(crate) pythons: Vec<String>,
    pub(crate) quotes: Vec<Quote>,
    /// Whether it has fewer rounds, since its question had taken its time already.
    pub(crate) shortened: bool,
    pub(crate) sentences: Vec<String>,
}

/// The share of the expected work that the ceiling must show. With less, cores were
/// shared with somebody else.
const LEAST_CEILING: f64 = 0.8;

impl Results {
    /// The name of the scenario.
    pub(crate) fn name(&self) -> String {
        if self.placed {
            format!("{}, {}", self.family, self.placement)
        } else {
            self.family.clone()
        }
    }

    /// The language of a column of cells.
    pub(crate) fn language(&self, column: usize) -> &str {
        match column {
            0 => "Rust",
            _ => &self.pythons[column - 1],
        }
    }

    pub(crate) fn line(&self, label: &str) -> Option<&Line> {
        self.lines.iter().find(|line| line.label() == label)
    }

    fn middle(&self, of: Of<'_>) -> Option<Middle> {
        match of {
            Of::Rust(label) => self.line(label)?.cells[0].middle(),
            Of::Python(label) => {
                self.line(label)?.cells[1..].iter().find_map(Cell::middle)
            }
        }
    }

    /// How many times as long the first takes as the second; `None` if one of them was
    /// not measured.
    #[must_use]
    pub fn ratio(&self, first: Of<'_>, second: Of<'_>) -> Option<Ratio> {
        Some(Ratio::new(self.middle(first)?, self.middle(second)?))
    }

    /// How many times as long one row takes as another, both in Rust.
    #[must_use]
    pub fn times(&self, first: &str, second: &str) -> Option<Ratio> {
        self.ratio(Of::Rust(first), Of::Rust(second))
    }

    /// How many times as long a row takes in the first Python as in Rust.
    #[must_use]
    pub fn python(&self, label: &str) -> Option<Ratio> {
        self.ratio(Of::Python(label), Of::Rust(label))
    }

    /// The same for their 99th percentiles.
    #[must_use]
    pub fn python_tail(&self, label: &str) -> Option<Ratio> {
        let (ours, theirs) = self.line(label)?.tails.split_first()?;
        let theirs = theirs.iter().find_map(Cell::middle)?;
        Some(Ratio::new(theirs, ours.middle()?))
    }

    /// Which of some rows are faster than another one, which are slower, and which the
    /// measurement does not tell apart from it, as a sentence.
    #[must_use]
    pub fn faster_than(&self, other: &str, labels: &[&str]) -> Option<String> {
        let mut named = [const { Vec::new() }; 3];
        for label in labels {
            let which = match self.times(label, other)?.verdict() {
                Verdict::Less => 0,
                Verdict::Equal => 1,
                Verdict::More => 2,
            };
            named[which].push(*label);
        }
        let kinds = ["Faster than", "Equal within the spread to", "Slower than"];
        let parts: Vec<String> = kinds
            .into_iter()
            .zip(named)
            .filter(|(_, labels)| !labels.is_empty())
            .map(|(kind, labels)| format!("{kind} {other}: {}.", labels.join(", ")))
            .collect();
        Some(parts.join(" "))
    }

    /// The time that one of `count` parts of the row's work takes, for a sentence.
    #[must_use]
    pub fn each(&self, label: &str, count: usize) -> Option<String> {
        Some(time(self.line(label)?.median()? / count as f64))
    }

    /// The time that a row takes in the first Python, for a sentence.
    pub(crate) fn time_in_python(&self, label: &str) -> Option<String> {
        Some(time(self.middle(Of::Python(label))?.median))
    }

    /// The first row: what the others are compared with.
    pub(crate) fn baseline(&self) -> Option<&Line> {
        self.lines.first()
    }

    fn ceiling_line(&self, workers: u64) -> Option<&Line> {
        self.lines
            .iter()
            .find(|line| line.role == Role::Ceiling && line.workers == Some(workers))
    }

    /// How many times the work of one worker `workers` of them can do at all.
    pub(crate) fn ceiling(&self, workers: u64) -> Option<f64> {
        let line = self.ceiling_line(workers)?;
        Some(self.speed_up(line, 0)?.of_medians())
    }

    /// How many times as fast as the first row another one is, in the language of this
    /// column: Rust, or one of the Pythons. A row of busy loops is compared with the row
    /// of one busy loop.
    pub(crate) fn speed_up(&self, line: &Line, column: usize) -> Option<Ratio> {
        let middle = |line: &Line| line.cells.get(column)?.middle();
        match (line.role, line.workers) {
            (Role::Ceiling, Some(workers)) => {
                let one = middle(self.ceiling_line(1)?)?;
                Some(Ratio::new(one, middle(line)?).scaled(workers as f64))
            }
            _ => Some(Ratio::new(middle(self.baseline()?)?, middle(line)?)),
        }
    }

    /// Why nothing may be concluded, if the ceiling rows show fewer cores than the
    /// scenario should have had.
    pub(crate) fn missing_cores(&self, cores: u64) -> Option<String> {
        self.lines
            .iter()
            .filter(|line| line.role == Role::Ceiling)
            .find_map(|line| {
                let workers = line.workers?;
                let (reached, expected) = (
                    self.ceiling(workers)?,
                    self.placement.expected_cores(workers, cores),
                );
                (reached < LEAST_CEILING * expected as f64).then(|| {
                    format!(
                        "{workers} independent busy loops did only {reached:.2} times \
                         the work of one, where {expected} cores were expected. \
                         Something else used the cores, so nothing is concluded from \
                         this table."
                    )
                })
            })
    }

    /// The fastest of the rows that show what the machine itself takes.
    pub(crate) fn limit(&self) -> Option<&Line> {
        self.lines
            .iter()
            .filter(|line| line.role == Role::Limit && line.median().is_some())
            .min_by(|a, b| f64::total_cmp(&median_or(a), &median_or(b)))
    }

    /// How much of the limit a row reaches.
    pub(crate) fn share_of_limit(&self, line: &Line) -> Option<ShareOfLimit> {
        if !line.limited || line.role != Role::Contender {
            return None;
        }
        let limit = self.limit()?;
        let ratio = Ratio::new(limit.cells[0].middle()?, line.cells[0].middle()?);
        Some(match ratio.verdict() {
            Verdict::More => ShareOfLimit::Broken,
            Verdict::Less | Verdict::Equal => {
                ShareOfLimit::Reached(ratio.of_medians().min(1.0))
            }
        })
    }
}

fn median_or(line: &Line) -> f64 {
    line.median().unwrap_or(f64::INFINITY)
}

/// A row beside the limit of its scenario.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ShareOfLimit {
    Reached(f64),
    /// The row is faster by more than the spread, so the limit is not one.
    Broken,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A line whose samples spread by a tenth to either side.
    pub(crate) fn line(name: &str, role: Role, median: f64) -> Line {
        Line {
            name: name.into(),
            workers: None,
            role,
            limited: true,
            note: None,
            code: Vec::new(),
            cells: vec![Cell::Samples(vec![0.9 * median, median, 1.1 * median])],
            changes: vec![None],
            tails: vec![Cell::Empty],
        }
    }

    pub(crate) fn results(lines: Vec<Line>) -> Results {
        Results {
            question: "question".into(),
            family: "family".into(),
            placement: Placement::Free,
            placed: false,
            work: "work".into(),
            at: None,
            lines,
            pythons: Vec::new(),
            quotes: Vec::new(),
            shortened: false,
            sentences: Vec::new(),
        }
    }

    fn ceiling(workers: u64, median: f64) -> Line {
        Line {
            workers: Some(workers),
            ..line("busy loops", Role::Ceiling, median)
        }
    }

    #[test]
    fn two_cores_that_were_one_are_noticed() {
        let good = results(vec![ceiling(1, 10.0), ceiling(2, 11.0)]);
        assert_eq!(good.missing_cores(2), None);
        let bad = results(vec![ceiling(1, 10.0), ceiling(2, 19.0)]);
        let why = bad.missing_cores(2).unwrap();
        assert!(why.contains("1.05 times"), "{why}");
        // More workers than cores are expected to do as much as the cores can.
        let crowd = results(vec![ceiling(1, 10.0), ceiling(4, 20.0)]);
        assert_eq!(crowd.missing_cores(2), None);
    }

    #[test]
    fn a_sentence_falls_as_the_data_do() {
        let results = results(vec![
            line("one thread", Role::Contender, 100.0),
            line("map", Role::Contender, 50.0),
            line("imap", Role::Contender, 95.0),
            line("apply", Role::Contender, 300.0),
        ]);
        let say = |labels: &[&str]| results.faster_than("one thread", labels);
        assert_eq!(
            say(&["map", "apply", "imap"]).unwrap(),
            "Faster than one thread: map. Equal within the spread to one thread: imap. \
             Slower than one thread: apply."
        );
        assert_eq!(say(&["apply"]).unwrap(), "Slower than one thread: apply.");
        assert_eq!(say(&["map", "not measured"]), None);
        assert_eq!(results.each("map", 10).unwrap(), "5.00 ns");
    }

    #[test]
    fn one_core_is_expected_of_a_pair_that_shares_it() {
        let mut shared = results(vec![ceiling(1, 10.0), ceiling(2, 20.0)]);
        shared.placement = Placement::OneCore;
        assert_eq!(shared.missing_cores(2), None);
    }

    #[test]
    fn a_row_that_beats_its_limit_by_more_than_the_spread_breaks_it() {
        let of_the_limit = |median| {
            let lines = vec![
                line("ours", Role::Contender, median),
                line("slow limit", Role::Limit, 300.0),
                line("limit", Role::Limit, 100.0),
            ];
            let results = results(lines);
            results.share_of_limit(&results.lines[0])
        };
        assert_eq!(of_the_limit(60.0), Some(ShareOfLimit::Broken));
        assert_eq!(of_the_limit(90.0), Some(ShareOfLimit::Reached(1.0)));
        assert_eq!(of_the_limit(200.0), Some(ShareOfLimit::Reached(0.5)));
    }
}
