//! A run as a file, for others to check, and the comparison of two.

use std::fmt::{self, Write as _};
use std::fs;
use std::path::Path;

use anyhow::{Context, anyhow};
use serde::{Deserialize, Serialize};

use crate::machine::{Facts, UNKNOWN};
use crate::parallel::Placement;
use crate::results::{Cell, Results, Role};
use crate::statistics::{Ratio, Verdict, factor, time};
use crate::summary::align;

/// All that a run has found out.
#[derive(Debug, Serialize, Deserialize)]
pub struct Record {
    /// Why the whole of it may be wrong.
    pub(crate) warnings: Vec<String>,
    pub(crate) facts: Facts,
    pub(crate) results: Vec<Results>,
}

impl Record {
    /// Reads a `samples.json`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or is none.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).map_err(|error| {
            let path = path.display();
            anyhow!(
                "{path} cannot be read ({error}): run `cargo bench -p bench` first"
            )
        })?;
        let no_samples =
            || format!("{} has no samples of a run of the bench", path.display());
        serde_json::from_str(&text).with_context(no_samples)
    }

    /// A fact about the run by its name.
    pub(crate) fn fact(&self, name: &str) -> &str {
        let fact = self.facts.iter().find(|(other, _)| other == name);
        fact.map_or(UNKNOWN, |(_, fact)| fact)
    }

    /// How many cores the machine had.
    pub(crate) fn cores(&self) -> u64 {
        self.fact("cores").parse().unwrap_or(1)
    }

    /// A scenario that was measured, not pinned.
    pub(crate) fn find(&self, question: &str, family: &str) -> Option<&Results> {
        self.results.iter().find(|results| {
            results.question == question
                && results.family == family
                && results.placement == Placement::Free
        })
    }

    /// Why nothing may be concluded from a scenario: its busy loops found too few cores,
    /// or the machine was busy. Programs that load all cores alike slow one loop as much
    /// as several, which the loops cannot show.
    pub(crate) fn doubt(&self, results: &Results) -> Option<String> {
        results.missing_cores(self.cores()).or_else(|| {
            (!self.warnings.is_empty()).then(|| {
                "The machine was busy, so nothing is concluded from this table."
                    .into()
            })
        })
    }

    /// Writes `samples.json`, which is the whole record, and `samples.csv`, one sample
    /// a line.
    pub(crate) fn write(&self, directory: &Path) -> anyhow::Result<()> {
        let json = serde_json::to_string_pretty(self)?;
        fs::write(directory.join("samples.json"), json)?;
        fs::write(directory.join("samples.csv"), self.csv()?)?;
        Ok(())
    }

    fn csv(&self) -> anyhow::Result<String> {
        let mut text = String::new();
        for (name, fact) in &self.facts {
            writeln!(text, "# {name}: {fact}")?;
        }
        text.push_str("question,scenario,row,role,language,sample,nanoseconds\n");
        self.for_each(|id, role, cell| {
            let Cell::Samples(samples) = cell else { return };
            for (number, nanoseconds) in samples.iter().enumerate() {
                let fields = [id.question, id.scenario, id.row];
                for field in fields {
                    text.push_str(&quoted(field));
                    text.push(',');
                }
                let role = match role {
                    Role::Contender => "contender",
                    Role::Limit => "limit",
                    Role::Ceiling => "ceiling",
                };
                let language = quoted(id.language);
                // Writing to a string cannot fail.
                writeln!(text, "{role},{language},{number},{nanoseconds:.3}").ok();
            }
        });
        Ok(text)
    }

    fn for_each(&self, mut visit: impl FnMut(Id<'_>, Role, &Cell)) {
        for results in &self.results {
            let scenario = results.name();
            for line in &results.lines {
                let row = line.label();
                for (column, cell) in line.cells.iter().enumerate() {
                    let id = Id {
                        question: &results.question,
                        scenario: &scenario,
                        row: &row,
                        language: results.language(column),
                    };
                    visit(id, line.role, cell);
                }
            }
        }
    }

    fn cell(&self, id: Id<'_>) -> Option<Cell> {
        let mut found = None;
        self.for_each(|other, _, cell| {
            if other == id {
                found = Some(cell.clone());
            }
        });
        found
    }

    /// The rows of this run that are faster or slower than in another one by more than
    /// the spread of both, as Markdown.
    pub(crate) fn compared_with(
        &self,
        baseline: &Self,
    ) -> Result<String, fmt::Error> {
        let header = ["row", "baseline", "now", "now takes"];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        let (mut equal, mut new) = (0, 0);
        self.for_each(|id, _, cell| {
            let Some(now) = cell.middle() else { return };
            let before = baseline.cell(id).and_then(|cell| cell.middle());
            let Some(before) = before else {
                new += 1;
                return;
            };
            let ratio = Ratio::new(now, before);
            if ratio.verdict() == Verdict::Equal {
                equal += 1;
                return;
            }
            rows.push(vec![
                format!(
                    "{}/{}/{} in {}",
                    id.question, id.scenario, id.row, id.language
                ),
                time(before.median),
                time(now.median),
                factor(ratio.of_medians()),
            ]);
        });
        let mut text = String::from("## Compared with the baseline\n\n");
        let other = |fact: &&(String, String)| {
            !baseline.facts.contains(fact) && !fact.0.starts_with("the run took")
        };
        for (name, now) in self.facts.iter().filter(other) {
            let before = baseline.facts.iter().find(|(other, _)| other == name);
            let before = before.map_or("not recorded", |(_, fact)| fact.as_str());
            writeln!(text, "- {name}: {before}, now {now}")?;
        }
        let different = rows.len() - 1;
        writeln!(
            text,
            "\nRows that are equal within the spread: {equal}; that differ: {different}; \
             that the baseline lacks: {new}.\n"
        )?;
        if different > 0 {
            text.push_str(&align(&rows));
        }
        Ok(text)
    }
}

