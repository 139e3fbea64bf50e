//! The report: its tables and what stands below them, printed and as Markdown.

use std::fmt::{self, Write as _};
use std::fs;
use std::path::Path;

use crate::machine::Facts;
use crate::page::page;
use crate::readme;
use crate::record::Record;
use crate::results::{Cell, Line, Place, Results, Role, ShareOfLimit};
use crate::statistics::{Middle, Ratio, factor, time};
use crate::words::{Language, answers, question};

/// Prints the report and writes it, its page and the raw samples.
pub(crate) fn report(
    record: &Record,
    comparison: Option<String>,
    directory: &Path,
) -> anyhow::Result<()> {
    let text = markdown(record, comparison.as_deref(), None)?;
    println!("\n{text}");
    fs::create_dir_all(directory)?;
    let root = to_root(directory);
    let linked = markdown(record, comparison.as_deref(), Some(&root))?;
    fs::write(directory.join("summary.md"), linked)?;
    readme::write(record, directory)?;
    record.write(directory)?;
    let file = directory.join("summary.html");
    fs::write(&file, page(record, comparison.as_deref(), &root))?;
    println!("With charts: {}", file.display());
    println!("Raw samples: {}", directory.join("samples.json").display());
    Ok(())
}

pub(crate) const TITLE: &str = "What leaving the GIL buys";

pub(crate) const LEGEND: &str = "Each time is the median of interleaved samples; the spread is the \
    width of their middle half. Two rows differ only if their middle halves do not \
    overlap. A factor says how many times as fast as the first row of its table the row \
    is; one in a Python column, how many times as fast as that Python Rust is; one of \
    busy loops, how many times the work of one they did in the same time. Nothing but \
    the busy loops is pinned to a core unless the name of the table says so.";

/// The heading and the rows of a scenario's table.
pub(crate) fn table(record: &Record, results: &Results) -> Vec<Vec<String>> {
    let cores = record.cores();
    let baseline = results.baseline();
    let several = results
        .lines
        .iter()
        .any(|line| line.role == Role::Contender && line.workers.is_some());
    let scales = several && baseline.is_some_and(|line| line.median().is_some());
    let ceiling =
        several && results.lines.iter().any(|line| line.role == Role::Ceiling);
    let limit = results.limit().is_some();
    let conclusive = record.doubt(results).is_none();
    let changes =
        (results.lines.iter()).any(|line| line.changes.iter().any(Option::is_some));

    let mut header = ["contender", "median", "spread"]
        .map(str::to_owned)
        .to_vec();
    let compared = baseline.map_or(String::new(), Line::label);
    header.push(format!("to {compared}"));
    header.extend(results.pythons.iter().cloned());
    if results.pythons.is_empty() {
        header.push("Python".into());
    }
    if scales {
        header.push("of the cores".into());
    }
    if ceiling {
        header.push("of the ceiling".into());
    }
    if limit {
        header.push("of the limit".into());
    }
    let tails = results
        .lines
        .iter()
        .any(|line| line.tails.iter().any(|tail| *tail != Cell::Empty));
    if tails {
        header.push("99th percentile (Rust; Python)".into());
    }
    if changes {
        header.push("changes of hands in 1000 (Rust; Python)".into());
    }
    let mut rows = vec![header];
    for line in &results.lines {
        let spread = line.cells[0].middle().map(Middle::spread);
        let mut row = vec![name(line), own(line), percent(spread)];
        let faster = results.speed_up(line, 0).map(Ratio::of_medians);
        row.push(faster.map_or("–".into(), factor));
        row.extend(line.cells[1..].iter().map(|cell| python(cell, line)));
        if results.pythons.is_empty() {
            row.push("none".into());
        }
        if scales {
            row.push(percent(
                line.workers
                    .and_then(|workers| Some(faster? / workers.min(cores) as f64)),
            ));
        }
        if ceiling {
            let reached = line.workers.filter(|_| line.role == Role::Contender);
            row.push(percent(
                reached
                    .and_then(|workers| Some(faster? / results.ceiling(workers)?)),
            ));
        }
        if limit {
            let share = results.share_of_limit(line).filter(|_| conclusive);
            row.push(match share {
                None => "–".into(),
                Some(ShareOfLimit::Reached(share)) => percent(Some(share)),
                Some(ShareOfLimit::Broken) => "limit broken".into(),
            });
        }
        if tails {
            let one = |cell: &Cell| cell.median().map_or("–".into(), time);
            let tails: Vec<String> = line.tails.iter().map(one).collect();
            row.push(tails.join("; "));
        }
        if changes {
            let count = |change: &Option<f64>| match change {
                None => "–".into(),
                Some(few) if *few < 10.0 => format!("{few:.3}"),
                Some(many) => format!("{many:.0}"),
            };
            let counts: Vec<String> = line.changes.iter().map(count).collect();
            row.push(counts.join("; "));
        }
        rows.push(row);
    }
    rows
}

/// The mark of a row that a note explains.
pub(crate) const MARK: &str = " †";

