//! What came out of the rounds.

/// What a row reached, in Rust or in one Python.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// It does not compete there.
    Empty,
    /// Nanoseconds for the work once, one sample a round.
    Samples(Vec<f64>),
    /// It cannot compete there, and why.
    Absent(String),
    /// It went wrong there, and how.
    Failed(String),
}

impl Cell {
    /// The median, in nanoseconds.
    #[must_use]
    pub fn median(&self) -> Option<f64> {
        self.quantile(1, 2)
    }

    /// How far the middle half of the samples reaches from the median, to both sides
    /// together, as a part of it: by less than this two rows do not differ.
    #[must_use]
    pub fn spread(&self) -> Option<f64> {
        Some((self.quantile(3, 4)? - self.quantile(1, 4)?) / self.median()?)
    }

    /// What so many parts of the samples are below.
    fn quantile(&self, part: usize, of: usize) -> Option<f64> {
        let Self::Samples(samples) = self else {
            return None;
        };
        let mut sorted = samples.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() * part / of).copied()
    }
}

/// What a row is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It competes.
    Contender,
    /// It shows what the machine itself takes: no contender can be faster.
    Limit,
    /// It shows how much several cores can do at all.
    Ceiling,
}

/// A row and what it reached.
#[derive(Debug, Clone)]
pub struct Line {
    pub(crate) name: String,
    pub(crate) workers: Option<u64>,
    pub(crate) role: Role,
    /// The limit is its own, too.
    pub(crate) limited: bool,
    pub(crate) note: Option<String>,
    /// How many times as much as in Python is done in Rust, where it is more.
    pub(crate) python_part: Option<f64>,
    /// In Rust, then in each Python.
    pub(crate) cells: Vec<Cell>,
}

impl Line {
    /// Its name and the number of its workers.
    #[must_use]
    pub fn label(&self) -> String {
        match self.workers {
            Some(workers) => format!("{}/{workers}", self.name),
            None => self.name.clone(),
        }
    }

    /// In nanoseconds.
    pub(crate) fn median(&self) -> Option<f64> {
        self.cells[0].median()
    }
}

/// A number that was not measured.
pub(crate) const UNKNOWN: &str = "–";

/// What came out of a scenario.
#[derive(Debug, Clone)]
pub struct Results {
    pub(crate) question: &'static str,
    pub(crate) name: String,
    pub(crate) work: String,
    pub(crate) at: Option<(String, f64)>,
    pub(crate) lines: Vec<Line>,
    pub(crate) pythons: Vec<String>,
    pub(crate) sentence: String,
}

impl Results {
    fn line(&self, label: &str) -> Option<&Line> {
        self.lines.iter().find(|line| line.label() == label)
    }

    /// Nanoseconds that the row of this label takes for the work once.
    #[must_use]
    pub fn median(&self, label: &str) -> Option<f64> {
        self.line(label)?.median()
    }

    /// Nanoseconds that the row's counterpart takes in the first Python there is.
    #[must_use]
    pub fn python(&self, label: &str) -> Option<f64> {
        self.line(label)?.cells[1..].iter().find_map(Cell::median)
    }

    /// How many times as long `slow` takes as `fast`, for a sentence; a dash
    /// where one of the two was not measured.
    #[must_use]
    pub fn times(&self, slow: Option<f64>, fast: Option<f64>) -> String {
        match (slow, fast) {
            (Some(slow), Some(fast)) => factor(slow / fast),
            _ => UNKNOWN.into(),
        }
    }

    /// What one of so many things takes that the row does, for a sentence; a dash where
    /// that was not measured.
    #[must_use]
    pub fn each(&self, label: &str, count: usize) -> String {
        let median = self.median(label);
        median.map_or(UNKNOWN.into(), |median| time(median / count as f64))
    }

    /// The first row: what the others are compared with.
    pub(crate) fn baseline(&self) -> Option<&Line> {
        self.lines.first()
    }

    /// What so many workers can reach at all, as a multiple of what one does.
    pub(crate) fn ceiling(&self, workers: u64) -> Option<f64> {
        let median = |workers| {
            (self.lines.iter())
                .find(|line| {
                    line.role == Role::Ceiling && line.workers == Some(workers)
                })?
                .median()
        };
        Some(workers as f64 * median(1)? / median(workers)?)
    }

    /// The time of the row that shows what the machine itself takes.
    pub(crate) fn limit(&self) -> Option<f64> {
        (self.lines.iter())
            .find(|line| line.role == Role::Limit)?
            .median()
    }
}

/// A factor with two or three digits, a small one as a fraction.
pub(crate) fn factor(factor: f64) -> String {
    match factor {
        f if f < 0.1 => format!("1/{:.0}", 1.0 / f),
        f if f >= 100.0 => format!("{f:.0} ×"),
        f if f >= 10.0 => format!("{f:.1} ×"),
        f => format!("{f:.2} ×"),
    }
}

/// A time with three digits.
pub(crate) fn time(nanos: f64) -> String {
    let (value, unit) = match nanos {
        n if n >= 1e9 => (n / 1e9, "s"),
        n if n >= 1e6 => (n / 1e6, "ms"),
        n if n >= 1e3 => (n / 1e3, "µs"),
        n => (n, "ns"),
    };
    match value {
        v if v >= 100.0 => format!("{v:.0} {unit}"),
        v if v >= 10.0 => format!("{v:.1} {unit}"),
        v => format!("{v:.2} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        let samples = Cell::Samples(vec![5.0, 1.0, 100.0, 3.0, 2.0]);
        assert_eq!(samples.median(), Some(3.0));
        assert_eq!(samples.spread(), Some((5.0 - 2.0) / 3.0));
        assert_eq!(Cell::Empty.median(), None);
    }

    #[test]
    fn times_and_factors_have_three_digits() {
        assert_eq!(time(14.44), "14.4 ns");
        assert_eq!(time(168_400.0), "168 µs");
        assert_eq!(time(2_345_678_900.0), "2.35 s");
        assert_eq!([factor(117.2), factor(1.977)], ["117 ×", "1.98 ×"]);
        assert_eq!([factor(0.5), factor(0.02)], ["0.50 ×", "1/50"]);
    }
}
