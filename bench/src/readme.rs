//! What the project's page quotes of a run: the answers, a table and pictures.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use maud::html;

use crate::chart::{DARK, DotChart, LIGHT, Mark, STYLE};
use crate::charts::{DOUBTFUL, PICTURE_LEGEND, PICTURES};
use crate::comparison::{Comparison, comparisons};
use crate::harness::WHOLE;
use crate::machine::UNKNOWN;
use crate::record::Record;
use crate::results::Role;
use crate::statistics::{Ratio, time};
use crate::summary::MARK;
use crate::words::{Language, answers};

/// Writes `readme.md` and the pictures.
pub(crate) fn write(record: &Record, directory: &Path) -> anyhow::Result<()> {
    let warnings = record.warnings.iter().map(|it| format!("**{it}**"));
    let answers = bold(&answers(record, Language::English));
    let parts = [answers, origin(record, Language::English), table(record)];
    let parts: Vec<String> = warnings.chain(parts).collect();
    fs::write(directory.join("readme.md"), parts.join("\n\n") + "\n")?;
    write_pictures(record, &directory.join("pictures"))
}

/// Brings what the project's page quotes up to a run: answers, table and pictures.
/// `root` is the repository.
///
/// # Errors
///
/// If the run was not of the whole bench, on a busy machine or of code whose commit is
/// not known, or if a file cannot be read or written.
pub fn update(record: &Record, root: &Path) -> anyhow::Result<()> {
    ensure!(
        record.warnings.is_empty(),
        "the machine was busy during this run, so it is not to be quoted: {}",
        record.warnings.join(" ")
    );
    let command = record.fact("command");
    ensure!(
        command == WHOLE,
        "a run of the whole bench is to be quoted, and this one was of `{command}`"
    );
    let commit = record.fact("commit");
    ensure!(
        commit != UNKNOWN,
        "run the bench again in a git checkout: this run does not know its commit, and \
         nobody could repeat it"
    );
    ensure!(
        !commit.ends_with("-dirty"),
        "commit first and run the bench again: nobody could repeat a run of {commit}"
    );
    let pages = [
        ("README.md", Language::English),
        ("README.zh-CN.md", Language::Chinese),
    ];
    for (name, language) in pages {
        let path = root.join(name);
        let page = fs::read_to_string(&path).with_context(|| name.to_owned())?;
        let page = updated(&page, record, language).context(name)?;
        fs::write(&path, page)?;
    }
    write_pictures(record, &root.join("bench/pictures"))
}

/// A page with the answers, the origin and the table of this run.
fn updated(
    page: &str,
    record: &Record,
    language: Language,
) -> anyhow::Result<String> {
    let answers = answers(record, language);
    ensure!(
        answers.len() == 2,
        "the run lacks an answer: the rows that it needs have other names now"
    );
    let page = replaced(page, "answers", &bold(&answers))?;
    let page = replaced(&page, "run", &origin(record, language))?;
    replaced(&page, "table", &table(record))
}

/// A page with another text between the two comments of this name.
fn replaced(page: &str, name: &str, text: &str) -> anyhow::Result<String> {
    let (begin, end) = (format!("<!-- bench: {name} -->"), "<!-- /bench -->");
    let missing = || format!("there is no {begin} followed by {end}");
    let (before, after) = page.split_once(&begin).with_context(missing)?;
    let (_, after) = after.split_once(end).with_context(missing)?;
    Ok(format!("{before}{begin}\n\n{text}\n\n{end}{after}"))
}

fn bold(sentences: &[String]) -> String {
    let bold = sentences.iter().map(|sentence| format!("**{sentence}**"));
    bold.collect::<Vec<_>>().join("\n\n")
}

/// What the figures were measured on.
fn origin(record: &Record, language: Language) -> String {
    let fact = |name| record.fact(name);
    let (commit, date, cores) = (fact("commit"), fact("date"), fact("cores"));
    let (processor, kernel) = (fact("processor"), fact("kernel"));
    let compiler = fact("compiler").split(" (").next().unwrap_or_default();
    let results = record.results.first();
    let pythons = results.map_or(String::new(), |it| it.pythons.join(", "));
    let machine = format!("{processor}, Linux {kernel}, {compiler}, {pythons}");
    language.pick([
        format!(
            "All figures are medians of one run of the first command at commit \
             `{commit}` ({date}), on a quiet machine with {cores} cores ({machine})."
        ),
        format!(
            "所有数字都是第一条命令在提交 `{commit}`（{date}）上某一次运行的中位数，\
             机器空闲，有 {cores} 个核（{machine}）。"
        ),
    ])
}

/// The comparisons as one Markdown table.
fn table(record: &Record) -> String {
    let mut lines = vec![
        "| what | where | here | beside | here takes | CPython | CPython takes |"
            .to_owned(),
        "| --- | --- | ---: | --- | ---: | ---: | ---: |".to_owned(),
    ];
    for comparison in comparisons(record) {
        lines.extend(rows(&comparison).iter().map(|row| {
            let cells = row.join(" | ");
            format!("| {cells} |")
        }));
    }
    lines.join("\n")
}