/// Which samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Id<'r> {
    question: &'r str,
    scenario: &'r str,
    row: &'r str,
    language: &'r str,
}

/// A field of a CSV file: see <https://www.rfc-editor.org/rfc/rfc4180>.
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::results::Line;
    use crate::results::tests::{line, results};

    /// A run on two cores.
    pub(crate) fn run(warnings: &[&str], results: Vec<Results>) -> Record {
        Record {
            warnings: warnings.iter().map(ToString::to_string).collect(),
            facts: vec![("cores".into(), "2".into())],
            results,
        }
    }

    #[test]
    fn nothing_is_concluded_on_a_busy_machine_or_with_too_few_cores() {
        let busy = |workers, median| Line {
            workers: Some(workers),
            ..line("busy loops", Role::Ceiling, median)
        };
        let without = results(vec![line("row", Role::Contender, 1.0)]);
        let with = results(vec![busy(1, 10.0), busy(2, 10.0)]);
        let short = results(vec![busy(1, 10.0), busy(2, 20.0)]);
        let doubts = |warnings: &[&str]| {
            let record = run(warnings, Vec::new());
            [&without, &with, &short].map(|it| record.doubt(it).is_some())
        };
        assert_eq!(doubts(&[]), [false, false, true]);
        assert_eq!(doubts(&["THIS MACHINE WAS BUSY"]), [true; 3]);
    }

    fn record(medians: [f64; 2]) -> Record {
        let lines = vec![
            line("first", Role::Contender, medians[0]),
            line("second, quoted", Role::Contender, medians[1]),
        ];
        Record {
            warnings: Vec::new(),
            facts: vec![("commit".into(), "abc".into())],
            results: vec![results(lines)],
        }
    }

    #[test]
    fn two_runs_differ_where_their_spreads_do_not_overlap() {
        let (before, now) = (record([100.0, 100.0]), record([110.0, 200.0]));
        let text = now.compared_with(&before).unwrap();
        assert!(text.contains("within the spread: 1; that differ: 1; that"));
        assert!(!text.contains("first in Rust"), "{text}");
        let row = text.lines().last().unwrap();
        assert!(row.contains("second, quoted in Rust"), "{text}");
        assert!(row.contains("2.00 ×"), "{text}");
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let before = record([1.0, 2.5]);
        let text = serde_json::to_string(&before).unwrap();
        let after: Record = serde_json::from_str(&text).unwrap();
        assert_eq!(after.csv().unwrap(), before.csv().unwrap());
        let expected = "question,family,\"second, quoted\",contender,Rust,1,2.500";
        assert!(after.csv().unwrap().contains(expected));
    }
}
