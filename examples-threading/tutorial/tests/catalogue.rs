//! The README's tables, the listings' files and the headers of those files agree.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Small programs that a listing starts. They are not listings themselves.
const CHILD_PROGRAMS: [&str; 2] = ["increment_first", "protest"];

/// The longest header that a listing may have.
const HEADER_LINES: usize = 8;

/// A row of the README's tables.
struct Row {
    id: String,
    place: String,
    /// The text of the link.
    file: String,
    /// Where the link leads, from the workspace's root.
    path: String,
    /// The package that the command above the row's table names.
    package: String,
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.join("../..").canonicalize().unwrap()
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path))
        .unwrap_or_else(|error| panic!("{path} cannot be read: {error}"))
}

fn is_id(text: &str) -> bool {
    text.strip_prefix(['V', 'N', 'T', 'D'])
        .is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
        })
}

/// The rows of the tables of listings, under their section's command.
fn rows(readme: &str) -> Vec<Row> {
    let mut package = String::new();
    let mut rows = Vec::new();
    for line in readme.lines() {
        if let Some(command) = line.strip_prefix("$ cargo run -p ")
            && let Some(name) = command.strip_suffix(" --bin NAME")
        {
            package = name.to_string();
        }
        let cells: Vec<&str> =
            line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [id, place, .., link] = cells[..] else {
            continue;
        };
        if !is_id(id) {
            continue;
        }
        let (file, path) = link
            .strip_prefix("[`")
            .and_then(|link| link.strip_suffix(')'))
            .and_then(|link| link.split_once("`]("))
            .unwrap_or_else(|| panic!("{id}: its row ends without a link: {line}"));
        rows.push(Row {
            id: id.to_string(),
            place: place.to_string(),
            file: file.to_string(),
            path: path.to_string(),
            package: package.clone(),
        });
    }
    rows
}

/// The paths of all files in `*/src/bin`, from the workspace's root.
fn files() -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    for package in fs::read_dir(root()).unwrap() {
        let package = package.unwrap().file_name().into_string().unwrap();
        let programs = root().join(&package).join("src/bin");
        if !package.starts_with("examples-") {
            continue;
        }
        for file in fs::read_dir(programs).unwrap() {
            let file = file.unwrap().file_name().into_string().unwrap();
            files.insert(format!("{package}/src/bin/{file}"));
        }
    }
    files
}

/// The name of the program that is built from the file at this path.
fn program(path: &str) -> &str {
    let file = path.rsplit_once('/').map_or(path, |(_, file)| file);
    file.strip_suffix(".rs").unwrap_or(file)
}

fn header(path: &str) -> Vec<String> {
    let text = text(path);
    let header = text.lines().take_while(|line| line.starts_with("//!"));
    header.map(ToString::to_string).collect()
}

/// The ids that stand in the header, as words of their own.
fn ids(header: &[String]) -> BTreeSet<String> {
    let words = header
        .iter()
        .flat_map(|line| line.split(|c: char| !c.is_alphanumeric()));
    words
        .filter(|word| is_id(word))
        .map(ToString::to_string)
        .collect()
}

fn no_faults(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_row_leads_to_a_file_that_names_its_id() {
    let mut faults = Vec::new();
    let files = files();
    for row in rows(&text("README.md")) {
        let Row { id, path, .. } = &row;
        if !files.contains(path) {
            faults.push(format!("{id}: there is no file {path}"));
            continue;
        }
        if !ids(&header(path)).contains(id) {
            faults.push(format!("{id}: the header of {path} does not name it"));
        }
        if !path.ends_with(&format!("/{}", row.file)) {
            faults.push(format!("{id}: {} leads to {path}", row.file));
        }
        if row.place.is_empty() {
            faults.push(format!("{id}: its place in the tutorial is missing"));
        }
    }
    no_faults(&faults);
}

#[test]
fn every_listing_has_one_row_and_a_short_header() {
    let mut faults = Vec::new();
    let readme = text("README.md");
    let mut rows_of = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for row in rows(&readme) {
        *rows_of.entry(row.path).or_insert(0) += 1;
        if !seen.insert(row.id.clone()) {
            faults.push(format!("{}: it has more than one row", row.id));
        }
    }
    for path in files() {
        if CHILD_PROGRAMS.contains(&program(&path)) {
            continue;
        }
        match rows_of.get(&path) {
            Some(1) => {}
            Some(count) => faults.push(format!("{path}: {count} rows lead to it")),
            None => faults.push(format!("{path}: no row of the README leads to it")),
        }
        let lines = header(&path).len();
        if !(1..=HEADER_LINES).contains(&lines) {
            faults.push(format!("{path}: its header has {lines} lines"));
        }
    }
    no_faults(&faults);
}

#[test]
fn the_command_above_a_table_runs_each_of_its_rows() {
    let mut faults = Vec::new();
    for Row {
        id, path, package, ..
    } in rows(&text("README.md"))
    {
        if !path.starts_with(&format!("{package}/src/bin/")) {
            faults.push(format!("{id}: `-p {package}` does not build {path}"));
            continue;
        }
        let manifest = text(&format!("{package}/Cargo.toml"));
        if !manifest.contains(&format!("name = \"{package}\"")) {
            faults.push(format!("{package}: its manifest has another name"));
        }
    }
    no_faults(&faults);
}

#[test]
fn no_two_programs_have_the_same_name() {
    let mut faults = Vec::new();
    let mut seen = BTreeMap::new();
    for path in files() {
        if let Some(other) = seen.insert(program(&path).to_string(), path.clone()) {
            faults.push(format!("{path} and {other} have the same name"));
        }
    }
    no_faults(&faults);
}
