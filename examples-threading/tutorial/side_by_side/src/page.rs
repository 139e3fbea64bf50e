//! The page.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::Result;
use crate::align::align;
use crate::catalogue::{Row, text};
use crate::highlight::{Highlighter, Language, escaped};
use crate::places::{Document, Found, Section};

/// The share of a line's characters from which on Chinese makes it prose, in percent.
const PROSE: usize = 40;

/// A page, and what is on it.
pub struct Page {
    /// The HTML of the whole page.
    pub html: String,
    /// The ids of the listings that were found in the documents.
    pub found: Vec<String>,
    /// The ids of the listings that were not. The page shows their ports alone.
    pub missing: Vec<String>,
}

/// Puts these listings on one page: the lines of the documents beside the port.
///
/// `outputs` has what some of the listings printed, by name.
///
/// # Errors
///
/// A port cannot be read.
pub fn page(
    sections: &[Section],
    rows: &[Row],
    documents: &[Document],
    outputs: &BTreeMap<String, String>,
) -> Result<Page> {
    let highlighter = Highlighter::new();
    let mut contents = String::new();
    let mut articles = String::new();
    let mut found = Vec::new();
    let mut missing = Vec::new();
    let mut tutorial = "";
    for section in sections {
        let listed: Vec<_> = section
            .places
            .iter()
            .filter_map(|place| {
                Some((place, rows.iter().find(|row| row.id == place.id)?))
            })
            .collect();
        if listed.is_empty() {
            continue;
        }
        if section.tutorial != tutorial {
            tutorial = &section.tutorial;
            let _ = writeln!(contents, "<h2>{}</h2>", escaped(tutorial));
        }
        let title = escaped(&section.title);
        let _ = writeln!(contents, "<section><h3>{title}</h3>");
        for (place, row) in listed {
            let parts = place.find(documents);
            if parts.is_empty() {
                missing.push(row.id.clone());
            } else {
                found.push(row.id.clone());
            }
            let (id, name) = (&row.id, row.name());
            let _ = writeln!(contents, "<a href=\"#{id}\"><b>{id}</b> {name}</a>");
            let output = outputs.get(name).map(String::as_str);
            articles.push_str(&article(
                &highlighter,
                row,
                &format!("{} · {}", escaped(tutorial), title),
                &Columns::new(&parts, documents, &text(&row.path)?),
                output,
            ));
        }
        contents.push_str("</section>\n");
    }
    let html = include_str!("page.html")
        .replace("/*STYLE*/", include_str!("page.css"))
        .replace("/*SCRIPT*/", include_str!("page.js"))
        .replace("<!--MISSING-->", &list_of(&missing))
        .replace("<!--CONTENTS-->", &contents)
        .replace("<!--ARTICLES-->", &articles);
    Ok(Page {
        html,
        found,
        missing,
    })
}

fn list_of(missing: &[String]) -> String {
    if missing.is_empty() {
        return String::new();
    }
    let links = missing
        .iter()
        .map(|id| format!("<a href=\"#{id}\">{id}</a>"));
    let links = links.collect::<Vec<_>>().join(" ");
    format!("<p id=missing>Not found in the documents, shown alone: {links}</p>")
}

/// A line of the left column.
struct Line {
    /// Its number in the document, from 1.
    number: usize,
    text: String,
    prose: bool,
}

/// What stands beside each other, before it is HTML.
struct Columns {
    document: String,
    left: Vec<Line>,
    /// The header comment of the port, without its marks.
    header: String,
    /// The port without its header.
    right: Vec<String>,
    /// The number of the port's first line after the header.
    first: usize,
}

impl Columns {
    fn new(parts: &[Found], documents: &[Document], port: &str) -> Self {
        let mut left = Vec::new();
        for part in parts {
            for index in part.lines.clone() {
                let text = &documents[part.document].lines()[index];
                if !text.trim_start().starts_with("```") {
                    left.push(Line {
                        number: index + 1,
                        text: text.replace('\t', "    "),
                        prose: is_prose(text),
                    });
                }
            }
        }
        let mut lines = port.lines();
        let header: Vec<_> = lines
            .by_ref()
            .take_while(|line| line.starts_with("//!"))
            .map(|line| line.trim_start_matches("//!").trim())
            .collect();
        Self {
            document: parts.first().map_or(String::new(), |part| {
                documents[part.document].name().to_string()
            }),
            left,
            first: header.len() + 2,
            header: header.join("\n"),
            right: lines.map(ToString::to_string).collect(),
        }
    }
}

