//! The answer: printed, as Markdown, and as a page with charts.

use std::fmt::{self, Write as _};
use std::fs;
use std::path::Path;

use multiprocessing::cpu_count;

use crate::chart::{Chart, ChartLine, escape};
use crate::results::{Cell, Line, Results, Role, factor, time};

type Facts = [(&'static str, String)];

/// Prints the summary and writes it and its page.
pub(crate) fn report(
    results: &[Results],
    facts: &Facts,
    directory: &Path,
) -> anyhow::Result<()> {
    let text = markdown(results, facts)?;
    println!("\n{text}");
    fs::create_dir_all(directory)?;
    fs::write(directory.join("summary.md"), &text)?;
    // Those of another run are not to be taken for this one's.
    let charts = directory.join("charts");
    if charts.exists() {
        fs::remove_dir_all(&charts)?;
    }
    fs::create_dir(&charts)?;
    for (name, chart) in charts_of(results) {
        fs::write(charts.join(name), chart.svg())?;
    }
    let page = directory.join("summary.html");
    fs::write(&page, html(results, facts)?)?;
    println!("With charts: {}", page.display());
    Ok(())
}

const LEGEND: &str = "Medians of interleaved samples, and how far the middle half of \
    them is spread. A factor says how many times as \
    fast as the first row of its table the row is; one in a Python column, how many \
    times as fast as that Python Rust is.";

/// The heading and the rows of a scenario's table.
fn table(results: &Results) -> Vec<Vec<String>> {
    let baseline = results.baseline();
    let scales = baseline.is_some_and(|line| line.median().is_some())
        && results.lines.iter().any(|line| line.workers.is_some());
    let ceiling = results.lines.iter().any(|line| line.role == Role::Ceiling);
    let limit = results.limit();

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
    if limit.is_some() {
        header.push("of the limit".into());
    }
    let mut rows = vec![header];
    for line in &results.lines {
        let median = line.median();
        let mut row = vec![name(line), own(line), percent(line.cells[0].spread())];
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
        if let Some(limit) = limit {
            let reached =
                median.filter(|_| line.limited && line.role == Role::Contender);
            row.push(percent(reached.map(|median| limit / median)));
        }
        rows.push(row);
    }
    rows
}

/// How many times as fast as the first row it is.
fn speed_up(results: &Results, line: &Line) -> Option<f64> {
    match (line.role, line.workers) {
        (Role::Ceiling, Some(workers)) => results.ceiling(workers),
        _ => Some(results.baseline()?.median()? / line.median()?),
    }
}

/// The mark of a row that a note explains.
const MARK: &str = " †";
/// The mark of a Python that does less.
const PART: &str = " ‡";

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
            let mark = if line.python_part.is_some() { PART } else { "" };
            let took = format!("{}{mark}", time(theirs));
            match line.median() {
                Some(ours) => format!("{took} ({})", factor(theirs / ours)),
                None => took,
            }
        }
    }
}

fn percent(share: Option<f64>) -> String {
    share.map_or("–".into(), |share| format!("{:.0} %", share * 100.0))
}

/// What stands under a table: what its marks mean, and what it means itself.
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
        if let Some(scale) = line.python_part {
            notes.push(format!(
                "‡ Python does 1/{scale:.0} of the work; its time is multiplied."
            ));
        }
        for (cell, python) in line.cells[1..].iter().zip(&results.pythons) {
            match cell {
                Cell::Absent(why) => {
                    notes.push(format!("{python} is absent: {why}."));
                }
                Cell::Failed(why) => {
                    notes.push(format!("{python} failed at {name}: {why}."));
                }
                Cell::Empty | Cell::Samples(_) => {}
            }
        }
    }
    notes.sort();
    notes.dedup();
    notes.extend((!results.sentence.is_empty()).then(|| results.sentence.clone()));
    notes
}

fn markdown(results: &[Results], facts: &Facts) -> Result<String, fmt::Error> {
    let mut text = String::from("# What leaving the GIL buys\n\n");
    for (name, fact) in facts {
        writeln!(text, "- {name}: {fact}")?;
    }
    writeln!(text, "\n{LEGEND}")?;
    let mut question = "";
    for result in results {
        if result.question != question {
            question = result.question;
            writeln!(text, "\n## {question}")?;
        }
        writeln!(text, "\n### {}: {}\n", result.name, result.work)?;
        text.push_str(&align(&table(result)));
        for paragraph in paragraphs(result) {
            writeln!(text, "\n{paragraph}")?;
        }
    }
    Ok(text)
}

