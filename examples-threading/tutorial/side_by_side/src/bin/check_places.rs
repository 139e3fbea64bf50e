//! Proves the README's places against a maintainer's copies of the tutorials:
//! `check_places DOCUMENT…`, or prints the fingerprints of a listing for `places.txt`:
//! `check_places --add ID FIRST-LAST DOCUMENT`.
#![forbid(unsafe_code)]

use std::env;
use std::path::Path;
use std::process::ExitCode;

use side_by_side::{Document, Result, is_id, project_sections, rows, text};

const USAGE: &str = "Usage: check_places DOCUMENT…
       check_places --add ID FIRST-LAST DOCUMENT";

/// How many lines before its listing a place may stand.
const BEFORE: usize = 60;

/// Reports each place that a search does not find at its listing. Returns whether all
/// are found.
fn check(paths: &[String]) -> Result<bool> {
    let documents = paths.iter().map(|path| Document::read(Path::new(path)));
    let documents: Vec<_> = documents.collect::<Result<_>>()?;
    let sections = project_sections()?;
    let rows = rows(&text("README.md")?);
    let mut faults = 0;
    for row in &rows {
        let mut places = sections.iter().flat_map(|section| &section.places);
        let Some(place) = places.find(|place| place.id == row.id) else {
            println!("{}: places.txt does not have it", row.id);
            faults += 1;
            continue;
        };
        let parts = place.find(&documents);
        let at_listing = |part: &side_by_side::Found| {
            let line = documents[part.document].search(&row.place);
            let near = part.lines.start().saturating_sub(BEFORE)..=*part.lines.end();
            line.is_some_and(|line| near.contains(&line))
        };
        if parts.is_empty() {
            println!("{}: the documents do not have it", row.id);
            faults += 1;
        } else if !parts.iter().any(at_listing) {
            println!("{}: a search for {:?} lands elsewhere", row.id, row.place);
            faults += 1;
        }
    }
    println!("{} of {} places found", rows.len() - faults, rows.len());
    Ok(faults == 0)
}

/// The line of `places.txt` for these lines of the document.
fn part(id: &str, lines: &str, path: &str) -> Result<String> {
    let (first, last) = lines.split_once('-').unwrap_or((lines, lines));
    let number = |text: &str| {
        let number = text.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
        number.ok_or_else(|| format!("{text} is not the number of a line"))
    };
    let (first, last) = (number(first)?, number(last)?);
    if !is_id(id) {
        return Err(format!("{id} is not the id of a listing").into());
    }
    let part = Document::read(Path::new(path))?.part(first..=last);
    if part.is_empty() {
        return Err(format!("{path} has no text in lines {lines}").into());
    }
    Ok(format!("{id}{part}"))
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let end = match words[..] {
        ["--add", id, lines, path] => part(id, lines, path).map(|part| {
            println!("{part}");
            true
        }),
        [first, ..] if !first.starts_with('-') => check(&arguments),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match end {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