fn name(line: &Line) -> String {
    let explained = line.note.is_some() || matches!(line.cells[0], Cell::Absent(_));
    let mark = if explained { MARK } else { "" };
    match line.role {
        Role::Contender => format!("{}{mark}", line.label()),
        Role::Limit => format!("{}{mark} (limit)", line.label()),
        Role::Ceiling => format!("{}{mark} (ceiling)", line.label()),
    }
}

fn own(line: &Line) -> String {
    match &line.cells[0] {
        Cell::Empty => "–".into(),
        Cell::Absent(_) => "absent".into(),
        Cell::Failed(_) => "failed".into(),
        Cell::Samples(_) => line.median().map_or("–".into(), time),
    }
}

fn python(cell: &Cell, line: &Line) -> String {
    match cell {
        Cell::Empty => "–".into(),
        Cell::Absent(_) => "absent".into(),
        Cell::Failed(_) => "failed".into(),
        Cell::Samples(_) => {
            let Some(theirs) = cell.median() else {
                return "–".into();
            };
            match line.median() {
                Some(ours) => {
                    format!("{} ({})", time(theirs), factor(theirs / ours))
                }
                None => time(theirs),
            }
        }
    }
}

fn percent(share: Option<f64>) -> String {
    share.map_or("–".into(), |share| format!("{:.0} %", share * 100.0))
}

/// What the marks of a table mean, and what else is to be known about its rows.
pub(crate) fn notes(results: &Results) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    for line in &results.lines {
        let name = &line.name;
        if let Some(note) = &line.note {
            notes.push(format!("† {name}: {note}."));
        }
        if let Cell::Absent(why) = &line.cells[0] {
            notes.push(format!("† {name} is absent: {why}."));
        }
        for (cell, python) in line.cells[1..].iter().zip(&results.pythons) {
            match cell {
                Cell::Absent(why) => {
                    notes.push(format!("{name} is absent in {python}: {why}."));
                }
                Cell::Failed(why) => {
                    notes.push(format!("{name} failed in {python}: {why}."));
                }
                Cell::Empty | Cell::Samples(_) => {}
            }
        }
    }
    for (column, python) in results.pythons.iter().enumerate() {
        let few: Vec<String> = results
            .lines
            .iter()
            .filter(|line| match &line.cells[1 + column] {
                Cell::Samples(samples) => samples.len() < 3,
                _ => false,
            })
            .map(Line::label)
            .collect();
        if !few.is_empty() {
            notes.push(format!(
                "{python} was run less than three times for {}, so the spread is not \
                 known.",
                few.join(", ")
            ));
        }
    }
    notes.sort();
    notes.dedup();
    if results.shortened {
        notes.push(
            "Its question had taken long already, so this table is of fewer rounds."
                .into(),
        );
    }
    notes
}

/// What a table means, or why nothing is concluded from it.
pub(crate) fn conclusions(record: &Record, results: &Results) -> Vec<String> {
    if let Some(why) = record.doubt(results) {
        return vec![why];
    }
    let mut conclusions: Vec<String> = Vec::new();
    let broken: Vec<String> = results
        .lines
        .iter()
        .filter(|line| results.share_of_limit(line) == Some(ShareOfLimit::Broken))
        .map(Line::label)
        .collect();
    if let (Some(limit), false) = (results.limit(), broken.is_empty()) {
        conclusions.push(format!(
            "BROKEN LIMIT: {} took less time than {} by more than the spread, so that \
             row is not a limit.",
            broken.join(", "),
            limit.label()
        ));
    }
    if !results.sentences.is_empty() {
        conclusions.push(results.sentences.join(" "));
    }
    conclusions
}

/// The medians of a scenario that is measured in several placements, side by side.
pub(crate) fn by_placement(family: &[&Results]) -> Vec<Vec<String>> {
    let mut header = vec!["contender".to_owned()];
    header.extend(family.iter().map(|results| results.placement.to_string()));
    let mut rows = vec![header];
    let Some(first) = family.first() else {
        return rows;
    };
    for line in &first.lines {
        for (column, cell) in line.cells.iter().enumerate() {
            if line.role == Role::Ceiling || cell.median().is_none() {
                continue;
            }
            let label = match column {
                0 => line.label(),
                _ => format!("{} in {}", line.label(), first.language(column)),
            };
            let mut row = vec![label];
            row.extend(family.iter().map(|results| {
                let line = results.line(&line.label());
                let median = line.and_then(|line| line.cells.get(column)?.median());
                median.map_or("–".into(), time)
            }));
            rows.push(row);
        }
    }
    rows
}

/// The scenarios that are the same but for their placement.
pub(crate) fn family_of<'r>(
    results: &'r [Results],
    first: &Results,
) -> Vec<&'r Results> {
    results
        .iter()
        .filter(|it| it.question == first.question && it.family == first.family)
        .collect()
}

