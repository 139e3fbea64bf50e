//! Listings are found in copies that differ.

use std::env;
use std::fs;

use side_by_side::{Document, Found, project_sections, sections};

/// Stands in for a tutorial: two listings, the second almost as the first.
const DOCUMENT: &str = r#"# A tutorial

## Counting

```
import threading

def count(n):
    for i in range(n):
        print("count", i)

count(3)
```

Now the same in steps:

```
import threading

def count(n):
    for i in range(0, n, 2):
        print("count", i)

count(9)
```
"#;

/// Other quotes, half the indents, no blank lines: what a reader's own copy may have.
fn changed(text: &str) -> String {
    let mut changed = String::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let bare = line.trim_start_matches(' ');
        changed.push_str(&" ".repeat((line.len() - bare.len()) / 2));
        let mut open = false;
        for c in bare.chars() {
            changed.push(match c {
                '\'' => '"',
                '"' | '\u{201c}' | '\u{201d}' => {
                    open = !open;
                    if open { '\u{2018}' } else { '\u{2019}' }
                }
                c => c,
            });
        }
        changed.push('\n');
    }
    changed
}

/// The places of both listings of `DOCUMENT`, as the maintainer's tool writes them.
fn places() -> String {
    let document = Document::new("a", DOCUMENT);
    format!(
        "# A tutorial\n## Counting\nV1{}\nV2{}\n",
        document.part(5..=11),
        document.part(17..=23)
    )
}

fn found(places: &str, document: &str) -> Vec<Vec<Found>> {
    let sections = sections(places).unwrap();
    let places = sections.iter().flat_map(|section| &section.places);
    let documents = [Document::new("a", document)];
    places.map(|place| place.find(&documents)).collect()
}

/// The index of the first line of what was found, and the text of its last.
fn ends(found: &[Vec<Found>], document: &str) -> Vec<(usize, String)> {
    let lines: Vec<_> = document.lines().collect();
    found
        .iter()
        .flatten()
        .map(|found| {
            let first = *found.lines.start();
            (first, lines[*found.lines.end()].trim().to_string())
        })
        .collect()
}

#[test]
fn each_listing_is_found_where_it_stands() {
    let found = ends(&found(&places(), DOCUMENT), DOCUMENT);
    assert_eq!(found, [(5, "count(3)".into()), (17, "count(9)".into())]);
}

#[test]
fn other_quotes_indents_and_blank_lines_hide_nothing() {
    let copy = changed(DOCUMENT);
    let found = ends(&found(&places(), &copy), &copy);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].1, "count(3)");
    assert_eq!(found[1].1, "count(9)");
}

#[test]
fn plain_text_is_as_good_as_markdown() {
    let copy = DOCUMENT.replace("```\n", "").replace('#', "");
    let found = ends(&found(&places(), &copy), &copy);
    assert_eq!(found[1].1, "count(9)");
}

#[test]
fn lines_that_were_added_or_lost_are_put_up_with() {
    let copy =
        DOCUMENT.replace("count(9)", "# what comes out?\n\nprint()\ncount(9)");
    let copy = copy.replacen("    for i in range(n):\n", "", 1);
    let found = ends(&found(&places(), &copy), &copy);
    assert_eq!(found[0].1, "count(3)");
    assert_eq!(found[1].1, "count(9)");
}

#[test]
fn of_two_that_are_alike_the_first_is_taken() {
    let copy = format!("{DOCUMENT}\n{DOCUMENT}");
    assert_eq!(ends(&found(&places(), &copy), &copy)[0].0, 5);
}

#[test]
fn another_text_has_none_of_the_listings() {
    let found = found(
        &places(),
        "import threading\n\nprint('nothing of the kind')\n",
    );
    assert!(found.iter().all(Vec::is_empty), "{found:?}");
}

#[test]
fn malformed_places_are_an_error_that_names_the_line() {
    for text in [
        "V1 00ff00",
        "# T\n## S\nV1",
        "# T\n## S\nX1 00ff00",
        "# T\n## S\nV1 zz",
    ] {
        let error = sections(text).err().expect(text).to_string();
        let line = text.lines().count();
        assert_eq!(error, format!("line {line} of the places is malformed"));
    }
}

/// Needs copies of the four tutorials: the environment variable `TUTORIALS` names the
/// folder that they lie in.
#[test]
fn nearly_all_listings_are_found_in_real_copies() {
    let Some(folder) = env::var_os("TUTORIALS") else {
        eprintln!("NO TUTORIALS HERE: no listing was looked for in a real copy.");
        return;
    };
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    let texts: Vec<String> = files
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let sections = project_sections().unwrap();
    let places = || sections.iter().flat_map(|section| &section.places);
    let count = |change: &dyn Fn(&str) -> String| {
        let documents: Vec<_> = texts
            .iter()
            .map(|text| Document::new("a", &change(text)))
            .collect();
        let found = places().filter(|place| !place.find(&documents).is_empty());
        found.count()
    };
    let as_they_are = count(&ToString::to_string);
    let after_changes = count(&changed);
    println!(
        "{as_they_are} and {after_changes} of {} found",
        places().count()
    );
    assert!(as_they_are >= 130 && after_changes >= 120);
}
