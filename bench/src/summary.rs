//! The report: printed, as Markdown, and as a page with charts.

use std::fmt::{self, Write as _};
use std::fs;
use std::path::Path;

use multiprocessing::cpu_count;

use crate::chart::escape;
use crate::charts::charts_of;
use crate::machine::Facts;
use crate::record::Record;
use crate::results::{Cell, Line, Place, Quote, Results, Role, ShareOfLimit};
use crate::statistics::{Middle, Ratio, Verdict, factor, time};

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
    fs::write(directory.join("readme.md"), readme(record)?)?;
    record.write(directory)?;
    // The charts of another run are not to be taken for this one's.
    let charts = directory.join("charts");
    if charts.exists() {
        fs::remove_dir_all(&charts)?;
    }
    fs::create_dir(&charts)?;
    for (name, chart) in charts_of(&record.results) {
        fs::write(charts.join(name), chart.svg())?;
    }
    let page = directory.join("summary.html");
    fs::write(&page, html(record, &root)?)?;
    println!("With charts: {}", page.display());
    println!("Raw samples: {}", directory.join("samples.json").display());
    Ok(())
}

const TITLE: &str = "What leaving the GIL buys";

const LEGEND: &str = "Each time is the median of interleaved samples; the spread is the \
    width of their middle half. Two rows differ only if their middle halves do not \
    overlap. A factor says how many times as fast as the first row of its table the row \
    is; one in a Python column, how many times as fast as that Python Rust is; one of \
    busy loops, how many times the work of one they did in the same time. Nothing is \
    pinned to a core unless the name of the table says so.";