/// Where the code of each row stands.
pub(crate) fn code(results: &Results) -> Vec<(String, &[Place])> {
    let mut rows: Vec<(String, &[Place])> = Vec::new();
    for line in &results.lines {
        let known = rows.iter().any(|(name, places)| {
            *name == line.name && *places == line.code.as_slice()
        });
        if !known {
            rows.push((line.name.clone(), &line.code));
        }
    }
    rows
}

/// How a link in the directory of the report begins that leads to the repository.
fn to_root(directory: &Path) -> String {
    let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = bench.parent().unwrap_or(bench);
    match directory.strip_prefix(root) {
        Ok(inner) => "../".repeat(inner.components().count()),
        Err(_) => format!("{}/", root.display()),
    }
}

/// The report. With a `root`, each row links to its lines of code below it.
fn markdown(
    record: &Record,
    comparison: Option<&str>,
    root: Option<&str>,
) -> Result<String, fmt::Error> {
    let mut text = format!("# {TITLE}\n\n");
    for warning in &record.warnings {
        writeln!(text, "**{warning}**\n")?;
    }
    for answer in answers(record, Language::English) {
        writeln!(text, "**{answer}**\n")?;
    }
    write_facts(&mut text, &record.facts)?;
    writeln!(text, "\n{LEGEND}")?;
    if let Some(comparison) = comparison {
        writeln!(text, "\n{comparison}")?;
    }
    let (mut asked, mut family) = ("", "");
    for result in &record.results {
        if result.question != asked {
            asked = &result.question;
            writeln!(text, "\n## {asked}: {}", question(asked))?;
        }
        if result.placed && result.family != family {
            let heading = format!("{}: {}", result.family, result.work);
            writeln!(text, "\n### {heading}, by placement\n")?;
            let family = family_of(&record.results, result);
            text.push_str(&align(&by_placement(&family)));
        }
        family = &result.family;
        writeln!(text, "\n### {}: {}\n", result.name(), result.work)?;
        text.push_str(&align(&table(record, result)));
        for paragraph in notes(result).iter().chain(&conclusions(record, result)) {
            writeln!(text, "\n{paragraph}")?;
        }
        if let Some(root) = root {
            let rows = code(result).into_iter().map(|(name, places)| {
                let places: Vec<String> = places
                    .iter()
                    .map(|place| format!("[{place}]({})", place.link(root)))
                    .collect();
                format!("{name} {}", places.join(" "))
            });
            let rows: Vec<String> = rows.collect();
            writeln!(text, "\nCode: {}", rows.join(" · "))?;
        }
    }
    Ok(text)
}

pub(crate) fn write_facts(text: &mut String, facts: &Facts) -> fmt::Result {
    for (name, fact) in facts {
        writeln!(text, "- {name}: {fact}")?;
    }
    Ok(())
}

/// A Markdown table whose columns stand below each other in a terminal, too.
pub(crate) fn align(table: &[Vec<String>]) -> String {
    let width = |column: usize| {
        table
            .iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
            .max(3)
    };
    let widths: Vec<usize> = (0..table[0].len()).map(width).collect();
    let mut text = String::new();
    for (number, row) in table.iter().enumerate() {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let gap = " ".repeat(width - cell.chars().count());
            text.push_str("| ");
            if column == 0 {
                text.push_str(&(cell.clone() + &gap));
            } else {
                text.push_str(&(gap + cell));
            }
            text.push(' ');
        }
        text.push_str("|\n");
        if number == 0 {
            for (column, width) in widths.iter().enumerate() {
                let end = if column == 0 { "-" } else { ":" };
                text.push_str(&["| ", &"-".repeat(width - 1), end, " "].concat());
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::run;
    use crate::results::tests::{line, results};

    #[test]
    fn nothing_is_concluded_from_a_table_whose_cores_were_shared() {
        let busy = |workers, median| Line {
            workers: Some(workers),
            ..line("busy loops", Role::Ceiling, median)
        };
        let concluded = |two| {
            let mut results = results(vec![busy(1, 10.0), busy(2, two)]);
            results.sentences = vec!["A sentence.".into()];
            let record = run(&[], Vec::new());
            conclusions(&record, &results)
                .join(" ")
                .contains("A sentence.")
        };
        assert!(concluded(10.0));
        assert!(!concluded(20.0));
    }

    #[test]
    fn a_link_leads_to_the_repository_from_anywhere() {
        let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = bench.parent().unwrap();
        assert_eq!(to_root(&root.join("target/criterion")), "../../");
        let elsewhere = to_root(Path::new("/elsewhere"));
        assert_eq!(elsewhere, format!("{}/", root.display()));
    }

    #[test]
    fn a_broken_limit_is_reported_and_has_no_percentage() {
        let results = results(vec![
            line("ours", Role::Contender, 50.0),
            line("limit", Role::Limit, 100.0),
        ]);
        let record = run(&[], Vec::new());
        assert_eq!(table(&record, &results)[1].last().unwrap(), "limit broken");
        assert!(
            conclusions(&record, &results)[0].starts_with("BROKEN LIMIT: ours took")
        );
    }
}