/// A Markdown table whose columns stand below each other in a terminal, too.
fn align(table: &[Vec<String>]) -> String {
    let width = |column: usize| {
        table
            .iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
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

/// How a scenario gains from workers, and where the lines of a question cross.
fn charts_of(results: &[Results]) -> Vec<(String, Chart)> {
    let mut charts: Vec<(String, Chart)> =
        results.iter().filter_map(scaling).collect();
    let mut axes: Vec<(&str, &str)> = Vec::new();
    for result in results {
        if let Some((axis, _)) = &result.at
            && !axes.contains(&(result.question, axis))
        {
            axes.push((result.question, axis));
        }
    }
    charts.extend(axes.iter().filter_map(|(question, axis)| {
        let those: Vec<&Results> = (results.iter())
            .filter(|r| r.question == *question)
            .filter(|r| r.at.as_ref().is_some_and(|at| at.0 == *axis))
            .collect();
        crossover(question, axis, &those)
    }));
    charts
}

fn file(question: &str, name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = name.chars().map(plain).collect();
    format!("{question}-{name}.svg")
}

fn scaling(result: &Results) -> Option<(String, Chart)> {
    let mut lines: Vec<ChartLine> = Vec::new();
    let mut add = |name: String, dashed, point| match lines
        .iter_mut()
        .find(|line| line.name == name)
    {
        Some(line) => line.points.push(point),
        None => lines.push(ChartLine {
            name,
            dashed,
            points: vec![point],
        }),
    };
    for line in &result.lines {
        let Some(workers) = line.workers else {
            continue;
        };
        if let Some(faster) = speed_up(result, line) {
            let dashed = line.role == Role::Ceiling;
            add(line.name.clone(), dashed, (workers as f64, faster));
        }
    }
    for (which, python) in result.pythons.iter().enumerate() {
        let alone = result.baseline()?.cells[1 + which].median();
        for line in &result.lines {
            let theirs = line.cells[1 + which].median();
            if let (Some(workers), Some(alone), Some(theirs)) =
                (line.workers, alone, theirs)
            {
                let name = format!("{} in {python}", line.name);
                add(name, true, (workers as f64, alone / theirs));
            }
        }
    }
    lines.retain(|line| line.points.len() > 1);
    let chart = Chart {
        title: format!("{}: {}", result.question, result.name),
        x: "workers".into(),
        y: "times as fast as one thread of the same language".into(),
        y_logarithmic: false,
        lines,
    };
    (!chart.lines.is_empty()).then(|| (file(result.question, &result.name), chart))
}

fn crossover(
    question: &str,
    axis: &str,
    results: &[&Results],
) -> Option<(String, Chart)> {
    let baseline = results.first()?.baseline()?.label();
    let mut lines: Vec<ChartLine> = Vec::new();
    for result in results {
        let (_, x) = result.at.as_ref()?;
        for line in &result.lines {
            let Some(faster) = speed_up(result, line) else {
                continue;
            };
            let (name, point) = (line.label(), (*x, faster));
            match lines.iter_mut().find(|line| line.name == name) {
                Some(line) => line.points.push(point),
                None => lines.push(ChartLine {
                    dashed: line.role != Role::Contender || name == baseline,
                    name,
                    points: vec![point],
                }),
            }
        }
    }
    lines.retain(|line| line.points.len() > 1);
    let chart = Chart {
        title: format!("{question}: by {axis}"),
        x: axis.into(),
        y: format!("times as fast as {baseline}"),
        y_logarithmic: true,
        lines,
    };
    (!chart.lines.is_empty()).then(|| (file(question, axis), chart))
}

const STYLE: &str = "body{font:15px/1.5 sans-serif;max-width:62em;margin:2em auto;\
    padding:0 1em}table{border-collapse:collapse}td,th{padding:.2em .8em;\
    border-bottom:1px solid #ddd;text-align:right}td:first-child,th:first-child\
    {text-align:left}img{width:100%;max-width:800px}";

fn html(results: &[Results], facts: &Facts) -> Result<String, fmt::Error> {
    let title = "What leaving the GIL buys";
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n<h1>{title}</h1>\n<ul>\n"
    );
    for (name, fact) in facts {
        writeln!(page, "<li>{name}: {}", escape(fact))?;
    }
    writeln!(page, "</ul>\n<p>{LEGEND}")?;
    let charts = charts_of(results);
    let mut question = "";
    for result in results {
        if result.question != question {
            question = result.question;
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
        let (name, work) = (escape(&result.name), escape(&result.work));
        writeln!(page, "<h3>{name}: {work}</h3>\n<table>")?;
        for (number, row) in table(result).iter().enumerate() {
            let tag = if number == 0 { "th" } else { "td" };
            page.push_str("<tr>");
            for cell in row {
                write!(page, "<{tag}>{}</{tag}>", escape(cell))?;
            }
            page.push('\n');
        }
        page.push_str("</table>\n");
        for paragraph in paragraphs(result) {
            writeln!(page, "<p>{}", escape(&paragraph))?;
        }
    }
    Ok(page)
}
