//! Both programs, as a reader and a maintainer call them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use side_by_side::rows;
use tempfile::TempDir;

/// A file with this text in a folder of the test's own.
fn file(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

fn side_by_side(arguments: &[&Path]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_side_by_side"));
    program.args(arguments).output().unwrap()
}

fn check_places(arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_check_places"));
    program.args(arguments).output().unwrap()
}

fn lines(bytes: &[u8]) -> Vec<&str> {
    str::from_utf8(bytes).unwrap().lines().collect()
}

#[test]
fn the_page_is_written_where_it_is_wanted_and_what_is_not_found_is_said() {
    let folder = TempDir::new().unwrap();
    let document = file(&folder, "document.txt", "nothing of a tutorial\n");
    let page = folder.path().join("page.html");
    let end = side_by_side(&[&document, Path::new("-o"), &page]);
    assert!(end.status.success(), "{end:?}");
    let said = lines(&end.stdout);
    let all = rows(&side_by_side::text("README.md").unwrap()).len();
    assert_eq!(said[0], format!("0 of {all} listings found"));
    assert!(said[1].starts_with("not found: V"), "{said:?}");
    assert_eq!(said[1].split(' ').count(), all + 2);
    let html = fs::read_to_string(page).unwrap();
    assert!(html.contains("<article id=\"V17\""));
    assert!(html.contains("cargo run -p examples-threading --bin booth"));
}

#[test]
fn a_missing_document_is_one_sentence_and_exit_code_1() {
    let end = side_by_side(&[Path::new("/no/such/document")]);
    assert_eq!(end.status.code(), Some(1));
    let said = lines(&end.stderr);
    assert_eq!(said.len(), 1);
    assert!(
        said[0].starts_with("/no/such/document cannot be read: "),
        "{said:?}"
    );
}

#[test]
fn without_a_document_the_usage_is_shown_and_the_exit_code_is_2() {
    for end in [side_by_side(&[]), side_by_side(&[Path::new("--what")])] {
        assert_eq!(end.status.code(), Some(2));
        assert!(lines(&end.stderr)[0].starts_with("Usage: side_by_side"));
    }
    for end in [check_places(&[]), check_places(&["--add", "V1"])] {
        assert_eq!(end.status.code(), Some(2));
        assert!(lines(&end.stderr)[0].starts_with("Usage: check_places"));
    }
}

#[test]
fn places_that_a_document_lacks_are_named_and_fail() {
    let folder = TempDir::new().unwrap();
    let document = file(&folder, "document.txt", "nothing of a tutorial\n");
    let end = check_places(&[document.to_str().unwrap()]);
    assert_eq!(end.status.code(), Some(1));
    let said = lines(&end.stdout);
    assert!(
        said.contains(&"V17: the documents do not have it"),
        "{said:?}"
    );
    assert!(said.last().unwrap().starts_with("0 of "), "{said:?}");
}

#[test]
fn fingerprints_ignore_quotes_indents_and_blank_lines() {
    let folder = TempDir::new().unwrap();
    let one = file(
        &folder,
        "one.txt",
        "before\ndef f(a):\n    print(\"A\")\nafter\n",
    );
    let other = file(&folder, "other.txt", "def f(a):\n\n  print('a')\n");
    let add = |lines: &str, document: &Path| {
        check_places(&["--add", "V1", lines, document.to_str().unwrap()])
    };
    let (one, other) = (add("2-3", &one), add("1-3", &other));
    assert!(one.status.success(), "{one:?}");
    assert!(lines(&one.stdout)[0].starts_with("V1 "));
    assert_eq!(lines(&one.stdout)[0].split(' ').count(), 3);
    assert_eq!(one.stdout, other.stdout);
}
