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

impl Line {
    /// Its text, unless it is prose: that belongs to no line of a port.
    fn code(&self) -> &str {
        if self.prose { "" } else { &self.text }
    }
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
            let lines = &documents[part.document].lines()[part.lines.clone()];
            let indent = lines
                .iter()
                .filter(|line| !line.trim().is_empty() && !is_prose(line))
                .map(|line| line.len() - line.trim_start().len())
                .min();
            for (line, number) in lines.iter().zip(part.lines.start() + 1..) {
                let prose = is_prose(line);
                let text = if prose {
                    line.trim()
                } else {
                    line.get(indent.unwrap_or(0)..).unwrap_or_default()
                };
                if !text.starts_with("```") {
                    left.push(Line {
                        number,
                        text: text.replace('\t', "    "),
                        prose,
                    });
                }
            }
        }
        let header: Vec<_> = port
            .lines()
            .take_while(|line| line.starts_with("//!"))
            .map(|line| line.trim_start_matches("//!").trim())
            .collect();
        let lines = port.lines().skip(header.len());
        let right = lines.skip_while(|line| line.is_empty());
        let right: Vec<_> = right.map(ToString::to_string).collect();
        Self {
            document: parts
                .first()
                .map_or("not found in the documents that were given", |part| {
                    documents[part.document].name()
                })
                .to_string(),
            left,
            first: port.lines().count() - right.len() + 1,
            header: header.join("\n"),
            right,
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
    let left = columns.left.iter().map(Line::code);
    let left: Vec<&str> = left.collect();
    let right: Vec<&str> = columns.right.iter().map(|line| &**line).collect();
    let left_html = highlighter.lines(Language::Python, &left);
    let right_html = highlighter.lines(Language::Rust, &right);

    let mut code = String::new();
    for (lefts, rights) in align(&left, &right) {
        code.push_str("<div class=l>");
        for index in lefts {
            let Line {
                number,
                text,
                prose,
            } = &columns.left[index];
            let (class, html) = if *prose {
                (" class=prose", &escaped(text))
            } else {
                ("", &left_html[index])
            };
            let _ = write!(code, "<p{class} data-n={number}>{html}</p>");
        }
        code.push_str("</div>\n<div class=r>");
        for index in rights {
            let number = columns.first + index;
            let _ = write!(code, "<p data-n={number}>{}</p>", right_html[index]);
        }
        code.push_str("</div>\n");
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
         <div class=code>\n\
         <h3 class=l>{document}</h3><h3 class=r>{path}</h3>\n\
         {code}</div>\n{output}</article>\n",
        id = row.id,
        name = escaped(row.name()),
        shows = escaped(&row.shows),
        note = paragraphs(&columns.header),
        command = escaped(&row.command()),
        document = escaped(columns.document.rsplit('/').next().unwrap_or_default()),
        path = escaped(&row.path),
    )
}
