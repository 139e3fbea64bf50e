//! The README's tables, the listings' files and the headers of those files agree.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use side_by_side::{Row, is_id, project_sections, root, rows, text};

/// Small programs that a listing starts. They are not listings themselves.
const CHILD_PROGRAMS: [&str; 2] = ["increment_first", "protest"];

/// The tutorial's programs once more, with what it does not have. Their rows stand in a
/// table of their own, without ids.
const BEYOND_THE_TUTORIAL: [&str; 2] = ["broker_master", "broker_worker"];

/// The longest header that a listing may have.
const HEADER_LINES: usize = 8;

fn readme() -> Vec<Row> {
    rows(&text("README.md").unwrap())
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
    let text = text(path).unwrap();
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
    for row in readme() {
        let Row { id, path, .. } = &row;
        if path.is_empty() {
            faults.push(format!("{id}: its row does not end with a link"));
            continue;
        }
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
    let mut rows_of = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for row in readme() {
        *rows_of.entry(row.path).or_insert(0) += 1;
        if !seen.insert(row.id.clone()) {
            faults.push(format!("{}: it has more than one row", row.id));
        }
    }
    for path in files() {
        if CHILD_PROGRAMS.contains(&program(&path))
            || BEYOND_THE_TUTORIAL.contains(&program(&path))
        {
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
    } in readme()
    {
        if !path.starts_with(&format!("{package}/src/bin/")) {
            faults.push(format!("{id}: `-p {package}` does not build {path}"));
            continue;
        }
        let manifest = text(&format!("{package}/Cargo.toml")).unwrap();
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

#[test]
fn every_listing_has_a_page_within_its_section_and_none_beside_it() {
    let mut faults = Vec::new();
    for path in files() {
        let program = program(&path);
        let (package, _) = path.split_once('/').expect("a path from the root");
        let library = text(&format!("{package}/src/lib.rs")).unwrap();
        if !library.contains(&format!("    pub mod {program};\n")) {
            faults.push(format!("{path}: lib.rs does not have it in `listings`"));
        }
        let manifest = text(&format!("{package}/Cargo.toml")).unwrap();
        if !manifest.contains(&format!("{{ name = \"{program}\", doc = false")) {
            faults.push(format!(
                "{path}: Cargo.toml does not say `doc = false` of it"
            ));
        }
        let story = text(&format!("{package}/src/story.md")).unwrap();
        if !BEYOND_THE_TUTORIAL.contains(&program)
            && !story.contains(&format!("(listings::{program})"))
        {
            faults.push(format!("{path}: story.md does not tell of it"));
        }
    }
    no_faults(&faults);
}

#[test]
fn every_listing_has_its_fingerprints_and_only_one_place() {
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    for place in project_sections().unwrap().iter().flat_map(|s| &s.places) {
        if !seen.insert(place.id.clone()) {
            faults.push(format!("{}: places.txt has it in two places", place.id));
        }
    }
    for Row { id, .. } in readme() {
        if !seen.contains(&id) {
            faults.push(format!("{id}: places.txt does not have it"));
        }
    }
    no_faults(&faults);
}

#[test]
fn the_headers_name_the_places_of_the_rows() {
    let mut faults = Vec::new();
    for Row {
        id, place, path, ..
    } in readme()
    {
        let header = header(&path).join(" ").replace("//!", "");
        let header = header.split_whitespace().collect::<Vec<_>>().join(" ");
        if !header.replace('`', "").contains(&place) {
            faults.push(format!("{id}: the header of {path} does not name {place}"));
        }
    }
    no_faults(&faults);
}

#[test]
fn the_readme_begins_with_the_library_as_its_own_page_does() {
    let library =
        text("examples-multiprocessing/multiprocessing/src/lib.rs").unwrap();
    // As rustdoc shows it: without the lines that it hides.
    let page: Vec<_> = library
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .filter(|line| *line != "#" && !line.starts_with("# "))
        .collect();
    let page = page.join("\n");
    let readme = text("README.md").unwrap();
    let (_, program) = readme.split_once("```rust\n").expect("a program");
    let (program, _) = program.split_once("```").expect("the program's end");
    assert!(
        page.contains(&format!("```\n{program}```")),
        "the library's page does not have this program:\n{program}"
    );
}