fn rows(comparison: &Comparison<'_>) -> Vec<[String; 7]> {
    let dash = || String::from("–");
    let mark = if comparison.doubtful { MARK } else { "" };
    let what = format!("{}{mark}", comparison.what);
    let place = comparison.placement.to_string();
    let ours = time(comparison.ours.median);
    let python = comparison.python.map_or([dash(), dash()], |theirs| {
        let ratio = Ratio::new(theirs, comparison.ours);
        [time(theirs.median), ratio.short()]
    });
    let beside = comparison.beside.iter().map(|beside| {
        let role = match beside.role {
            Role::Limit => ", a limit",
            Role::Contender | Role::Ceiling => "",
        };
        let median = time(beside.middle.median);
        let ratio = Ratio::new(comparison.ours, beside.middle);
        [format!("{}{role}: {median}", beside.label), ratio.short()]
    });
    let mut beside: Vec<[String; 2]> = beside.collect();
    if beside.is_empty() {
        beside.push([dash(), dash()]);
    }
    let once = std::iter::once(python);
    let pythons = once.chain(std::iter::repeat([String::new(), String::new()]));
    let rows = beside.into_iter().zip(pythons);
    rows.map(|([beside, takes], [python, python_takes])| {
        let (what, place, ours) = (what.clone(), place.clone(), ours.clone());
        [what, place, ours, beside, takes, python, python_takes]
    })
    .collect()
}

fn write_pictures(record: &Record, directory: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(directory)?;
    for picture in &PICTURES {
        for (scheme, colours) in [("light", LIGHT), ("dark", DARK)] {
            let path = directory.join(format!("{}-{scheme}.svg", picture.file));
            match picture.dots(record) {
                Some(dots) => {
                    fs::write(path, drawing(picture.title, &dots, colours))?;
                }
                // The picture of another run is not to be taken for this one's.
                None if path.exists() => fs::remove_file(path)?,
                None => {}
            }
        }
    }
    Ok(())
}

/// A picture that stands by itself.
fn drawing(title: &str, dots: &DotChart, colours: &str) -> String {
    const WIDTH: f64 = 400.0;
    const HEAD: f64 = 56.0;
    const MARGIN: f64 = 10.0;
    let doubtful = dots.doubtful();
    let foot = HEAD + dots.height() + 18.0;
    let height = if doubtful { foot + 8.0 } else { foot - 10.0 };
    let legend = |number: usize| [10.0, 70.0, 150.0][number];
    let text = |mark: Mark| if mark == Mark::Bar { 8.0 } else { 10.0 };
    html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(WIDTH) height=(height)
            viewBox=(format!("0 0 {WIDTH} {height}")) {
            style { "svg{" (colours) "}" (STYLE) }
            rect.ground width="100%" height="100%" rx="6" {}
            svg x=(MARGIN) width=(WIDTH - 2.0 * MARGIN) {
                text.title x="0" y="22" { (title) }
                @for (number, (mark, name)) in PICTURE_LEGEND.iter().enumerate() {
                    (mark.at(&legend(number).to_string(), 41.0))
                    text.soft x=(legend(number) + text(*mark)) y="45" { (name) }
                }
                text.soft x="100%" y="45" text-anchor="end" { "CPython takes" }
                svg y=(HEAD) height=(dots.height()) { (dots.draw()) }
                @if doubtful {
                    text.soft x="0" y=(foot) {
                        (DOUBTFUL)
                    }
                }
            }
        }
    }
    .into_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::run;
    use crate::results::tests::{line, results};
    use crate::results::{Quote, Quoted};

    #[test]
    fn a_quote_names_its_placement_and_what_is_equal() {
        let mut results = results(vec![
            line("ours", Role::Contender, 100.0),
            line("equal", Role::Contender, 105.0),
            line("limit", Role::Limit, 50.0),
        ]);
        results.placed = true;
        results.quotes = vec![Quote {
            what: "a thing".into(),
            ours: "ours".into(),
            beside: vec!["equal".into(), "limit".into(), "unknown".into()],
            of: Quoted::Median,
        }];
        let table = table(&run(&[], vec![results]));
        let rows: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(
            rows,
            [
                "| a thing | not pinned | 100 ns | equal: 105 ns | ≈ 0.95 × | – | – |",
                "| a thing | not pinned | 100 ns | limit, a limit: 50.0 ns | 2.00 × |  \
                 |  |",
            ]
        );
    }

    #[test]
    fn only_what_stands_between_its_comments_is_replaced() {
        let page =
            "a\n<!-- bench: run -->\nold\n<!-- /bench -->\nb <!-- /bench -->\n";
        let new = replaced(page, "run", "new").unwrap();
        let expected = "a\n<!-- bench: run -->\n\nnew\n\n<!-- /bench -->\nb \
                        <!-- /bench -->\n";
        assert_eq!(new, expected);
        assert_eq!(replaced(&new, "run", "new").unwrap(), expected);
        let error = replaced(page, "table", "new").unwrap_err().to_string();
        assert!(error.contains("<!-- bench: table -->"), "{error}");
    }

    #[test]
    fn a_run_of_one_question_or_of_uncommitted_code_is_not_quoted() {
        let refused = |command: &str, commit: &str| {
            let mut record = run(&[], Vec::new());
            let fact = |name: &str, fact: &str| (name.to_owned(), fact.to_owned());
            record
                .facts
                .extend([fact("command", command), fact("commit", commit)]);
            update(&record, Path::new("/nonexistent"))
                .unwrap_err()
                .to_string()
        };
        let one = refused("cargo bench -p bench -- '^pool/'", "abc");
        assert!(one.contains("whole bench"), "{one}");
        let dirty = refused(WHOLE, "abc-dirty");
        assert!(dirty.contains("commit first"), "{dirty}");
        let unknown = refused(WHOLE, UNKNOWN);
        assert!(unknown.contains("does not know its commit"), "{unknown}");
        assert_eq!(refused(WHOLE, "abc"), "README.md");
    }

    #[test]
    fn a_run_on_a_busy_machine_is_not_quoted() {
        let record = run(&["THIS MACHINE WAS BUSY"], Vec::new());
        let error = update(&record, Path::new("/nonexistent")).unwrap_err();
        assert!(error.to_string().contains("not to be quoted"), "{error}");
    }
}