/// The heading and the rows of a scenario's table.
fn table(results: &Results) -> Vec<Vec<String>> {
    let baseline = results.baseline();
    let several = results
        .lines
        .iter()
        .any(|line| line.role == Role::Contender && line.workers.is_some());
    let scales = several && baseline.is_some_and(|line| line.median().is_some());
    let ceiling =
        several && results.lines.iter().any(|line| line.role == Role::Ceiling);
    let limit = results.limit().is_some();
    let conclusive = results.missing_cores(cpu_count() as u64).is_none();
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
        let faster = speed_up(results, line);
        row.push(faster.map_or("–".into(), factor));
        row.extend(line.cells[1..].iter().map(|cell| python(cell, line)));
        if results.pythons.is_empty() {
            row.push("none".into());
        }
        if scales {
            row.push(percent(line.workers.and_then(|workers| {
                Some(faster? / workers.min(cpu_count() as u64) as f64)
            })));
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

/// How many times as fast as the first row it is.
pub(crate) fn speed_up(results: &Results, line: &Line) -> Option<f64> {
    match (line.role, line.workers) {
        (Role::Ceiling, Some(workers)) => results.ceiling(workers),
        _ => Some(results.baseline()?.median()? / line.median()?),
    }
}

/// The mark of a row that a note explains.
const MARK: &str = " †";

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

/// What stands below a table: what its marks mean, and what it means itself.
fn paragraphs(results: &Results) -> Vec<String> {
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
    if let Some(why) = results.missing_cores(cpu_count() as u64) {
        notes.push(why);
        return notes;
    }
    let broken: Vec<String> = results
        .lines
        .iter()
        .filter(|line| results.share_of_limit(line) == Some(ShareOfLimit::Broken))
        .map(Line::label)
        .collect();
    if let (Some(limit), false) = (results.limit(), broken.is_empty()) {
        notes.push(format!(
            "BROKEN LIMIT: {} took less time than {} by more than the spread, so that \
             row is not a limit.",
            broken.join(", "),
            limit.label()
        ));
    }
    if !results.sentences.is_empty() {
        notes.push(results.sentences.join(" "));
    }
    notes
}

/// The medians of a scenario that is measured in several placements, side by side.
fn by_placement(family: &[&Results]) -> Vec<Vec<String>> {
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
                _ => format!("{} in {}", line.label(), first.pythons[column - 1]),
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
fn family_of<'r>(results: &'r [Results], first: &Results) -> Vec<&'r Results> {
    results
        .iter()
        .filter(|it| it.question == first.question && it.family == first.family)
        .collect()
}

/// Where the code of each row stands.
fn code(results: &Results) -> Vec<(String, &[Place])> {
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
    write_facts(&mut text, &record.facts)?;
    writeln!(text, "\n{LEGEND}")?;
    if let Some(comparison) = comparison {
        writeln!(text, "\n{comparison}")?;
    }
    let (mut question, mut family) = ("", "");
    for result in &record.results {
        if result.question != question {
            question = &result.question;
            writeln!(text, "\n## {question}")?;
        }
        if result.placed && result.family != family {
            let heading = format!("{}: {}", result.family, result.work);
            writeln!(text, "\n### {heading}, by placement\n")?;
            let family = family_of(&record.results, result);
            text.push_str(&align(&by_placement(&family)));
        }
        family = &result.family;
        writeln!(text, "\n### {}: {}\n", result.name(), result.work)?;
        text.push_str(&align(&table(result)));
        for paragraph in paragraphs(result) {
            writeln!(text, "\n{paragraph}")?;
        }
        if let Some(root) = root {
            let rows = code(result).into_iter().map(|(name, places)| {
                let places: Vec<String> = places
                    .iter()
                    .map(|Place { file, line }| {
                        let short = file.rsplit('/').next().unwrap_or(file);
                        format!("[{short}:{line}]({root}{file}#L{line})")
                    })
                    .collect();
                format!("{name} {}", places.join(" "))
            });
            let rows: Vec<String> = rows.collect();
            writeln!(text, "\nCode: {}", rows.join(" · "))?;
        }
    }
    Ok(text)
}

fn write_facts(text: &mut String, facts: &Facts) -> fmt::Result {
    for (name, fact) in facts {
        writeln!(text, "- {name}: {fact}")?;
    }
    Ok(())
}

/// The comparisons that the project's page quotes, as one table.
fn readme(record: &Record) -> Result<String, fmt::Error> {
    let mut text = String::new();
    for warning in &record.warnings {
        writeln!(text, "**{warning}**\n")?;
    }
    write_facts(&mut text, &record.facts)?;
    text.push('\n');
    let header = [
        "what",
        "where",
        "here",
        "beside",
        "here takes",
        "CPython",
        "CPython takes",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    let mut shared_cores = false;
    for result in &record.results {
        let short = result.missing_cores(cpu_count() as u64).is_some();
        for quote in &result.quotes {
            let quoted = quoted(result, quote);
            shared_cores |= short && !quoted.is_empty();
            rows.extend(quoted.into_iter().map(|mut row| {
                if short {
                    row[0].push_str(MARK);
                }
                row
            }));
        }
    }
    text.push_str(&align(&rows));
    if shared_cores {
        writeln!(
            text,
            "\n† Busy loops in the same rounds found fewer cores than there should be."
        )?;
    }
    Ok(text)
}

fn quoted(results: &Results, quote: &Quote) -> Vec<Vec<String>> {
    let dash = || String::from("–");
    let middles = |line: &Line| {
        let (ours, theirs) = quote.of.cells(line).split_first()?;
        Some((ours.middle()?, theirs.iter().find_map(Cell::middle)))
    };
    let Some((ours, theirs)) = results.line(&quote.ours).and_then(middles) else {
        return Vec::new();
    };
    let place = results.placement.to_string();
    let python = match theirs {
        Some(theirs) => [time(theirs.median), short(Ratio::new(theirs, ours))],
        None => [dash(), dash()],
    };
    let row = |beside: String, ratio: String, python: [String; 2]| {
        let mut row = vec![quote.what.clone(), place.clone(), time(ours.median)];
        row.extend([beside, ratio]);
        row.extend(python);
        row
    };
    let mut rows: Vec<Vec<String>> = Vec::new();
    for label in &quote.beside {
        let Some(line) = results.line(label) else {
            continue;
        };
        let Some((beside, _)) = middles(line) else {
            continue;
        };
        let role = match line.role {
            Role::Limit => ", a limit",
            Role::Contender | Role::Ceiling => "",
        };
        let python = if rows.is_empty() {
            python.clone()
        } else {
            [String::new(), String::new()]
        };
        let name = format!("{label}{role}: {}", time(beside.median));
        rows.push(row(name, short(Ratio::new(ours, beside)), python));
    }
    if rows.is_empty() {
        rows.push(row(dash(), dash(), python));
    }
    rows
}

/// A ratio for a table.
fn short(ratio: Ratio) -> String {
    match ratio.verdict() {
        Verdict::Equal => format!("≈ {}", factor(ratio.of_medians())),
        Verdict::Less | Verdict::More => factor(ratio.of_medians()),
    }
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

const STYLE: &str = "body{font:15px/1.5 sans-serif;max-width:62em;margin:2em auto;\
    padding:0 1em}table{border-collapse:collapse}td,th{padding:.2em .8em;\
    border-bottom:1px solid #ddd;text-align:right}td:first-child,th:first-child\
    {text-align:left}img{width:100%;max-width:800px}";

fn html_table(page: &mut String, table: &[Vec<String>]) -> fmt::Result {
    page.push_str("<table>\n");
    for (number, row) in table.iter().enumerate() {
        let tag = if number == 0 { "th" } else { "td" };
        page.push_str("<tr>");
        for cell in row {
            write!(page, "<{tag}>{}</{tag}>", escape(cell))?;
        }
        page.push('\n');
    }
    page.push_str("</table>\n");
    Ok(())
}

fn html(record: &Record, root: &str) -> Result<String, fmt::Error> {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n\
         <title>{TITLE}</title>\n<style>{STYLE}</style>\n<h1>{TITLE}</h1>\n"
    );
    for warning in &record.warnings {
        writeln!(page, "<p><b>{}</b>", escape(warning))?;
    }
    page.push_str("<ul>\n");
    for (name, fact) in &record.facts {
        writeln!(page, "<li>{}: {}", escape(name), escape(fact))?;
    }
    writeln!(page, "</ul>\n<p>{LEGEND}")?;
    let charts = charts_of(&record.results);
    let (mut question, mut family) = ("", "");
    for result in &record.results {
        if result.question != question {
            question = &result.question;
            writeln!(page, "<h2>{question}</h2>")?;
            for (name, chart) in &charts {
                if name.starts_with(&format!("{question}-")) {
                    let title = escape(&chart.title);
                    writeln!(
                        page,
                        "<p><a href=\"charts/{name}\">\
                         <img src=\"charts/{name}\" alt=\"{title}\"></a>"
                    )?;
                }
            }
        }
        let work = escape(&result.work);
        if result.placed && result.family != family {
            let name = escape(&result.family);
            writeln!(page, "<h3>{name}: {work}, by placement</h3>")?;
            let family = family_of(&record.results, result);
            html_table(&mut page, &by_placement(&family))?;
        }
        family = &result.family;
        writeln!(page, "<h3>{}: {work}</h3>", escape(&result.name()))?;
        html_table(&mut page, &table(result))?;
        for paragraph in paragraphs(result) {
            writeln!(page, "<p>{}", escape(&paragraph))?;
        }
        page.push_str("<p>Code:");
        for (name, places) in code(result) {
            write!(page, " {}", escape(&name))?;
            for Place { file, line } in places {
                let short = file.rsplit('/').next().unwrap_or(file);
                write!(page, " <a href=\"{root}{file}\">{short}:{line}</a>")?;
            }
            page.push_str(" ·");
        }
        page.push('\n');
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Quoted;
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
            paragraphs(&results).join(" ").contains("A sentence.")
        };
        let cores = cpu_count() as u64;
        assert!(concluded(10.0));
        // A machine with one core expects no more than that.
        assert_eq!(concluded(20.0), cores == 1);
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
        assert_eq!(table(&results)[1].last().unwrap(), "limit broken");
        assert!(paragraphs(&results)[0].starts_with("BROKEN LIMIT: ours took"));
    }

    #[test]
    fn a_quote_names_its_placement_and_what_is_equal() {
        let mut results = results(vec![
            line("ours", Role::Contender, 100.0),
            line("equal", Role::Contender, 105.0),
            line("limit", Role::Limit, 50.0),
        ]);
        results.placed = true;
        let quote = Quote {
            what: "a thing".into(),
            ours: "ours".into(),
            beside: vec!["equal".into(), "limit".into(), "unknown".into()],
            of: Quoted::Median,
        };
        let rows = quoted(&results, &quote);
        let of = |row: usize| rows[row][1..5].to_vec();
        assert_eq!(of(0), ["not pinned", "100 ns", "equal: 105 ns", "≈ 0.95 ×"]);
        let limit = "limit, a limit: 50.0 ns";
        assert_eq!(of(1), ["not pinned", "100 ns", limit, "2.00 ×"]);
        assert_eq!(rows.len(), 2);
    }
}
