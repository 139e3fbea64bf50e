//! The report as one page that fetches nothing.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::chart::{DARK, DotChart, LIGHT, LineChart, Mark, STYLE, Shape, Style};
use crate::charts::{
    DOUBTFUL, PICTURE_LEGEND, PICTURES, Styles, crossovers, dots, scaling,
};
use crate::record::Record;
use crate::results::{Place, Results, Role};
use crate::summary::{
    LEGEND, TITLE, by_placement, code, conclusions, family_of, notes, table,
};
use crate::words::{Language, answers, question};

/// The page of a run. `comparison` is that with another run, as Markdown; `root` begins
/// each link to the repository.
#[must_use]
pub fn page(record: &Record, comparison: Option<&str>, root: &str) -> String {
    let styles = Styles::of(&record.results);
    let mut asked: Vec<&str> = Vec::new();
    for result in &record.results {
        if !asked.contains(&result.question.as_str()) {
            asked.push(&result.question);
        }
    }
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                // Without it a browser asks for one.
                link rel="icon" href="data:,";
                title { (TITLE) }
                style { (PreEscaped(style())) }
            }
            body {
                h1 { (TITLE) }
                (in_short(record))
                @if asked.len() > 1 {
                    nav {
                        @for name in &asked {
                            a href=(format!("#{name}")) { (question(name)) }
                        }
                    }
                }
                @for name in &asked {
                    (section(record, name, &styles, root))
                }
                (about(record, comparison))
            }
        }
    };
    page.into_string()
}

fn style() -> String {
    format!(
        ":root{{color-scheme:light dark;{LIGHT}}}\n\
         @media (prefers-color-scheme:dark){{:root{{{DARK}}}}}\n{STYLE}{}",
        include_str!("page.css")
    )
}

/// What a reader who reads no further wants to know.
fn in_short(record: &Record) -> Markup {
    let charts = PICTURES.iter().filter_map(|picture| {
        let dots = picture.dots(record)?;
        Some((picture.title, dots))
    });
    html! {
        @for warning in &record.warnings {
            p.warning { (warning) }
        }
        @for answer in answers(record, Language::English) {
            p.answer { (answer) }
        }
        p.soft {
            (record.fact("processor")) ", " (record.fact("cores")) " cores, "
            (record.fact("date")) ". " a href="#about" { "How it was measured" }
        }
        div.pictures {
            @for (title, dots) in charts {
                figure {
                    h3 { (title) }
                    (legend(&PICTURE_LEGEND, "CPython takes"))
                    (dots_chart(title, &dots))
                    @if dots.doubtful() { p.legend { (DOUBTFUL) } }
                }
            }
        }
    }
}

fn legend(marks: &[(Mark, &str)], remark: &str) -> Markup {
    html! {
        p.legend {
            @for (mark, name) in marks {
                span { (mark.swatch()) " " (name) }
            }
            span.remark { (remark) }
        }
    }
}

fn dots_chart(title: &str, dots: &DotChart) -> Markup {
    html! {
        svg role="img" aria-label=(title) width="100%" height=(dots.height()) {
            (dots.draw())
        }
    }
}

fn lines_chart(lines: &LineChart) -> Markup {
    html! {
        figure {
            h3 { (lines.title) }
            p.legend { (lines.y) }
            svg role="img" aria-label=(lines.title) width="100%"
                height=(LineChart::HEIGHT) {
                (lines.draw())
            }
            p.legend {
                @for line in &lines.lines {
                    span { (line.mark.swatch()) " " (line.name) }
                }
            }
        }
    }
}

fn section(record: &Record, name: &str, styles: &Styles, root: &str) -> Markup {
    let results = record.results.iter();
    let results: Vec<&Results> = results.filter(|it| it.question == name).collect();
    html! {
        section id=(name) {
            h2 { (question(name)) }
            @for lines in crossovers(&results, styles) {
                (lines_chart(&lines))
            }
            @for (number, result) in results.iter().enumerate() {
                @let first = number == 0 || results[number - 1].family != result.family;
                @if result.placed && first {
                    h3 { (sentence(&result.work)) ", by placement" }
                    (html_table(&by_placement(&family_of(&record.results, result))))
                }
                (scenario(record, result, styles, root))
            }
        }
    }
}

fn scenario(
    record: &Record,
    result: &Results,
    styles: &Styles,
    root: &str,
) -> Markup {
    // The legend is for all contenders, so it has the colour of the text.
    let any = Style {
        colour: 6,
        shape: Shape::Circle,
    };
    let mut marks = vec![(Mark::Rust(any), "Rust")];
    let pythons = result.pythons.join(", ");
    if !pythons.is_empty() {
        marks.push((Mark::Python(any), &pythons));
    }
    if result.lines.iter().any(|line| line.role == Role::Limit) {
        marks.push((Mark::Bar, "a limit"));
    }
    let heading = if result.placed {
        format!("{}, {}", sentence(&result.work), result.placement)
    } else {
        sentence(&result.work)
    };
    html! {
        article {
            h3 { (heading) " " span.soft { (result.name()) } }
            @for conclusion in conclusions(record, result) {
                p { (conclusion) }
            }
            @if let Some(dots) = dots(result, styles) {
                figure {
                    (legend(&marks, "Python takes"))
                    (dots_chart(&result.work, &dots))
                }
            }
            @if let Some(lines) = scaling(result, styles) {
                (lines_chart(&lines))
            }
            details {
                summary { "Table, notes and code" }
                (html_table(&table(record, result)))
                @for note in notes(result) {
                    p { (note) }
                }
                @for (name, places) in code(result) {
                    p.code { (name) ":" @for place in places { " " (link(place, root)) } }
                }
            }
        }
    }
}

/// A text as a heading: it begins with a capital letter, and is not Markdown.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters
        .next()
        .map(|letter| letter.to_uppercase().to_string());
    (first.unwrap_or_default() + letters.as_str()).replace('`', "")
}

fn link(place: &Place, root: &str) -> Markup {
    html! { a href=(place.link(root)) { (place) } }
}

fn html_table(rows: &[Vec<String>]) -> Markup {
    html! {
        div.table {
            table {
                @for (number, row) in rows.iter().enumerate() {
                    tr {
                        @for cell in row {
                            @if number == 0 { th { (cell) } } @else { td { (cell) } }
                        }
                    }
                }
            }
        }
    }
}

/// How it was measured, on what, and where the samples are.
fn about(record: &Record, comparison: Option<&str>) -> Markup {
    html! {
        section #about {
            h2 { "How it was measured" }
            p { (LEGEND) }
            dl {
                @for (name, fact) in &record.facts {
                    dt { (name) }
                    dd { (fact) }
                }
            }
            @if let Some(comparison) = comparison {
                pre { (comparison) }
            }
            p {
                "Every sample: " a href="samples.json" { "samples.json" } ", "
                a href="samples.csv" { "samples.csv" } ". The tables as text: "
                a href="summary.md" { "summary.md" } "."
            }
        }
    }
}