/// The header comment as HTML: its paragraphs, and what stands between backticks.
fn paragraphs(header: &str) -> String {
    let mut html = String::new();
    for paragraph in header.split("\n\n") {
        html.push_str("<p>");
        let text = escaped(paragraph);
        for (index, piece) in text.split('`').enumerate() {
            let code = index % 2 == 1;
            let (before, after) = if code {
                ("<code>", "</code>")
            } else {
                ("", "")
            };
            let _ = write!(html, "{before}{piece}{after}");
        }
        html.push_str("</p>");
    }
    html
}

/// Whether most of the line is Chinese, and it is not a comment.
fn is_prose(line: &str) -> bool {
    let line = line.trim();
    let visible = line.chars().filter(|c| !c.is_whitespace()).count();
    let chinese = line.chars().filter(|&c| c >= '\u{2e80}').count();
    !line.starts_with("# ") && chinese > 4 && chinese * 100 > visible * PROSE
}

fn article(
    highlighter: &Highlighter,
    row: &Row,
    section: &str,
    columns: &Columns,
    output: Option<&str>,
) -> String {
    let left: Vec<&str> = columns.left.iter().map(|line| &*line.text).collect();
    let right: Vec<&str> = columns.right.iter().map(|line| &**line).collect();
    let left_html = highlighter.lines(Language::Python, &left);
    let right_html = highlighter.lines(Language::Rust, &right);
    let prose = columns.left.iter().any(|line| line.prose);
    // Prose is wrapped, so that its lines have no fixed height to align by.
    let rows = if prose || left.is_empty() {
        let height = left.len().max(right.len());
        let line = |row, len| (row < len).then_some(row);
        (0..height)
            .map(|row| (line(row, left.len()), line(row, right.len())))
            .collect()
    } else {
        align(&left, &right)
    };

    let (mut python, mut rust) = (String::new(), String::new());
    for (l, r) in rows {
        match l {
            Some(l) => {
                let Line {
                    number,
                    text,
                    prose,
                } = &columns.left[l];
                let (class, html) = if *prose {
                    (" class=prose", escaped(text))
                } else {
                    ("", left_html[l].clone())
                };
                let _ = writeln!(python, "<p{class} data-n={number}>{html}</p>");
            }
            None if !prose => python.push_str("<p class=gap></p>\n"),
            None => {}
        }
        match r {
            Some(r) => {
                let number = columns.first + r;
                let _ = writeln!(rust, "<p data-n={number}>{}</p>", right_html[r]);
            }
            None if !prose => rust.push_str("<p class=gap></p>\n"),
            None => {}
        }
    }
    if left.is_empty() {
        python =
            "<p class=prose>Not found in the documents that were given.</p>".into();
    }
    let output = output.map_or(String::new(), |output| {
        format!(
            "<details open><summary>printed at TEMPO=50</summary><pre>{}</pre></details>\n",
            escaped(output)
        )
    });
    format!(
        "<article id=\"{id}\" tabindex=-1>\n\
         <header><p class=where>{section}</p>\n\
         <h2><a href=\"#{id}\">{id}</a> {name}</h2>\n\
         <p class=shows>{shows}</p>\n\
         <div class=note>{note}</div>\n\
         <p class=run><code>{command}</code> <button data-copy=\"{command}\">Copy</button></p>\
         </header>\n\
         <div class=columns>\n\
         <div><h3>{document}</h3><div class=code tabindex=0>\n{python}</div></div>\n\
         <div><h3>{path}</h3><div class=code tabindex=0>\n{rust}</div></div>\n\
         </div>\n{output}</article>\n",
        id = row.id,
        name = escaped(row.name()),
        shows = escaped(&row.shows),
        note = paragraphs(&columns.header),
        command = escaped(&row.command()),
        document = escaped(columns.document.rsplit('/').next().unwrap_or_default()),
        path = escaped(&row.path),
    )
}
